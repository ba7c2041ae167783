"""A fresh Debian 12 with a user who may use sudo and one who may not, and systemd as its first process.

It is a folder made by mmdebstrap, entered in namespaces of its own (mount, pid, uts, ipc, cgroup) and in the
network namespace of a ground, from where it reaches the package indexes of this machine through NAT. So its
Docker Engine, its default socket and its ports are its own.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.lab.ground import Ground

PACKAGES = "git,make,python3,python3-venv,sudo,ca-certificates,procps,iproute2,curl,util-linux"
INIT = "systemd,systemd-sysv,dbus"
FOREIGN_TO_A_CONTAINER = (
    "systemd-udevd systemd-networkd systemd-resolved systemd-logind getty@tty1 console-getty"
)
_BOOT = r"""
mount --make-rprivate / && mount --bind $R $R && mount -t proc proc $R/proc && mount --rbind /sys $R/sys
mount --make-rslave $R/sys && umount -l $R/sys/fs/cgroup && mount -t tmpfs cgroup $R/sys/fs/cgroup
for c in $(awk 'NR > 1 && $4 == 1 { print $1 }' /proc/cgroups); do
  mkdir -p $R/sys/fs/cgroup/$c
  mount -t cgroup -o $c cgroup $R/sys/fs/cgroup/$c 2>/dev/null || rmdir $R/sys/fs/cgroup/$c
done
mkdir -p $R/sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd cgroup $R/sys/fs/cgroup/systemd
mkdir -p $R/sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 $R/sys/fs/cgroup/unified
mount -t tmpfs dev $R/dev && mkdir $R/dev/pts $R/dev/shm
for d in null zero full random urandom tty; do touch $R/dev/$d && mount --bind /dev/$d $R/dev/$d; done
mount -t devpts -o newinstance,ptmxmode=0666 devpts $R/dev/pts && ln -s pts/ptmx $R/dev/ptmx
ln -s /proc/self/fd $R/dev/fd && touch $R/dev/console && mount -t tmpfs run $R/run && hostname fresh
cd $R && mkdir -p oldroot && pivot_root . oldroot && cd / && umount -l /oldroot
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=null
"""


class FreshMachine:
    """One such machine. Made, booted and ended by `fresh_machine`."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.root = ground.folder / "fresh"
        self._init: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Put Debian there: about half a minute."""
        sources = next(
            p
            for p in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
            if p.exists()
        )
        words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES},{INIT}", "bookworm"]
        subprocess.run([*words, str(self.root), str(sources)], check=True, stdin=subprocess.DEVNULL)
        for file in ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
            if Path(file).exists():
                shutil.copy(file, self.root / file[1:])
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost fresh vm\n")
        here = ["chroot", str(self.root)]
        for user in ("sam", "eve"):
            subprocess.run([*here, "useradd", "-m", "-s", "/bin/bash", user], check=True)
        (self.root / "etc/sudoers.d/sam").write_text("sam ALL=(ALL) NOPASSWD: ALL\n")
        subprocess.run(
            [*here, "systemctl", "mask", *FOREIGN_TO_A_CONTAINER.split()], check=True, capture_output=True
        )
        subprocess.run(
            [*here, "systemctl", "set-default", "multi-user.target"], check=True, capture_output=True
        )

    def boot(self, *, systemd: bool = True) -> None:
        """Start it; without systemd its first process only waits."""
        script = (
            _BOOT if systemd else _BOOT.replace("/lib/systemd/systemd --log-target=null", "sleep infinity")
        )
        namespaces = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--cgroup"]
        self._init = subprocess.Popen(
            [*self.ground.prefix, *namespaces, "sh", "-ec", f"R={self.root}{script}"],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        up = "systemctl is-system-running --wait" if systemd else "test ! -d /oldroot/proc"
        end = time.monotonic() + 60
        while self.run("root", up).returncode != 0:
            assert time.monotonic() < end, "the fresh machine did not boot within a minute"
            time.sleep(0.2)

    def power_off(self) -> None:
        """Pull its plug."""
        if self._init is not None:
            self._init.kill()
            self._init.wait()
            self._init = None

    def run(self, user: str, script: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a script there as a user."""
        enter = ["nsenter", "-t", self._first_pid(), "-m", "-p", "-n", "-u", "-i", "-C", "--", "env", "-i"]
        words = ["TERM=dumb", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "su", "-", user, "-c", script]
        return subprocess.run(
            [*enter, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def clone(self, user: str, checkout: Path) -> None:
        """Put a clone of a checkout into the user's home."""
        target = self.root / "home" / user / "hercules"
        subprocess.run(["git", "clone", "-q", str(checkout), str(target)], check=True)
        subprocess.run(
            ["chroot", str(self.root), "chown", "-R", f"{user}:", f"/home/{user}/hercules"], check=True
        )

    def _first_pid(self) -> str:
        assert self._init is not None, "the fresh machine is off"
        found = ""
        for _ in range(100):  # unshare forks: the first process is its child, and nsenter before that
            children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text().split()
            if children:
                found = children[0]
                break
            time.sleep(0.05)
        assert found, "the fresh machine ended while it booted"
        return found


@contextlib.contextmanager
def fresh_machine() -> Iterator[FreshMachine]:
    """A fresh machine, installed and off."""
    assert shutil.which("mmdebstrap"), "mmdebstrap is missing: run 'apt-get install mmdebstrap'"
    ground = Ground()
    source = f"10.77.{ground.number}.0/24"
    nat = ["POSTROUTING", "-t", "nat", "-s", source, "-j", "MASQUERADE"]
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    subprocess.run(["iptables", "-A", *nat], check=True)
    ground.run_in_ns(["ip", "route", "replace", "default", "via", ground.host_address])
    machine = FreshMachine(ground)
    try:
        machine.install()
        yield machine
    finally:
        machine.power_off()
        subprocess.run(["iptables", "-D", *nat], check=False)
        ground.release()
