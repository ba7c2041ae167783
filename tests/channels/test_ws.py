"""The WebSocket of a session: order, no gap and no repeat, refusals, slow and broken clients, a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from agent.orders.results import Progress
from bot.channels.ws import LINES, Bye, progress_frame
from bot.engine.events import FactsCame
from tests.channels.house import House
from tests.runtime.lab import now_ms


@asynccontextmanager
async def following(
    api: ClientSession, session_id: str, after: int = 0
) -> AsyncIterator[ClientWebSocketResponse]:
    """A socket that said hello."""
    async with api.ws_connect(f"/api/v1/ws?session={session_id}") as ws:
        await ws.send_json({"type": "hello", "after": after})
        yield ws


async def until(ws: ClientWebSocketResponse, kind: str, within_s: float = 60) -> list[dict[str, Any]]:
    """All frames up to the first of a kind."""
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(within_s):
        while not frames or frames[-1]["type"] != kind:
            frames.append(await ws.receive_json())
    return frames


async def opened(house: House, id: str = "1", flow: str = "greet") -> str:
    return (await house.runtime.open(person=house.owner, id=id, flow=flow)).session.id


async def test_entries_come_in_order_and_before_their_question(house: House, api: ClientSession) -> None:
    session_id = await opened(house)
    async with following(api, session_id) as ws:
        frames = await until(ws, "prompt")
        assert frames[-1]["seq"] == 1
        assert frames[-1]["schema"]["type"] == "string"
        await ws.send_json({"type": "answer", "seq": 1, "id": "a", "value": "Ada"})
        frames += await until(ws, "prompt")
        await ws.send_json({"type": "answer", "seq": 2, "id": "b", "value": 3})
        frames += await until(ws, "prompt")
    numbers = [f["n"] for f in frames if f["type"] == "entry"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [f["id"] for f in frames if f["type"] == "accepted"] == ["a", "b"]
    assert (frames[-1]["status"], frames[-1]["outcome"], frames[-1]["prompt"]) == ("ended", "done", None)


async def test_second_socket_sees_what_the_first_does(house: House, api: ClientSession) -> None:
    session_id = await opened(house)
    async with following(api, session_id) as one, following(api, session_id) as two:
        await until(one, "prompt")
        await until(two, "prompt")
        await one.send_json({"type": "answer", "seq": 1, "id": "a", "value": "Ada"})
        assert (await until(two, "prompt"))[-1]["prompt"]["name"] == "often"
        await two.send_json({"type": "answer", "seq": 1, "id": "b", "value": "Bob"})
        refused = (await until(two, "refused"))[-1]
    assert refused["problem"]["code"] == "already_answered"
    assert refused["prompt"]["name"] == "often"


async def test_client_resumes_by_n_after_a_restart_without_gap_or_repeat(house: House) -> None:
    session_id = await opened(house)
    token = await house.token()
    seen: list[int] = []
    async with house.client(token) as api, following(api, session_id) as ws:
        seen += [f["n"] for f in await until(ws, "prompt") if f["type"] == "entry"]
        stopping = asyncio.create_task(house.stop())
        assert (await until(ws, "bye"))[-1]["reason"] == "restarting"
        assert (await ws.receive()).type is WSMsgType.CLOSE
    await stopping
    await house.start()
    async with house.client(token) as api:
        async with api.post(
            f"/api/v1/sessions/{session_id}/answers", json={"seq": 1, "id": "a", "value": "Ada"}
        ) as answer:
            assert answer.status == 200
        async with following(api, session_id, after=seen[-1]) as ws:
            seen += [f["n"] for f in await until(ws, "prompt") if f["type"] == "entry"]
    assert seen == list(range(1, len(seen) + 1))


async def test_answer_sent_again_after_the_link_broke_counts_once(house: House, api: ClientSession) -> None:
    session_id = await opened(house)
    answer = {"type": "answer", "seq": 1, "id": "a", "value": "Ada"}
    for _ in range(3):
        async with following(api, session_id) as ws:
            await ws.send_json(answer)
            await until(ws, "accepted")
    entries = await house.runtime.entries(person=house.owner, session_id=session_id)
    assert [e.kind for e in entries].count("answered") == 1


async def test_lookup_fills_the_question_in_place(house: House, api: ClientSession) -> None:
    came = asyncio.Event()

    async def slow(effect: Any) -> FactsCame:
        await came.wait()
        options = [{"value": "c1", "label": "web", "data": {"name": "web"}}]
        return FactsCame(at_ms=now_ms(), lookup_id=effect.id, facts={"options": options})

    house.world.facts = slow
    known = {"called": "web", "notes": "", "port": 8080, "memory": 64, "lan": False, "source": "demo"}
    view = await house.runtime.open(person=house.owner, id="1", flow="every-kind", answers=known)
    async with following(api, view.session.id) as ws:
        prompt = (await until(ws, "prompt"))[-1]
        assert prompt["prompt"]["loading"]
        came.set()
        filled = (await until(ws, "options"))[-1]
    assert filled["seq"] == prompt["seq"]
    assert [o["label"] for o in filled["prompt"]["options"]] == ["web"]
    assert filled["prompt"]["options"][0]["data"] is None


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"answer","seq":"one","id":"x","value":1}',
        '{"type":"answer","seq":1,"id":"x"}',
        '{"type":"answer","seq":1,"id":"x","value":"\\u0000"}',
        '{"type":"answer","seq":1,"id":"x","value":' + "[" * 200 + "]" * 200 + "}",
        '{"type":"nonsense","id":"x"}',
        '{"type":"back","seq":1,"id":"x","admin":true}',
    ],
)
async def test_wrong_frame_is_refused_and_the_line_stays(
    house: House, api: ClientSession, frame: str
) -> None:
    session_id = await opened(house)
    async with following(api, session_id) as ws:
        await until(ws, "prompt")
        await ws.send_str(frame)
        refused = (await until(ws, "refused"))[-1]
        assert (refused["id"], 400 <= refused["problem"]["status"] < 500) == ("x", True)
        await ws.send_json({"type": "answer", "seq": 1, "id": "y", "value": "Ada"})
        await until(ws, "accepted")


@pytest.mark.parametrize(
    "data", ["{", "[" * 100_000, "\x00", b"\x01\x02", "x" * 2_000_000, '{"type":"hello"}']
)
async def test_unreadable_frame_ends_the_line_without_a_trace(
    house: House, api: ClientSession, data: str | bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    session_id = await opened(house)
    async with following(api, session_id) as ws:
        await until(ws, "prompt")
        await (ws.send_bytes(data) if isinstance(data, bytes) else ws.send_str(data))
        async with asyncio.timeout(60):
            while (await ws.receive()).type is WSMsgType.TEXT:
                pass
    assert "Traceback" not in "".join(capfd.readouterr())
    async with following(api, session_id) as ws:
        await until(ws, "prompt")


async def test_line_without_hello_ends(
    house: House, api: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.channels.ws.HELLO_WITHIN_S", 0.2)
    session_id = await opened(house)
    async with api.ws_connect(f"/api/v1/ws?session={session_id}") as ws:
        assert (await ws.receive_json()) == {"type": "bye", "reason": "no_hello"}
    async with api.ws_connect(f"/api/v1/ws?session={session_id}") as ws:
        await ws.send_json({"type": "answer", "seq": 1, "id": "a", "value": "Ada"})
        assert (await ws.receive_json()) == {"type": "bye", "reason": "no_hello"}


async def test_unknown_session_and_plain_http_are_refused(house: House, api: ClientSession) -> None:
    for session_id in ("s-0000000000000000", "", "../x"):
        with pytest.raises(WSServerHandshakeError) as refused:
            await api.ws_connect(f"/api/v1/ws?session={session_id}")
        assert refused.value.status == 404
    async with api.get(f"/api/v1/ws?session={await opened(house)}") as answer:
        assert answer.status == 422


async def test_client_that_takes_nothing_is_let_go_and_others_are_served(
    house: House, api: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.channels.ws.SEND_WITHIN_S", 0.5)
    session_id = await opened(house)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1024)
    token = await house.token()
    writer.write(
        f"GET /api/v1/ws?session={session_id} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x81\x90\x00\x00\x00\x00" + b'{"type":"hello"}')  # masked with zeros; then nothing is read
    await writer.drain()
    open_lines = house.app[LINES]
    lines = list(open_lines)
    frame = progress_frame(Progress(order="o-1", step="s", says="x" * 3000))
    with pytest.raises(Bye, match="too_slow"):
        for _ in range(20_000):
            await lines[0]._send(frame)
    async with following(api, session_id) as ws:
        await until(ws, "prompt")
    writer.close()
