"""One session over a WebSocket: entries each exactly once and in order, the open prompt, progress.

Rule 1: the runtime's updates are pulled, one at a time, as fast as the client takes frames: nothing piles up
here. A client that takes nothing for `SEND_WITHIN_S` is let go and resumes by `n`. Rule 2: a frame that can
be read is answered, `accepted` or `refused` with its id; one that cannot ends the line. Rule 3: the sign-in
is checked again every `RECHECK_S`, so that signing out reaches open sockets.
Frames: `bot.channels.frames`; examples: docs/api.md (tests/channels/test_frames.py sends every one).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import weakref
from typing import Any

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from agent.orders.results import Progress
from bot.channels import frames, schemas
from bot.channels.problems import Broken, BrokenBody, WrongFields, fields_of, problem_of
from bot.channels.web_clean import clean_json
from bot.channels.web_guard import (
    BODY_BYTES,
    Speaker,
    must_be_plain,
    require_csrf,
    require_origin,
    speaker_of,
    text_in,
)
from bot.channels.web_parts import PARTS, Parts, View
from bot.engine.refusals import Gone, NoSuchSession, Refused, Spoken
from bot.engine.session import Session

log = structlog.get_logger("hercules.ws")

HELLO_WITHIN_S = 10
SEND_WITHIN_S = 20  # a phone in a tunnel; after that it resumes by itself
AT_ONCE_BYTES = 16 * 1024  # below asyncio's low-water mark of 16 KiB a transport takes more without waiting
HEARTBEAT_S = 25  # below the 30 s at which many proxies cut a silent connection
RECHECK_S = 30
SESSION_ID = re.compile(r"^s-[0-9a-v]{16}$")
_client_frame: msgspec.json.Decoder[frames.ClientFrame] = msgspec.json.Decoder(frames.ClientFrame)
CLOSE_WORDS = {
    "restarting": WSCloseCode.SERVICE_RESTART,
    "gone": WSCloseCode.TRY_AGAIN_LATER,
    "too_slow": WSCloseCode.TRY_AGAIN_LATER,
}


class Bye(Exception):
    """The line ends, with the reason for the client."""


class Line:
    """One open socket on one session."""

    def __init__(self, request: web.Request, speaker: Speaker, session_id: str) -> None:
        self._parts: Parts = request.app[PARTS]
        self._request = request
        self._speaker = speaker
        self._session_id = session_id
        self._ws = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=BODY_BYTES, compress=False)
        self._after = 0  # the last entry that the client has
        self._stands: frames.PromptFrame | None = None  # what the client was told last
        self._turn = asyncio.Lock()  # so that what a frame leads to comes after its `accepted`
        self._ending: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run(self) -> web.WebSocketResponse:
        """Serve the socket until either side ends it."""
        await self._ws.prepare(self._request)
        self._parts.counted.sockets(1)
        reason = "gone"
        try:
            reason = await self._served()
        finally:
            self._parts.counted.sockets(-1)
            await self._bye(reason)
        return self._ws

    def end(self, reason: str) -> None:
        """Have the line say goodbye (the bot stops)."""
        if not self._ending.done():
            self._ending.set_result(reason)

    async def _served(self) -> str:
        reason = "closed"
        try:
            await self._take_hello()
            async with asyncio.TaskGroup() as tasks:
                jobs = [tasks.create_task(job) for job in (self._tell(), self._recheck(), self._await_end())]
                await self._take_frames()
                for job in jobs:
                    job.cancel()
        except* Bye as ended:
            reason = str(_first(ended))
        except* Gone as gone:
            log.warning("ws.gone", says=str(_first(gone)))
            reason = "gone"
        except* ConnectionError:
            reason = "closed"
        return reason

    async def _take_hello(self) -> None:
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                message = await self._ws.receive()
        except TimeoutError:
            raise Bye("no_hello") from None
        if message.type != WSMsgType.TEXT:
            raise Bye("no_hello")
        frame = self._frame_of(message.data)
        if not isinstance(frame, frames.Hello):
            raise Bye("no_hello")
        if self._speaker.sign_in is not None:
            try:
                require_csrf(self._speaker.sign_in, frame.csrf)
            except Refused:
                raise Bye("wrong_csrf") from None
        self._after = frame.after

    def _frame_of(self, text: str) -> frames.ClientFrame:
        try:
            frame: frames.ClientFrame = _client_frame.decode(text)
            must_be_plain(frame)
        except msgspec.ValidationError as error:
            raise _Unreadable(_id_in(text), WrongFields(fields_of(error))) from error
        except (WrongFields, BrokenBody) as error:
            raise _Unreadable(_id_in(text), error) from error
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise Bye("broken_frame") from error
        return frame

    async def _take_frames(self) -> None:
        async for message in self._ws:
            if message.type != WSMsgType.TEXT:
                raise Bye("broken_frame")
            try:
                frame = self._frame_of(message.data)
            except _Unreadable as unreadable:
                await self._refuse(unreadable.id, unreadable.error)
                continue
            if isinstance(frame, frames.Hello):
                raise Bye("broken_frame")
            async with self._turn:
                await self._carry_out(frame)

    async def _carry_out(self, frame: Any) -> None:
        try:
            await self._act(frame)
        except Spoken as refused:
            await self._refuse(frame.id, refused)
        except Exception:
            log.exception("ws.failed", frame=type(frame).__name__)
            await self._refuse(frame.id, Broken(request=frame.id))
        else:
            await self._send(frames.AcceptedFrame(id=frame.id, seq=frame.seq))

    async def _act(self, frame: Any) -> View:
        at: dict[str, Any] = {
            "person": self._speaker.person,
            "session_id": self._session_id,
            "seq": frame.seq,
            "id": frame.id,
        }
        runtime = self._parts.runtime
        match frame:
            case frames.AnswerFrame():
                return await runtime.answer(**at, value=frame.value)
            case frames.BackFrame():
                return await runtime.back(**at, to=frame.to)
            case frames.ChangeFrame():
                return await runtime.change(**at, to=frame.to)
            case frames.UndoFrame():
                return await runtime.undo(**at)
            case _:
                return await runtime.cancel(**at)

    async def _refuse(self, call_id: str, refused: Spoken) -> None:
        view = await self._parts.runtime.view(person=self._speaker.person, session_id=self._session_id)
        shown = schemas.shown_of(view.session)
        await self._send(frames.RefusedFrame(id=call_id, problem=problem_of(refused), prompt=shown))

    async def _tell(self) -> None:
        async with self._parts.runtime.watch(self._session_id, after=self._after) as updates:
            async for update in updates:
                async with self._turn:
                    await self._tell_one(update.body)
        raise Bye("gone")  # the runtime stopped telling; the client comes again

    async def _tell_one(self, body: Any) -> None:
        match body:
            case Session():
                await self._send_prompt(body)
            case Progress():
                await self._send(progress_frame(body))
            case _ if body.n > self._after:
                self._after = body.n
                await self._send(frames.entry_frame(body))
            case _:
                log.warning("ws.repeated", session=self._session_id, n=body.n)

    async def _await_end(self) -> None:
        raise Bye(await self._ending)

    async def _send_prompt(self, session: Session) -> None:
        frame = frames.prompt_frame(session)
        before, self._stands = self._stands, frame
        if frame == before:
            return
        if frame.prompt is not None and before is not None and _same_question(before, frame):
            await self._send(frames.OptionsFrame(seq=frame.seq, prompt=frame.prompt))
        else:
            await self._send(frame)

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_S)
            if await speaker_of(self._request) is None:
                raise Bye("signed_out")

    async def _send(self, frame: Any) -> None:
        raw = clean_json(frame)
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size() + len(raw) < AT_ONCE_BYTES:
            await self._ws.send_frame(raw, WSMsgType.TEXT)  # goes to the kernel, or waits behind little
            return
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                await self._ws.send_frame(raw, WSMsgType.TEXT)
        except TimeoutError:
            raise Bye("too_slow") from None

    async def _bye(self, reason: str) -> None:
        if reason != "closed" and not self._ws.closed and reason != "too_slow":
            with contextlib.suppress(ConnectionError, Bye):
                await self._send(frames.ByeFrame(reason=reason))
        code = CLOSE_WORDS.get(reason, WSCloseCode.OK if reason == "closed" else WSCloseCode.POLICY_VIOLATION)
        await self._ws.close(code=code, message=reason.encode())


class _Unreadable(Exception):
    """A frame that is JSON, but none of ours; its id is kept so that the refusal can name it."""

    def __init__(self, id: str, error: Spoken) -> None:
        self.id = id
        self.error = error
        super().__init__(str(error))


def _id_in(text: str) -> str:
    found = msgspec.json.decode(text)
    name = found.get("id", "") if isinstance(found, dict) else ""
    return name if isinstance(name, str) and len(name) <= 64 else ""


def _first(ended: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = ended
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _same_question(before: frames.PromptFrame, now: frames.PromptFrame) -> bool:
    """Whether the same question is open as before, with more known about it."""
    return (before.prompt is not None, before.seq, before.status) == (True, now.seq, now.status)


def progress_frame(progress: Progress) -> frames.ProgressFrame:
    """How far a change is, as a frame."""
    names = frames.ProgressFrame.__struct_fields__
    return frames.ProgressFrame(**{name: getattr(progress, name) for name in names})


LINES: web.AppKey[weakref.WeakSet[Line]] = web.AppKey("lines")


async def follow(request: web.Request, speaker: Speaker) -> web.StreamResponse:
    """Upgrade to the WebSocket of one session. A browser must come from our own page."""
    if speaker.sign_in is not None or hdrs.ORIGIN in request.headers:
        require_origin(request)
    session_id = text_in(request, "session")
    if not web.WebSocketResponse().can_prepare(request):
        raise WrongFields([{"field": "Upgrade", "says": "This address speaks WebSocket only."}])
    if not SESSION_ID.fullmatch(session_id):
        raise NoSuchSession()
    await request.app[PARTS].runtime.view(person=speaker.person, session_id=session_id)
    line = Line(request, speaker, session_id)
    request.app[LINES].add(line)
    return await line.run()


async def say_goodbye(app: web.Application) -> None:
    """Tell every open socket that the bot stops, so that clients come again at once."""
    lines = app[LINES]
    for line in list(lines):
        line.end("restarting")
    await asyncio.sleep(0)
