"""The way to the Docker Engine: clients with deadlines, and the engine's errors as problems of ours.

Rule 1: every call stands in `calling`, which turns "no answer" into EngineGone and the engine's own words
into a problem with a stable code. Rule 2: docker-py blocks, so that whoever calls has a thread of a pool.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, NotFound

from agent.problems import EngineDown, EngineGone, Failed

PING_S = 3  # a ping that takes longer counts as no answer
CALL_S = 30  # calls that answer at once
STREAM_S = 300  # the longest silence of a pull or load; unpacking one big layer says nothing meanwhile

_PHRASES: tuple[tuple[str, str], ...] = (
    (r"no space left on device|disk quota exceeded", "disk_full"),
    (r"port is already allocated|address already in use|failed to bind", "port_taken"),
    (r"is already in use by container", "name_taken"),
    (r"is being used by|is using its referenced image|volume is in use|has active endpoints", "in_use"),
    (
        r"no such host|connection refused|i/o timeout|network is unreachable|no route to host|tls|x509"
        r"|client\.timeout|context deadline exceeded|server misbehaving|eof|http response to https"
        r"|temporary failure in name resolution|connection reset",
        "registry_unreachable",
    ),
    (
        r"manifest unknown|manifest for .* not found|not found: manifest|name unknown|: not found",
        "image_not_found",
    ),
    (r"denied|unauthorized|authentication required|no basic auth", "registry_denied"),
    (r"no matching manifest for|does not match the specified platform", "wrong_platform"),
)

_SAYS = {
    "disk_full": "The disk of this machine is full.",
    "port_taken": "The port is already used on this machine.",
    "name_taken": "A container of that name exists already.",
    "in_use": "Something on this machine still uses it.",
    "registry_unreachable": "The registry cannot be reached from this machine.",
    "image_not_found": "The registry does not have that image.",
    "registry_denied": "The registry does not hand out that image: it may not exist, or needs a sign-in.",
    "wrong_platform": "The image is not made for this machine's processor.",
}


def problem_in(words: str) -> Failed | None:
    """The problem that the engine's words tell of, if one of ours."""
    low = words.lower()
    for pattern, code in _PHRASES:
        if re.search(pattern, low):
            return Failed(code, _SAYS[code], evidence=(words.strip()[:500],))
    return None


class Absent(Failed):
    """The engine has nothing of that name or id."""

    def __init__(self, words: str) -> None:
        super().__init__("no_such_target", "It is not on this machine any more.", evidence=(words[:500],))


class DockerEngine:
    """The engine behind one Unix socket. May be used from any thread."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._clients: dict[int, docker.APIClient] = {}
        self._lock = threading.Lock()
        self._lasting: dict[str, Any] | None = None

    def api(self, timeout_s: int = CALL_S) -> Any:  # its stubs leave half of the SDK untyped
        """The client whose calls wait up to `timeout_s`. Raises EngineGone when there is no answer."""
        with self._lock:
            if found := self._clients.get(timeout_s):
                return found
        with self.calling():
            # the first call asks the engine for its API version: an engine that hangs must not hang us
            made = docker.APIClient(base_url=self.base_url, timeout=PING_S, version="auto", max_pool_size=16)
        made.timeout = timeout_s
        with self._lock:
            used = self._clients.setdefault(timeout_s, made)
        if used is not made:
            made.close()
        return used

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def require(self) -> None:
        """Raises EngineDown within a few seconds unless the engine answers."""
        try:
            with self.calling():
                self.api(PING_S).ping()
        except Failed as e:
            self._lasting = None
            raise EngineDown() from e

    def answers(self) -> bool:
        """Whether the engine answers."""
        try:
            self.require()
        except EngineDown:
            return False
        return True

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Turns what docker-py raises into EngineGone, Absent and Failed."""
        try:
            yield
        except NotFound as e:
            raise Absent(str(e.explanation or e)) from e
        except APIError as e:
            words = str(e.explanation or e)
            raise problem_in(words) or Failed(
                "internal", "The Docker Engine refused a request.", evidence=(words[:500],)
            ) from e
        except (requests.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError) as e:
            raise EngineGone() from e

    # -- reading

    def info(self) -> dict[str, Any]:
        """What the engine says of itself."""
        with self.calling():
            return dict(self.api().info())

    def architecture(self) -> str:
        """The machine's processor in the words of images: amd64, arm64 …"""
        return str(self._what_lasts()["Arch"] or "")

    def data_root(self) -> Path:
        """Where the engine keeps images and volumes on this machine."""
        return Path(str(self._what_lasts()["DockerRootDir"] or "/var/lib/docker"))

    def _what_lasts(self) -> dict[str, Any]:
        """What cannot change while the engine runs, asked once: both calls cost it about 8 ms."""
        if (lasting := self._lasting) is None:
            info = self.info()
            with self.calling():
                lasting = {**info, "Arch": self.api().version().get("Arch")}
            self._lasting = lasting = {name: lasting.get(name) for name in ("Arch", "DockerRootDir")}
        return lasting

    def free_bytes(self) -> int:
        """Free space below the engine's data root."""
        root = self.data_root()
        while not root.exists() and root != root.parent:
            root = root.parent
        return shutil.disk_usage(root).free

    def container(self, name_or_id: str) -> dict[str, Any] | None:
        """A container as the engine describes it, None when there is none."""
        try:
            with self.calling():
                return dict(self.api().inspect_container(name_or_id))
        except Absent:
            return None

    def image(self, name_or_id: str) -> dict[str, Any] | None:
        """An image as the engine describes it, None when there is none."""
        try:
            with self.calling():
                return dict(self.api().inspect_image(name_or_id))
        except Absent:
            return None

    def labelled(self, **labels: str) -> list[dict[str, Any]]:
        """Containers, running or not, that carry all these `hercules.` labels."""
        wanted = [f"hercules.{key}={value}" for key, value in labels.items()]
        with self.calling():
            return list(self.api().containers(all=True, filters={"label": wanted}))

    def owned(self, **labels: str) -> tuple[list[str], list[str]]:
        """Names of the networks and volumes that carry all these `hercules.` labels."""
        wanted = [f"hercules.{key}={value}" for key, value in labels.items()]
        with self.calling():
            networks = self.api().networks(filters={"label": wanted})
            volumes = self.api().volumes(filters={"label": wanted})["Volumes"] or []
        return [str(n["Name"]) for n in networks], [str(v["Name"]) for v in volumes]

    def remaps_users(self) -> bool:
        """Whether users inside containers are other users outside."""
        return any("name=userns" in str(option) for option in self.info().get("SecurityOptions") or [])

    def own_volume(self, name: str, user: tuple[int, int]) -> None:
        """Give a new, empty local volume to a user."""
        with self.calling():
            at = Path(str(self.api().inspect_volume(name)["Mountpoint"]))
        if at.is_dir() and not any(at.iterdir()):
            os.chown(at, *user)

    def tail(self, container: str, lines: int) -> list[str]:
        """The last lines of a container's log, oldest first; none when the container is gone."""
        try:
            with self.calling():
                raw = self.api().logs(container, stdout=True, stderr=True, tail=lines)
        except Absent:
            return []
        return bytes(raw).decode(errors="replace").splitlines()

    # -- changing, each of them harmless when it was done before

    def start(self, container: str) -> None:
        """Start a container."""
        with self.calling():
            self.api().start(container)

    def stop(self, container: str, within_s: int) -> None:
        """Stop a container: SIGTERM, and SIGKILL after `within_s`. Nothing happens when there is none."""
        try:
            with self.calling():
                self.api(within_s + CALL_S).stop(container, timeout=within_s)
        except Absent:
            return

    def remove(self, container: str, *, force: bool = True) -> None:
        """Remove a container; volumes stay, whoever made them. Nothing happens when there is none."""
        try:
            with self.calling():
                self.api().remove_container(container, v=False, force=force)
        except Absent:
            return
