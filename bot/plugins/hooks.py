"""Run the few functions of flows that are not data: in a worker per file, kept warm, never in the bot.

A hooks file stands in `kept` under its content hash, checked again when it is read: what a version named
when it was published is what runs. Calls of one file take turns; a call that is late ends the worker, and the
next call starts a fresh one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

import structlog

from bot.plugins import frames, limits
from bot.plugins.process import Worker, WorkerLost

log = structlog.get_logger("plugins")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HookFailed(Exception):
    """A function raised, was late, or is not there. The message is a sentence for people."""


class _File:
    """One hooks file and its worker."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.turn = asyncio.Lock()
        self.worker: Worker | None = None
        self.idle: asyncio.TimerHandle | None = None


class Hooks:
    """The functions of all flows. `kept` is DIR/flows."""

    def __init__(self, kept: Path) -> None:
        self._kept = kept
        self._files: dict[str, _File] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def keep(self, sha256: str, text: str) -> None:
        """Keep a file under its hash, on the disk when this returns."""
        await asyncio.to_thread(_keep, self._kept / sha256, text)

    async def keep_only(self, needed: set[str]) -> None:
        """Throw away the files that are none of these."""
        await asyncio.to_thread(_keep_only, self._kept, needed)

    async def call(
        self,
        sha256: str,
        hook: str,
        names: dict[str, Any],
        *,
        source: str = "",
        within_s: float = limits.HOOK_S,
    ) -> Any:
        """What the function `hook` of the file returns for `names`, as plain data. Raises HookFailed."""
        if not sha256:
            raise HookFailed(f"The chatflow has no file with the function {hook!r}.")
        file = self._files.setdefault(sha256, _File(source or f"flows/{sha256[:12]}"))
        try:
            await asyncio.wait_for(file.turn.acquire(), limits.HOOK_QUEUE_S)
        except TimeoutError:
            raise HookFailed("The chatflow's own code is busy with others; try again.") from None
        try:
            return await self._call(file, sha256, hook, names, within_s)
        finally:
            file.turn.release()

    async def close(self) -> None:
        """End all workers."""
        files, self._files = list(self._files.values()), {}
        for file in files:
            await self._end(file)
        await asyncio.gather(*self._ending)

    async def _call(self, file: _File, sha256: str, hook: str, names: dict[str, Any], within_s: float) -> Any:
        run = frames.Run(hook, names)
        if len(frames.framed(run)) > limits.CALL_BYTES:
            raise HookFailed("The session knows more than its chatflow's own code can be given.")
        if file.idle:
            file.idle.cancel()
        for last in (False, True):
            worker = await self._ready(file, sha256)
            try:
                answer = await worker.ask(run, within_s=within_s)
            except WorkerLost as lost:
                file.worker = None
                if lost.why != "ended" or last:
                    raise HookFailed(f"The chatflow's own code failed ({hook}). {lost}") from None
                continue  # it may have died while nobody called: once more
            except asyncio.CancelledError:
                file.worker = None
                raise
            file.idle = asyncio.get_running_loop().call_later(limits.IDLE_S, self._end_later, file)
            if isinstance(answer, frames.Returned):
                return answer.value
            fault = answer if isinstance(answer, frames.Fault) else frames.Fault("It answered out of turn.")
            where = f", line {fault.line}" if fault.line else ""
            log.warning("plugin.hook_failed", hook=hook, file=file.source, line=fault.line, says=fault.says)
            raise HookFailed(f"The chatflow's own code failed ({hook}{where}). {fault.says}")
        raise AssertionError("the loop returns or raises")

    async def _ready(self, file: _File, sha256: str) -> Worker:
        if file.worker and not file.worker.is_over:
            return file.worker
        text = await asyncio.to_thread(_kept_text, self._kept / sha256)
        if text is None or hashlib.sha256(text.encode()).hexdigest() != sha256:
            log.error("plugin.hooks_file_bad", file=sha256, missing=text is None)
            raise HookFailed("The file with the chatflow's own code is missing, or is not what it was.")
        file.worker = worker = await Worker.start(file.source)
        try:
            answer = await worker.ask(frames.Serve(file.source, text), within_s=limits.LOAD_S)
        except WorkerLost as lost:
            raise HookFailed(f"The chatflow's own code could not be started. {lost}") from None
        if isinstance(answer, frames.Fault):
            await worker.end()
            raise HookFailed(f"The chatflow's own code could not be started. {answer.says}")
        return worker

    def _end_later(self, file: _File) -> None:
        if not file.turn.locked():
            task = asyncio.get_running_loop().create_task(self._end(file))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, file: _File) -> None:
        if file.idle:
            file.idle.cancel()
        worker, file.worker = file.worker, None
        if worker:
            await worker.end()


def _keep_only(folder: Path, needed: set[str]) -> None:
    if not folder.is_dir():
        return
    for one in folder.iterdir():
        if _SHA256.fullmatch(one.name) and one.name not in needed:
            shutil.rmtree(one)
            log.info("plugin.file_collected", sha256=one.name)


def _keep(folder: Path, text: str) -> None:
    if _kept_text(folder) == text:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f".hooks.{os.getpid()}"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", newline="") as f:
        f.write(text)
        f.flush()
        os.fsync(fd)
    draft.rename(folder / "hooks.py")
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _kept_text(folder: Path) -> str | None:
    try:
        return (folder / "hooks.py").read_bytes().decode("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
