"""The simulated fleet: each order is carried out, each fault befalls, options look as the real ones do."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
import pytest

from agent import orders
from agent.orders import READING, SIMULATED, ContainerFact, ImageFact, Order
from bot.authoring import doing, seen
from bot.authoring.faults import FAULTS, NoSuchFault, fault
from bot.authoring.fleet import Said, SimFleet
from bot.authoring.world import difference, picture
from bot.engine.effects import AskFacts, SendOrder
from bot.engine.events import FactsCame, OrderFinished
from bot.engine.facts import FACTS
from bot.fleet import facts as real

NOW = 1_700_000_000_000
NEW = "d-zzzzzzzzzzzzzzzz"
SEALED = {"node": "n-1", "for_node": "eA==", "for_recovery": "eA=="}
PIN = {"reference": "redis:7", "repository": "docker.io/library/redis", "digest": f"sha256:{'1' * 64}"}


def wish(fleet: SimFleet, verb: str, id: str = "o-1", **args: Any) -> SendOrder:
    return SendOrder(
        id=id,
        session="s-1",
        node=fleet.first,
        order={"verb": verb, **args},
        actor="p-ann",
        not_before_ms=NOW,
        expires_ms=NOW + 3_600_000,
        claim="something",
    )


def answer(fleet: SimFleet, verb: str, id: str = "o-1", **args: Any) -> Any:
    last = fleet.carry_out(wish(fleet, verb, id, **args), NOW)[-1].event
    assert isinstance(last, OrderFinished)
    return last.result


def app(fleet: SimFleet, name: str = "wiki") -> str:
    return next(one.id for one in fleet.world.machines[fleet.first].apps.values() if one.name == name)


def arguments(fleet: SimFleet) -> dict[str, dict[str, Any]]:
    """Arguments with which each order does something on a fleet as it is at first."""
    wiki = app(fleet)
    target = {"type": "part", "deployment": wiki, "part": "main"}
    machine = fleet.world.machines[fleet.first]
    stopped = next(box for box in machine.boxes.values() if box.state == "exited")
    backup = next(copy.id for copy in machine.copies.values() if copy.deployment == wiki)
    busybox = {
        "reference": "busybox:1.36",
        "repository": "docker.io/library/busybox",
        "digest": PIN["digest"],
    }
    return {
        "node.facts": {"want": ["containers", "ports", "disk", "images", "deployments"]},
        "image.resolve": {"reference": "redis:7"},
        "image.inspect": {"image": busybox},
        "image.pull": {"image": PIN},
        "image.import": {"blob": "0" * 64, "blob_bytes": 5, "reference": "a.tar"},
        "image.remove": {"image": busybox},
        "deployment.apply": {"deployment": NEW, "name": "cache", "revision": {"number": 1, "image": PIN}},
        "deployment.remove": {"deployment": wiki},
        "container.logs": {"target": target},
        "container.stop": {"target": target},
        "container.start": {"target": target},
        "container.restart": {"target": target},
        "container.remove": {
            "target": {"type": "engine", "engine_id": stopped.id, "created_ms": stopped.created_ms}
        },
        "volume.list": {"deployment": wiki},
        "volume.backup": {"deployment": wiki, "volume": "data"},
        "volume.restore": {"deployment": wiki, "volume": "data", "backup": backup},
        "backup.prune": {
            "deployment": wiki,
            "volume": "data",
            "keep_last": 2,
            "keep_daily": 0,
            "keep_weekly": 0,
            "keep_monthly": 0,
        },
        "node.drain": {},
        "node.undrain": {},
        "secret.rotate": {"deployment": wiki, "name": "PASSWORD", "sealed": SEALED},
        "disk.clean": {"want": ["images", "build_cache", "stopped"]},
        "certificate.check": {"host": "example.org"},
        "node.enrol": {"name": "node-9"},
        "deployment.clone": {"deployment": wiki, "to": NEW, "name": "wiki-staging"},
    }


VERBS = sorted(str(kind.__struct_config__.tag) for kind in typing.get_args(Order))


def test_each_order_that_there_is_has_its_simulation() -> None:
    assert set(VERBS) == doing.VERBS == set(arguments(SimFleet()))
    assert doing.VERBS >= SIMULATED


@pytest.mark.parametrize("verb", VERBS)
def test_an_order_is_done_once_and_answered_from_memory_afterwards(verb: str) -> None:
    fleet = SimFleet()
    before = picture(fleet.world)
    first = answer(fleet, verb, **arguments(fleet)[verb])
    assert first.outcome == "done", first
    after = picture(fleet.world)
    if verb in READING:
        assert before == after
    assert answer(fleet, verb, **arguments(SimFleet())[verb]) == first
    assert picture(fleet.world) == after
    assert len(fleet.log) == 1


@pytest.mark.parametrize(
    ("verb", "undo"),
    [
        ("container.stop", "container.start"),
        ("image.pull", "image.remove"),
        ("deployment.apply", "deployment.remove"),
        ("deployment.clone", "deployment.remove"),
        ("node.drain", "node.undrain"),
    ],
)
def test_an_undo_brings_back_what_was(verb: str, undo: str) -> None:
    fleet = SimFleet()
    before, args = picture(fleet.world), arguments(fleet)
    args["image.remove"] = {"image": PIN}
    if verb.startswith("deployment"):
        args["deployment.remove"] = {"deployment": NEW}
    assert answer(fleet, verb, "o-1", **args[verb]).outcome == "done"
    assert difference(before, picture(fleet.world))
    assert answer(fleet, undo, "o-2", **args[undo]).outcome == "done"
    assert difference(before, picture(fleet.world)) == []


def test_a_restore_keeps_what_was_there_as_a_backup_that_restores_it() -> None:
    fleet = SimFleet()
    before, args = picture(fleet.world), arguments(fleet)["volume.restore"]
    kept = answer(fleet, "volume.restore", "o-1", **args).facts["before"]
    assert difference(before, picture(fleet.world))
    answer(fleet, "volume.restore", "o-2", **{**args, "backup": kept})
    assert difference(before, picture(fleet.world)) == []


@pytest.mark.parametrize("name", [one.name for one in FAULTS.values() if one.code])
def test_a_fault_befalls_its_orders_and_changes_nothing(name: str) -> None:
    one = FAULTS[name]
    for verb in [verb for verb in VERBS if one.befalls(verb)]:
        fleet = SimFleet()
        before = picture(fleet.world)
        fleet.break_(name, 1)
        result = answer(fleet, verb, **arguments(fleet)[verb])
        assert result.outcome in ("failed", "refused") and result.problem.code == one.code
        assert picture(fleet.world) == before
        assert fleet.faults == {}, "it was for one order"


def outcomes(said: list[Said]) -> list[str]:
    return [one.event.result.outcome for one in said if isinstance(one.event, OrderFinished)]


def test_what_is_unknown_settles_later_as_the_fault_says() -> None:
    for name, later in (("unknown-then-done", "done"), ("unknown-then-failed", "failed")):
        fleet = SimFleet()
        before = picture(fleet.world)
        fleet.break_(name)
        said = fleet.carry_out(wish(fleet, "container.stop", **arguments(fleet)["container.stop"]), NOW)
        assert outcomes(said) == ["unknown", later]
        assert said[0].at_ms < said[1].at_ms
        assert (picture(fleet.world) == before) == (later == "failed")


def test_a_container_that_is_gone_since_is_no_target() -> None:
    fleet = SimFleet()
    fleet.break_("container gone")
    result = answer(fleet, "container.restart", **arguments(fleet)["container.restart"])
    assert result.problem.code == "no_such_target"


def test_a_machine_that_is_away_answers_nothing_until_the_order_is_too_old() -> None:
    fleet = SimFleet()
    fleet.world.machines[fleet.first].online = False
    (said,) = fleet.carry_out(wish(fleet, "node.drain"), NOW)
    assert (outcomes([said]), said.at_ms) == (["failed"], NOW + 3_600_000)


def test_a_fault_that_there_is_none_of_names_what_was_meant() -> None:
    with pytest.raises(NoSuchFault, match="disk-full"):
        fault("disk ful")


def lookup(fleet: SimFleet, fact: str, **args: Any) -> FactsCame:
    ask = AskFacts(
        id="l-1", session="s-1", seq=1, fact=fact, args=args, node=fleet.first, due_ms=NOW + 10_000
    )
    (said,) = fleet.facts(ask, NOW)
    assert isinstance(said.event, FactsCame)
    return said.event


@pytest.mark.parametrize("fact", sorted(FACTS))
def test_each_fact_is_answered_and_can_stay_away(fact: str) -> None:
    fleet = SimFleet()
    came = lookup(fleet, fact).facts
    assert came is not None
    assert came["options"] if FACTS[fact].fills == "options" else came["value"] is not None
    fleet.break_("facts-away", 1)
    assert lookup(fleet, fact).facts is None


def test_options_have_the_shape_of_the_real_ones() -> None:
    fleet = SimFleet()
    machine = fleet.world.machines[fleet.first]
    boxes = [seen.container(machine, box) for box in machine.boxes.values()]
    names = {one.id: one.name for one in machine.apps.values()}
    theirs = real.container_options(boxes, node=machine.id, names=names)
    ours = lookup(fleet, "containers").facts or {}
    for one, other in zip(ours["options"], seen.plain(theirs), strict=True):
        assert one == {**other, "description": one["description"]}
    for one in ours["options"]:
        msgspec.convert(one["data"], ContainerFact)
        msgspec.convert(one["data"]["target"], orders.Target)
    images = lookup(fleet, "images").facts or {}
    theirs = real.image_options([seen.image(one) for one in machine.images.values()], node=machine.id)
    assert {o["value"] for o in images["options"]} == {o["value"] for o in theirs}
    assert all(msgspec.convert(o["data"], ImageFact) for o in images["options"])


def test_the_same_seed_gives_the_same_answers() -> None:
    results = [answer(SimFleet(3), "image.resolve", reference="a:1") for _ in range(2)]
    assert results[0] == results[1]
