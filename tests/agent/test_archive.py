"""Image archives: what is one is understood, the rest is told apart, hostile ones never reach the engine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.archive import ImageArchive, stream, understand
from agent.problems import Failed
from tests.lab import images

LIMIT = 64 * 1024 * 1024
Edit = Callable[[dict[str, bytes]], None]


def tar(
    members: dict[str, bytes], links: dict[str, str] | None = None, kind: bytes = tarfile.SYMTYPE
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    return out.getvalue()


def members_of(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: f.read() for m in archive if (f := archive.extractfile(m)) is not None}


def saved() -> dict[str, bytes]:
    return members_of(images.web("demo:1").data)


def layout(layer: bytes | None = None, config: bytes | None = None) -> dict[str, bytes]:
    """The same image as an OCI layout."""
    parts = saved()
    name = json.loads(parts["manifest.json"])[0]["Config"]
    blobs: dict[str, bytes] = {}

    def put(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data), "mediaType": "x"}

    manifest = {"config": put(config or parts[name]), "layers": [put(layer or parts["layer.tar"])]}
    index = {"manifests": [put(json.dumps(manifest).encode())]}
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **blobs,
    }


def understood(tmp_path: Path, data: bytes, limit: int = LIMIT) -> ImageArchive:
    file = tmp_path / "archive"
    file.write_bytes(data)
    return understand(file, architecture="amd64", limit=limit)


def refused(tmp_path: Path, data: bytes, limit: int = LIMIT) -> Failed:
    with pytest.raises(Failed) as failed:
        understood(tmp_path, data, limit)
    return failed.value


@pytest.mark.parametrize("kind", ["saved", "saved.gz", "layout", "layout with gzip layer"])
def test_every_kind_of_archive_becomes_the_same_fresh_one(tmp_path: Path, kind: str) -> None:
    data = {
        "saved": lambda: tar(saved()),
        "saved.gz": lambda: gzip.compress(tar(saved())),
        "layout": lambda: tar(layout()),
        "layout with gzip layer": lambda: tar(layout(gzip.compress(saved()["layer.tar"]))),
    }[kind]()
    archive = understood(tmp_path, data)
    assert archive.unpacked_bytes == len(saved()["layer.tar"])
    fresh = members_of(b"".join(stream(archive, "hercules.local/imported:x")))
    manifest = json.loads(fresh["manifest.json"])
    assert manifest[0]["RepoTags"] == ["hercules.local/imported:x"]
    assert set(fresh) == {"manifest.json", manifest[0]["Config"], "0/layer.tar"}
    assert fresh[manifest[0]["Config"]] == archive.config


def test_what_the_manifest_does_not_name_is_left_out(tmp_path: Path) -> None:
    archive = understood(tmp_path, tar({**saved(), "repositories": b"{}", "evil/x": b"x"}))
    assert not any("evil" in name for name in members_of(b"".join(stream(archive, "t"))))


def test_layer_that_is_a_link_to_an_equal_one_is_followed(tmp_path: Path) -> None:
    parts = saved()
    manifest = json.loads(parts["manifest.json"])
    manifest[0]["Layers"] = ["layer.tar", "b/layer.tar"]
    parts["manifest.json"] = json.dumps(manifest).encode()
    archive = understood(tmp_path, tar(parts, {"b/layer.tar": "../layer.tar"}))
    assert archive.layers == ("layer.tar", "layer.tar")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no archive"),
        (b"hello, this is text", "no archive"),
        (b"PK\x03\x04" + b"\0" * 2000, "no archive"),
        (b"\x1f\x8b" + b"\0" * 50, "no archive"),
        (tar({"readme.txt": b"x"}), "holds no image"),
        (tar({"etc/passwd": b"x", "etc": b""}), "docker export"),
        (tar({"manifest.json": b"[]"}), "holds 0 images"),
        (tar({"manifest.json": b"{"}), "cannot be read"),
        (tar({"manifest.json": b"[" * 200_000}), "cannot be read"),
        (tar({"manifest.json": b'[{"Config":"gone.json","Layers":[]}]'}), "is missing"),
        (tar({"manifest.json": b" " * 5_000_000}), "larger than"),
        (tar({"oci-layout": b"{}", "index.json": b'{"manifests":[]}'}), "holds no image"),
        (tar({"oci-layout": b"{}", "index.json": b'{"manifests":[{"digest":"md5:x"}]}'}), "digest"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_file_that_is_no_image_is_told_apart(tmp_path: Path, data: bytes, says: str) -> None:
    e = refused(tmp_path, data)
    assert (e.code, says in e.says) == ("not_an_image", True), e.says


def two_images(parts: dict[str, bytes]) -> None:
    parts["manifest.json"] = json.dumps(json.loads(parts["manifest.json"]) * 2).encode()


def traversal(parts: dict[str, bytes]) -> None:
    parts["../../etc/cron.d/x"] = b"x"


def absolute(parts: dict[str, bytes]) -> None:
    parts["/etc/cron.d/x"] = b"x"


def layer_outside(parts: dict[str, bytes]) -> None:
    manifest = json.loads(parts["manifest.json"])
    manifest[0]["Layers"] = ["../../../etc/shadow"]
    parts["manifest.json"] = json.dumps(manifest).encode()


def many_layers(parts: dict[str, bytes]) -> None:
    manifest = json.loads(parts["manifest.json"])
    manifest[0]["Layers"] = ["layer.tar"] * 200
    parts["manifest.json"] = json.dumps(manifest).encode()


def zstd_layer(parts: dict[str, bytes]) -> None:
    parts["layer.tar"] = b"\x28\xb5\x2f\xfd" + b"x" * 100


@pytest.mark.parametrize("edit", [two_images, traversal, absolute, layer_outside, many_layers, zstd_layer])
def test_hostile_archive_is_refused_by_its_structure(tmp_path: Path, edit: Edit) -> None:
    parts = saved()
    edit(parts)
    assert refused(tmp_path, tar(parts)).code == "not_an_image"


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_device_in_an_archive_is_refused(tmp_path: Path, kind: bytes) -> None:
    assert refused(tmp_path, tar(saved(), {"dev": ""}, kind)).code == "not_an_image"


def test_link_out_of_the_archive_leads_nowhere(tmp_path: Path) -> None:
    parts = saved()
    del parts["layer.tar"]
    assert refused(tmp_path, tar(parts, {"layer.tar": "/etc/shadow"})).code == "not_an_image"
    assert refused(tmp_path, tar(parts, {"layer.tar": "layer.tar"})).code == "not_an_image"


def test_image_of_another_processor_is_told(tmp_path: Path) -> None:
    config = json.dumps({"architecture": "riscv64", "os": "linux"}).encode()
    e = refused(tmp_path, tar(layout(config=config)))
    assert (e.code, "riscv64" in e.says) == ("wrong_platform", True)


def test_damaged_part_of_a_layout_is_found(tmp_path: Path) -> None:
    parts = layout()
    for name in [n for n in parts if n.startswith("blobs/")]:
        broken = dict(parts, **{name: parts[name][:-1] + bytes([parts[name][-1] ^ 1])})
        assert refused(tmp_path, tar(broken)).code == "not_an_image", name


def test_bombs_are_counted_before_anything_is_stored(tmp_path: Path) -> None:
    zeros = b"\0" * (8 * 1024 * 1024)
    parts = saved()
    parts["layer.tar"] = zeros
    assert refused(tmp_path, gzip.compress(tar(parts)), limit=4 * 1024 * 1024).code == "disk_full"
    packed = gzip.compress(zeros)
    assert len(packed) < 100_000
    assert refused(tmp_path, tar(layout(packed)), limit=4 * 1024 * 1024).code == "disk_full"
    twice = gzip.compress(zeros[: 3 * 1024 * 1024]) * 2  # a second gzip member behind the first
    assert refused(tmp_path, tar(layout(twice)), limit=4 * 1024 * 1024).code == "disk_full"
    lies = bytearray(tar({"x": b"1"}))
    lies[124:136] = b"77777777777\0"  # an entry that says it has 8 GiB
    assert refused(tmp_path, bytes(lies)).code in ("disk_full", "not_an_image")


@pytest.mark.parametrize("step", [97])
def test_archive_cut_short_or_damaged_anywhere_never_breaks_the_reader(tmp_path: Path, step: int) -> None:
    data = tar({k: v for k, v in layout(b"x" * 700).items()})
    for at in range(0, len(data), step):
        for broken in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
            try:
                understood(tmp_path, broken)
            except Failed as e:
                assert e.code in ("not_an_image", "wrong_platform", "disk_full")
