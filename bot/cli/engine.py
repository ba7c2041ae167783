"""The Docker Engine of this machine, and the one that Hercules itself had to start.

Rule 1: an engine that answers is left alone. Rule 2: where a service manager runs, it starts the engine.
Rule 3: otherwise dockerd runs in a session of its own, so that Ctrl-C and the end of Hercules never reach
it, recorded in /run/hercules/engine.json with its pid and the pid's start time, so that a pid used again
by something else is never signalled. /run is empty after a reboot, and so is then the record.
Two starts at once: the second waits on a lock and finds the engine of the first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import docker
import msgspec
from docker.errors import DockerException

from bot.engine.refusals import Gone, Refused

DEFAULT_HOST = "unix:///var/run/docker.sock"
RUN_DIR = Path("/run/hercules")
LOG_FILE = Path("/var/log/hercules-engine.log")
SYSTEMD = Path("/run/systemd/system")  # is there exactly when systemd runs
START_WITHIN_S = 60  # a first start makes networks and firewall rules; 8 s on two busy cores
STOP_WITHIN_S = 90  # dockerd gives each container 10 s to end, all at once, and then tidies up
PING_WITHIN_S = 5
TELL_EVERY_S = 4

Log = Callable[[str], None]


class EngineError(Gone):
    """The engine is not as asked for."""

    code = "engine"
    says, do = "{what}", "{then}"

    def __init__(self, what: str, then: str) -> None:
        super().__init__(what=what, then=then)


class EngineAbsent(EngineError):
    """No engine answers, and none is installed."""

    code = "engine_absent"


class EngineNeedsRoot(EngineError):
    """What was asked for can only be done by root."""

    code = "engine_needs_root"


class EngineSilent(EngineError):
    """An engine is there, or was started, and does not answer."""

    code = "engine_silent"


class EngineNotOurs(Refused):
    """The engine was not started by Hercules, which therefore does not stop it."""

    code, http = "engine_not_ours", 409
    says = "Hercules has started no Docker Engine on this machine."
    do = "If one runs, stop it the way it was started, for example: systemctl stop docker"


class StartedEngine(msgspec.Struct, frozen=True, kw_only=True):
    """The record of an engine that Hercules started. `start_ticks`: field 22 of /proc/PID/stat."""

    pid: int
    start_ticks: int
    host: str
    log: str


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the engine at `host`.

    `denied`: its socket is there and this account may not open it. `silent`: something is there and gives no
    answer. `containers`: the names of what runs on it, known only while it answers.
    """

    host: str
    state: Literal["answers", "denied", "silent", "absent"]
    version: str | None = None
    started: StartedEngine | None = None
    containers: tuple[str, ...] = ()


class StoppedEngine(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that was stopped, and the names of the containers that stopped with it."""

    pid: int
    containers: tuple[str, ...]


def status() -> EngineStatus:
    """Ask the engine that DOCKER_HOST names, else the default one. Changes nothing, takes at most 10 s."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    started = _record()
    started = started if started and started.host == host else None
    socket = Path(host.removeprefix("unix://")) if host.startswith("unix://") else None
    if socket and not socket.exists():
        return EngineStatus(host=host, state="absent", started=started)
    if socket and not os.access(socket, os.R_OK | os.W_OK):
        return EngineStatus(host=host, state="denied", started=started)
    try:
        with contextlib.closing(docker.DockerClient(base_url=host, timeout=PING_WITHIN_S)) as client:
            version = str(client.version()["Version"])
            containers = tuple(sorted(str(c.name) for c in client.containers.list(ignore_removed=True)))
    except (DockerException, OSError):
        return EngineStatus(host=host, state="silent", started=started)
    return EngineStatus(host=host, state="answers", version=version, started=started, containers=containers)


def ensure(log: Log) -> EngineStatus:
    """Return the status of an engine that answers, started here if need be; `log` gets a line per thing done.

    Raises EngineAbsent (nothing installed), EngineNeedsRoot, EngineSilent.
    """
    seen = status()
    if seen.state == "answers":
        return seen
    if seen.host != DEFAULT_HOST:
        raise EngineSilent(
            f"DOCKER_HOST names {seen.host}, and no Docker Engine answers there.",
            "Start that engine, or unset DOCKER_HOST to use the one of this machine.",
        )
    if seen.state == "denied":
        raise EngineNeedsRoot(
            "A Docker Engine is there, and this account may not use it.",
            "Run this as root, or add the account to the group docker.",
        )
    dockerd = _dockerd()
    if dockerd is None:
        raise EngineAbsent("No Docker Engine is installed here.", "Install it: apt-get install docker.io")
    if os.geteuid() != 0:
        raise EngineNeedsRoot("The Docker Engine is not running.", "Run this as root, or start Docker.")
    with _one_at_a_time():
        seen = status()
        if seen.state == "answers":
            return seen
        if SYSTEMD.is_dir():
            return _start_by_systemd(log)
        return _start(dockerd, log)


def stop() -> StoppedEngine:
    """Stop the engine that Hercules started, and with it the containers that it runs.

    Ask `status().containers` first for what stops. Raises EngineNotOurs (also when none runs),
    EngineNeedsRoot, EngineSilent (it does not end; it is never killed, which could damage its data).
    """
    started = _record()
    if started is None:
        raise EngineNotOurs
    if os.geteuid() != 0:
        raise EngineNeedsRoot("The Docker Engine runs as root.", "Run this as root.")
    with _one_at_a_time():
        containers = status().containers if status().host == started.host else ()
        if _start_ticks(started.pid) == started.start_ticks:
            os.kill(started.pid, signal.SIGTERM)
        if not _within(STOP_WITHIN_S, lambda: _start_ticks(started.pid) != started.start_ticks):
            raise EngineSilent(
                f"The Docker Engine (pid {started.pid}) was told to stop {STOP_WITHIN_S} s ago and runs.",
                f"Look into {started.log}, and try again.",
            )
        _record_file().unlink(missing_ok=True)
    return StoppedEngine(pid=started.pid, containers=containers)


def bring() -> int:
    """Serve `.ci/bring engine`: 0 one answers, 3 none is installed, 4 it takes root, 5 only root can tell
    whether one answers (a socket outlives its engine), 1 anything else.
    """
    try:
        ensure(lambda line: print(f"bring: {line}", file=sys.stderr))
    except EngineAbsent:
        return 3
    except EngineNeedsRoot:
        return 5 if status().state == "denied" else 4
    except EngineError as error:
        print(f"bring: {error.sentence} {error.next_step}", file=sys.stderr)
        return 1
    return 0


def _start_by_systemd(log: Log) -> EngineStatus:
    log("starting the Docker Engine: systemctl start docker")
    done = subprocess.run(["systemctl", "start", "docker"], capture_output=True, text=True, check=False)
    if done.returncode == 0 and _within(START_WITHIN_S, _answers_or_tells(log)):
        return status()
    raise EngineSilent(
        f"systemd could not start the Docker Engine: {done.stderr.strip() or 'it does not answer'}.",
        "Look at: journalctl -u docker",
    )


def _start(dockerd: str, log: Log) -> EngineStatus:
    log(f"no service manager runs here: starting the Docker Engine itself, its log is {LOG_FILE}")
    LOG_FILE.parent.mkdir(parents=True, exist_ok=True)
    with LOG_FILE.open("ab") as lines:
        process = subprocess.Popen(
            [dockerd, "--host", DEFAULT_HOST],
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=lines,
            cwd="/",
            env={
                k: v
                for k, v in os.environ.items()
                if k in ("PATH", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
            },
            start_new_session=True,
        )
    ticks = _start_ticks(process.pid)
    if ticks is not None:
        record = StartedEngine(pid=process.pid, start_ticks=ticks, host=DEFAULT_HOST, log=str(LOG_FILE))
        part = _record_file().with_suffix(".part")
        part.write_bytes(msgspec.json.encode(record))
        part.replace(_record_file())
    answers = _answers_or_tells(log)
    _within(START_WITHIN_S, lambda: process.poll() is not None or answers())
    seen = status()
    if seen.state == "answers":
        return seen
    raise EngineSilent(
        f"dockerd was started and does not answer; the last it says: {_last_line(LOG_FILE)}",
        f"The whole log is {LOG_FILE}.",
    )


def _dockerd() -> str | None:
    return shutil.which(
        "dockerd", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin:/usr/local/sbin"
    )


def _record_file() -> Path:
    return RUN_DIR / "engine.json"


def _record() -> StartedEngine | None:
    """Read the record; None when there is none, or when that engine has ended."""
    try:
        record = msgspec.json.decode(_record_file().read_bytes(), type=StartedEngine)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return record if _start_ticks(record.pid) == record.start_ticks else None


def _start_ticks(pid: int) -> int | None:
    """When the process began, in clock ticks since boot; None when it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name in brackets may hold anything, so count from its end
    return None if fields[0] in "ZX" else int(fields[19])


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    RUN_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (RUN_DIR / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Wait until it holds; False when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _answers_or_tells(log: Log) -> Callable[[], bool]:
    """Make a question whether the engine answers, which says every few seconds that it is waited for."""
    tell = time.monotonic() + TELL_EVERY_S

    def answers() -> bool:
        nonlocal tell
        if status().state == "answers":
            return True
        if time.monotonic() > tell:
            tell = time.monotonic() + TELL_EVERY_S
            log("waiting for the Docker Engine to answer …")
        return False

    return answers


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"
