"""bot/cli/engine.py against real engines, all in namespaces: the machine's own is never touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.cli import engine as own
from tests.lab import images
from tests.lab.engine import LabEngine
from tests.lab.ground import Ground
from tests.lab.processes import Proc, wait_until


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine without engine and service manager, whose `dockerd` starts in a ground of its own."""
    ground = Ground()
    folder = ground.folder / "machine"
    folder.mkdir()
    real = shutil.which("dockerd", path=os.environ["PATH"] + ":/usr/sbin")
    assert real, "dockerd is missing: run '.ci/bring test'"
    wrapper = tmp_path / "dockerd"
    wrapper.write_text(
        f"#!/bin/sh\nexec nsenter --net=/var/run/netns/{ground.netns} unshare -m sh -c "
        f"""'mount --make-rprivate / && exec {real} --data-root {folder}/data --exec-root {folder}/exec """
        f"""--pidfile {folder}/pid --bip 10.78.{ground.number}.1/24 "$@"' sh "$@"\n"""
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setattr(own, "DEFAULT_HOST", f"unix://{folder}/docker.sock")
    monkeypatch.setattr(own, "RUN_DIR", folder / "run")
    monkeypatch.setattr(own, "LOG_FILE", folder / "log")
    monkeypatch.setattr(own, "SYSTEMD", folder / "no-systemd")
    yield folder
    ground.release()


def quiet(line: str) -> None:
    """Take a line of `ensure` and drop it."""


def test_engine_is_started_in_a_session_of_its_own_once_and_recorded(machine: Path) -> None:
    said: list[str] = []
    assert own.status().state == "absent"
    first = own.ensure(said.append)
    assert first.state == "answers" and first.version and first.started
    assert "starting the Docker Engine itself" in said[0]
    pid = first.started.pid
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert own.ensure(said.append).started == first.started
    assert len(said) == 1
    assert own.stop() == own.StoppedEngine(pid=pid, containers=())
    assert own.status().state != "answers" and own.status().started is None


def test_two_starts_at_once_make_one_engine(machine: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(own.ensure, [quiet, quiet]))
    assert seen[0].started == seen[1].started is not None
    own.stop()


def test_interrupt_of_the_starter_does_not_reach_the_engine(machine: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from bot.cli import engine as own;"
        f"own.DEFAULT_HOST={own.DEFAULT_HOST!r}; own.RUN_DIR=Path({str(own.RUN_DIR)!r});"
        f"own.LOG_FILE=Path({str(own.LOG_FILE)!r}); own.SYSTEMD=Path('/nonexistent');"
        "own.ensure(lambda line: None); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as starter:
        assert starter.stdout and starter.stdout.readline() == b"up\n"
        os.killpg(starter.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
        starter.wait(timeout=60)
    assert own.status().state == "answers"
    own.stop()


def test_stop_names_the_containers_that_stop_with_the_engine(machine: Path) -> None:
    own.ensure(quiet)
    import docker

    client = docker.DockerClient(base_url=own.DEFAULT_HOST)
    client.images.load(images.web("web:1").data)
    client.containers.run("web:1", detach=True, name="shop")
    client.close()
    assert own.status().containers == ("shop",)
    assert own.stop().containers == ("shop",)


def test_engine_that_hercules_did_not_start_is_used_and_never_stopped(
    engine: LabEngine, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.docker_host)
    seen = own.ensure(quiet)
    assert (seen.state, seen.started) == ("answers", None)
    with pytest.raises(own.EngineNotOurs):
        own.stop()
    assert engine.answers()


def test_record_whose_pid_now_belongs_to_something_else_kills_nothing(machine: Path) -> None:
    own.RUN_DIR.mkdir()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        proc = Proc.of(innocent.pid)
        assert proc
        record = {"pid": proc.pid, "start_ticks": proc.start_ticks - 1, "host": own.DEFAULT_HOST, "log": ""}
        (own.RUN_DIR / "engine.json").write_text(json.dumps(record))
        with pytest.raises(own.EngineNotOurs):
            own.stop()
        assert proc.lives()
        innocent.kill()


def test_engine_that_died_is_started_again(machine: Path) -> None:
    first = own.ensure(quiet).started
    assert first
    os.kill(first.pid, signal.SIGKILL)
    (containerd,) = machine.glob("exec/containerd/containerd.pid")
    os.kill(int(containerd.read_text()), signal.SIGKILL)
    assert wait_until(lambda: own.status().started is None, 60)
    containerd.unlink()
    (machine / "pid").unlink()
    second = own.ensure(quiet).started
    assert second and second.pid != first.pid
    own.stop()


def test_dockerd_that_cannot_start_is_told_with_its_last_words(machine: Path, tmp_path: Path) -> None:
    (tmp_path / "dockerd").write_text("#!/bin/sh\necho 'failed to start daemon: no cgroups' >&2\nexit 1\n")
    with pytest.raises(own.EngineSilent, match="failed to start daemon: no cgroups"):
        own.ensure(quiet)


def test_named_engine_that_does_not_answer_is_not_replaced(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(own.EngineSilent, match="DOCKER_HOST names"):
        own.ensure(quiet)


def test_nothing_installed_and_no_right_to_start_are_told_apart(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert own.bring() == 4
    socket = Path(own.DEFAULT_HOST.removeprefix("unix://"))
    socket.touch()  # left behind by an engine that was stopped, or of one that this account may not use
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert own.bring() == 5
    socket.unlink()
    monkeypatch.setattr(own, "_dockerd", lambda: None)
    assert own.bring() == 3
    assert capsys.readouterr().err == ""  # .ci/bring says what it does about these two
