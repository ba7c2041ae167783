"""Who gets in at the door for agents, and who is cut off."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import stat
from pathlib import Path

import aiohttp
import msgspec
import pytest
from nacl.public import SealedBox
from nacl.signing import SigningKey

from agent.link import messages
from agent.link.messages import Bye, Challenge, Hello, OrderSent, Welcome
from bot.fleet.nodes import node_id, write_pin
from bot.fleet.refusals import SocketTaken
from bot.fleet.server import MESSAGE_BYTES, PENDING
from tests.fleet.conftest import Lab
from tests.fleet.node import Node


async def test_a_pinned_node_that_signs_the_challenge_is_welcome(lab: Lab) -> None:
    node = lab.pinned()
    assert isinstance(await node.say_hello(), Welcome)


async def test_the_socket_is_for_its_owner_only(lab: Lab) -> None:
    assert stat.S_IMODE(lab.socket.stat().st_mode) == 0o600


async def test_a_node_that_nobody_pinned_is_refused(lab: Lab) -> None:
    answer = await lab.stranger().say_hello()
    assert answer == Bye(reason="This bot does not know this agent.")


async def test_a_node_that_is_pinned_later_gets_in_without_a_restart(lab: Lab) -> None:
    node = lab.stranger()
    assert isinstance(await node.say_hello(), Bye)
    await node.hang_up()
    write_pin(lab.installation.directory, identity=node.identity_hex, sealing=node.sealing_hex)
    assert isinstance(await node.say_hello(), Welcome)


async def test_a_node_record_changed_in_the_store_gives_nobody_other_keys(lab: Lab) -> None:
    node, intruder = await lab.linked("box"), lab.stranger()
    await lab.down(node)
    for true, false in (
        (node.identity_hex, intruder.identity_hex),
        (node.sealing_hex, intruder.sealing_hex),
    ):
        await lab.storage.overwrite("node", node.id, (true.encode(), false.encode()))
    intruder.id = node.id
    assert isinstance(await intruder.say_hello(), Bye)
    await lab.up(node)
    assert [n.name for n in await lab.fleet.nodes()] == ["box"]
    sealed = lab.fleet.seal(node.id, "x")["for_node"]
    assert SealedBox(node.sealing).decrypt(base64.b64decode(sealed)) == b"x"


async def test_a_node_whose_pin_was_taken_away_is_refused(lab: Lab) -> None:
    node = await lab.linked()
    await lab.down(node)
    (lab.installation.directory / "nodes" / f"{node.id}.json").unlink()
    assert isinstance(await node.say_hello(), Bye)


@pytest.mark.parametrize(
    "field", ["protocol", "node", "identity", "sealing", "signature"], ids=lambda f: f"other-{f}"
)
async def test_a_hello_with_one_field_of_another_is_refused(lab: Lab, field: str) -> None:
    node, other = lab.pinned(), lab.pinned()
    fields = {
        "protocol": 2,
        "node": other.id,
        "identity": other.identity_hex,
        "sealing": other.sealing_hex,
        "signature": "0" * 128,
    }

    def change(hello: Hello) -> Hello:
        return msgspec.structs.replace(hello, **{field: fields[field]})

    answer = await node.say_hello(change=change)
    assert isinstance(answer, Bye)
    assert not any(n.online for n in await lab.fleet.nodes())


async def test_a_hello_signed_by_another_key_is_refused(lab: Lab) -> None:
    node = lab.pinned()
    node.identity, true = SigningKey.generate(), node.identity

    def change(hello: Hello) -> Hello:
        identity = bytes(true.verify_key).hex()
        return msgspec.structs.replace(hello, node=node_id(identity), identity=identity)

    assert isinstance(await node.say_hello(change=change), Bye)


async def test_a_hello_recorded_on_another_link_is_refused(lab: Lab) -> None:
    node = lab.pinned()
    recorded: list[Hello] = []

    def record(hello: Hello) -> Hello:
        recorded.append(hello)
        return hello

    assert isinstance(await node.say_hello(change=record), Welcome)
    await node.hang_up()
    assert isinstance(await node.say_hello(change=lambda _: recorded[0]), Bye)


async def test_a_hello_for_another_installation_is_refused(lab: Lab) -> None:
    node = lab.pinned()
    ws = await node.dial()
    challenge = messages.decode(await ws.receive_str())
    assert isinstance(challenge, Challenge)
    elsewhere = msgspec.structs.replace(challenge, installation="i-aaaaaaaaaaaaaaaa")
    await ws.send_str(messages.encode(node.hello(elsewhere)))
    assert isinstance(messages.decode(await ws.receive_str()), Bye)


async def test_every_byte_of_a_hello_counts(lab: Lab) -> None:
    node = lab.pinned()
    text = messages.encode(node.hello(Challenge(protocol=1, installation="i", nonce="0" * 64)))
    for at in range(0, len(text), 13):
        ws = await node.dial()
        challenge = messages.decode(await ws.receive_str())
        assert isinstance(challenge, Challenge)
        good = messages.encode(node.hello(challenge, verbs=("node.facts",))).encode()
        bad = bytearray(good)
        bad[at % len(bad)] ^= 1
        await ws.send_str(bad.decode())
        answer = messages.decode(await ws.receive_str())
        assert isinstance(answer, Bye) or _only_words_differ(good, bytes(bad)), bad
        await node.hang_up()


def _only_words_differ(good: bytes, bad: bytes) -> bool:
    """The agent's version and its verbs are not signed: they say what it can do, and give no right."""
    try:
        a, b = messages.decode(good), messages.decode(bad)
    except msgspec.MsgspecError:
        return False
    assert isinstance(a, Hello) and isinstance(b, Hello)
    return msgspec.structs.replace(b, agent=a.agent, verbs=a.verbs) == a


@pytest.mark.parametrize("header", ["Origin", "Cookie"])
async def test_a_browser_is_refused(lab: Lab, header: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await lab.pinned().dial(headers={header: "http://localhost"})
    assert refused.value.status == 403


@pytest.mark.parametrize("protocols", [(), ("hercules.agent.v2",)])
async def test_another_subprotocol_is_refused(lab: Lab, protocols: tuple[str, ...]) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await lab.pinned().dial(protocols=protocols)
    assert refused.value.status == 400


async def test_compression_is_not_negotiated(lab: Lab) -> None:
    node = lab.pinned()
    ws = await node.dial(headers={"Sec-WebSocket-Extensions": "permessage-deflate"})
    assert ws.compress == 0
    assert "Sec-WebSocket-Extensions" not in ws._response.headers


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[" * 60_000,
        '{"m":"nothing"}',
        '{"m":"kept","order":"o-12345678"}',
        '{"m":"hello"}',
        b"\x00" * 100,
        "\x00",
        "x" * (MESSAGE_BYTES + 1),
    ],
    ids=["empty", "half", "nested", "unknown", "of a bot", "bare hello", "binary", "nul", "huge"],
)
async def test_anything_but_a_hello_ends_the_connection(lab: Lab, frame: str | bytes) -> None:
    node = lab.pinned()
    ws = await node.dial()
    await ws.receive_str()
    await node.raw(frame)
    said = [m.data async for m in ws if m.type is aiohttp.WSMsgType.TEXT]
    assert ws.closed
    assert [messages.decode(text) for text in said] in (
        [],
        [Bye(reason="This bot does not know this agent.")],
    )
    assert isinstance(await lab.pinned().say_hello(), Welcome)


@pytest.mark.parametrize(
    "frame",
    [
        '{"m":"nothing"}',
        messages.encode(OrderSent(envelope="{}")),
        messages.encode(Welcome(bot="x")),
        b"\x00" * 100,
        "x" * (MESSAGE_BYTES + 1),
    ],
    ids=["unknown", "an order", "a welcome", "binary", "huge"],
)
async def test_what_only_a_bot_may_say_ends_the_link(lab: Lab, frame: str | bytes) -> None:
    node = await lab.linked()
    await node.raw(frame)
    await node.until_closed()
    await lab.until_online(node, False)


async def test_a_second_link_takes_the_place_of_the_first(lab: Lab) -> None:
    first = await lab.linked()
    second = Node(lab.socket, lab.installation.dispatch.verify_key)
    second.identity, second.sealing, second.id = first.identity, first.sealing, first.id
    lab.nodes.append(second)
    await second.link()
    said = await first.until_closed()
    assert said == Bye(reason="A newer link of this agent took its place.")
    await lab.fleet.send(lab.effect(second))
    assert (await second.order()).body.node == second.id
    assert [n.online for n in await lab.fleet.nodes()] == [True]


async def test_who_sends_nothing_is_cut_off_and_others_are_not_disturbed(lab: Lab) -> None:
    linked = await lab.linked()
    await lab.restart(head_within_s=1.5, hello_within_s=3)
    await linked.hang_up()
    await lab.up(linked)
    silent_reader, _ = await asyncio.open_unix_connection(str(lab.socket))
    drip_reader, drip = await asyncio.open_unix_connection(str(lab.socket))
    asked = lab.pinned()
    ws = await asked.dial()
    await ws.receive_str()

    async def dripping() -> None:
        for byte in b"GET /agent HTTP/1.1\r\nHost: x\r\n" * 100:
            drip.write(bytes([byte]))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(dripping())
    async with asyncio.timeout(60):  # the machine may be busy; what drips would take 150 s
        assert await silent_reader.read() == b""
        with contextlib.suppress(ConnectionError):  # cut off in the middle of a write of ours
            assert await drip_reader.read() == b""
        assert (await ws.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    drip.close()
    await lab.fleet.send(lab.effect(linked))
    await linked.order()


async def test_at_most_so_many_wait_at_the_door(lab: Lab) -> None:
    linked = await lab.linked()
    await lab.restart(head_within_s=2)
    await linked.hang_up()
    await lab.up(linked)
    waiting = [await asyncio.open_unix_connection(str(lab.socket)) for _ in range(PENDING + 20)]
    async with asyncio.timeout(60):
        for reader, _ in waiting[PENDING:]:
            assert await reader.read() == b""
    await lab.fleet.send(lab.effect(linked))
    await linked.order()
    async with asyncio.timeout(60):
        for reader, _ in waiting[:PENDING]:
            assert await reader.read() == b""
    for _, writer in waiting:
        writer.close()
    assert isinstance(await lab.pinned().say_hello(), Welcome)


async def test_a_stale_socket_is_replaced_and_a_live_one_is_not(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(SocketTaken):
        await lab.new_fleet().start()
    await lab.fleet.stop()
    assert not lab.socket.exists()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(lab.socket))
    left.close()  # nobody listens: a bot that was killed leaves this
    await lab.restart()
    await lab.linked()


async def test_another_program_on_the_path_is_left_alone(lab: Lab) -> None:
    await lab.fleet.stop()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(lab.socket))
        other.listen()
        with pytest.raises(SocketTaken):
            await lab.new_fleet().start()
    lab.socket.unlink()
    lab.socket.write_text("a file")
    with pytest.raises(SocketTaken):
        await lab.new_fleet().start()
    assert lab.socket.read_text() == "a file"
