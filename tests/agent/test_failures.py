"""What goes wrong in the world is told with its name, leaves nothing, and is survived."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from agent.orders import (
    Gate,
    GetFacts,
    ImportImage,
    PartTarget,
    PullImage,
    RemoveDeployment,
    ResolveImage,
    StartTarget,
    StopTarget,
)
from agent.orders.results import Result
from agent.orders.spec import ImagePin, VolumeMount
from tests.agent.conftest import MakeDesk
from tests.agent.place import Desk, deployment, in_network_of, prepare, revision
from tests.lab import images
from tests.lab.engine import LabEngine
from tests.lab.fixtures import MakeDisk, MakeEngine
from tests.lab.processes import wait_until
from tests.lab.registry import LabRegistry

WEB = PartTarget(deployment="d-web0000000000000")


def code(result: Result) -> str:
    assert result.outcome == "failed", result
    assert result.problem is not None
    assert result.problem.says and result.problem.do
    return result.problem.code


def leavings(engine: LabEngine) -> list[str]:
    """Everything on the engine that an order may leave."""
    client = engine.client()
    return [
        *(str(c.name) for c in client.containers.list(all=True)),
        *(str(n.name) for n in client.networks.list() if str(n.name).startswith("hercules-")),
        *(str(v.name) for v in client.volumes.list()),
        *(t for i in client.images.list() for t in i.tags if t.startswith(("hercules.local/", "127.0.0.1"))),
    ]


def nothing_left(result: Result, engine: LabEngine) -> bool:
    assert result.problem is not None
    return result.problem.left_behind == () and leavings(engine) == []


def test_container_that_exits_is_told_with_its_last_words(desk: Desk, engine: LabEngine) -> None:
    archive = images.exits("exits:1", code=7, says="cannot start: no database")
    what = revision(desk.give(archive), port=20001, volumes=(VolumeMount(volume="data", target="/data"),))
    began = time.monotonic()
    result = desk.do(deployment("web", what, gate=Gate(within_s=60)))
    assert time.monotonic() - began < 50  # it does not wait out the gate
    assert code(result) == "exited"
    assert result.problem is not None
    assert result.problem.evidence == ("cannot start: no database", "exit code 7")
    assert nothing_left(result, engine)


def test_container_that_never_gets_healthy_is_given_the_time_its_check_needs(
    desk: Desk, engine: LabEngine
) -> None:
    result = desk.do(
        deployment("web", revision(desk.give(images.unhealthy("bad:1")), port=20001), gate=Gate(within_s=1))
    )
    assert code(result) == "unhealthy"
    assert result.problem is not None
    assert "health check: not ready yet" in result.problem.evidence
    assert nothing_left(result, engine)


def test_program_that_cannot_be_found_in_the_image_is_a_failure_like_any_other(
    desk: Desk, engine: LabEngine
) -> None:
    archive = images.build("empty:1", ("/bin/none",))
    result = desk.do(deployment("web", revision(desk.give(archive))))
    assert result.outcome == "failed"
    assert nothing_left(result, engine)


def test_port_that_another_program_has_is_told_before_anything_is_done(desk: Desk, engine: LabEngine) -> None:
    with socket.create_server(("127.0.0.1", 20001)):
        result = desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001)))
        assert code(result) == "port_taken"
        assert nothing_left(result, engine)
        seen = desk.do(GetFacts(want=("ports",))).facts
        assert 20001 in seen["used_ports"]


def test_port_that_another_container_has_is_told(desk: Desk, engine: LabEngine) -> None:
    engine.load(images.web("demo:1"))
    engine.client().containers.run("demo:1", detach=True, ports={"8080/tcp": ("127.0.0.1", 20001)})
    result = desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001)))
    assert code(result) == "port_taken"


def test_port_taken_after_the_check_rolls_back(make_desk: MakeDesk, engine: LabEngine) -> None:
    desk = make_desk()
    held: list[socket.socket] = []

    def point(name: str) -> None:
        if name == "container is made":
            held.append(socket.create_server(("127.0.0.1", 20001)))

    object.__setattr__(desk.node, "point", point)
    result = desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001)))
    held[0].close()
    assert code(result) == "port_taken"
    assert nothing_left(result, engine)


def test_name_that_a_container_made_elsewhere_has_is_told(desk: Desk, engine: LabEngine) -> None:
    engine.load(images.web("demo:1"))
    engine.client().containers.create("demo:1", name="hercules-test0t-web-main")
    result = desk.do(deployment("web", revision(desk.give(images.web("demo:1")))))
    assert code(result) == "name_taken"
    assert len(engine.client().containers.list(all=True)) == 1


def test_file_that_is_no_image_is_told_and_removed(desk: Desk, engine: LabEngine) -> None:
    for data in (b"this is a text", b"\x1f\x8b nothing", os.urandom(5000)):
        archive = images.Archive("x:1", "", data)
        desk.give(archive)
        result = desk.do(ImportImage(blob=archive.digest, blob_bytes=len(data), reference="x:1"))
        assert code(result) == "not_an_image"
        assert nothing_left(result, engine)
    assert list((desk.node.data / "blobs").iterdir()) == []


def test_image_that_the_engine_itself_refuses_is_told(desk: Desk, engine: LabEngine) -> None:
    import json

    from tests.agent.test_archive import members_of, tar

    parts = members_of(images.web("demo:1").data)
    name = json.loads(parts["manifest.json"])[0]["Config"]
    config = json.loads(parts[name])
    config["rootfs"]["diff_ids"] = ["sha256:" + "0" * 64]  # the layer is another one
    data = tar({**parts, name: json.dumps(config).encode()})
    archive = images.Archive("x:1", "", data)
    desk.give(archive)
    result = desk.do(ImportImage(blob=archive.digest, blob_bytes=len(data), reference="x:1"))
    assert code(result) == "not_an_image"
    assert nothing_left(result, engine)


def test_import_takes_no_name_of_the_machine_away(desk: Desk, engine: LabEngine) -> None:
    theirs = images.web("precious:1", "theirs")
    engine.load(theirs)
    hostile = images.web("precious:1", "hostile")
    desk.give(hostile)
    order = ImportImage(blob=hostile.digest, blob_bytes=len(hostile.data), reference="precious:1")
    assert desk.do(order).outcome == "done"
    assert engine.client().images.get("precious:1").id == theirs.image_id


def test_image_that_does_not_exist_is_told_apart_from_a_registry_that_does_not_answer(
    desk: Desk, engine: LabEngine, registry: LabRegistry
) -> None:
    missing = ImagePin(reference="x", repository="127.0.0.1:5000/none", digest="sha256:" + "0" * 64)
    silent = ImagePin(reference="x", repository="127.0.0.1:5001/none", digest="sha256:" + "0" * 64)
    assert code(desk.do(ResolveImage(reference="127.0.0.1:5000/none:1"))) == "image_not_found"
    assert code(desk.do(ResolveImage(reference="127.0.0.1:5001/none:1"))) == "registry_unreachable"
    assert code(desk.do(ResolveImage(reference="nginx:1"))) == "registry_unreachable"  # no way out of the lab
    assert code(desk.do(PullImage(image=missing))) == "image_not_found"
    assert code(desk.do(PullImage(image=silent))) == "registry_unreachable"
    result = desk.do(deployment("web", revision(missing, port=20001)))
    assert code(result) == "image_not_found"
    assert nothing_left(result, engine)


def test_image_of_a_failed_deploy_goes_unless_it_was_here_before(
    desk: Desk, engine: LabEngine, registry: LabRegistry
) -> None:
    reference, digest = registry.publish(images.exits("exits:1"), "exits:1")
    pin = ImagePin(reference=reference, repository="127.0.0.1:5000/exits", digest=digest)
    result = desk.do(deployment("web", revision(pin)))
    assert code(result) == "exited"
    assert nothing_left(result, engine)
    assert desk.do(PullImage(image=pin)).outcome == "done"
    assert code(desk.do(deployment("web", revision(pin)))) == "exited"
    assert desk.do(PullImage(image=pin)).already


def test_deadline_ends_a_deploy_and_leaves_nothing(desk: Desk, engine: LabEngine) -> None:
    order = deployment(
        "web", revision(desk.give(images.unhealthy("bad:1"))), gate=Gate(within_s=600), deadline_s=10
    )
    result = desk.do(order)
    assert code(result) == "deadline"
    assert nothing_left(result, engine)


def test_engine_that_is_down_is_told_quickly_and_everything_works_when_it_is_back(
    desk: Desk, engine: LabEngine
) -> None:
    pin = desk.give(images.web("demo:1"))
    engine.stop()
    for order in (
        deployment("web", revision(pin, port=20001)),
        ImportImage(blob=pin.blob or "", blob_bytes=pin.blob_bytes or 1, reference="demo:1"),
        StopTarget(target=WEB),
        RemoveDeployment(deployment=WEB.deployment),
    ):
        began = time.monotonic()
        assert code(desk.do(order)) == "engine_down"
        assert time.monotonic() - began < 30
    facts = desk.do(GetFacts(want=("engine", "containers", "deployments")))
    assert (facts.outcome, facts.facts["engine"]["answers"]) == ("done", False)
    engine.start()
    assert desk.do(deployment("web", revision(pin, port=20001))).outcome == "done"


def test_engine_that_hangs_is_told_quickly(desk: Desk, engine: LabEngine) -> None:
    assert desk.do(GetFacts()).outcome == "done"
    pid = int((engine.folder / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert code(desk.do(StopTarget(target=WEB))) == "engine_down"
        assert time.monotonic() - began < 30
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("at", ["image is here", "container is started"])
def test_engine_that_goes_in_the_middle_and_comes_back_ends_in_one_running_container(
    make_desk: MakeDesk, engine: LabEngine, how: str, at: str
) -> None:
    desk = make_desk()
    gone: list[str] = []

    def point(name: str) -> None:
        if name == at and not gone:
            gone.append(name)
            getattr(engine, how)()

    object.__setattr__(desk.node, "point", point)
    order = desk.send(deployment("web", revision(desk.give(images.web("demo:1")), port=20001)))
    assert wait_until(lambda: "waiting_for_engine" in desk.progress(order.id), 60)
    engine.start()
    result = desk.result(order.id)
    assert (result.outcome, result.problem) == ("done", None)
    assert engine.get(20001)[0] == 200
    assert [c.name for c in engine.client().containers.list(all=True)] == ["hercules-test0t-web-main"]


def test_engine_that_stays_away_ends_the_order_and_what_was_begun_goes_when_it_is_back(
    make_desk: MakeDesk, engine: LabEngine
) -> None:
    desk = make_desk(engine_grace_s=1)
    gone: list[str] = []

    def point(name: str) -> None:
        if name == "container is made" and not gone:
            gone.append(name)
            engine.stop()

    object.__setattr__(desk.node, "point", point)
    result = desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001)))
    assert code(result) == "engine_down"
    assert result.problem is not None
    assert "as soon as the Docker Engine answers again" in result.problem.left_behind[0]
    engine.start()
    assert leavings(engine) != []
    desk.carrier.engine_is_back()
    assert wait_until(lambda: desk.node.journal.unfinished() == [], 60)
    assert leavings(engine) == []
    assert desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001))).outcome == "done"


def test_order_whose_end_nobody_can_say_is_unknown_until_the_engine_is_back(
    make_desk: MakeDesk, engine: LabEngine
) -> None:
    desk = make_desk()
    assert desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001))).outcome == "done"
    gone: list[str] = []

    def point(name: str) -> None:
        if name == "stop is wanted" and not gone:
            gone.append(name)
            engine.kill()

    object.__setattr__(desk.node, "point", point)
    order = desk.send(StopTarget(target=WEB))
    assert wait_until(lambda: bool(desk.results(order.id)), 60)
    assert desk.results(order.id)[0].outcome == "unknown"
    assert desk.node.journal.unfinished() != []
    engine.start()
    desk.carrier.engine_is_back()
    assert desk.result(order.id).outcome == "done"
    assert engine.client().containers.list() == []


def test_full_disk_of_the_engine_is_told_and_leaves_nothing(
    make_engine: MakeEngine, disk: MakeDisk, tmp_path: Path
) -> None:
    small = make_engine(data_root=disk(100))
    prepare(tmp_path / "agent", small.docker_host, reserve_mib=1)
    with in_network_of(small.netns):
        desk = Desk(tmp_path / "agent")
        archive = images.build("large:1", ("/bin/sleep", "9"), files={"big": "0123456789" * 6_000_000})
        pin = desk.give(archive)
        order = ImportImage(blob=archive.digest, blob_bytes=len(archive.data), reference="large:1")
        result = desk.do(order)
        assert code(result) == "disk_full"
        result = desk.do(deployment("web", revision(pin)))
        assert code(result) == "disk_full"
        assert nothing_left(result, small)
        ok = images.web("demo:1")
        assert desk.do(deployment("web", revision(desk.give(ok), port=20001))).outcome == "done"
        desk.close()


def test_full_disk_of_the_agent_is_told(
    engine: LabEngine, inside: None, disk: MakeDisk, tmp_path: Path
) -> None:
    data = disk(8) / "agent"
    prepare(data, engine.docker_host)
    desk = Desk(data)
    result = desk.do(ImportImage(blob="1" * 64, blob_bytes=50_000_000, reference="x:1"))
    assert code(result) == "disk_full"
    desk.close()


def test_broken_agent_code_rolls_back_too(make_desk: MakeDesk, engine: LabEngine) -> None:
    desk = make_desk()

    def point(name: str) -> None:
        if name == "container is made":
            raise ZeroDivisionError

    object.__setattr__(desk.node, "point", point)
    result = desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001)))
    assert code(result) == "internal"
    assert nothing_left(result, engine)


def test_start_of_what_no_longer_works_is_told(desk: Desk, engine: LabEngine) -> None:
    script = "test ! -e /data/broken || { echo broken >&2; exit 5; }; sleep 100"
    archive = images.build("fragile:1", ("/bin/sh", "-c", script), volumes=("/data",))
    gate = Gate(kind="running", settle_s=1)
    assert desk.do(deployment("web", revision(desk.give(archive)), gate=gate)).outcome == "done"
    engine.client().containers.list()[0].exec_run(["touch", "/data/broken"])
    assert desk.do(StopTarget(target=WEB, stop_within_s=1)).outcome == "done"
    patient = Gate(kind="running", settle_s=5)  # it ends sooner: at once, or on a busy machine a little later
    result = desk.do(StartTarget(target=WEB, gate=patient))
    assert code(result) == "exited"
    assert result.problem is not None
    assert "broken" in result.problem.evidence
