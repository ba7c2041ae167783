"""When something is wrong: the chat says what happened and what is left (nothing), and offers ways on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec
import pytest

from bot.engine.text import Tree, plain
from tests.lab import images
from tests.lab.fixtures import MakeDisk, MakeEngine
from tests.lab.images import Archive
from tests.lab.processes import wait_until
from tests.lab.registry import LabRegistry
from tests.main_job.machine import Machine


def test_an_image_that_does_not_exist(running: Machine, registry: LabRegistry) -> None:
    session = running.begin("deploy", what="registry", reference=f"{registry.address}/nothing:1")
    asked = running.until_asked(session)
    assert "has no image" in _label(asked)
    assert "Nothing of it was left behind" in _help(asked)
    assert _ways(asked) == ["other", "retry", "leave"]
    running.answer(session, asked["prompt"]["seq"], "leave")
    assert running.until_asked(session)["outcome"] == "failed"
    script = running.chat("deploy", "--yes", what="registry", reference=f"{registry.address}/nothing:1")
    assert script.returncode == 1
    assert "has no image" in script.stdout + script.stderr


def test_an_archive_that_is_no_image(running: Machine, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"this is no image" * 1000)
    before = _images(running)
    script = running.chat(
        "deploy", "--yes", what="upload", file=f"@{tmp_path / 'x.tar'}", name="x", port=20080
    )
    assert script.returncode == 1
    assert "Nothing" in script.stdout
    assert running.containers() == []
    assert _images(running) == before


def test_a_port_that_somebody_took_meanwhile(running: Machine) -> None:
    session = running.begin("deploy", what="demo", name="hello", port=20_070)
    seq = running.until_asked(session, "sure")["prompt"]["seq"]
    with running.engine.new_socket() as taken:
        taken.bind(("127.0.0.1", 20_070))
        taken.listen()
        running.answer(session, seq, True)
        asked = running.until_asked(session)
        assert "20070" in _label(asked)
        assert "Nothing of it was left behind" in _help(asked)
        assert running.containers() == []
        assert running.engine.client().networks.list(filters={"label": "hercules.deployment"}) == []
        running.answer(session, asked["prompt"]["seq"], "port")
        asked = running.until_asked(session, "port")
        running.answer(session, asked["prompt"]["seq"], 20_071)
        asked = running.until_asked(session, "sure")
        running.answer(session, asked["prompt"]["seq"], True)
        assert running.until_asked(session)["outcome"] == "done", running.all_logs()
    assert running.engine.get(20_071)[0] == 200


def test_a_program_that_ends_at_once_leaves_its_last_words_and_nothing_else(
    running: Machine, save_archive: Callable[[Archive], Path]
) -> None:
    path = save_archive(images.exits("broken", says="cannot start: no database"))
    script = running.chat("deploy", "--yes", what="upload", file=f"@{path}", name="broken")
    assert script.returncode == 1, script.stdout + script.stderr
    assert "cannot start: no database" in script.stdout
    assert running.containers() == []


@pytest.mark.full  # the gate waits a minute
def test_a_program_that_never_gets_healthy_is_taken_away_again(
    running: Machine, save_archive: Callable[[Archive], Path]
) -> None:
    path = save_archive(images.unhealthy("sick"))
    script = running.cli(
        *("chat", "deploy", "--yes", "--set", "what=upload", "--set", f"file=@{path}", "--set", "name=sick"),
        *("--set", "port=20075"),
        within_s=200,
    )
    assert script.returncode == 1, script.stdout + script.stderr
    assert "not ready yet" in script.stdout
    assert running.containers() == []


def test_the_engine_is_away(running: Machine) -> None:
    session = running.begin("deploy", what="demo", name="hello", port=20_080)
    seq = running.until_asked(session, "sure")["prompt"]["seq"]
    running.engine.stop()
    other = running.begin("deploy", what="demo")
    asked = running.until_asked(other)
    assert "Docker Engine" in _label(asked)
    assert "retry" in _ways(asked)
    running.engine.start()
    running.answer(other, asked["prompt"]["seq"], "retry")
    assert running.until_asked(other, "name")["status"] == "open"
    running.answer(session, seq, True)
    assert running.until_asked(session)["outcome"] == "done"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_service_is_back_after_the_engine_was_restarted(running: Machine, end: str) -> None:
    done = running.chat("deploy", "--yes", what="demo", name="hello", port=20_080)
    assert done.returncode == 0, done.stderr
    if end == "stop":
        running.engine.stop()
    else:
        running.engine.kill()
    running.engine.start()
    assert running.engine.get(20_080)[0] == 200
    assert wait_until(lambda: len(running.containers()) == 1, 60)
    seen = running.chat("running", "--yes", container="hello", action="logs")
    assert seen.returncode == 0, seen.stderr + running.all_logs()


def test_a_registry_that_does_not_answer(running: Machine) -> None:
    (running.settings.agent_data / "node.toml").write_text('registries = ["127.0.0.1:1"]\n')
    running.stop()
    running.up()
    running.wait_for_agent()
    session = running.begin("deploy", what="registry", reference="127.0.0.1:1/x:1")
    asked = running.until_asked(session)
    assert "127.0.0.1:1" in _label(asked)
    assert "retry" in _ways(asked)


def _images(machine: Machine) -> set[str]:
    return {str(image.id) for image in machine.engine.client().images.list()}


def _label(session: dict[str, Any]) -> str:
    return plain(msgspec.convert(session["prompt"]["label"], Tree)) + str(session["prompt"]["problem"])


def _help(session: dict[str, Any]) -> str:
    return plain(msgspec.convert(session["prompt"]["help"], Tree))


def _ways(session: dict[str, Any]) -> list[str]:
    return [option["value"] for option in session["prompt"]["options"]]


def test_a_disk_without_room_for_the_image(make_engine: MakeEngine, disk: MakeDisk) -> None:
    engine = make_engine(data_root=disk(330))  # the agent leaves 256 MiB of it alone
    machine = Machine(engine, Path(mkdtemp(prefix="j", dir=engine.ground.folder)))
    try:
        machine.up()
        machine.wait_for_agent()
        script = machine.chat("deploy", "--yes", what="demo", name="hello", port=20_080)
        assert script.returncode == 1, script.stdout + script.stderr
        assert "space" in script.stdout
        assert "Nothing" in script.stdout
        assert machine.containers() == []
        assert engine.client().images.list() == []
    finally:
        machine.close()
