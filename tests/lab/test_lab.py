"""The lab itself: what the other tests stand on."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest
from docker.models.containers import Container

from tests.lab import guard, images
from tests.lab.browser import chromium, chromium_sync
from tests.lab.engine import LabEngine
from tests.lab.fixtures import MakeDisk, MakeEngine, MakeImage
from tests.lab.ground import FOLDERS, need
from tests.lab.processes import run, wait_until
from tests.lab.registry import LabRegistry


def start(engine: LabEngine, image: str, port: int | None = None, **kw: Any) -> Container:
    ports = {"8080/tcp": port} if port else {}
    return engine.client().containers.run(image, detach=True, ports=ports, **kw)


def health(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"].get("Health", {}).get("Status", "none"))


def test_web_image_becomes_healthy_and_answers_on_the_labs_loopback_and_address(
    engine: LabEngine, make_image: MakeImage
) -> None:
    container = start(engine, make_image("hello:1", "good morning").name, 8081)
    assert wait_until(lambda: health(container) == "healthy", 60)
    assert engine.get(8081) == (200, "good morning")
    assert (
        "good morning" in engine.run_in_ns(["busybox", "wget", "-q", "-O-", "http://127.0.0.1:8081/"]).stdout
    )
    assert run("busybox", "wget", "-q", "-O-", f"http://{engine.address}:8081/") == "good morning"


def test_web_image_runs_with_everything_taken_away(engine: LabEngine, make_image: MakeImage) -> None:
    image = make_image("tight:1").name
    container = start(engine, image, 8082, user="1000:1000", read_only=True, cap_drop=["ALL"])
    assert wait_until(lambda: health(container) == "healthy", 60)


async def test_aiohttp_session_with_the_labs_connector_speaks_inside_the_namespace(
    engine: LabEngine, make_image: MakeImage
) -> None:
    start(engine, make_image("hello:2", "inside").name, 8083)
    engine.get(8083)
    async with (
        aiohttp.ClientSession(connector=engine.connector()) as session,
        session.get("http://127.0.0.1:8083/") as response,
    ):
        assert await response.text() == "inside"


@pytest.mark.parametrize(("kind", "code"), [("exits", 3), ("needs_root", 77)])
def test_image_that_cannot_start_exits_with_its_code(
    engine: LabEngine, make_image: MakeImage, kind: str, code: int
) -> None:
    container = start(engine, make_image(f"{kind.replace('_', '-')}:1", kind=kind).name, user="1000:1000")
    assert container.wait(timeout=60)["StatusCode"] == code


def test_image_that_needs_root_runs_as_root(engine: LabEngine, make_image: MakeImage) -> None:
    container = start(engine, make_image("root:1", kind="needs_root").name)
    assert wait_until(lambda: health(container) == "healthy", 60)


def test_unhealthy_image_stays_up_and_turns_unhealthy(engine: LabEngine, make_image: MakeImage) -> None:
    container = start(engine, make_image("sick:1", kind="unhealthy").name)
    assert wait_until(lambda: health(container) == "unhealthy", 60)
    assert container.status == "running"


def test_image_that_keeps_data_counts_its_starts_in_its_volume(
    engine: LabEngine, make_image: MakeImage
) -> None:
    container = start(engine, make_image("keeps:1", kind="keeps").name, 8084)
    engine.get(8084, "/starts")
    container.restart(timeout=0)
    assert wait_until(lambda: engine.get(8084, "/starts")[1] == "v1\nv1\n", 60)


def test_same_image_twice_has_the_same_bytes_and_its_id_is_the_engines(engine: LabEngine) -> None:
    archive = images.web("same:1", "text")
    assert archive.data == images.web("same:1", "text").data
    engine.load(archive)
    assert engine.client().images.get("same:1").id == archive.image_id
    engine.remove_image("same:1")


def test_saved_archive_is_what_an_engine_loads(
    engine: LabEngine, save_archive: Callable[[images.Archive], Path]
) -> None:
    archive = images.web("saved:1", "loaded from a file")
    (loaded,) = engine.client().images.load(io.BytesIO(save_archive(archive).read_bytes()))
    assert (loaded.id, loaded.tags) == (archive.image_id, ["saved:1"])


def test_images_that_a_test_left_are_gone_for_the_next(engine: LabEngine) -> None:
    assert "saved:1" not in engine.images()


def test_what_one_test_leaves_is_gone_for_the_next(engine: LabEngine, make_image: MakeImage) -> None:
    engine.client().volumes.create("left-behind")
    start(engine, make_image("left:1").name, name="left-behind")
    engine.clean()
    assert engine.client().containers.list(all=True) == []
    assert engine.client().volumes.list() == []


def test_registry_serves_by_digest_what_was_published(engine: LabEngine, registry: LabRegistry) -> None:
    reference, digest = registry.publish(images.web("app:1", "from the registry"), "app:1")
    client = engine.client()
    assert [i for i in client.images.list() if reference in i.tags] == []
    image = client.images.pull(f"{registry.address}/app@{digest}")
    start(engine, str(image.id), 8085)
    assert engine.get(8085) == (200, "from the registry")
    assert run("busybox", "wget", "-q", "-O-", f"{registry.url}/v2/app/tags/list").startswith('{"name":"app"')


def test_engine_killed_and_started_again_can_start_its_containers(
    engine: LabEngine, make_image: MakeImage
) -> None:
    make_image("survivor:1")
    container = start(engine, "survivor:1", restart_policy={"Name": "unless-stopped"})
    engine.kill()
    assert not engine.answers()
    engine.start()
    # what becomes of it is the engine's affair: 20.10 leaves it exited (137) in spite of its policy
    again = engine.client().containers.get(str(container.id))
    again.start()
    assert wait_until(lambda: health(again) == "healthy", 60)


def test_engine_stopped_and_started_again_answers(engine: LabEngine) -> None:
    engine.stop()
    assert not engine.answers()
    engine.start()
    assert engine.client().ping()


def test_disk_is_as_small_as_asked_and_can_be_filled(disk: MakeDisk) -> None:
    at = disk(20)
    with pytest.raises(OSError, match="No space left"), (at / "big").open("wb") as big:
        big.write(b"x" * 21 * 2**20)


def test_second_engine_on_a_small_disk_refuses_an_image_that_does_not_fit(
    disk: MakeDisk, make_engine: MakeEngine
) -> None:
    small = make_engine(data_root=disk(64))
    fat = images.build("fat:1", ("/bin/sh",), files={"www/fat": "x" * 80 * 2**20})
    with pytest.raises(docker.errors.DockerException, match="no space left"):
        small.client().images.load(io.BytesIO(fat.data))


async def test_chromium_shows_what_runs_on_the_labs_localhost(
    engine: LabEngine, make_image: MakeImage
) -> None:
    start(engine, make_image("page:1", "<h1>seen by a browser</h1>").name, 8086)
    engine.get(8086)
    async with chromium(engine.ground) as browser:
        page = await browser.new_page()
        await page.goto("http://localhost:8086/")
        assert await page.inner_text("h1") == "seen by a browser"


def test_chromium_works_without_a_coroutine_too(engine: LabEngine, make_image: MakeImage) -> None:
    start(engine, make_image("page:2", "<h1>seen again</h1>").name, 8087)
    engine.get(8087)
    with chromium_sync(engine.ground) as browser:
        page = browser.new_page()
        page.goto("http://localhost:8087/")
        assert page.inner_text("h1") == "seen again"


def test_opening_the_machines_own_engine_is_refused_and_remembered() -> None:
    with (
        socket.socket(socket.AF_UNIX) as own,
        pytest.raises(PermissionError, match="the machine's own engine"),
    ):
        own.connect("/var/run/docker.sock")
    assert guard.touched == ["/run/docker.sock"]
    guard.touched.clear()
    assert os.environ["DOCKER_HOST"] == guard.NOWHERE


def test_missing_part_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(AssertionError, match=r"no-such-tool is missing: run '\.ci/bring test'"):
        need({"no-such-tool": "some-package"})


CLAIM_AND_WAIT = """
import json, sys
from tests.lab.ground import Ground
from tests.lab.engine import LabEngine
engine = LabEngine(Ground())
print(json.dumps([engine.ground.number, engine._proc.pid]), flush=True)
sys.stdin.read()
"""


def claim_elsewhere() -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CLAIM_AND_WAIT]
    return subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def test_ground_of_a_killed_run_is_cleared_by_the_next(make_engine: MakeEngine) -> None:
    with claim_elsewhere() as other:
        assert other.stdout
        number, pid = json.loads(other.stdout.readline())
        assert f"hlab-{number}" in run("ip", "netns", "list")
        other.kill()
    assert Path(f"/proc/{pid}").exists()
    make_engine()
    assert wait_until(lambda: not Path(f"/proc/{pid}").exists(), 60)


def test_run_that_is_interrupted_leaves_nothing() -> None:
    with claim_elsewhere() as other:
        assert other.stdout
        number, pid = json.loads(other.stdout.readline())
        other.send_signal(signal.SIGINT)
        other.wait(timeout=60)
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()
    assert f"hlab-{number} " not in run("ip", "netns", "list") + " "
    assert not (FOLDERS / str(number)).exists()
