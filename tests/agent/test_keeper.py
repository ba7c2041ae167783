"""What should run runs: after a start of the agent, of the engine, of the machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from agent.keeper import Keeper
from agent.link.messages import DeploymentsSaid
from agent.orders import ContainerLogs, Gate, PartTarget, RemoveDeployment, StartTarget, StopTarget
from agent.orders.spec import Setting
from tests.agent.conftest import MakeDesk
from tests.agent.place import Desk, deployment, revision
from tests.lab import images
from tests.lab.engine import LabEngine
from tests.lab.processes import wait_until

WEB = PartTarget(deployment="d-web0000000000000")
NAME = "hercules-test0t-web-main"
Keep = Callable[[Desk], Keeper]


@pytest.fixture
def keep(engine: LabEngine) -> Iterator[Keep]:
    keepers: list[Keeper] = []

    def start(desk: Desk) -> Keeper:
        keepers.append(Keeper(desk.node, desk.carrier, desk.tell))
        keepers[-1].start()
        return keepers[-1]

    yield start
    for keeper in keepers:
        keeper.node.stopping.set()
        keeper.close()


def deployed(desk: Desk, **changes: Any) -> None:
    pin = desk.give(images.web("demo:1", user="1000:1000"))
    result = desk.do(deployment("web", revision(pin, port=20001, **changes)))
    assert (result.outcome, result.problem) == ("done", None)


def state(engine: LabEngine) -> str:
    found = engine.client().containers.list(all=True, filters={"name": NAME}, ignore_removed=True)
    return str(found[0].status) if found else "missing"


def runs(engine: LabEngine) -> bool:
    return engine.answers() and state(engine) == "running"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_service_is_back_after_the_engine_was_restarted(
    desk: Desk, engine: LabEngine, keep: Keep, how: str
) -> None:
    deployed(desk)
    keep(desk)
    getattr(engine, how)()
    engine.start()
    assert wait_until(lambda: runs(engine), 60)
    assert engine.get(20001)[0] == 200


def test_stopped_service_stays_stopped_over_restarts_of_engine_and_agent(
    desk: Desk, engine: LabEngine, keep: Keep
) -> None:
    deployed(desk)
    assert desk.do(StopTarget(target=WEB)).outcome == "done"
    engine.stop()
    engine.start()
    keeper = keep(desk)
    keeper.reconcile()
    assert not wait_until(lambda: state(engine) == "running", 3)


def test_service_with_secrets_is_started_after_a_boot_that_emptied_run(
    desk: Desk, engine: LabEngine, keep: Keep
) -> None:
    deployed(desk, profile="strict", settings=(Setting(name="TOKEN", sealed=desk.sealed(b"t0ken")),))
    engine.stop()
    shutil.rmtree(desk.node.data / "run")
    engine.start()
    assert state(engine) == "exited"  # the engine alone cannot: the source of the mount is gone
    keep(desk)
    assert wait_until(lambda: runs(engine), 60)
    container = engine.client().containers.get(NAME)
    assert container.exec_run(["cat", "/run/secrets/TOKEN"]).output == b"t0ken"


def test_container_that_somebody_removed_is_made_again_from_the_journal(
    desk: Desk, engine: LabEngine, keep: Keep
) -> None:
    deployed(desk)
    engine.client().containers.get(NAME).remove(force=True)
    for network in engine.client().networks.list(names=["hercules-test0t-web"]):
        network.remove()
    keep(desk)
    assert wait_until(lambda: runs(engine), 60)
    assert engine.get(20001)[1] == "hello"
    assert desk.do(StopTarget(target=WEB)).outcome == "done"
    assert desk.do(StartTarget(target=WEB)).outcome == "done"
    assert desk.do(RemoveDeployment(deployment=WEB.deployment)).outcome == "done"


def test_what_a_person_stops_by_hand_is_not_started_while_the_engine_lives(
    desk: Desk, engine: LabEngine, keep: Keep
) -> None:
    deployed(desk)
    keeper = keep(desk)
    assert wait_until(lambda: keeper.settled, 60)
    engine.client().containers.get(NAME).stop(timeout=2)
    assert not wait_until(lambda: state(engine) == "running", 4)


def test_crash_loop_is_ended_said_and_left_to_a_person(
    make_desk: MakeDesk, engine: LabEngine, keep: Keep
) -> None:
    desk = make_desk(crash_budget=3)
    script = "test ! -e /data/broken || { echo broken >&2; exit 5; }; sleep 100 & wait"
    archive = images.build("fragile:1", ("/bin/sh", "-c", script), volumes=("/data",))
    gate = Gate(kind="running", settle_s=0)
    assert desk.do(deployment("web", revision(desk.give(archive)), gate=gate)).outcome == "done"
    keeper = keep(desk)
    assert wait_until(lambda: keeper.settled, 60)
    container = engine.client().containers.get(NAME)
    container.exec_run(["touch", "/data/broken"])
    container.exec_run(["/bin/sh", "-c", "kill -9 -1"])
    assert wait_until(lambda: state(engine) == "exited" and _held(desk) == "crash_loop", 60)
    assert not wait_until(lambda: state(engine) != "exited", 3)
    assert wait_until(lambda: any('"crash_loop"' in m.facts for m in _said(desk)), 60)
    logs = desk.do(ContainerLogs(target=WEB))
    assert "broken" in logs.facts["lines"]
    keeper.reconcile()
    assert state(engine) == "exited"
    result = desk.do(StartTarget(target=WEB, gate=Gate(kind="running", settle_s=1)))
    assert result.problem is not None and result.problem.code == "exited"


def test_change_is_said_unasked(desk: Desk, engine: LabEngine, keep: Keep) -> None:
    keep(desk)
    deployed(desk)
    assert wait_until(lambda: any('"running"' in m.facts for m in _said(desk)), 60)
    engine.client().containers.get(NAME).pause()
    assert wait_until(lambda: any('"paused"' in m.facts for m in _said(desk)), 60)
    engine.client().containers.get(NAME).unpause()
    facts = msgspec.json.decode(_said(desk)[-1].facts)
    assert facts[0]["name"] == "web"


def _held(desk: Desk) -> str:
    running = desk.node.journal.deployment(WEB.deployment)
    return running.held if running else ""


def _said(desk: Desk) -> list[DeploymentsSaid]:
    return [m for m in list(desk.told) if isinstance(m, DeploymentsSaid)]
