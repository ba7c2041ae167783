"""The examples of chatflows.d on a real engine: some whose orders an agent carries out, one whose not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import images
from tests.lab.registry import LabRegistry
from tests.main_job.machine import Machine

EXAMPLES = Path(__file__).parents[2] / "chatflows.d"


@pytest.fixture
def running(machine: Machine) -> Iterator[Machine]:
    """Hercules runs with the examples loaded, as `make run` has them, and a container to work on."""
    machine.data.mkdir(mode=0o700, exist_ok=True)
    (machine.data / "hercules.toml").write_text(f'plugin_folder = "{EXAMPLES}"\n')
    machine.up()
    machine.wait_for_agent()
    assert machine.chat("deploy", "--yes", what="demo", name="hello", port=20080).returncode == 0
    yield machine


def started(machine: Machine) -> str:
    """When the container's present run began."""
    [container] = machine.engine.client().containers.list()
    return str(container.attrs["State"]["StartedAt"])


def test_examples_restart_look_and_fetch_on_a_real_engine(running: Machine, registry: LabRegistry) -> None:
    first = started(running)
    healthy = running.chat("restart-healthy", "--yes", container="hello")
    assert healthy.returncode == 0, healthy.stdout + healthy.stderr
    second = started(running)
    assert second != first

    politely = running.chat("restart-politely", "--yes", container="hello", when="now")
    assert politely.returncode == 0, politely.stdout + politely.stderr
    assert started(running) != second

    watched = running.chat("on-call", "--yes", container="hello", users="no", next="watch")
    assert watched.returncode == 0, watched.stdout + watched.stderr

    reference, _ = registry.publish(images.web("shop", "from the registry"), "shop:1")
    fetched = running.chat("fetch-image", "--yes", image=reference)
    assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    digests = [d for image in running.engine.client().images.list() for d in image.attrs["RepoDigests"]]
    assert any("/shop@" in digest for digest in digests)


def test_what_no_agent_carries_out_yet_is_said_in_plain_words(running: Machine) -> None:
    done = running.chat("certificates", "--yes", host="localhost")
    assert done.returncode == 1
    assert "This agent does not know that yet" in done.stdout + done.stderr
