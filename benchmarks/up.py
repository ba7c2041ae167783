"""A whole Hercules for the benchmarks: its own engine in a namespace, `hercules up`, its API over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from tests.lab.engine import LabEngine
from tests.lab.ground import Ground

HERCULES = Path(sys.executable).with_name("hercules")
START_WITHIN_S = 60
PORT = 8088


@contextlib.contextmanager
def lab() -> Iterator[LabEngine]:
    """An engine of our own on its own ground, gone afterwards."""
    ground = Ground()
    try:
        engine = LabEngine(ground)
        try:
            yield engine
        finally:
            engine.close()
    finally:
        ground.release()


@contextlib.contextmanager
def data_directory() -> Iterator[Path]:
    """A short-named data directory (unix sockets end at 107 bytes), gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hb", dir="/var/tmp") as folder:
        yield Path(folder) / "d"


class Up:
    """`hercules up` inside the lab's namespace. A context manager; `seconds` = exec to first prompt."""

    def __init__(self, engine: LabEngine, data: Path, *, agent: bool = True) -> None:
        self.engine, self.data, self._agent = engine, data, agent
        self._token = data.parent / "token"

    def __enter__(self) -> Up:
        begun = time.monotonic()
        log = (self.data.parent / "up.log").open("ab")
        self._process = subprocess.Popen(
            [
                *self.engine.prefix, str(HERCULES), "--data", str(self.data), "up",
                "--port", str(PORT), "--no-link", *([] if self._agent else ["--no-agent"]),
            ],
            env={**os.environ, "DOCKER_HOST": self.engine.docker_host},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )  # fmt: skip
        log.close()
        try:
            if not self._token.exists():
                self._make_token()
                begun = time.monotonic()
            self.seconds = asyncio.run(self._first_prompt(begun)) if self._agent else 0.0
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=30)

    def _make_token(self) -> None:
        end = time.monotonic() + START_WITHIN_S
        while True:
            made = subprocess.run(
                [str(HERCULES), "--data", str(self.data), "user", "token", "owner"],
                capture_output=True,
                text=True,
                check=False,
            )
            if made.returncode == 0:
                self._token.write_text(made.stdout.split()[-1])
                return
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f"hercules up gave no token: {made.stderr}")
            time.sleep(0.2)

    @contextlib.asynccontextmanager
    async def api(self) -> AsyncIterator[Api]:
        """The API, with the owner's token, as a program inside the namespace meets it."""
        headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"}
        async with aiohttp.ClientSession(connector=self.engine.connector(), headers=headers) as http:
            yield Api(http)

    async def _first_prompt(self, begun: float) -> float:
        async with self.api() as api:
            while time.monotonic() - begun < START_WITHIN_S:
                with contextlib.suppress(aiohttp.ClientError, OSError, Busy):
                    await api.open("deploy", {})
                    return time.monotonic() - begun
                await asyncio.sleep(0.01)
        raise RuntimeError(f"no prompt within {START_WITHIN_S} s; see {self.data / 'logs'}")


class Busy(Exception):
    """The bot answered that it is not ready yet."""


class Api:
    """The few calls that the benchmarks make."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http

    async def open(self, flow: str, answers: dict[str, Any]) -> dict[str, Any]:
        """Open a session with answers given beforehand."""
        return await self._call(
            "POST", "/sessions", {"id": secrets.token_hex(8), "flow": flow, "answers": answers}
        )

    def socket(self, session_id: str) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """A WebSocket on a session; the token stands for the page's CSRF token."""
        url = f"http://localhost:{PORT}/api/v1/ws?session={session_id}"
        return self._http.ws_connect(url, compress=0)

    async def play(self, flow: str, answers: dict[str, Any]) -> str:
        """Open a flow with answers, say yes to each summary, follow it to its end; the outcome.

        Raises RuntimeError when it asks anything else.
        """
        session = await self.open(flow, answers)
        async with self.socket(session["id"]) as ws:
            await ws.send_json({"type": "hello", "after": 0})
            answered = 0
            while True:
                frame = json.loads(await ws.receive_str(timeout=120))
                if frame["type"] != "prompt" or (frame["seq"] <= answered and frame["status"] == "open"):
                    continue
                if frame["status"] != "open":
                    return str(frame["outcome"])
                prompt = frame["prompt"]
                if prompt is None or prompt["loading"]:
                    continue
                if prompt["kind"] != "confirm":
                    raise RuntimeError(f"the session asks {prompt}")
                answered = frame["seq"]
                answer = {"type": "answer", "seq": answered, "id": secrets.token_hex(8), "value": True}
                await ws.send_json(answer)

    async def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        url = f"http://localhost:{PORT}/api/v1{path}"
        async with self._http.request(method, url, json=body) as response:
            answer = await response.json(content_type=None)
            if response.status == 503:
                raise Busy
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {response.status} {answer}")
            return dict(answer)
