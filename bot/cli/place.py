"""A data directory, as one running Hercules holds it.

Rule 1: whoever holds the lock on DIR/run/up.lock runs here; the kernel gives it up with the process.
Rule 2: DIR/run/up.json says who that is and which processes it started, each by pid and start time, so that a
supervisor that was killed leaves nothing running for ever: the next one ends what it finds first.
Rule 3: whoever is bound to the abstract socket of a port's name may start a bot on that port. The bot listens
only seconds later, and until then a second `up` at the same time would find the port free, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bot.engine.refusals import Refused
from bot.settings import FIRST_PORT, Settings

PORTS_TRIED = 100
LEFTOVER_WITHIN_S = 20.0


class AlreadyRuns(Refused):
    """Another Hercules holds this data directory."""

    code, http = "already_runs", 409
    says = "Hercules runs on {data} already (pid {pid}): {url}"
    do = "For a new sign-in link: hercules --data {data} user link. For a second one use another --data."


class PortTaken(Refused):
    """The port that was asked for is in use."""

    code, http = "port_taken", 409
    says = "Port {port} of this machine is in use."
    do = "Leave --port away to get the next free one, or name another."


class NoPort(Refused):
    """No port near the first one is free."""

    code, http = "no_port", 409
    says = "None of the ports {first} to {last} is free."
    do = "Name one: hercules up --port N"


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A process of ours: a pid counts only while its start time (clock ticks since boot) is this one."""

    pid: int
    ticks: int


class UpRecord(msgspec.Struct, kw_only=True):
    """DIR/run/up.json."""

    pid: int
    port: int
    url: str
    children: dict[str, Started] = {}


def make_directories(settings: Settings) -> None:
    """Make DIR and what stands in it, closed to everybody else."""
    for path in (settings.data, settings.run, settings.logs, settings.data / "chatflows.d"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.data.chmod(0o700)


@contextlib.contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Hold the data directory. Raises AlreadyRuns, with who does."""
    make_directories(settings)
    descriptor = os.open(settings.run / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record = read(settings)
            pid, url = (record.pid, record.url) if record else ("?", "it is just starting")
            raise AlreadyRuns(data=settings.data, pid=pid, url=url) from None
        end_leftovers(settings)
        yield
        _file(settings).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def read(settings: Settings) -> UpRecord | None:
    """Read who runs here, None when nobody wrote it."""
    try:
        return msgspec.json.decode(_file(settings).read_bytes(), type=UpRecord)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write(settings: Settings, record: UpRecord) -> None:
    """Write who runs here, whole or not at all."""
    draft = _file(settings).with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.encode(record))
    draft.replace(_file(settings))


def end_leftovers(settings: Settings) -> None:
    """End what a supervisor that was killed left running; it holds nothing that is not committed."""
    record = read(settings)
    left = [s for s in record.children.values() if lives(s)] if record else []
    for number, within_s in ((signal.SIGTERM, LEFTOVER_WITHIN_S), (signal.SIGKILL, 5.0)):
        for started in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(started.pid, number)
        end = time.monotonic() + within_s
        while left and time.monotonic() < end:
            time.sleep(0.05)
            left = [s for s in left if lives(s)]


def started(pid: int) -> Started | None:
    """Name the living process `pid`, None when it has ended."""
    ticks = _ticks(pid)
    return None if ticks is None else Started(pid=pid, ticks=ticks)


def lives(process: Started) -> bool:
    """Say whether this very process still runs."""
    return _ticks(process.pid) == process.ticks


def choose_port(asked: int | None) -> int:
    """Take the port that was asked for, else the next free one. Raises PortTaken, NoPort."""
    if asked is not None:
        if not _is_free(asked):
            raise PortTaken(port=asked)
        return asked
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if _is_free(port):
            return port
    raise NoPort(first=FIRST_PORT, last=FIRST_PORT + PORTS_TRIED - 1)


def claim_port(asked: int | None) -> tuple[int, socket.socket]:
    """Take a port as `choose_port` does, and keep every other `up` of this machine from it.

    The claim lasts until the returned socket is closed, at the latest with this process.
    """
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED) if asked is None else (asked,):
        claim = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):  # somebody is bound to it: that port is theirs
            claim.bind(f"\0hercules-port-{port}")
            if _is_free(port):
                return port, claim
        claim.close()
    if asked is not None:
        raise PortTaken(port=asked)
    raise NoPort(first=FIRST_PORT, last=FIRST_PORT + PORTS_TRIED - 1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server does: TIME_WAIT is no user
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name in brackets may hold anything: count from its end
    return None if fields[0] in "ZX" else int(fields[19])


def _file(settings: Settings) -> Path:
    return settings.run / "up.json"
