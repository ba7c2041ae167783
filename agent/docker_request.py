"""From a revision to the engine's request: built here field by field, never passed through or filtered.

Rule 1: Docker JSON never comes from outside. Rule 2: what a HostConfig may contain is `HOST_FIELDS`; a
test holds it against every argument that the docker SDK knows. Rule 3: `check` refuses what the node file
or the floor forbids before anything is done. The values are the table "Docker" of docs/orders.md.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from docker.types import LogConfig, Mount, Ulimit

from agent.nodefile import FLOOR_CAPS, NodeFile
from agent.orders.reference import BadReference, parse, parse_repository
from agent.orders.spec import ImagePin, Profile, Published, Revision, VolumeMount
from agent.problems import Refused

HOST_FIELDS = frozenset(
    {
        "cap_add", "cap_drop", "security_opt", "network_mode", "mounts", "tmpfs", "read_only", "mem_limit",
        "memswap_limit", "nano_cpus", "pids_limit", "ulimits", "oom_score_adj", "port_bindings", "log_config",
        "restart_policy", "init", "ipc_mode", "cgroupns",
    }
)  # fmt: skip
"""Every HostConfig argument that a request of ours contains."""

_STANDARD = ("CHOWN", "SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE")
_LEGACY = (*_STANDARD, "FSETID", "SETFCAP", "SETPCAP", "SYS_CHROOT")
CAPS: dict[Profile, tuple[str, ...]] = {"strict": (), "standard": _STANDARD, "legacy": _LEGACY}
"""Capabilities added back after dropping all. Legacy: Docker's own set less NET_RAW, MKNOD, AUDIT_WRITE."""

FORBIDDEN_ENV = frozenset({"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DOCKER_HOST"})
_SYSTEM_TREES = ("/proc", "/sys", "/dev", "/run", "/var/run")  # nothing may stand in these
_SYSTEM_PATHS = frozenset(
    {"/", "/etc", "/usr", "/usr/bin", "/usr/lib", "/bin", "/sbin", "/lib", "/lib64", "/var"}
)
_NUMERIC_USER = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?", re.ASCII)
SECRETS_TARGET = "/run/secrets"


class ImageSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent saw of an image on this node."""

    id: str
    user: str = ""
    volumes: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a part of a deployment is called on this node."""

    installation: str
    short: str
    deployment: str
    name: str
    part: str

    @property
    def container(self) -> str:
        """The container's name once it is the committed one."""
        return f"hercules-{self.short}-{self.name}-{self.part}"

    def revision(self, number: int) -> str:
        """The container's name while an older one still has the plain name."""
        return f"{self.container}-r{number}"

    @property
    def network(self) -> str:
        """The deployment's own bridge network."""
        return f"hercules-{self.short}-{self.name}"

    def volume(self, volume: str) -> str:
        """A volume of the deployment. Its id is in it, so that kept data is never met by a namesake."""
        return f"hercules-{self.short}-{self.name}-{volume}-{self.deployment.removeprefix('d-')[:6]}"

    def labels(self, **more: str) -> dict[str, str]:
        """The labels by which everything of this deployment is found again."""
        own = {"installation": self.installation, "deployment": self.deployment, "name": self.name}
        return {f"hercules.{key}": value for key, value in {**own, **more}.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A container to be created: arguments of the SDK's create call and of its HostConfig."""

    create: dict[str, Any]
    host: dict[str, Any]


def check(revision: Revision, node: NodeFile) -> None:
    """Raises Refused when the revision is malformed beyond its types, or more than this node permits."""
    check_pin(revision.image, node)
    if revision.profile not in node.profiles:
        raise Refused("node_file", f"This machine does not allow the profile {revision.profile}.")
    if revision.memory_mib > node.memory_max_mib:
        raise Refused(
            "node_file", f"This machine gives a container at most {node.memory_max_mib} MiB of memory."
        )
    _check_settings(revision)
    _check_ports(revision.ports, node)
    _check_volumes(revision.volumes)


def check_pin(pin: ImagePin, node: NodeFile) -> None:
    """Raises Refused unless the pin names exactly one image, of a registry that this node permits."""
    if (pin.digest is None) == (pin.blob is None):
        raise Refused("form", "An image is named by its digest or by its file, by exactly one of them.")
    if pin.blob is not None:
        if pin.repository is not None or pin.blob_bytes is None:
            raise Refused("form", "An image from a file has a size and no repository.")
        return
    if pin.repository is None or pin.blob_bytes is not None:
        raise Refused("form", "An image from a registry has a repository and no file size.")
    try:
        registry = parse_repository(pin.repository).registry
    except BadReference as e:
        raise Refused("form", f"The image's repository is not one: {e}") from e
    check_registry(registry, node)


def check_reference(reference: str, node: NodeFile) -> None:
    """Raises Refused unless the text names an image of a registry that this node permits."""
    try:
        registry = parse(reference).registry
    except BadReference as e:
        raise Refused("form", str(e)) from e
    check_registry(registry, node)


def check_registry(registry: str, node: NodeFile) -> None:
    """Raises Refused unless images may come from this registry."""
    if registry not in node.registries:
        raise Refused("node_file", f"This machine takes no images from {registry}.")


def _check_settings(revision: Revision) -> None:
    names = [s.name for s in revision.settings]
    if len(set(names)) != len(names):
        raise Refused("form", "Two settings have the same name.")
    for setting in revision.settings:
        if (setting.value is None) == (setting.sealed is None):
            raise Refused(
                "form", f"The setting {setting.name} must have a value or a secret, and only one of them."
            )
        if setting.name in FORBIDDEN_ENV:
            raise Refused(
                "form", f"The setting {setting.name} changes how programs are loaded and is never taken."
            )
        if setting.sealed is not None and setting.name in {".", ".."}:
            raise Refused("form", "A secret cannot have that name.")
        if any(c in (setting.value or "") for c in "\0\n\r"):
            raise Refused("form", f"The value of {setting.name} must be a single line.")
    if revision.user is not None and int(revision.user.partition(":")[0]) > 2**31 - 1:
        raise Refused("form", "The user's number is too large.")


def _check_ports(ports: tuple[Published, ...], node: NodeFile) -> None:
    opened = [(p.node_port, p.protocol) for p in ports]
    if len(set(opened)) != len(opened):
        raise Refused("form", "The same port of the machine is opened twice.")
    for port in ports:
        if port.node_port < node.lowest_port:
            raise Refused(
                "node_file", f"This machine opens ports from {node.lowest_port} on, not {port.node_port}."
            )
        if port.exposure == "lan" and not node.lan_addresses:
            raise Refused(
                "node_file", "This machine opens ports only to itself: its node.toml names no lan_addresses."
            )


def _check_volumes(volumes: tuple[VolumeMount, ...]) -> None:
    for volume in volumes:
        if not target_is_allowed(volume.target):
            raise Refused("form", f"A volume cannot be mounted at {volume.target!r}.")
    for what in ([v.target for v in volumes], [v.volume for v in volumes]):
        if len(set(what)) != len(what):
            raise Refused("form", "Two volumes have the same name or the same place.")


def target_is_allowed(target: str) -> bool:
    """Whether a volume may stand at this path of a container."""
    if not target.startswith("/") or posixpath.normpath(target) != target or target.startswith("//"):
        return False
    if any(ord(c) < 32 or ord(c) == 127 or c in ",:\\" for c in target):
        return False
    return target not in _SYSTEM_PATHS and not any((target + "/").startswith(p + "/") for p in _SYSTEM_TREES)


def addresses(port: Published, node: NodeFile) -> tuple[str, ...]:
    """The addresses of the machine that an exposure stands for."""
    return ("127.0.0.1",) if port.exposure == "local" else ("127.0.0.1", *node.lan_addresses)


def numeric(user: str) -> tuple[int, int] | None:
    """uid and gid of a user given in numbers; a missing gid is the uid's own, an empty user is root."""
    if user == "":
        return 0, 0
    found = _NUMERIC_USER.fullmatch(user)
    return (int(found[1]), int(found[2] or found[1])) if found else None


def user_for(revision: Revision, image: ImageSeen) -> str | None:
    """The user to run as, None = the image's own. Raises Refused under strict without a non-root uid:gid."""
    if revision.profile != "strict":
        return revision.user
    user = revision.user or image.user
    found = numeric(user)
    if found is None or found[0] == 0 or ":" not in user:
        raise Refused(
            "form",
            "The profile strict needs a numeric user that is not root, as in 1000:1000; the image runs as "
            f"{image.user or 'root'!r}.",
            "Choose the profile standard, or give a user.",
        )
    return user


def volumes_for(revision: Revision, image: ImageSeen) -> tuple[VolumeMount, ...]:
    """The volumes to mount: those asked for, and one for each place that the image declares.

    Else the engine would make nameless ones, which the next revision would start without.
    """
    taken = {v.target for v in revision.volumes}
    own = {v.volume for v in revision.volumes}
    more = []
    for target in sorted(image.volumes):
        name = ("image-" + re.sub(r"[^a-z0-9]+", "-", target.lower()).strip("-"))[:40].rstrip("-")
        if target not in taken and target_is_allowed(target) and name not in own:
            own.add(name)
            more.append(VolumeMount(volume=name, target=target))
    return (*revision.volumes, *more)


def build(
    *,
    names: Names,
    revision: Revision,
    image: ImageSeen,
    node: NodeFile,
    order: str,
    container_name: str,
    env: dict[str, str],
    secrets: Path | None,
) -> Request:
    """The request for one part. `check` has passed; `secrets` is the folder that holds its secret files."""
    strict = revision.profile == "strict"
    caps = sorted({*CAPS[revision.profile], *(() if strict else node.capabilities)} - FLOOR_CAPS)
    mounts = [
        Mount(target=v.target, source=names.volume(v.volume), type="volume", read_only=v.read_only)
        for v in volumes_for(revision, image)
    ]
    if secrets is not None:
        # `mounts`, not `binds`: a missing source then fails instead of becoming an empty directory
        mounts.append(Mount(target=SECRETS_TARGET, source=str(secrets), type="bind", read_only=True))
    memory = revision.memory_mib * 1024 * 1024
    host: dict[str, Any] = {
        "cap_drop": ["ALL"],
        "cap_add": caps,
        "security_opt": ["no-new-privileges:true"],
        "network_mode": names.network,
        "mounts": mounts,
        "tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={node.tmpfs_mib}m"} if strict else {},  # noqa: S108
        "read_only": strict,
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(node.cpus * 1_000_000_000),
        "pids_limit": node.pids,
        "ulimits": [Ulimit(name="nofile", soft=node.nofile_soft, hard=node.nofile_hard)],
        "oom_score_adj": 100,
        "port_bindings": _bindings(revision.ports, node),
        "log_config": LogConfig(type="local", config={"max-size": "10m", "max-file": "3"}),
        "restart_policy": {"Name": "no"},  # the saga's commit turns it into RESTART
        "init": True,
        "ipc_mode": "private",
        "cgroupns": "private",
    }
    create: dict[str, Any] = {
        "image": image.id,
        "name": container_name,
        "environment": env,
        "ports": sorted({(p.container_port, p.protocol) for p in revision.ports}),
        "labels": names.labels(part=revision.part, revision=str(revision.number), order=order),
        "user": user_for(revision, image),
    }
    return Request(create=create, host=host)


RESTART = {"Name": "unless-stopped"}
"""The restart policy of a committed part. Until then "no": a failing first start is judged, not repeated."""


def _bindings(ports: tuple[Published, ...], node: NodeFile) -> dict[str, list[tuple[str, int]]]:
    made: dict[str, list[tuple[str, int]]] = {}
    for port in ports:
        made.setdefault(f"{port.container_port}/{port.protocol}", []).extend(
            (address, port.node_port) for address in addresses(port, node)
        )
    return made
