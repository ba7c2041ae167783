"""The child process in which a plugin's file is imported and its functions run. The bot imports no plugin.

Rule 1: it starts with an empty environment, no inherited files and its limits set, and ends with its parent.
Rule 2: a file comes as text over the pipe, so that what was hashed is what runs. Rule 3: only data goes back.
It runs as the bot's user for now: namespaces, Landlock and another uid are the walls of a later release, and
their place is `_limit`.
"""

from __future__ import annotations

import builtins
import ctypes
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import BinaryIO, TypeVar

from bot.engine import compile, form, messages
from bot.engine.vocabulary import Chatflow
from bot.plugins import builtin, frames, limits, manners

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
T = TypeVar("T")


class Unfit(Exception):
    """A file that was imported and still is no plugin; the message is for the author."""


def main() -> None:
    """Answer questions from standard input until it ends. Started by `bot.plugins.process`."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a plugin prints is not an answer
    _limit()
    manners.keep()
    questions = sys.stdin.buffer
    file, module = "", ModuleType("none")
    while (asked := frames.read_question(questions)) is not None:
        _more_cpu()
        match asked:
            case frames.Load():
                _answer(answers, _guarded(asked.file, partial(_load, asked)))
                return
            case frames.Serve():
                file = asked.file
                messages.give(None)
                imported = _guarded(file, partial(_imported, asked.file, asked.text))
                if isinstance(imported, frames.Fault):
                    _answer(answers, imported)
                    return
                module = imported
                _answer(answers, frames.Serving())
            case frames.Run():
                _answer(answers, _guarded(file, partial(_run, module, asked)))


def _limit() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    with open("/proc/self/statm", encoding="ascii") as f:
        present = int(f.read().split()[0]) * resource.getpagesize()
    most = present + limits.MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # pipes stay; no file gains a byte
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.OPEN_FILES, limits.OPEN_FILES))


def _more_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + limits.CPU_S
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _answer(answers: BinaryIO, answer: frames.Answer) -> None:
    try:
        raw = frames.framed(answer)
    except (TypeError, ValueError, OverflowError, RecursionError, MemoryError) as e:
        raw = frames.framed(frames.Fault(f"It returned something that is no plain data: {_short(e)}."))
    if len(raw) - frames.HEAD > limits.REPLY_BYTES:
        raw = frames.framed(
            frames.Fault(f"It returned {len(raw):,} bytes; {limits.REPLY_BYTES:,} are taken.")
        )
    answers.write(raw)
    answers.flush()


def _guarded(file: str, do: Callable[[], T]) -> T | frames.Fault:
    """Whatever a plugin raises, SystemExit included, is a fault with its line."""
    try:
        return do()
    except compile.FlowRefused as refused:
        return _mistakes(refused)
    except SyntaxError as e:
        where = e.lineno or 0 if e.filename == file else _line(e, file)
        return frames.Fault(f"It is not Python: {e.msg}. Look at that line and the one above.", where)
    except MemoryError as e:
        most = limits.MEMORY_BYTES // 1024**2
        says = f"It needs more memory than the {most} MiB it has: let it ask for less."
        return frames.Fault(says, _line(e, file))
    except BaseException as e:
        return frames.Fault(f"{_short(e)}. {_remedy(e)}".rstrip(), _line(e, file))


def _mistakes(refused: compile.FlowRefused) -> frames.Fault:
    told = [
        (
            p.line,
            f"Chatflow {refused.flow!r}, state {p.state!r}: {p.says}"
            if p.state
            else f"Chatflow {refused.flow!r}: {p.says}",
        )
        for p in refused.problems
    ]
    return frames.Fault(told[0][1], told[0][0], tuple(told[1 : limits.TROUBLES_PER_FILE + 1]))


def _load(load: frames.Load) -> frames.Compiled:
    messages.give(load.messages)
    module = _imported(load.file, load.text)
    found = [
        value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Chatflow)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]
    if not found:
        raise Unfit("There is no chatflow in it: write class Name(Chatflow): …, or begin its name with _")
    if len(found) > limits.FLOWS_PER_FILE:
        raise Unfit(f"It has {len(found)} chatflows; {limits.FLOWS_PER_FILE} are taken: use several files")
    return frames.Compiled(tuple(compile.encode(_compiled(module, cls, load)).decode() for cls in found))


def _compiled(module: ModuleType, cls: type[Chatflow], load: frames.Load) -> form.Flow:
    flow = builtin.compiled(cls, source=load.file, sha256=load.sha256)
    for name in sorted(builtin.hooks_of(flow)):
        if not callable(getattr(module, name, None)):
            raise Unfit(f"The chatflow {flow.name!r} names {name!r}, which is no function of this file")
    return flow


def _imported(file: str, text: str) -> ModuleType:
    module = ModuleType("plugin")
    module.__file__ = file
    sys.modules[module.__name__] = module
    text = text.removeprefix("\ufeff")  # some editors put it there
    exec(builtins.compile(text, file, "exec", dont_inherit=True), vars(module))  # noqa: S102 - made for it
    return module


def _run(module: ModuleType, run: frames.Run) -> frames.Returned:
    hook = getattr(module, run.hook, None)
    if not callable(hook):
        raise Unfit(f"There is no function {run.hook!r} in it")
    return frames.Returned(hook(run.names))


def _line(e: BaseException, file: str) -> int:
    """The innermost line of the plugin's own file."""
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(e.__traceback__) if frame.filename == file]
    return lines[-1] if lines else 0


def _remedy(e: BaseException) -> str:
    match e:
        case Unfit() | PermissionError():
            return ""  # says it itself
        case ModuleNotFoundError():
            return "Install that package where Hercules is installed, or leave the import out."
        case ImportError():
            return "Look at how it is spelled (docs/authoring.md lists the words)."
        case SystemExit() | KeyboardInterrupt():
            return "Leave out what ends the process: a plugin only declares."
        case RecursionError():
            return "A function calls itself without end."
        case TypeError() | AttributeError() | NameError():
            return "Look at how that line spells its words (docs/authoring.md lists them)."
        case _:
            return "It came up while the file was read; mend that line."


def _short(e: BaseException) -> str:
    try:
        says = " ".join(str(e).split())[:300].rstrip(".")
    except BaseException:  # a plugin's own exception, whose own words fail
        says = ""
    if isinstance(e, Unfit):
        return says
    return f"{type(e).__name__}: {says}" if says else type(e).__name__
