"""A store of the operator's own, by --redis: the same main job, and a sentence about what it may lose."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store.embedded import binary
from tests.lab.processes import wait_until
from tests.main_job.machine import Machine

PORT = 6390


@pytest.fixture
def own_store(machine: Machine, tmp_path: Path) -> Iterator[str]:
    """A Valkey on TCP inside the namespace, with a password and no append-only file."""
    words = [*machine.engine.prefix, str(binary()), "--port", str(PORT), "--bind", "127.0.0.1"]
    words += ["--requirepass", "letmein", "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    assert wait_until(lambda: _answers(machine), 60)
    yield f"redis://default:letmein@127.0.0.1:{PORT}"
    server.terminate()
    server.wait()


def test_the_main_job_on_a_store_of_ones_own(machine: Machine, own_store: str) -> None:
    machine.up("--redis", own_store)
    machine.wait_for_agent()
    assert not (machine.data / "run/valkey.sock").exists()
    done = machine.chat("deploy", "--yes", what="demo", name="hello", port=20_080)
    assert done.returncode == 0, done.stdout + done.stderr + machine.all_logs()
    assert "append-only" in machine.cli("doctor").stdout
    assert "letmein" not in machine.all_logs()
    assert b"letmein" not in Path(f"/proc/{machine.process('bot').pid}/cmdline").read_bytes()


def _answers(machine: Machine) -> bool:
    with machine.engine.new_socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0
