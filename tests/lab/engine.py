"""A real Docker Engine of the tests' own, in a network namespace of its own.

It has its own data, socket and containerd, accepts the registry of tests.lab.registry, and never touches the
engine of the machine. Ports that its containers publish are reached from the test at `address`, and on the
lab's own 127.0.0.1 by `run_in_ns`, `new_socket` and `connector`.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import docker
from docker.errors import APIError, DockerException, NotFound

from tests.lab.ground import Ground, need
from tests.lab.images import Archive
from tests.lab.processes import Proc, run, wait_until

START_WITHIN_S = 60
_PARTS = {"dockerd": "docker.io", "containerd": "docker.io", "iptables": "iptables"}


class LabEngine:
    """One engine on one ground. `stop`, `start` and `kill` may be called at will; the address stays."""

    def __init__(self, ground: Ground, *, data_root: Path | None = None, name: str = "engine") -> None:
        need(_PARTS)
        self.ground = ground
        self.folder = ground.folder / name
        self.folder.mkdir()
        self.socket = self.folder / "docker.sock"
        self.docker_host = f"unix://{self.socket}"
        self.netns = ground.netns
        self.address = ground.address
        self.data_root = data_root or _room_for_data(self.folder)
        self.log = self.folder / "log"
        self.prefix = ground.prefix
        self.run_in_ns = ground.run_in_ns
        self.new_socket = ground.new_socket
        self._proc: Proc | None = None
        self._holder = self._hold_mounts()
        self._popen: subprocess.Popen[bytes] | None = None
        self._client: docker.DockerClient | None = None
        self.start()

    @property
    def env(self) -> dict[str, str]:
        """The environment for a child process that shall use this engine."""
        return {**os.environ, "DOCKER_HOST": self.docker_host}

    def client(self) -> docker.DockerClient:
        """Return the one client of this engine; its calls wait up to 60 s."""
        if self._client is None:
            self._client = docker.DockerClient(base_url=self.docker_host, timeout=60, version="auto")
        return self._client

    def start(self) -> None:
        """Start the engine and wait until it answers; AssertionError with its last words when it does not."""
        if self._proc and self._proc.lives():
            return
        (self.folder / "pid").unlink(missing_ok=True)
        if not self._containerd():  # dockerd takes a killed one that nobody has reaped yet for a living one
            (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        number = self.ground.number
        words = [
            *("dockerd", "--data-root", str(self.data_root), "--exec-root", str(self.folder / "exec")),
            *("--pidfile", str(self.folder / "pid"), "--host", self.docker_host),
            *("--bip", f"10.78.{number}.1/24", "--default-address-pool", f"base=10.79.{number}.0/24,size=28"),
            *("--insecure-registry", f"{self.address}:5000", "--exec-opt", "native.cgroupdriver=cgroupfs"),
            *("--shutdown-timeout", "2", "--log-level", "warn"),
        ]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [
                    "nsenter",
                    f"--net=/var/run/netns/{self.netns}",
                    f"--mount=/proc/{self._holder.pid}/ns/mnt",
                    *words,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which then ends the engine in order
                env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"},
            )
        popen = self._popen
        self._proc = self._keep(popen)
        wait_until(lambda: popen.poll() is not None or self.answers(), START_WITHIN_S)
        if not self.answers():
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])
            raise AssertionError(f"the lab's engine does not answer; the end of its log:\n{tail}")

    def answers(self) -> bool:
        """Say whether the engine answers a ping."""
        if not self.socket.exists():
            return False
        try:
            with contextlib.closing(docker.DockerClient(base_url=self.docker_host, timeout=5)) as client:
                return bool(client.ping())
        except (DockerException, OSError):
            return False

    def stop(self) -> None:
        """End the engine in order; its containers end with it."""
        self._forget_client()
        if self._proc:
            self._proc.end(within_s=30)
        self._reap()

    def kill(self) -> None:
        """Kill -9 dockerd and its containerd, as a crash would; containers go on without an engine."""
        self._forget_client()
        containerd = self._containerd()
        for proc in (self._proc, containerd):
            if proc:
                proc.signal(signal.SIGKILL)
        wait_until(lambda: not any(p.lives() for p in (self._proc, containerd) if p), 10)
        self._reap()
        self.socket.unlink(missing_ok=True)

    def load(self, archive: Archive) -> str:
        """Load an image archive, return the image's name."""
        self.client().images.load(io.BytesIO(archive.data))
        return archive.name

    def clean(self) -> None:
        """Remove all containers, and the volumes and networks they leave; images stay."""
        if not self.answers():
            self.start()
        client = self.client()
        for container in client.containers.list(all=True, ignore_removed=True):
            with contextlib.suppress(NotFound):
                container.remove(force=True, v=True)
        for volume in client.volumes.list():
            with contextlib.suppress(NotFound):
                volume.remove(force=True)
        for network in client.networks.list():
            if network.name not in ("bridge", "host", "none"):
                with contextlib.suppress(NotFound):
                    network.remove()

    def images(self) -> set[str]:
        """The names of its images, and the ids of those without a name."""
        there = self.client().api.images()
        return {name for i in there for name in i["RepoTags"] or [i["Id"]] if name != "<none>:<none>"}

    def remove_image(self, name: str) -> None:
        """Remove an image by name; nothing happens when it is not there."""
        with contextlib.suppress(NotFound):
            self.client().images.remove(name, force=True)

    def connector(self) -> aiohttp.TCPConnector:
        """Return a connector for aiohttp.ClientSession whose connections start inside the namespace."""
        return aiohttp.TCPConnector(socket_factory=lambda info: self._nonblocking(int(info[0]), int(info[1])))

    def get(self, port: int, path: str = "/", *, within_s: float = 60) -> tuple[int, str]:
        """GET http://127.0.0.1:PORT/PATH inside the namespace: (status, text); OSError when out of time."""
        end = time.monotonic() + within_s
        while True:
            try:
                return self._get_once(port, path)
            except (OSError, http.client.HTTPException):
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def tool(self, words: Sequence[str], **kw: Any) -> subprocess.CompletedProcess[str]:
        """Run a command inside the namespace with DOCKER_HOST naming this engine."""
        return self.run_in_ns(words, **{"env": self.env, **kw})

    def close(self) -> None:
        """End the engine and what it runs, for good; the ground clears the rest."""
        with contextlib.suppress(DockerException, APIError, OSError):
            if self.answers():
                for container in self.client().containers.list(ignore_removed=True):
                    with contextlib.suppress(APIError):
                        container.kill()
        self.stop()
        self._holder.kill()
        self._holder.wait()

    def _hold_mounts(self) -> subprocess.Popen[str]:
        """Hold a mount namespace: it outlives a killed engine, as a machine's does, and goes with the lab."""
        script = "mount --make-rprivate / && echo ready && exec sleep infinity"
        holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._keep(holder)
        assert holder.stdout
        if holder.stdout.readline() != "ready\n":
            raise AssertionError("a mount namespace could not be made: the lab needs CAP_SYS_ADMIN")
        holder.stdout.close()
        return holder

    def _keep(self, popen: subprocess.Popen[Any]) -> Proc | None:
        proc = Proc.of(popen.pid)
        if proc:
            self.ground.keep(proc)
        return proc

    def _get_once(self, port: int, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.sock = self.new_socket()
        try:
            connection.sock.settimeout(5)
            connection.sock.connect(("127.0.0.1", port))
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()

    def _nonblocking(self, family: int, type: int) -> Any:
        made = self.new_socket(family, type)
        made.setblocking(False)
        return made

    def _containerd(self) -> Proc | None:
        try:
            return Proc.of(int((self.folder / "exec/containerd/containerd.pid").read_text()))
        except (OSError, ValueError):
            return None

    def _forget_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _reap(self) -> None:
        if self._popen is not None:
            self._popen.wait(timeout=30)
            self._popen = None
        self._proc = None


def _room_for_data(folder: Path) -> Path:
    """Return a folder whose file system can carry the engine's layers, which overlayfs cannot."""
    data = folder / "data"
    data.mkdir()
    if run("stat", "-f", "-c", "%T", data).strip() == "overlayfs":
        mount_disk(folder / "data.ext4", data, mib=min(20_000, shutil.disk_usage(folder).free // 2**20))
    return data


def mount_disk(file: Path, at: Path, *, mib: int) -> None:
    """Make a sparse file of `mib` MiB, an ext4 on it without reserve, and mount it."""
    with file.open("wb") as sparse:
        sparse.truncate(mib * 2**20)
    run("mkfs.ext4", "-q", "-m", "0", file)
    run("mount", "-o", "loop", file, at)
