"""The whole agent, two processes, against a small bot on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import WSMsgType, web
from nacl.signing import VerifyKey

from agent import keys
from agent.link.messages import (
    PATH,
    PROTOCOL,
    SUBPROTOCOL,
    BlobCredit,
    BlobGone,
    BlobWanted,
    Bye,
    Challenge,
    DeploymentsSaid,
    Hello,
    Message,
    OrderSent,
    ProgressSaid,
    ResultKept,
    ResultSaid,
    Welcome,
    decode,
    encode,
    hello_bytes,
    pack_chunk,
)
from agent.orders import GetFacts, ImportImage, Order, limits
from agent.orders.envelope import RESULT_TYPE, decode_result, key_id, verify
from agent.orders.results import Result
from agent.table import names
from tests.agent.place import INSTALLATION, body, deployment, prepare, revision, signed
from tests.lab import images
from tests.lab.engine import LabEngine
from tests.lab.processes import Proc, naming, wait_until

NONCE = "ab" * 32


class SmallBot:
    """Speaks agent.link.messages on a Unix socket; keeps what it hears."""

    def __init__(self, at: Path, own: keys.NodeKeys) -> None:
        self.at = at
        self.own = own
        self.heard: list[Message] = []
        self.links = 0
        self.blobs: dict[str, bytes] = {}
        self.installation = INSTALLATION
        self.keeps = True
        self.break_after_chunks = 0
        self.ws: web.WebSocketResponse | None = None
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get(PATH, self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        self.at.unlink(missing_ok=True)
        await web.UnixSite(self._runner, str(self.at)).start()

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=(SUBPROTOCOL,), compress=False, max_msg_size=300_000)
        await ws.prepare(request)
        self.ws = ws
        self.links += 1
        await ws.send_str(encode(Challenge(protocol=PROTOCOL, installation=self.installation, nonce=NONCE)))
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                await self._hear(ws, decode(message.data))
        self.ws = None
        self._changed.set()
        return ws

    async def _hear(self, ws: web.WebSocketResponse, message: Message) -> None:
        self.heard.append(message)
        self._changed.set()
        if isinstance(message, Hello):
            said = hello_bytes(
                installation=INSTALLATION, nonce=NONCE, node=message.node, sealing=message.sealing
            )
            VerifyKey(bytes.fromhex(self.own.identity)).verify(said, bytes.fromhex(message.signature))
            await ws.send_str(encode(Welcome(bot="small")))
        elif isinstance(message, BlobWanted):
            await self._give(ws, message)
        elif isinstance(message, ResultSaid) and self.keeps:
            await ws.send_str(encode(ResultKept(order=message.order)))

    async def _give(self, ws: web.WebSocketResponse, wanted: BlobWanted) -> None:
        data = self.blobs.get(wanted.blob)
        if data is None:
            await ws.send_str(encode(BlobGone(blob=wanted.blob, reason="it was never uploaded")))
            return
        offsets = range(wanted.offset, len(data), limits.CHUNK_BYTES)
        for sent, offset in enumerate(offsets, 1):
            await ws.send_bytes(pack_chunk(wanted.blob, offset, data[offset : offset + limits.CHUNK_BYTES]))
            if sent == self.break_after_chunks:
                self.break_after_chunks = 0
                await asyncio.sleep(0.2)
                await ws.close()
                return
            if sent == wanted.credits:
                return  # this small bot sends one helping and is asked again after a reconnect

    async def until(self, holds: Callable[[], Any], within_s: float = 60) -> Any:
        """Wait until it holds of what was heard."""
        async with asyncio.timeout(within_s):
            while not (found := holds()):
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), 0.5)
            return found

    def all(self, kind: type) -> list[Any]:
        return [m for m in self.heard if isinstance(m, kind)]

    async def send(self, envelope: bytes) -> None:
        assert self.ws is not None
        await self.ws.send_str(encode(OrderSent(envelope=envelope.decode())))

    async def do(self, order: Order, within_s: float = 60, **changes: Any) -> Result:
        what = body(self.own.node, order, **changes)
        await self.send(signed(what))
        said = await self.until(lambda: [m for m in self.all(ResultSaid) if m.order == what.id], within_s)
        return self.opened(said[-1])

    def opened(self, said: ResultSaid) -> Result:
        public = bytes.fromhex(self.own.identity)
        payload = verify(
            said.envelope.encode(),
            RESULT_TYPE,
            {key_id(public): VerifyKey(public)},
            limit=limits.RESULT_BYTES,
        )
        return decode_result(payload)


def start_agent(data: Path, socket: Path, engine: LabEngine) -> subprocess.Popen[bytes]:
    """Start `hercules-agent run` in the lab's network."""
    words = [sys.executable, "-m", "agent.cli", "run", "--data", str(data), "--bot", f"unix:{socket}"]
    with (data / "log").open("ab") as log:
        return subprocess.Popen(
            [*engine.prefix, *words], stdin=subprocess.DEVNULL, stderr=log, env=engine.env
        )


def end(agent: subprocess.Popen[bytes]) -> int:
    """End an agent as the supervisor does."""
    agent.send_signal(signal.SIGTERM)
    return agent.wait(timeout=60)


@asynccontextmanager
async def linked(engine: LabEngine, tmp_path: Path, **node_file: Any) -> AsyncIterator[tuple[SmallBot, Any]]:
    """An agent of its own with its bot, linked."""
    data = tmp_path / "agent"
    bot = SmallBot(tmp_path / "agent.sock", prepare(data, engine.docker_host, **node_file))
    await bot.start()
    agent = start_agent(data, bot.at, engine)
    try:
        await bot.until(lambda: bot.all(Hello))
        yield bot, agent
    finally:
        if agent.poll() is None:
            end(agent)
        await bot.stop()


def log_of(tmp_path: Path) -> list[dict[str, Any]]:
    """The agent's log."""
    lines = (tmp_path / "agent/log").read_text().splitlines()
    return [msgspec.json.decode(line) for line in lines if line.startswith("{")]


async def test_agent_says_who_it_is_and_what_it_can(engine: LabEngine, tmp_path: Path) -> None:
    async with linked(engine, tmp_path) as (bot, agent):
        hello = bot.all(Hello)[0]
        assert (hello.node, hello.sealing) == (bot.own.node, bot.own.sealing)
        assert hello.verbs == names()
        facts = await bot.do(GetFacts(want=("engine",)))
        assert facts.facts["engine"]["answers"] is True
        began = time.monotonic()
        assert await asyncio.to_thread(end, agent) == 0
        assert time.monotonic() - began < 30
    assert naming(str(tmp_path / "agent")) == []


async def test_archive_goes_over_the_link_resumes_after_a_break_and_is_deployed(
    engine: LabEngine, tmp_path: Path
) -> None:
    archive = images.web("demo:1", "over the link")
    async with linked(engine, tmp_path) as (bot, _):
        bot.blobs[archive.digest] = archive.data
        bot.break_after_chunks = 10
        order = ImportImage(blob=archive.digest, blob_bytes=len(archive.data), reference="demo:1")
        imported = await bot.do(order)
        assert (imported.outcome, imported.problem) == ("done", None)
        wanted = bot.all(BlobWanted)
        assert [w.offset for w in wanted[:2]] == [0, 10 * limits.CHUNK_BYTES]
        assert bot.links == 2
        assert bot.all(BlobCredit)
        pin = msgspec.convert(imported.facts["pin"], type=type(revision_pin(archive)))
        result = await bot.do(deployment("web", revision(pin, port=20001)))
        assert (result.outcome, result.problem) == ("done", None)
        assert await asyncio.to_thread(engine.get, 20001) == (200, "over the link")
        assert {"getting_image", "importing", "checking"} <= {p.step for p in bot.all(ProgressSaid)}
        said = await bot.until(lambda: [m for m in bot.all(DeploymentsSaid) if "web" in m.facts])
        assert '"running"' in said[-1].facts


def revision_pin(archive: images.Archive) -> Any:
    from agent.orders.spec import ImagePin

    return ImagePin(reference=archive.name, blob=archive.digest, blob_bytes=len(archive.data))


async def test_blob_that_the_bot_lacks_is_a_problem_with_a_name(engine: LabEngine, tmp_path: Path) -> None:
    async with linked(engine, tmp_path) as (bot, _):
        result = await bot.do(ImportImage(blob="0" * 64, blob_bytes=5, reference="demo:1"))
        assert result.problem is not None
        assert (result.outcome, result.problem.code) == ("failed", "blob_unavailable")
        assert "never uploaded" in result.problem.says


async def test_result_is_said_again_until_it_is_kept_and_an_order_ends_with_no_bot(
    engine: LabEngine, tmp_path: Path
) -> None:
    archive = images.web("demo:1")
    engine.load(archive)
    async with linked(engine, tmp_path) as (bot, _):
        bot.keeps = False
        bot.blobs[archive.digest] = archive.data
        await bot.do(ImportImage(blob=archive.digest, blob_bytes=len(archive.data), reference="demo:1"))
        what = body(bot.own.node, deployment("web", revision(revision_pin(archive), port=20001)))
        await bot.send(signed(what))
        await bot.until(lambda: [p for p in bot.all(ProgressSaid) if p.order == what.id])
        await bot.stop()
        assert await asyncio.to_thread(engine.get, 20001) == (200, "hello")
        await asyncio.sleep(2)
        bot.heard.clear()
        await bot.start()
        said = await bot.until(lambda: [m for m in bot.all(ResultSaid) if m.order == what.id])
        assert bot.opened(said[-1]).outcome == "done"
        bot.keeps = True
        await bot.send(signed(what))  # the same order again: the stored bytes, nothing done
        again = await bot.until(lambda: [m for m in bot.all(ResultSaid) if m.order == what.id][1:])
        assert again[-1] == said[-1]
        assert [e["event"] for e in log_of(tmp_path)].count("order.started") == 2


async def test_bot_of_another_installation_gets_no_hello(engine: LabEngine, tmp_path: Path) -> None:
    data = tmp_path / "agent"
    bot = SmallBot(tmp_path / "agent.sock", prepare(data, engine.docker_host))
    bot.installation = "i-another0another0"
    await bot.start()
    agent = start_agent(data, bot.at, engine)
    try:
        await bot.until(lambda: bot.all(Bye))
        assert bot.all(Hello) == []
    finally:
        end(agent)
        await bot.stop()


@pytest.mark.parametrize(
    "frame", ["{}", '{"m":"welcome","bot":"x","more":1}', "[" * 100_000, '{"m":"hello"}']
)
async def test_message_that_is_none_drops_the_link_and_the_agent_comes_back(
    engine: LabEngine, tmp_path: Path, frame: str
) -> None:
    async with linked(engine, tmp_path) as (bot, _):
        assert bot.ws is not None
        await bot.ws.send_str(frame)
        await bot.until(lambda: bot.links == 2 and len(bot.all(Hello)) == 2)
        assert bot.all(Bye)
        assert (await bot.do(GetFacts())).outcome == "done"


@pytest.mark.parametrize("which", ["speaker", "actor"])
async def test_either_process_killed_ends_both(engine: LabEngine, tmp_path: Path, which: str) -> None:
    async with linked(engine, tmp_path) as (bot, agent):
        procs = naming(str(bot.at))
        speaker = [p for p in procs if p.pid != agent.pid]
        assert len(speaker) == 1
        victim = speaker[0].pid if which == "speaker" else agent.pid
        os.kill(victim, signal.SIGKILL)
        code = await asyncio.to_thread(agent.wait, 5)
        assert code == (3 if which == "speaker" else -signal.SIGKILL)
        assert await asyncio.to_thread(wait_until, lambda: not any(p.lives() for p in procs), 5)
    if which == "speaker":
        assert "agent.speaker_gone" in [e["event"] for e in log_of(tmp_path)]


async def test_second_agent_on_the_same_data_says_so(engine: LabEngine, tmp_path: Path) -> None:
    async with linked(engine, tmp_path) as (bot, agent):
        assert Proc.of(agent.pid) is not None
        words = [sys.executable, "-m", "agent.cli", "run", "--data", str(tmp_path / "agent")]
        done = await asyncio.to_thread(
            subprocess.run, [*words, "--bot", f"unix:{bot.at}"], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, "another agent runs" in done.stderr) == (1, True)


def test_forget_makes_the_node_a_new_one(tmp_path: Path) -> None:
    before = prepare(tmp_path, "unix:///nowhere").node
    words = [sys.executable, "-m", "agent.cli", "forget", "--data", str(tmp_path)]
    assert subprocess.run(words, capture_output=True).returncode == 1
    assert keys.ensure(tmp_path).node == before
    assert subprocess.run([*words, "--yes"], capture_output=True).returncode == 0
    assert keys.ensure(tmp_path).node != before
