"""The ground a lab stands on: a folder, a network namespace and an address, free again whatever happens.

Rule 1: a ground's number N (1-250) is claimed by making its network namespace and cable, which the kernel
does for one claimant only. N names everything: namespace hlab-N, folder /var/tmp/hercules-tests/N, addresses
10.77.N.1 (this side) and 10.77.N.2 (inside). Rule 2: the folder records who claimed it; a ground whose
claimant has died (kill -9 of pytest) is cleared by the next run. Rule 3: processes are recorded there; what
an engine started by itself is found by the folder's path in its command line.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.lab.processes import ENGINE_PROGRAMS, Proc, naming, run, wait_until

FOLDERS = Path("/var/tmp/hercules-tests")
_CLONE_NEWNET = 0x40000000
_PARTS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "mkfs.ext4": "e2fsprogs",
}


class Ground:
    """A claimed folder and network namespace; `release` gives both back, and so does the end of Python."""

    def __init__(self) -> None:
        need_root()
        need(_PARTS)
        FOLDERS.mkdir(mode=0o755, parents=True, exist_ok=True)
        with (FOLDERS / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _clear_abandoned()
            self.number = _claim()
        self._claimant = os.getpid()
        self.netns = f"hlab-{self.number}"
        self.folder = _folder(self.number)
        self.address = f"10.77.{self.number}.2"
        self.host_address = f"10.77.{self.number}.1"
        self._released = False
        atexit.register(self.release)

    @property
    def prefix(self) -> list[str]:
        """The words before a command that run it inside the namespace."""
        return _prefix(self.netns)

    def run_in_ns(self, words: Sequence[str | Path], **kw: Any) -> subprocess.CompletedProcess[str]:
        """Run a command inside the namespace: subprocess.run with text in and out unless said otherwise."""
        kw = {"text": True, "capture_output": True, "timeout": 60, "stdin": subprocess.DEVNULL, **kw}
        done: subprocess.CompletedProcess[str] = subprocess.run([*self.prefix, *map(str, words)], **kw)
        return done

    def keep(self, proc: Proc) -> None:
        """Record a process that ends with this ground, also when the run is killed before it can say so."""
        with (self.folder / "procs").open("ab") as procs:
            procs.write(msgspec.json.encode(proc) + b"\n")

    def new_socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM) -> socket.socket:
        """Make a socket that lives inside the namespace, where 127.0.0.1 is the lab's own loopback."""
        made: list[socket.socket] = []

        def enter_and_make() -> None:
            # setns moves only the calling thread, and this one ends here; a socket stays where it was made
            libc = ctypes.CDLL(None, use_errno=True)
            fd = os.open(f"/var/run/netns/{self.netns}", os.O_RDONLY)
            try:
                if libc.setns(fd, _CLONE_NEWNET) == 0:
                    made.append(socket.socket(family, type))
            finally:
                os.close(fd)

        thread = threading.Thread(target=enter_and_make)
        thread.start()
        thread.join()
        if not made:
            raise RuntimeError(f"no socket could be made in {self.netns}")
        return made[0]

    def release(self) -> None:
        """End every process that names the folder, unmount what lies in it, delete folder and namespace."""
        if not self._released and os.getpid() == self._claimant:  # a forked child gives nothing back
            self._released = True
            atexit.unregister(self.release)
            _clear(self.number)


def need(parts: dict[str, str]) -> None:
    """Fail the test with the sentence that brings what is missing: {command: Debian package}."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    gone = [command for command in parts if not shutil.which(command, path=path)]
    if gone:
        packages = " ".join(sorted({parts[command] for command in gone}))
        raise AssertionError(
            f"{', '.join(gone)} is missing: run '.ci/bring test' or 'apt-get install {packages}'"
        )


def need_root() -> None:
    """Fail the test unless it runs as root."""
    if os.geteuid() != 0:
        raise AssertionError(
            "the lab makes network namespaces and engines: run the tests as root, 'sudo make test'"
        )


def _prefix(netns: str) -> list[str]:
    # not 'ip netns exec', which remounts /sys and hides the cgroups from dockerd
    return ["nsenter", f"--net=/var/run/netns/{netns}", "--"]


def _folder(number: int) -> Path:
    return FOLDERS / str(number)


def _claim() -> int:
    reason = ""
    for number in range(1, 251):
        netns = f"hlab-{number}"
        try:
            run("ip", "netns", "add", netns)
        except RuntimeError as error:  # another run has it
            reason = str(error)
            continue
        try:
            _lay_cable(number)
        except RuntimeError as error:  # in use by a run that shares this machine's links and not its /run
            reason = str(error)
            run("ip", "netns", "del", netns)
            continue
        folder = _folder(number)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that died before it could say that it was there
        folder.mkdir(mode=0o755)
        (folder / "owner").write_bytes(msgspec.json.encode(Proc.of(os.getpid())))
        return number
    raise RuntimeError(f"none of 250 grounds can be had; the last refusal: {reason}")


def _lay_cable(number: int) -> None:
    name = f"hlab-{number}"
    run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
    run("ip", "addr", "add", f"10.77.{number}.1/24", "dev", name)
    run("ip", "link", "set", name, "up")
    run("ip", "-n", name, "addr", "add", f"10.77.{number}.2/24", "dev", "eth0")
    for link in ("lo", "eth0"):
        run("ip", "-n", name, "link", "set", link, "up")
    run("ip", "-n", name, "route", "add", "default", "via", f"10.77.{number}.1")


def _clear_abandoned() -> None:
    for folder in list(FOLDERS.iterdir()):
        with contextlib.suppress(OSError, ValueError):
            owner = msgspec.json.decode((folder / "owner").read_bytes(), type=Proc)
            if not owner.lives():
                _clear(int(folder.name))


def _clear(number: int) -> None:
    folder = _folder(number)
    procs = [
        *naming(f"{folder}/", programs=ENGINE_PROGRAMS),
        *_kept(folder),
    ]  # never somebody's `tail -f` on a log
    for proc in procs:
        proc.signal(signal.SIGKILL)
    wait_until(lambda: not any(proc.lives() for proc in procs), 10)
    for mount in sorted(_mounts_below(folder), reverse=True):
        run("umount", "--lazy", mount, check=False)
    run("ip", "link", "del", f"hlab-{number}", check=False)
    shutil.rmtree(folder, ignore_errors=True)
    run("ip", "netns", "del", f"hlab-{number}", check=False)  # last: the number is free from here on


def _kept(folder: Path) -> list[Proc]:
    try:
        lines = (folder / "procs").read_bytes().splitlines()
    except OSError:
        return []
    return [msgspec.json.decode(line, type=Proc) for line in lines]


def _mounts_below(folder: Path) -> list[str]:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]
