"""Tiny real images made from Debian's static busybox, as `docker save` archives.

It takes no registry and no engine. The same arguments give the same bytes, and so the same image id.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.ground import need

_APPLETS = (
    "sh",
    "httpd",
    "wget",
    "ls",
    "cat",
    "sleep",
    "id",
    "echo",
    "kill",
    "ps",
    "touch",
    "mkdir",
    "dd",
    "date",
)
# as process 1, httpd alone would not hear SIGTERM, and every stop would take its whole time
_HTTPD = "trap 'kill $p; exit 0' TERM; /bin/httpd -f -p 8080 -h {folder} & p=$!; wait $p"
_SERVE = ("/bin/sh", "-c", _HTTPD.format(folder="/www"))
# no `wget -T`: Debian's busybox crashes on it
_ASK = ("CMD", "/bin/wget", "-q", "-O-", "http://127.0.0.1:8080/")
_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Archive:
    """An image archive, as `docker save` writes it: the image's name, its id ("sha256:…") and the bytes."""

    name: str
    image_id: str
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the archive itself, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def web(name: str, text: str = "hello", *, user: str = "") -> Archive:
    """Serve `text` on port 8080, healthy after a second; runs under any user, writes nothing."""
    return build(name, _SERVE, files={"www/index.html": text}, port=8080, health=_ASK, user=user)


def exits(name: str, *, code: int = 3, says: str = "cannot start: no database") -> Archive:
    """Say one line on stderr and exit with `code` at once."""
    return build(name, ("/bin/sh", "-c", f"echo '{says}' >&2; exit {code}"))


def unhealthy(name: str, text: str = "hello") -> Archive:
    """Serve `text` on port 8080, and never become healthy."""
    health = ("CMD", "/bin/sh", "-c", "echo 'not ready yet'; exit 1")
    return build(name, _SERVE, files={"www/index.html": text}, port=8080, health=health)


def needs_root(name: str, text: str = "hello") -> Archive:
    """Serve `text` on port 8080 as root with a writable root file system; exit with 77 otherwise."""
    script = (
        'test "$(id -u)" = 0 || { echo "must run as root" >&2; exit 77; }; '
        "echo started >/var/started || { echo 'cannot write /var' >&2; exit 77; }; "
        + _HTTPD.format(folder="/www")
    )
    return build(name, ("/bin/sh", "-c", script), files={"www/index.html": text}, port=8080, health=_ASK)


def keeps(name: str, text: str = "v1") -> Archive:
    """Serve the lines of /data/starts on port 8080: one `text` for each start, kept in the volume /data."""
    script = f"echo '{text}' >>/data/starts; {_HTTPD.format(folder='/data')}"
    health = ("CMD", "/bin/wget", "-q", "-O-", "http://127.0.0.1:8080/starts")
    return build(name, ("/bin/sh", "-c", script), port=8080, health=health, volumes=("/data",))


def build(
    name: str,
    command: Sequence[str],
    *,
    files: dict[str, str] | None = None,
    port: int | None = None,
    health: Sequence[str] | None = None,
    volumes: Sequence[str] = (),
    user: str = "",
    env: Sequence[str] = ("PATH=/bin",),
) -> Archive:
    """Make an image archive. `files`: {"www/index.html": text}. `health`: as Docker's HealthCheck.Test."""
    name = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    layer = _layer(files or {})
    settings: dict[str, object] = {"Cmd": list(command), "Env": list(env), "User": user}
    if port is not None:
        settings["ExposedPorts"] = {f"{port}/tcp": {}}
    if volumes:
        settings["Volumes"] = {volume: {} for volume in volumes}
    if health is not None:
        settings["Healthcheck"] = {
            "Test": list(health),
            "Interval": _SECOND,
            "Timeout": 2 * _SECOND,
            "Retries": 3,
        }
    config = json.dumps(
        {
            "architecture": _architecture(),
            "os": "linux",
            "created": "2026-01-01T00:00:00Z",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "tests/lab/images.py"}],
        }
    ).encode()
    image_id = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{image_id}.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    members = {"manifest.json": json.dumps(manifest).encode(), f"{image_id}.json": config, "layer.tar": layer}
    return Archive(name, f"sha256:{image_id}", _tar(members, {}))


def _layer(files: dict[str, str]) -> bytes:
    need({"busybox": "busybox-static"})
    members = {path: text.encode() for path, text in files.items()}
    links = {f"bin/{applet}": "busybox" for applet in _APPLETS}
    folders = ("bin", "www", "tmp", "data", "var", "etc", *(str(Path(path).parent) for path in files))
    passwd = {"etc/passwd": b"root:x:0:0::/:/bin/sh\n", "bin/busybox": _busybox()}
    return _tar({**passwd, **members}, links, folders=tuple(dict.fromkeys(f for f in folders if f != ".")))


def _busybox() -> bytes:
    for place in ("/bin/busybox", "/usr/bin/busybox"):
        if Path(place).exists():
            return Path(place).read_bytes()
    raise AssertionError("busybox is missing: run '.ci/bring test' or 'apt-get install busybox-static'")


def _tar(members: dict[str, bytes], links: dict[str, str], folders: Sequence[str] = ()) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder in ("tmp", "data") else 0o755
            tar.addfile(entry)
        for path, data in members.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o755 if path.startswith("bin/") else 0o644
            tar.addfile(entry, io.BytesIO(data))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return out.getvalue()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
