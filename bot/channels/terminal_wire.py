"""The terminal's way to the running bot: its API over the owner's socket, by the calls that all have.

A call is repeated with the same id while the bot restarts: it then happens once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from bot.engine.refusals import Gone, Refused

API = "http://localhost/api/v1"
PATIENCE_S = 60.0  # how long a restarting bot is waited for
PAUSE_S = 0.3
PIECE_BYTES = 4 * 1024**2
FRAME_BYTES = 4 * 1024**2  # a transcript entry may hold 48 kB of log lines


class Told(Refused):
    """What the bot refused, in its own words."""

    says = "{detail}"
    do = "{do}"

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.problem = problem
        self.errors: list[dict[str, str]] = list(problem.get("errors", ()))
        super().__init__(detail=problem.get("detail", "It was refused."), do=problem.get("do", ""))


class Silent(Gone):
    """The bot does not answer."""

    code = "not_running"
    says = "Hercules does not answer at {socket}."
    do = "Start it: hercules up"


class Wire:
    """One connection to the bot. Use as an async context manager."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Wire:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=str(self.socket)),
            headers={"Authorization": "Bearer owner"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def flows(self) -> list[dict[str, Any]]:
        """All chatflows."""
        items: list[dict[str, Any]] = (await self.call("GET", "/flows"))["items"]
        return items

    async def match(self, text: str) -> dict[str, Any]:
        """Which chatflows fit what was typed, and whether that is clear (`schemas.MatchesBody`)."""
        found: dict[str, Any] = await self.call("POST", "/match", {"text": text})
        return found

    async def open(self, flow: str, answers: dict[str, Any], *, id: str) -> dict[str, Any]:
        """Open a session."""
        body: dict[str, Any] = await self.call(
            "POST", "/sessions", {"id": id, "flow": flow, "answers": answers}
        )
        return body

    async def session(self, session_id: str) -> dict[str, Any]:
        """A session as it stands."""
        body: dict[str, Any] = await self.call("GET", f"/sessions/{session_id}")
        return body

    async def act(self, session_id: str, action: str, seq: int, **more: Any) -> None:
        """Answer, go back, change, undo or cancel."""
        await self.call("POST", f"/sessions/{session_id}/{action}", {"seq": seq, "id": new_id(), **more})

    async def upload(self, path: Path, *, progress: Any = None) -> dict[str, Any]:
        """Send a file in pieces; return the answer that an upload prompt takes."""
        size = (await asyncio.to_thread(path.stat)).st_size
        wanted = {"id": new_id(), "name": path.name, "bytes": size}
        state = await self.call("POST", "/blobs", wanted)
        with path.open("rb") as file:
            while not state["sha256"]:
                file.seek(state["offset"])
                piece = await asyncio.to_thread(file.read, PIECE_BYTES)
                headers = {"Upload-Offset": str(state["offset"]), "Content-Type": "application/octet-stream"}
                state = await self.call("PATCH", f"/blobs/{state['id']}", piece, headers=headers)
                if progress is not None:
                    progress(state["offset"], size)
        return {"blob": state["sha256"], "bytes": size, "name": path.name}

    async def call(self, method: str, path: str, body: Any = None, *, headers: Any = None) -> Any:
        """One call of the API. Raises Told, or Silent when the bot stays away."""
        sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body} if body else {}
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                async with self._session.request(method, API + path, headers=headers, **sent) as response:
                    answer = await response.json(content_type=None)
                    if response.status < 400:
                        return answer
                    if response.status != 503:
                        raise Told(answer)
            except (aiohttp.ClientError, OSError, ValueError) as e:
                if not self.socket.exists():
                    raise Silent(socket=self.socket) from e
            if asyncio.get_running_loop().time() > end:
                raise Silent(socket=self.socket)
            await asyncio.sleep(PAUSE_S)

    async def watch(self, session_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """Every frame of the session, each entry once; goes on by itself after the bot restarted."""
        after = 0
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with self._session.ws_connect(
                    f"{API}/ws?session={session_id}", max_msg_size=FRAME_BYTES, heartbeat=20
                ) as ws:
                    await ws.send_json({"type": "hello", "after": after})
                    async for message in ws:
                        if message.type is not aiohttp.WSMsgType.TEXT:
                            continue
                        end = asyncio.get_running_loop().time() + PATIENCE_S
                        frame = json.loads(message.data)
                        if frame["type"] == "entry":
                            after = max(after, frame["n"])
                        yield frame
            if asyncio.get_running_loop().time() > end:
                raise Silent(socket=self.socket)
            yield {"type": "reconnecting"}
            await asyncio.sleep(PAUSE_S)

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            raise RuntimeError("a Wire is used inside `async with`")
        return self._http


def new_id() -> str:
    """A new id for a call that changes something."""
    return f"c-{secrets.token_hex(12)}"
