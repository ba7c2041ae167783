"""Durable answers per second through the real WebSocket, engine and store, against a plain echo.

`python -m benchmarks.answers [--quick]`. The bot is `hercules up --no-agent`: every check on, every answer
committed and fsynced before its next prompt goes out. The client opens sessions of a ten-question plugin and
answers as fast as the next prompt comes. The limit in the same run: an aiohttp server that echoes the same
JSON text frames and does nothing else. Client, server and store share the machine's cores.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import secrets
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import aiohttp
import uvloop
from aiohttp import web

from benchmarks.report import Table, quick
from benchmarks.up import Api, Up, data_directory, lab

SESSIONS = (1, 100)
QUESTIONS = 10
FLOW = '''"""Ten questions, for the benchmark."""

from bot.engine import Ask, Chatflow, End, Text


class TenQuestions(Chatflow):
    title = "Ten questions"
    says = ["ten questions"]
    risk = "reads"

{states}
    done = End("Thank you, {{{{ q0 }}}}.")
'''


class Rate(NamedTuple):
    """Answers per second, and the milliseconds within which half and 99 of 100 had their next prompt."""

    per_second: float
    p50_ms: float
    p99_ms: float


async def _measure(
    callers: int, seconds: float, caller: Callable[[float, list[float]], Awaitable[None]]
) -> Rate:
    times: list[float] = []
    begun = time.monotonic()
    await asyncio.gather(*(caller(begun + seconds, times) for _ in range(callers)))
    cuts = statistics.quantiles(times, n=100)
    return Rate(len(times) / (time.monotonic() - begun), cuts[49] * 1000, cuts[98] * 1000)


async def _answering(api: Api, until: float, times: list[float]) -> None:
    while time.monotonic() < until:
        session = await api.open("ten-questions", {})
        async with api.socket(session["id"]) as ws:
            await ws.send_json({"type": "hello", "after": 0})
            seq = await _next_prompt(ws, 0)
            while seq and time.monotonic() < until:
                begun = time.monotonic()
                await ws.send_json(
                    {"type": "answer", "seq": seq, "id": secrets.token_hex(8), "value": "wiki"}
                )
                seq = await _next_prompt(ws, seq)
                times.append(time.monotonic() - begun)


async def _next_prompt(ws: aiohttp.ClientWebSocketResponse, after: int) -> int:
    """The seq of the prompt that follows, 0 at the session's end."""
    while True:
        frame = json.loads(await ws.receive_str(timeout=30))
        if frame["type"] == "prompt" and (frame["seq"] > after or frame["status"] != "open"):
            return int(frame["seq"]) if frame["status"] == "open" else 0
        if frame["type"] in ("refused", "bye"):
            raise RuntimeError(f"the bot said {frame}")


async def _echoing(port: int, until: float, times: list[float]) -> None:
    frame = {"type": "answer", "seq": 1, "id": "0123456789abcdef", "value": "wiki"}
    async with aiohttp.ClientSession() as http, http.ws_connect(f"http://127.0.0.1:{port}/") as ws:
        while time.monotonic() < until:
            begun = time.monotonic()
            await ws.send_json(frame)
            await ws.receive_json()
            times.append(time.monotonic() - begun)


def _echo_server(port: int) -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_json(json.loads(message.data))
        return ws

    app = web.Application()
    app.router.add_get("/", echo)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def _echo(callers: int, seconds: float) -> Rate:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = multiprocessing.get_context("spawn").Process(target=_echo_server, args=(port,), daemon=True)
    server.start()
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        return asyncio.run(_measure(callers, seconds, lambda until, times: _echoing(port, until, times)))
    finally:
        server.terminate()
        server.join()


def _install_flow(data: Path) -> None:
    states = "\n".join(f'    q{n} = Ask(Text("Question {n}?"), title="Q{n}")' for n in range(QUESTIONS))
    folder = data / "chatflows.d"
    folder.mkdir(mode=0o700, parents=True)
    data.chmod(0o700)
    (folder / "ten_questions.py").write_text(FLOW.format(states=states))


async def _chat(up: Up, callers: int, seconds: float) -> Rate:
    async with up.api() as api:
        return await _measure(callers, seconds, lambda until, times: _answering(api, until, times))


def measure(seconds: float) -> Table:
    """Both, at each number of sessions."""
    table = Table(
        "Durable answers through WebSocket, engine and store (aim: at least 0.4 of the echo at 100)",
        ("sessions", "answers/s", "p50 ms", "p99 ms", "echo/s", "ratio"),
    )
    with lab() as engine, data_directory() as data:
        _install_flow(data)
        with Up(engine, data, agent=False) as up:
            for callers in SESSIONS:
                uvloop.run(_chat(up, callers, min(seconds, 2.0)))  # warm
                chat = uvloop.run(_chat(up, callers, seconds))
                echo = _echo(callers, seconds)
                table.row(
                    str(callers),
                    f"{chat.per_second:,.0f}",
                    f"{chat.p50_ms:.1f}",
                    f"{chat.p99_ms:.1f}",
                    f"{echo.per_second:,.0f}",
                    f"{chat.per_second / echo.per_second:.2f}",
                )
    return table


if __name__ == "__main__":
    print(measure(2.0 if quick() else 8.0))
