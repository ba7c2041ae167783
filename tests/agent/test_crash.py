"""kill -9 of the agent at every failure point of an order: it finishes once, or nothing of it remains."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.journal import Journal
from agent.orders import ImportImage, Order, RemoveDeployment, RestartTarget, StopTarget
from agent.orders.envelope import decode_result, encode_order
from agent.orders.results import Result
from agent.orders.spec import Gate, ImagePin
from agent.orders.targets import PartTarget
from tests.agent.conftest import MakeDesk
from tests.agent.place import Desk, body, deployment, prepare, revision, signed
from tests.lab import images
from tests.lab.engine import LabEngine

POINTS_AT_MOST = 60
GATE = Gate(kind="running", settle_s=0, within_s=5)


class Machine:
    """A node whose agent is started in a process of its own and killed at its n-th failure point."""

    def __init__(self, data: Path, engine: LabEngine) -> None:
        self.data = data
        self.engine = engine
        self.own = prepare(data, engine.docker_host)

    def play(self, *envelopes: bytes, kill_at: int = 0) -> tuple[bool, list[Result]]:
        """Start the agent, give it the envelopes, wait for its results. Says whether it was killed."""
        words = [sys.executable, "-m", "tests.agent.victim", str(self.data), str(kill_at)]
        done = subprocess.run(
            [*self.engine.prefix, *words],
            input="\n".join(e.decode() for e in envelopes),
            capture_output=True,
            text=True,
            timeout=60,
            env=self.engine.env,
        )
        if done.returncode == -signal.SIGKILL:
            return True, []
        assert done.returncode == 0, done.stderr
        return False, [decode_result(line.encode()) for line in done.stdout.splitlines()]

    def give(self, archive: images.Archive) -> ImagePin:
        """Put an archive where fetched blobs lie."""
        (self.data / "blobs").mkdir(exist_ok=True)
        (self.data / "blobs" / archive.digest).write_bytes(archive.data)
        return ImagePin(reference=archive.name, blob=archive.digest, blob_bytes=len(archive.data))

    def containers(self) -> list[Any]:
        return self.engine.client().containers.list(all=True)

    def leavings(self) -> dict[str, list[str]]:
        """Everything on the engine that a deployment may leave."""
        client = self.engine.client()
        return {
            "containers": [c.name for c in self.containers()],
            "networks": [str(n.name) for n in client.networks.list() if str(n.name).startswith("hercules-")],
            "volumes": [v.name for v in client.volumes.list()],
            "images": [t for i in client.images.list() for t in i.tags if t.startswith("hercules.local/")],
        }

    def open_orders(self) -> int:
        journal = Journal(self.data / "journal.db")
        try:
            return len(journal.unfinished())
        finally:
            journal.close()


@pytest.fixture
def machines(engine: LabEngine, tmp_path: Path) -> Iterator[Any]:
    numbers = itertools.count()

    def make() -> Machine:
        engine.clean()
        for image in engine.client().images.list():
            for tag in image.tags:
                if tag.startswith("hercules.local/"):
                    engine.remove_image(tag)
        return Machine(tmp_path / f"m{next(numbers)}", engine)

    yield make


def test_first_deploy_killed_at_each_point_finishes_once(machines: Any) -> None:
    archive = images.keeps("keeps:1")
    for n in range(1, POINTS_AT_MOST):
        machine = machines()
        order = deployment("web", revision(machine.give(archive), port=20001), gate=GATE)
        envelope = signed(body(machine.own.node, order))
        killed, results = machine.play(envelope, kill_at=n)
        if killed:
            _, results = machine.play(envelope)
        assert [r.outcome for r in results] == ["done"], (n, results)
        left = machine.leavings()
        assert left["containers"] == ["hercules-test0t-web-main"], n
        assert (len(left["networks"]), len(left["volumes"])) == (1, 1), n
        assert machine.containers()[0].status == "running", n
        assert machine.open_orders() == 0, n
        if not killed:
            assert n > 10
            return
    raise AssertionError("the points never end")


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.full)])
def test_first_deploy_that_fails_killed_at_each_point_leaves_nothing(machines: Any, step: int) -> None:
    archive = images.exits("exits:1")
    for n in range(1, POINTS_AT_MOST, step):
        machine = machines()
        order = deployment(
            "web", revision(machine.give(archive), port=20001), gate=Gate(kind="running", settle_s=1)
        )
        envelope = signed(body(machine.own.node, order))
        killed, results = machine.play(envelope, kill_at=n)
        if killed:
            _, results = machine.play(envelope)
        assert [(r.outcome, r.problem and r.problem.code) for r in results] == [("failed", "exited")], n
        assert results[0].problem is not None
        assert results[0].problem.left_behind == (), n
        assert "cannot start: no database" in results[0].problem.evidence, n
        assert not any(machine.leavings().values()), (n, machine.leavings())
        assert machine.open_orders() == 0, n
        if not killed:
            assert n > 10
            return
    raise AssertionError("the points never end")


@pytest.mark.full
@pytest.mark.parametrize("next_kind", ["web", "exits"])
def test_second_revision_killed_at_each_point_leaves_exactly_one_running(
    machines: Any, next_kind: str
) -> None:
    first = images.web("demo:1", "one")
    second = images.web("demo:2", "two") if next_kind == "web" else images.exits("demo:2")
    gate = Gate(kind="running", settle_s=0 if next_kind == "web" else 1)
    for n in range(1, POINTS_AT_MOST):
        machine = machines()
        one = deployment("web", revision(machine.give(first), port=20001), gate=GATE)
        _, results = machine.play(signed(body(machine.own.node, one)))
        assert results[0].outcome == "done"
        two = deployment("web", revision(machine.give(second), 2, port=20001), gate=gate)
        envelope = signed(body(machine.own.node, two))
        killed, results = machine.play(envelope, kill_at=n)
        if killed:
            _, results = machine.play(envelope)
        assert results[0].outcome == ("done" if next_kind == "web" else "failed"), n
        assert machine.leavings()["containers"] == ["hercules-test0t-web-main"], n
        assert machine.containers()[0].status == "running", n
        assert machine.engine.get(20001)[1].strip() == ("two" if next_kind == "web" else "one"), n
        assert machine.open_orders() == 0, n
        if not killed:
            return
    raise AssertionError("the points never end")


FULL = pytest.mark.full


@pytest.mark.parametrize(
    "verb", ["import", "stop", pytest.param("restart", marks=FULL), pytest.param("remove", marks=FULL)]
)
def test_other_orders_killed_at_each_point_are_done_once(machines: Any, verb: str) -> None:
    archive = images.web("demo:1")
    target = PartTarget(deployment="d-web0000000000000")
    order: Order
    if verb == "import":
        order = ImportImage(blob=archive.digest, blob_bytes=len(archive.data), reference="demo:1")
    elif verb == "stop":
        order = StopTarget(target=target)
    elif verb == "restart":
        order = RestartTarget(target=target, gate=GATE)
    else:
        order = RemoveDeployment(deployment=target.deployment)
    for n in range(1, POINTS_AT_MOST):
        machine = machines()
        pin = machine.give(archive)
        if verb != "import":
            first = deployment("web", revision(pin, port=20001), gate=GATE)
            machine.play(signed(body(machine.own.node, first)))
        began = machine.containers()[0].attrs["State"]["StartedAt"] if verb != "import" else ""
        envelope = signed(body(machine.own.node, order))
        killed, results = machine.play(envelope, kill_at=n)
        if killed:
            _, results = machine.play(envelope)
        assert [r.outcome for r in results] == ["done"], (n, results)
        state = [c.status for c in machine.containers()]
        assert state == {"import": [], "stop": ["exited"], "restart": ["running"], "remove": []}[verb], n
        if verb == "restart":
            assert machine.containers()[0].attrs["State"]["StartedAt"] > began
        if verb == "import":
            assert len(machine.leavings()["images"]) == 1
        if not killed:
            assert n > 2
            return
    raise AssertionError("the points never end")


def test_order_that_expired_while_the_agent_was_away_is_not_begun(make_desk: MakeDesk) -> None:
    desk = make_desk()
    what = body(desk.node.keys.node, StopTarget(target=PartTarget(deployment="d-web0000000000000")))
    desk.node.journal.start(
        id=what.id,
        sha256="0" * 64,
        payload=json_payload(what, expires_ms=what.not_before_ms + 1),
        verb="container.stop",
        deployment="d-web0000000000000",
        now_ms=what.not_before_ms,
        expires_ms=what.not_before_ms + 1,
    )
    desk.close()
    again = Desk(desk.node.data)
    again.carrier.resume()
    result = again.result(what.id)
    assert result.problem is not None
    assert result.problem.code in ("deadline", "no_such_target")
    again.close()


def json_payload(what: Any, **changes: Any) -> bytes:
    """The payload of a body with changes."""
    return encode_order(msgspec.structs.replace(what, **changes))
