"""`hercules-agent`: run, forget, --version.

`run` is two processes: this one acts, and starts the one that speaks. Exit codes: 0 asked to end, 1 cannot
start (a sentence says why), 2 wrong arguments, 3 one of the two processes ended, so both did.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog

from agent import keys, nodefile
from agent.actor import act
from agent.blobs import Blobs
from agent.docker_engine import DockerEngine
from agent.journal import Journal
from agent.logs import to_stderr
from agent.node import Node

log = structlog.get_logger()

LOCK_WITHIN_S = 10.0  # an agent that was killed may need a moment to be gone


class CannotStart(Exception):
    """The agent cannot start; the message is for the operator."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of `hercules-agent`."""
    parser = argparse.ArgumentParser(
        prog="hercules-agent", description="Carries out the orders of a bot here."
    )
    parser.add_argument("--version", action="version", version=f"hercules-agent {_version()}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="carry out orders until told to end")
    run.add_argument("--data", type=Path, required=True, metavar="DIR", help="the agent's own directory")
    run.add_argument("--bot", required=True, metavar="unix:PATH", help="where the bot listens")
    forget = commands.add_parser("forget", help="belong to nobody any more; containers and data stay")
    forget.add_argument("--data", type=Path, required=True, metavar="DIR")
    forget.add_argument("--yes", action="store_true", help="really do it")
    options = parser.parse_args(argv)
    try:
        if options.command == "run":
            return _run(options.data, options.bot)
        return _forget(options.data, options.yes)
    except (CannotStart, keys.KeyTrouble, nodefile.BadNodeFile) as e:
        print(f"hercules-agent: {e}", file=sys.stderr)
        return 1


def _run(data: Path, bot: str) -> int:
    if not bot.startswith("unix:/"):
        raise CannotStart(f"--bot {bot}: only unix:/absolute/path is possible yet")
    to_stderr()
    os.umask(0o077)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(data):
        node = open_node(data)
        here, there = socket.socketpair()
        speaker = _start_speaker(there, bot)
        there.close()
        code = act(node, here)
        here.close()  # the speaker says good-bye and ends
        node.journal.close()
        try:
            speaker.wait(timeout=1.5)
        except subprocess.TimeoutExpired:
            speaker.kill()
        log.info("agent.ended", code=code)
        sys.stderr.flush()
        os._exit(
            code
        )  # threads that wait for Docker are not waited for: the journal knows what to go on with


def open_node(data: Path) -> Node:
    """Open the parts of a node. Raises KeyTrouble, BadNodeFile, CannotStart."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = keys.ensure(data)
    trust = keys.trust(data)
    file = nodefile.load(data)
    return Node(
        data=data,
        keys=own,
        trust=trust,
        file=file,
        journal=Journal(data / "journal.db"),
        engine=DockerEngine(file.engine),
        blobs=Blobs(data / "blobs", reserve=file.reserve_mib * 1024 * 1024),
        version=_version(),
    )


def _start_speaker(end: socket.socket, bot: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-P", "-m", "agent.speaker", "--fd", str(end.fileno()), "--bot", bot]
    owner = _owner_of(Path(bot.removeprefix("unix:")))
    if os.geteuid() != 0 or owner.st_uid == 0:
        return subprocess.Popen(words, pass_fds=[end.fileno()], stdin=subprocess.DEVNULL)
    return subprocess.Popen(
        words,
        pass_fds=[end.fileno()],
        stdin=subprocess.DEVNULL,
        user=owner.st_uid,
        group=owner.st_gid,
        extra_groups=[],
    )


def _owner_of(path: Path) -> os.stat_result:
    """Who owns the bot's socket, or the nearest directory above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.stat()


class _locked:
    """Only one agent per data directory."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._file = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        end = time.monotonic() + LOCK_WITHIN_S
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > end:
                    raise CannotStart(f"another agent runs on {self._data}") from None
                time.sleep(0.1)

    def __exit__(self, *unused: object) -> None:
        os.close(self._file)


def _forget(data: Path, yes: bool) -> int:
    if not (data / "keys").exists():
        raise CannotStart(f"{data} holds no agent")
    if not yes:
        print("This node would get a new name and obey nobody; containers and data stay. Add --yes to do it.")
        return 1
    with _locked(data):
        shutil.rmtree(data / "keys")
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            (data / name).unlink(missing_ok=True)
        shutil.rmtree(data / "blobs", ignore_errors=True)
    print("This node belongs to nobody now.")
    return 0


def _version() -> str:
    try:
        return version("hercules-agent")
    except PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
