"""The main job as a script: deploy, deploy again, look, remove; and what is said when it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.lab import images
from tests.lab.images import Archive
from tests.lab.registry import LabRegistry
from tests.main_job.machine import Machine


def test_a_deploy_runs_healthy_and_the_same_line_again_says_that_it_is_there(running: Machine) -> None:
    first = running.chat("deploy", "--yes", what="demo", name="hello", port=20080)
    assert first.returncode == 0, first.stderr + running.all_logs()
    assert "runs and is healthy" in first.stdout
    assert running.engine.get(20080)[0] == 200
    before = running.containers()
    again = running.chat("deploy", "--yes", what="demo", name="hello", port=20080)
    assert again.returncode == 0, again.stderr
    assert "there already" in again.stdout
    assert running.containers() == before
    assert len(before) == 1


def test_what_runs_is_shown_stopped_started_and_removed_by_scripts(running: Machine) -> None:
    assert running.chat("deploy", "--yes", what="demo", name="hello", port=20080).returncode == 0
    log = running.chat("running", "--yes", container="hello", action="logs")
    assert log.returncode == 0, log.stderr
    assert running.chat("running", "--yes", container="hello", action="stop").returncode == 0
    assert running.engine.client().containers.list() == []
    assert running.chat("running", "--yes", container="hello", action="start").returncode == 0
    assert running.engine.get(20080)[0] == 200
    refused = running.chat("remove", "--yes", container="hello")
    assert refused.returncode == 2
    assert "--yes-destroy" in refused.stderr
    removed = running.chat("remove", "--yes-destroy", container="hello")
    assert removed.returncode == 0, removed.stderr
    assert running.containers() == []


def test_an_archive_is_uploaded_and_runs(running: Machine, save_archive: Callable[[Archive], Path]) -> None:
    archive = images.web("mine", "from a file")
    path = save_archive(archive)
    done = running.chat("deploy", "--yes", what="upload", file=f"@{path}", name="mine", port=20081)
    assert done.returncode == 0, done.stdout + done.stderr + running.all_logs()
    assert "from a file" in running.engine.get(20081)[1]


def test_an_image_from_a_registry_runs_by_its_digest(running: Machine, registry: LabRegistry) -> None:
    reference, digest = registry.publish(images.web("shop", "from the registry"), "shop:1")
    done = running.chat("deploy", "--yes", what="registry", reference=reference, name="shop", port=20082)
    assert done.returncode == 0, done.stdout + done.stderr + running.all_logs()
    assert "from the registry" in running.engine.get(20082)[1]
    session = running.chat("deploy", "--yes", "--json", what="registry", reference=reference, name="shop")
    assert json.loads(session.stdout)["outcome"] == "unchanged"
    shown = running.begin("deploy", what="registry", reference=reference, name="shop2", port=20084)
    rows = running.until_asked(shown, "sure")["prompt"]["rows"]
    assert digest in [row["value"] for row in rows]


def test_settings_reach_the_program_and_a_secret_is_nowhere_to_be_read(
    running: Machine, tmp_path: Path, save_archive: Callable[[Archive], Path]
) -> None:
    (tmp_path / "env").write_text("COLOUR=blue\n!PASSWORD=hunter2-never-shown\n")
    path = save_archive(images.web("with-settings"))
    done = running.chat(
        "deploy",
        "--yes",
        what="upload",
        file=f"@{path}",
        name="app",
        port=20083,
        profile="standard",
        settings=f"@{tmp_path / 'env'}",
    )
    assert done.returncode == 0, done.stdout + done.stderr + running.all_logs()
    assert "hercules keys recovery" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr + running.all_logs()
    container = running.engine.client().containers.list()[0]
    assert container.exec_run(["cat", "/run/secrets/PASSWORD"]).output == b"hunter2-never-shown"
    assert "COLOUR=blue" in container.attrs["Config"]["Env"]
    for kept in (running.data / "store").rglob("*"):
        assert not kept.is_file() or b"hunter2" not in kept.read_bytes()
    for kept in (running.data / "audit").rglob("*"):
        assert b"hunter2" not in kept.read_bytes()


def test_the_recovery_key_is_shown_until_it_is_taken(running: Machine) -> None:
    shown = running.cli("keys", "recovery", "--json")
    assert len(json.loads(shown.stdout)["recovery_key"]) == 64
    assert running.cli("keys", "recovery", "--forget").returncode == 0
    gone = running.cli("keys", "recovery")
    assert gone.returncode == 1
    assert "no longer here" in gone.stderr


def test_what_is_missing_is_said_and_nothing_is_left(running: Machine) -> None:
    nothing = running.cli("chat", "deploy")
    assert nothing.returncode == 2
    assert "--set what=" in nothing.stderr
    no_yes = running.chat("deploy", what="demo", name="hello", port=20080)
    assert no_yes.returncode == 2
    assert "--yes" in no_yes.stderr
    assert running.containers() == []


def test_wrong_use_is_told_apart_from_failing(running: Machine) -> None:
    for words in (
        ("chat", "no-such-flow"),
        ("chat", "deploy", "--set", "nonsense=1"),
        ("chat", "deploy", "--set", "what"),
        ("chat", "deploy", "--set", "port=many"),
        ("chat", "deploy", "--yes", "--set", "what=nonsense"),
        ("chat", "deploy", "--yes", "--set", "what=demo", "--set", "name=Not A Name"),
        ("chat", "deploy", "--set", "file=@/no/such/file"),
        ("up", "--port", "99999"),
        ("up", "--public", "example.org"),
        ("nonsense",),
    ):
        done = running.cli(*words)
        assert (done.returncode, bool(done.stderr)) == (2, True), (words, done.stdout, done.stderr)


def test_with_json_only_the_ended_session_is_printed(running: Machine) -> None:
    done = running.chat("deploy", "--yes", "--json", what="demo", name="hello", port=20080)
    session = json.loads(done.stdout)
    assert (session["outcome"], session["result"]["open"]) == ("done", "http://localhost:20080/")
