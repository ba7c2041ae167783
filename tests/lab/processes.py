"""Processes by recorded pid: a pid counts as ours only while its start time is the recorded one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec


class Proc(msgspec.Struct, frozen=True):
    """One process: its pid and when it began, in clock ticks since boot."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> Proc | None:
        """Return the living process `pid`, None when it has ended."""
        ticks = _start_ticks(pid)
        return None if ticks is None else cls(pid, ticks)

    def lives(self) -> bool:
        """Say whether this very process still runs."""
        return _start_ticks(self.pid) == self.start_ticks

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.lives():
            os.kill(self.pid, number)

    def end(self, within_s: float) -> None:
        """Ask it to end, and kill it when it has not done so in time."""
        self.signal(signal.SIGTERM)
        if not wait_until(lambda: not self.lives(), within_s):
            self.signal(signal.SIGKILL)
            wait_until(lambda: not self.lives(), 60)


ENGINE_PROGRAMS = {"dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "docker-registry"}


def naming(text: str, *, programs: Collection[str] | None = None) -> list[Proc]:
    """Find the processes, run by one of `programs`, whose command line holds `text`, and their children."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        program = Path(os.fsdecode(words[0])).name
        if (programs is None or program in programs) and any(text.encode() in word for word in words):
            found.add(int(entry.name))
    while below := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= below
    return [proc for pid in sorted(found) if (proc := Proc.of(pid))]


def run(*words: str | Path, check: bool = True) -> str:
    """Run a program of the system, return what it printed; RuntimeError with its own words when it fails."""
    done = subprocess.run(
        [str(w) for w in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_until(holds: Callable[[], bool], within_s: float) -> bool:
    """Wait until it holds; False when it does not in time."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _start_ticks(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
