"""Image archives: understood first, then handed to the engine in a form of our own making.

Rule 1: nothing of an archive is unpacked here, and no file name of it reaches the host.
Rule 2: an image is what `manifest.json` (docker save) or `index.json` (OCI layout) says; everything else in
the archive is left out. Rule 3: the engine gets a fresh tar: the config, the layers by number, a manifest
with a tag of ours. So a foreign tag cannot replace one of this machine's, and every engine takes both kinds.
Rule 4: sizes are counted before anything is stored, those of packed layers too.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from agent.problems import Failed

DOCUMENT_BYTES = 4 * 1024**2  # a manifest, index or config; real ones have a few kB
MEMBERS = 20_000  # entries of the archive
LAYERS = 127  # the engine's own limit
_BLOCK = 1024 * 1024
_READABLE = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError, RecursionError)


class ImageArchive(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds: one image."""

    file: Path
    config: bytes
    layers: tuple[str, ...]  # member names, lowest first
    architecture: str
    os: str
    unpacked_bytes: int  # of all layers


class _Layer(msgspec.Struct, frozen=True, kw_only=True):
    mediaType: str = ""  # name given by OCI
    digest: str
    size: int = 0
    platform: dict[str, Any] = {}


class _Saved(msgspec.Struct, frozen=True, kw_only=True):
    Config: str
    Layers: list[str] | None = None


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    manifests: list[_Layer]


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    config: _Layer | None = None
    layers: list[_Layer] = []
    manifests: list[_Layer] = []


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    architecture: str = ""
    os: str = ""


def understand(file: Path, *, architecture: str, limit: int) -> ImageArchive:
    """Read an archive's structure; `limit` bounds what its layers may unpack to.

    Raises Failed: not_an_image, wrong_platform, or disk_full when it is larger than `limit`.
    """
    try:
        with tarfile.open(file, "r:*") as tar:
            members = _members(tar, limit)
            if "manifest.json" in members:
                found = _saved(tar, members)
            elif "index.json" in members and "oci-layout" in members:
                found = _layout(tar, members, architecture)
            elif any(name in members for name in ("bin", "etc", "usr")):
                raise _no_image("It holds the files of a container (`docker export`), not an image.")
            else:
                raise _no_image("It is an archive, but holds no image.")
            config, layers = found
            seen = _decode(config, _Config, "the image's configuration")
            if (seen.os, seen.architecture) != ("linux", architecture):
                raise Failed(
                    "wrong_platform",
                    f"The image is made for {seen.os or '?'}/{seen.architecture or '?'}, "
                    f"this machine is linux/{architecture}.",
                )
            if len(layers) > LAYERS:
                raise _no_image("It has more layers than an image can have.")
            total = sum(_unpacked(tar, members[name], limit) for name in set(layers))
    except _READABLE as e:
        raise _no_image("It is no archive that can be read.") from e
    if total > limit:
        raise _too_large()
    return ImageArchive(
        file=file,
        config=config,
        layers=tuple(layers),
        architecture=seen.architecture,
        os=seen.os,
        unpacked_bytes=total,
    )


def stream(archive: ImageArchive, tag: str) -> Iterator[bytes]:
    """The bytes of a `docker load` archive of the image, under the tag `tag`."""
    config_name = hashlib.sha256(archive.config).hexdigest() + ".json"
    numbers: dict[str, int] = {}
    for name in archive.layers:
        numbers.setdefault(name, len(numbers))
    manifest = [
        {
            "Config": config_name,
            "RepoTags": [tag],
            "Layers": [f"{numbers[n]}/layer.tar" for n in archive.layers],
        }
    ]
    for name, document in ((config_name, archive.config), ("manifest.json", msgspec.json.encode(manifest))):
        yield from _member(name, len(document), io.BytesIO(document))
    with tarfile.open(archive.file, "r:*") as tar:
        members = {_name(m): m for m in tar}
        # in the archive's order, so that a packed one is unpacked once
        for name in sorted(numbers, key=lambda n: members[n].offset):
            with _open(tar, members[name]) as layer:
                yield from _member(f"{numbers[name]}/layer.tar", members[name].size, layer)
    yield b"\0" * 1024


def _member(name: str, size: int, content: IO[bytes]) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    yield info.tobuf(tarfile.PAX_FORMAT)
    while block := content.read(_BLOCK):
        yield block
    if size % 512:
        yield b"\0" * (512 - size % 512)


def _members(tar: tarfile.TarFile, limit: int) -> dict[str, tarfile.TarInfo]:
    """The archive's entries by name. Refuses names that lead out of it, devices, sizes beyond `limit`."""
    members: dict[str, tarfile.TarInfo] = {}
    total = 0
    while (member := tar.next()) is not None:
        name = _name(member)
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise _no_image("Its entries point outside of the archive.")
        if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
            raise _no_image("It holds entries that no image has.")
        total += member.size
        if total > limit + 10 * DOCUMENT_BYTES:
            raise _too_large()
        members[name] = member
        if len(members) > MEMBERS:
            raise _no_image("It has more entries than an image has.")
    return members


def _name(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./")


def _saved(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> tuple[bytes, list[str]]:
    images = _decode(_document(tar, members, "manifest.json"), list[_Saved], "manifest.json")
    if len(images) != 1:
        raise _no_image(f"It holds {len(images)} images; save exactly one.")
    config = _document(tar, members, images[0].Config)
    return config, [_resolved(members, name) for name in images[0].Layers or []]


def _layout(
    tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], architecture: str
) -> tuple[bytes, list[str]]:
    choices = _decode(_document(tar, members, "index.json"), _Index, "index.json").manifests
    for _ in range(3):  # an index may name an index
        fitting = [c for c in choices if c.platform.get("architecture") in (None, architecture)]
        fitting = [c for c in fitting if c.platform.get("os") in (None, "linux")] or choices
        if not fitting:
            raise _no_image("It holds no image.")
        if len(fitting) > 1:
            raise _no_image(f"It holds {len(fitting)} images; save exactly one.")
        manifest = _decode(_blob(tar, members, fitting[0].digest), _Manifest, "the image's manifest")
        if manifest.config is not None:
            layers = [_blob_name(members, layer.digest) for layer in manifest.layers]
            for name, layer in zip(layers, manifest.layers, strict=True):
                with _open(tar, members[name]) as content:
                    if _digest(content) != layer.digest:
                        raise _no_image("One of its layers is damaged: its SHA-256 is another one.")
            return _blob(tar, members, manifest.config.digest), layers
        choices = manifest.manifests
    raise _no_image("Its index leads to no image.")


def _blob_name(members: dict[str, tarfile.TarInfo], digest: str) -> str:
    kind, _, value = digest.partition(":")
    if kind != "sha256" or len(value) != 64 or not all(c in "0123456789abcdef" for c in value):
        raise _no_image("It names a part by something else than a SHA-256 digest.")
    return _resolved(members, f"blobs/sha256/{value}")


def _blob(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], digest: str) -> bytes:
    content = _document(tar, members, _blob_name(members, digest))
    if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
        raise _no_image("One of its parts is damaged: its SHA-256 is another one.")
    return content


def _digest(content: IO[bytes]) -> str:
    h = hashlib.sha256()
    while block := content.read(_BLOCK):
        h.update(block)
    return "sha256:" + h.hexdigest()


def _resolved(members: dict[str, tarfile.TarInfo], name: str) -> str:
    """The entry a name stands for; `docker save` of old writes equal layers as links to the first."""
    for _ in range(4):
        member = members.get(name.removeprefix("./"))
        if member is None:
            raise _no_image(f"Its part {name[:80]!r} is missing.")
        if member.isfile():
            return _name(member)
        if member.issym():
            name = posixpath.normpath(posixpath.join(posixpath.dirname(_name(member)), member.linkname))
        elif member.islnk():
            name = member.linkname
        else:
            break
    raise _no_image(f"Its part {name[:80]!r} is no file.")


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise _no_image("One of its parts is no file.")
    return content


def _document(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> bytes:
    member = members[_resolved(members, name)]
    if member.size > DOCUMENT_BYTES:
        raise _no_image(f"Its {name[:80]!r} is larger than any image's.")
    with _open(tar, member) as content:
        return content.read(DOCUMENT_BYTES)


def _unpacked(tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> int:
    """What a layer unpacks to: its size, or counted when it is packed with gzip."""
    with _open(tar, member) as content:
        start = content.read(6)
        if start[:4] == b"\x28\xb5\x2f\xfd" or start[:3] == b"BZh" or start == b"\xfd7zXZ\0":
            raise _no_image("Its layers are packed in a way that this agent cannot check; use gzip or none.")
        if start[:2] != b"\x1f\x8b":
            return member.size
        content.seek(0)
        total = 0
        unpack = zlib.decompressobj(wbits=31)
        while block := content.read(_BLOCK):
            while block:
                total += len(unpack.decompress(block, _BLOCK))
                if total > limit:
                    raise _too_large()
                block = unpack.unconsumed_tail
                if unpack.eof:
                    block = unpack.unused_data
                    if not block.startswith(b"\x1f\x8b"):  # padding, not one more gzip member
                        break
                    unpack = zlib.decompressobj(wbits=31)
        return total


def _decode(raw: bytes, kind: Any, what: str) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as e:
        raise _no_image(f"In it, {what} cannot be read.") from e


def _no_image(why: str) -> Failed:
    return Failed("not_an_image", f"The file is no image archive. {why}")


def _too_large() -> Failed:
    return Failed("disk_full", "The image unpacks to more than this machine has space for.")
