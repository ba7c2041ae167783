"""Fixtures of the agent's tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.images import IMPORTED
from tests.agent.place import Desk, in_network_of, prepare
from tests.lab.engine import LabEngine

MakeDesk = Callable[..., Desk]


@pytest.fixture
def inside(engine: LabEngine) -> Iterator[None]:
    """The test runs inside the lab's network namespace, where the engine's published ports are local."""
    with in_network_of(engine.netns):
        yield


@pytest.fixture
def make_desk(engine: LabEngine, inside: None, tmp_path: Path) -> Iterator[MakeDesk]:
    """Make a node on the lab's engine: make_desk(docker_host=…, **what node.toml shall say)."""
    desks: list[Desk] = []

    def make(docker_host: str = "", **node_file: Any) -> Desk:
        data = tmp_path / f"agent{len(desks)}"
        prepare(data, docker_host or engine.docker_host, **node_file)
        desks.append(Desk(data))
        return desks[-1]

    yield make
    for desk in desks:
        with contextlib.suppress(Exception):
            desk.close()
    if not engine.answers():
        engine.start()
    engine.clean()
    for image in engine.client().images.list():
        for tag in image.tags:
            if tag.startswith(IMPORTED):
                engine.remove_image(tag)


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A node on the lab's engine."""
    return make_desk()
