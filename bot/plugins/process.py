"""One worker from the bot's side: start it, ask it, end it.

Rule 1: nothing of the bot goes along: no environment, no open files, no directory. Rule 2: whatever the
worker does or says, `ask` returns an answer or raises `WorkerLost` within its deadline and `GONE_S`, and
after a `WorkerLost` the process is gone with everything it started. Rule 3: nothing waits for the end of a
pipe: one that was flooded is no longer read and never ends, one that was handed on ends with its holder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec
import structlog

import bot
from bot.plugins import frames, limits

log = structlog.get_logger("plugins")

_ROOT = str(Path(bot.__file__).resolve().parent.parent)
GONE_S = 2.0  # for a worker that closed its pipe to end by itself, and for its last words
_START = f"import sys; sys.path.append({_ROOT!r}); from bot.plugins.worker import main; main()"


class WorkerLost(Exception):
    """The worker is gone. `why`: time, size, ended or garbled; the message is a sentence."""

    def __init__(self, why: str, says: str) -> None:
        self.why = why
        super().__init__(says)


class Worker:
    """A running worker. Made by `start`, ended by `end`."""

    def __init__(self, process: Process, what: str) -> None:
        self._process, self._what = process, what
        self._said = b""
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, what: str) -> Worker:
        """`what` names the plugin in the log."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-B", "-c", _START),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd="/",
            env={"LANG": "C.UTF-8", "PATH": os.defpath},
            start_new_session=True,
            limit=64 * 1024,
        )
        return cls(process, what)

    async def ask(self, question: frames.Asked, *, within_s: float) -> frames.Answer:
        """The worker's answer. Raises WorkerLost."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise WorkerLost("ended", "The worker has no pipes.")
        try:
            async with asyncio.timeout(within_s):
                stdin.write(frames.framed(question))
                await stdin.drain()
                return await frames.read_answer(stdout, limits.REPLY_BYTES)
        except TimeoutError:
            raise await self._lost(
                "time", f"It was not done within {within_s:g} s, so it was stopped: look for what never ends."
            ) from None
        except frames.TooMuch:
            raise await self._lost(
                "size", "It returned more than is taken, so it was stopped: let it return less."
            ) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._lost("ended", await self._ending()) from None
        except msgspec.MsgspecError:
            raise await self._lost("garbled", "It answered something that is no answer.") from None
        except asyncio.CancelledError:
            await asyncio.shield(self.end())  # a later question must not meet this answer
            raise

    async def end(self) -> None:
        """Kill it and all it started in its session; wait until it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.wait([self._listening], timeout=GONE_S)
        # rule 3: `wait` waits for the pipes, too
        self._process._transport.close()  # type: ignore[attr-defined]
        await self._process.wait()
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        if self._said:
            log.info("plugin.said", plugin=self._what, text=self._said.decode(errors="replace"))
            self._said = b""

    @property
    def is_over(self) -> bool:
        """The process has ended."""
        return self._process.returncode is not None

    async def _listen(self) -> None:
        stderr = self._process.stderr
        if stderr is None:
            return
        while data := await stderr.read(4096):
            self._said = (self._said + data)[-limits.SAID_BYTES :]

    async def _lost(self, why: str, says: str) -> WorkerLost:
        await self.end()
        log.warning("plugin.worker_lost", plugin=self._what, why=why, says=says)
        return WorkerLost(why, says)

    async def _ending(self) -> str:
        try:
            code = await asyncio.wait_for(self._process.wait(), GONE_S)
        except TimeoutError:
            return "It closed the pipe for its answers, so it was stopped: leave that to Hercules."
        if code == -signal.SIGXCPU:
            return f"It used more than {limits.CPU_S} s of processor time, so it was stopped: let it do less."
        if code < 0:
            says = f"Its process was ended by the signal {signal.Signals(-code).name}: look for what ends it"
            return f"{says}, or needs much memory ({limits.MEMORY_BYTES // 1024**2} MiB are there)."
        return f"Its process ended by itself (exit code {code}): leave out what ends it."


async def compiled(
    file: str, text: str, sha256: str, messages: dict[str, str] | None = None
) -> frames.Compiled | frames.Fault:
    """Import a file in a worker of its own. Never raises for what the file does."""
    worker = await Worker.start(file)
    try:
        answer = await worker.ask(frames.Load(file, sha256, text, messages or {}), within_s=limits.LOAD_S)
    except WorkerLost as lost:
        return frames.Fault(str(lost))
    finally:
        await worker.end()
    if isinstance(answer, frames.Compiled | frames.Fault):
        return answer
    return frames.Fault("It answered something that is no answer.")
