"""One process that is kept running: started in a session of its own, started again when it ends.

It is in a session of its own so that Ctrl-C in the terminal reaches only the supervisor, which ends its
processes in order. What runs as another account (the agent by sudo) cannot be signalled: it gets a pipe as
its standard input and ends when that closes (`bot/cli/as_root.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bot.cli import place

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
HURRY_S = 2.0
STEADY_S = 30.0  # who ran this long begins at the shortest pause again

Say = Callable[[str], None]


class Watched:
    """A program by name. `say` gets a line for people when it ends unasked and when it is back."""

    def __init__(
        self,
        name: str,
        words: Sequence[str],
        *,
        log: Path,
        say: Say,
        on_start: Callable[[], None],
        environment: Mapping[str, str] | None = None,
        stops_by_pipe: bool = False,
    ) -> None:
        self.name = name
        self.words = list(words)
        self.log = log
        self.process: asyncio.subprocess.Process | None = None
        self._say = say
        self._on_start = on_start
        self._environment = environment
        self._stops_by_pipe = stops_by_pipe
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and from now on start it again whenever it ends."""
        await self._spawn()
        self._task = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def stop(self, within_s: float, *, hurry: asyncio.Event) -> None:
        """Ask it to end; kill it when it does not in time, or two seconds after `hurry` is set."""
        self._stopping = True
        process = self.process
        if process is not None and process.returncode is None:
            self._ask_to_end(process)
            ended = asyncio.create_task(process.wait())
            hurried = asyncio.create_task(hurry.wait())
            await asyncio.wait({ended, hurried}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if hurried.done():
                await asyncio.wait({ended}, timeout=HURRY_S)
            hurried.cancel()
            if not ended.done():
                self._say(f"The {self.name} does not end, so it is killed.")
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    process.kill()
            await ended
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def started(self) -> place.Started | None:
        """Name the living process; None between two."""
        if self.process is None or self.process.returncode is not None:
            return None
        return place.started(self.process.pid)

    def last_line(self) -> str:
        """Read the last line of its log, for a message to people."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "nothing")

    def _ask_to_end(self, process: asyncio.subprocess.Process) -> None:
        if self._stops_by_pipe and process.stdin is not None:
            process.stdin.close()
        else:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)

    async def _spawn(self) -> None:
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self.words,
                stdin=asyncio.subprocess.PIPE if self._stops_by_pipe else asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=self._environment,
                start_new_session=not self._stops_by_pipe,  # sudo asks for a password on the terminal
            )
        finally:
            os.close(descriptor)
        self._on_start()

    async def _watch(self) -> None:
        failures = 0
        while True:
            process = self.process
            if process is None:
                return
            since = time.monotonic()
            code = await process.wait()
            if self._stopping:
                return
            failures = 0 if time.monotonic() - since > STEADY_S else failures
            pause = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            failures += 1
            self._say(f"The {self.name} ended ({_why(code)}); starting it again. Its log: {self.log}")
            await asyncio.sleep(pause)
            await self._spawn()


def _why(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
