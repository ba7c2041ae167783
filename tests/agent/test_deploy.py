"""A deployment comes to run, changes, stops, starts and goes, on a real engine."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from agent.orders import (
    ContainerLogs,
    EngineTarget,
    Gate,
    GetFacts,
    ImportImage,
    InspectImage,
    NodeFacts,
    PartTarget,
    Published,
    PullImage,
    RemoveDeployment,
    RemoveImage,
    RemoveTarget,
    ResolveImage,
    RestartTarget,
    StartTarget,
    StopTarget,
    VolumeMount,
)
from agent.orders.results import Result
from agent.orders.spec import ImagePin, Setting
from tests.agent.conftest import MakeDesk
from tests.agent.place import Desk, deployment, revision
from tests.lab import images
from tests.lab.engine import LabEngine
from tests.lab.registry import LabRegistry

WEB = PartTarget(deployment="d-web0000000000000")
RUNNING = Gate(kind="running", settle_s=0)


def done(result: Result) -> Result:
    assert (result.outcome, result.problem) == ("done", None)
    return result


def failed(result: Result) -> tuple[str, str]:
    assert result.problem is not None
    assert result.problem.do, result.problem
    return result.outcome, result.problem.code


def facts(desk: Desk) -> NodeFacts:
    everything = GetFacts(want=("engine", "disk", "containers", "deployments", "images", "ports"))
    return msgspec.convert(done(desk.do(everything)).facts, type=NodeFacts)


def test_imported_image_is_deployed_and_answers(desk: Desk, engine: LabEngine) -> None:
    archive = images.web("demo:1", "hello from inside", user="1000:1000")
    pin = desk.give(archive)
    order = ImportImage(blob=archive.digest, blob_bytes=len(archive.data), reference="demo:1")
    imported = done(desk.do(order))
    assert imported.facts["suggested_profile"] == "strict"
    assert imported.facts["suggested_port"] == 8080
    assert imported.facts["has_health_check"] is True
    assert imported.facts["engine_id"] == archive.image_id
    assert msgspec.convert(imported.facts["pin"], type=ImagePin) == pin
    assert done(desk.do(order)).already
    strict = desk.send(deployment("web", revision(pin, port=20001, profile="strict")))
    result = done(desk.result(strict.id))
    assert result.facts["open"] == "http://localhost:20001/"
    assert result.facts["deployment"]["health"] == "healthy"
    assert engine.get(20001)[1] == "hello from inside"
    assert set(desk.progress(strict.id)) >= {"creating", "starting", "checking"}
    seen = facts(desk)
    assert seen.engine is not None and seen.engine.answers and seen.engine.version
    assert seen.disk is not None and seen.disk.free > 0
    assert [(d.name, d.state, d.wanted) for d in seen.deployments or ()] == [("web", "running", "running")]
    assert [(c.name, c.deployment, c.part, c.revision) for c in seen.containers or ()] == [
        ("hercules-test0t-web-main", WEB.deployment, "main", 1)
    ]
    assert 20001 in (seen.used_ports or ()) and seen.free_port == 20000
    assert seen.architecture and seen.memory_bytes and seen.cpus and seen.hostname


def test_container_on_the_engine_is_as_the_table_says(desk: Desk, engine: LabEngine) -> None:
    what = revision(
        desk.give(images.web("demo:1", user="1000:1000")),
        port=20001,
        profile="strict",
        settings=(Setting(name="GREETING", value="hi"),),
        volumes=(VolumeMount(volume="data", target="/data"),),
    )
    done(desk.do(deployment("web", what)))
    inspected: dict[str, Any] = engine.client().containers.get("hercules-test0t-web-main").attrs
    host, config = inspected["HostConfig"], inspected["Config"]
    assert (host["Privileged"], host["ReadonlyRootfs"], host["Init"]) == (False, True, True)
    assert (host["CapDrop"], host["CapAdd"] or []) == (["ALL"], [])
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == host["MemorySwap"] == 32 * 1024 * 1024
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"]["Type"] == "local"
    assert host["PidsLimit"] == 256 and host["OomScoreAdj"] == 100
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 4096, "Hard": 8192}]
    assert host["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20001"}]}
    assert config["User"] == "1000:1000"
    assert "GREETING=hi" in config["Env"]
    assert config["Labels"]["hercules.deployment"] == WEB.deployment
    (network,) = inspected["NetworkSettings"]["Networks"]
    assert network == "hercules-test0t-web"
    pool = engine.client().networks.get(network).attrs["IPAM"]["Config"][0]["Subnet"]
    assert pool.startswith("10.213.") and pool.endswith("/27")
    inside = engine.client().containers.get(inspected["Id"])
    assert inside.exec_run(["touch", "/x"]).exit_code != 0
    assert inside.exec_run(["touch", "/tmp/x"]).exit_code == 0
    assert inside.exec_run(["touch", "/data/x"]).exit_code == 0
    assert b"CapEff:\t0000000000000000" in inside.exec_run(["cat", "/proc/self/status"]).output


def test_secret_is_a_file_inside_and_no_environment_under_strict(desk: Desk, engine: LabEngine) -> None:
    secret = Setting(name="DB_PASSWORD", sealed=desk.sealed(b"correct horse"))
    pin = desk.give(images.web("demo:1", user="1000:1000"))
    done(desk.do(deployment("web", revision(pin, profile="strict", settings=(secret,)))))
    container = engine.client().containers.get("hercules-test0t-web-main")
    assert container.exec_run(["cat", "/run/secrets/DB_PASSWORD"]).output == b"correct horse"
    assert b"correct" not in container.exec_run(["cat", "/proc/1/environ"], user="0:0").output
    assert "correct" not in json.dumps(container.attrs)
    (file,) = (desk.node.data / "run").rglob("DB_PASSWORD")
    assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o400, 1000)
    assert (desk.node.data / "run").stat().st_mode & 0o077 == 0
    assert b"correct" not in (desk.node.data / "journal.db").read_bytes()
    assert b"correct" not in (desk.node.data / "journal.db-wal").read_bytes()
    done(desk.do(RemoveDeployment(deployment=WEB.deployment)))
    assert list((desk.node.data / "run").rglob("DB_PASSWORD")) == []


def test_secret_is_environment_too_under_standard(desk: Desk, engine: LabEngine) -> None:
    settings = (
        Setting(name="TOKEN", sealed=desk.sealed(b"t0ken")),
        Setting(name="KEY", sealed=desk.sealed(b"-----BEGIN\nlines\n")),
    )
    pin = desk.give(images.web("demo:1"))
    done(desk.do(deployment("web", revision(pin, settings=settings))))
    container = engine.client().containers.get("hercules-test0t-web-main")
    assert "TOKEN=t0ken" in container.attrs["Config"]["Env"]
    assert container.exec_run(["cat", "/run/secrets/KEY"]).output == b"-----BEGIN\nlines\n"


def test_secret_of_another_node_is_told_before_anything_is_done(desk: Desk, engine: LabEngine) -> None:
    for sealed in (
        desk.sealed(b"x", node="n-0000000000000000"),
        msgspec.structs.replace(desk.sealed(b"x"), for_node="AAAA"),
    ):
        what = revision(desk.give(images.web("demo:1")), settings=(Setting(name="A", sealed=sealed),))
        assert failed(desk.do(deployment("web", what))) == ("failed", "secret_unreadable")
    assert engine.client().containers.list(all=True) == []


def test_second_revision_replaces_the_first_and_keeps_its_data(desk: Desk, engine: LabEngine) -> None:
    first, second = desk.give(images.keeps("keeps:1", "one")), desk.give(images.keeps("keeps:2", "two"))
    done(desk.do(deployment("web", revision(first, port=20001))))
    result = done(desk.do(deployment("web", revision(second, 2, port=20001))))
    assert result.facts["deployment"]["revision"] == 2
    assert engine.get(20001, "/starts")[1].split() == ["one", "two"]
    assert [c.name for c in engine.client().containers.list(all=True)] == ["hercules-test0t-web-main"]
    assert len(engine.client().volumes.list()) == 1


def test_revision_that_fails_is_rolled_back_to_the_one_that_ran(desk: Desk, engine: LabEngine) -> None:
    good, bad = desk.give(images.web("demo:1", "good")), desk.give(images.unhealthy("bad:1"))
    done(desk.do(deployment("web", revision(good, port=20001))))
    result = desk.do(deployment("web", revision(bad, 2, port=20002), gate=Gate(within_s=2)))
    assert failed(result) == ("failed", "unhealthy")
    assert result.problem is not None
    assert result.problem.left_behind == ()
    assert any("not ready yet" in line for line in result.problem.evidence)
    assert engine.get(20001)[1] == "good"
    seen = facts(desk)
    assert [(d.revision, d.state) for d in seen.deployments or ()] == [(1, "running")]
    assert [c.name for c in seen.containers or ()] == ["hercules-test0t-web-main"]
    assert 20002 not in (seen.used_ports or ())


def test_failed_revision_is_kept_for_a_look_when_the_order_says_so(desk: Desk, engine: LabEngine) -> None:
    bad = deployment("web", revision(desk.give(images.exits("bad:1"))), on_failure="keep")
    result = desk.do(bad)
    assert failed(result) == ("failed", "exited")
    assert result.problem is not None
    assert result.problem.left_behind == ("the stopped container hercules-test0t-web-main",)
    good = desk.give(images.web("demo:1"))
    done(desk.do(deployment("web", revision(good, 2, port=20001))))
    assert [c.status for c in engine.client().containers.list(all=True)] == ["running"]


def test_same_revision_again_is_there_already(desk: Desk, engine: LabEngine) -> None:
    order = deployment("web", revision(desk.give(images.web("demo:1")), port=20001))
    assert not done(desk.do(order)).already
    container = engine.client().containers.list()[0].id
    assert done(desk.do(order)).already
    assert [c.id for c in engine.client().containers.list(all=True)] == [container]
    changed = deployment("web", revision(desk.give(images.web("demo:1")), port=20002))
    assert failed(desk.do(changed)) == ("refused", "refused.condition")
    done(desk.do(deployment("web", revision(desk.give(images.web("demo:2")), 3, port=20001))))
    assert failed(desk.do(order)) == ("refused", "refused.condition")


def test_two_deploys_at_once_both_run(desk: Desk, engine: LabEngine) -> None:
    pin = desk.give(images.web("demo:1"))
    orders = [desk.send(deployment(f"web{n}", revision(pin, port=20001 + n))) for n in range(3)]
    for n, order in enumerate(orders):
        done(desk.result(order.id))
        assert engine.get(20001 + n)[0] == 200
    subnets = {
        n.attrs["IPAM"]["Config"][0]["Subnet"]
        for n in engine.client().networks.list()
        if str(n.name).startswith("hercules-")
    }
    assert len(subnets) == 3


def test_of_two_deploys_at_once_for_one_port_or_name_one_wins(desk: Desk) -> None:
    pin = desk.give(images.web("demo:1"))
    orders = [desk.send(deployment(f"web{n}", revision(pin, port=20001))) for n in range(2)]
    results = [desk.result(o.id) for o in orders]
    assert sorted(r.outcome for r in results) == ["done", "failed"]
    assert [r.problem.code for r in results if r.problem] == ["port_taken"]
    same = [deployment("same", revision(pin), deployment=f"d-same00000000000{n}") for n in range(2)]
    results = [desk.result(o.id) for o in [desk.send(order) for order in same]]
    assert [r.problem.code for r in results if r.problem] == ["name_taken"]


def test_stop_start_restart_and_remove(desk: Desk, engine: LabEngine) -> None:
    done(desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001))))
    stopped = done(desk.do(StopTarget(target=WEB)))
    assert stopped.facts["deployment"]["wanted"] == "stopped"
    assert stopped.facts["deployment"]["state"] == "exited"
    assert done(desk.do(StopTarget(target=WEB))).already
    started = done(desk.do(StartTarget(target=WEB)))
    assert (started.facts["deployment"]["health"], started.facts["open"]) == (
        "healthy",
        "http://localhost:20001/",
    )
    assert done(desk.do(StartTarget(target=WEB))).already
    before = engine.client().containers.list()[0].attrs["State"]["StartedAt"]
    done(desk.do(RestartTarget(target=WEB)))
    assert engine.client().containers.list()[0].attrs["State"]["StartedAt"] > before
    done(desk.do(RemoveDeployment(deployment=WEB.deployment)))
    assert engine.client().containers.list(all=True) == []
    assert [n for n in engine.client().networks.list() if str(n.name).startswith("hercules-")] == []
    assert done(desk.do(RemoveDeployment(deployment=WEB.deployment))).already
    assert failed(desk.do(StopTarget(target=WEB))) == ("failed", "no_such_target")
    done(desk.do(deployment("web", revision(desk.give(images.web("demo:1")), port=20001))))


def test_data_stays_unless_its_deletion_is_ordered(desk: Desk, engine: LabEngine) -> None:
    order = deployment("web", revision(desk.give(images.keeps("keeps:1")), port=20001))
    done(desk.do(order))
    kept = done(desk.do(RemoveDeployment(deployment=WEB.deployment)))
    assert [v.name for v in engine.client().volumes.list()] == kept.facts["kept_volumes"] != []
    done(desk.do(order))
    assert engine.get(20001, "/starts")[1].split() == ["v1", "v1"]
    done(desk.do(RemoveDeployment(deployment=WEB.deployment, data="delete")))
    assert engine.client().volumes.list() == []


def test_container_made_elsewhere_is_named_by_id_and_creation_time(desk: Desk, engine: LabEngine) -> None:
    engine.load(images.web("demo:1"))
    engine.client().containers.run("demo:1", name="theirs", detach=True)
    fact = next(c for c in facts(desk).containers or () if c.name == "theirs")
    assert (fact.deployment, fact.state) == ("", "running")
    target = EngineTarget(engine_id=fact.engine_id, created_ms=fact.created_ms)
    other = EngineTarget(engine_id=fact.engine_id, created_ms=fact.created_ms + 1)
    assert failed(desk.do(StopTarget(target=other))) == ("refused", "refused.condition")
    assert failed(desk.do(RemoveTarget(target=target))) == ("failed", "in_use")
    stopped = done(desk.do(StopTarget(target=target)))
    assert stopped.facts["container"]["state"] == "exited"
    done(desk.do(StartTarget(target=target)))
    done(desk.do(RestartTarget(target=target, stop_within_s=2)))
    done(desk.do(RemoveTarget(target=target, force=True)))
    assert done(desk.do(RemoveTarget(target=target))).already
    assert failed(desk.do(StartTarget(target=target))) == ("failed", "no_such_target")


def test_container_of_a_deployment_is_not_acted_on_by_its_engine_id(desk: Desk) -> None:
    done(desk.do(deployment("web", revision(desk.give(images.web("demo:1"))))))
    (fact,) = facts(desk).containers or ()
    target = EngineTarget(engine_id=fact.engine_id, created_ms=fact.created_ms)
    for order in (StopTarget(target=target), RemoveTarget(target=target, force=True)):
        assert failed(desk.do(order)) == ("refused", "refused.condition")


def test_logs_are_cut_and_say_so(desk: Desk, engine: LabEngine) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; sleep 100"
    archive = images.build("talks:1", ("/bin/sh", "-c", script))
    done(desk.do(deployment("web", revision(desk.give(archive)), gate=RUNNING)))
    lines = done(desk.do(ContainerLogs(target=WEB, lines=5)))
    assert lines.facts == {"lines": [f"line {n}" for n in range(295, 300)], "cut": False}
    script = "i=0; while [ $i -lt 300 ]; do printf '\\001%0900d\\n' $i; i=$((i+1)); done; sleep 100"
    archive = images.build("talks:2", ("/bin/sh", "-c", script))
    done(desk.do(deployment("web", revision(desk.give(archive), 2), gate=RUNNING)))
    long = done(desk.do(ContainerLogs(target=WEB, lines=300)))
    assert long.facts["cut"] is True
    assert long.facts["lines"][-1].endswith("299")


@pytest.mark.parametrize(
    ("gate", "kind"),
    [
        (Gate(kind="http", path="/index.html"), "done"),
        (Gate(kind="tcp"), "done"),
        (Gate(kind="auto"), "done"),
        (Gate(kind="running", settle_s=1), "done"),
    ],
)
def test_each_gate_passes_what_works(desk: Desk, gate: Gate, kind: str) -> None:
    script = "/bin/httpd -f -p 8080 -h /www"
    archive = images.build("plain:1", ("/bin/sh", "-c", script), files={"www/index.html": "x"}, port=8080)
    assert (
        done(desk.do(deployment("web", revision(desk.give(archive), port=20001), gate=gate))).outcome == kind
    )


@pytest.mark.parametrize("kind", ["http", "tcp", "auto"])
def test_port_on_which_nobody_listens_does_not_pass(desk: Desk, kind: Any) -> None:
    archive = images.build("deaf:1", ("/bin/sleep", "100"), port=8080)
    order = deployment("web", revision(desk.give(archive), port=20001), gate=Gate(kind=kind, within_s=2))
    assert failed(desk.do(order)) == ("failed", "unhealthy")


def test_port_for_another_protocol_and_lan_address(make_desk: MakeDesk, engine: LabEngine) -> None:
    desk = make_desk(lan_addresses=[engine.address])
    ports = (
        Published(container_port=8080, node_port=20001, exposure="lan"),
        Published(container_port=53, node_port=20001, protocol="udp"),
    )
    pin = desk.give(images.web("demo:1"))
    result = done(desk.do(deployment("web", revision(pin, ports=ports))))
    assert result.facts["open"] == f"http://{engine.address}:20001/"
    addresses = {p["address"] for p in result.facts["deployment"]["ports"] if p["protocol"] == "tcp"}
    assert addresses == {"127.0.0.1", engine.address}


def test_image_from_a_registry_is_resolved_pulled_by_digest_deployed_and_removed(
    desk: Desk, engine: LabEngine, registry: LabRegistry
) -> None:
    reference, digest = registry.publish(images.web("demo:1", "from the registry"), "demo:1")
    found = done(desk.do(ResolveImage(reference=reference)))
    assert found.facts["digest"] == digest
    pin = ImagePin(reference=reference, repository=found.facts["repository"], digest=digest)
    assert failed(desk.do(InspectImage(image=pin))) == ("failed", "no_such_target")
    pulled = done(desk.do(PullImage(image=pin)))
    assert (pulled.facts["digest"], pulled.already) == (digest, False)
    assert done(desk.do(PullImage(image=pin))).already
    assert done(desk.do(InspectImage(image=pin))).facts["engine_id"] == pulled.facts["engine_id"]
    done(desk.do(deployment("web", revision(pin, port=20001))))
    assert engine.get(20001)[1] == "from the registry"
    assert failed(desk.do(RemoveImage(image=pin))) == ("failed", "in_use")
    done(desk.do(RemoveDeployment(deployment=WEB.deployment)))
    assert not done(desk.do(RemoveImage(image=pin))).already
    assert done(desk.do(RemoveImage(image=pin))).already


def test_facts_too_long_for_one_result_end_early_and_say_so(desk: Desk, engine: LabEngine) -> None:
    engine.load(images.web("demo:1"))
    labels = {f"label{n}": "x" * 50 for n in range(3)}
    for n in range(130):
        engine.client().containers.create("demo:1", name=f"c{n:03d}-{'x' * 60}", labels=labels)
    seen = facts(desk)
    assert seen.cut == ("containers",)
    assert 20 < len(seen.containers or ()) < 130
