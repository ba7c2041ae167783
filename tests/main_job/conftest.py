"""A machine for one test: fresh data directory, its own Hercules, the lab's engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.lab.engine import LabEngine
from tests.main_job.machine import Machine


@pytest.fixture
def machine(engine: LabEngine) -> Iterator[Machine]:
    """Nothing runs yet: call `up`. The path is short, since sockets stand below it."""
    machine = Machine(engine, Path(mkdtemp(prefix="j", dir=engine.ground.folder)))
    machine.settings.agent_data.mkdir(mode=0o700, parents=True)
    # the lab's registry stands on loopback, which a machine does not take images from unless it says so
    (machine.settings.agent_data / "node.toml").write_text('registries = ["docker.io", "127.0.0.1:5000"]\n')
    yield machine
    machine.close()


@pytest.fixture
def running(machine: Machine) -> Machine:
    """Hercules runs and its agent is connected."""
    machine.up()
    machine.wait_for_agent()
    return machine
