"""The simulated fleet: what nodes would answer to orders and lookups, in virtual time.

Pure but for its own world: no clock, no network, no chance but the seed's. The same seed, faults and
orders give the same answers. Orders are idempotent by id, as on a real agent.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from agent.orders import Order
from agent.orders.results import Outcome, Problem, Result
from bot.authoring import doing, seen
from bot.authoring.faults import Fault, fault
from bot.authoring.world import BEGAN_MS, DAY_MS, App, Box, Copy, Image, Machine, World, a_digest
from bot.engine.effects import AskFacts, SendOrder
from bot.engine.events import Event, FactsCame, OrderFinished, Taken
from bot.engine.facts import FACTS

NODES: Final = ("node-1", "node-2", "node-3")
LOOKUP_MS: Final = 5


class Said(msgspec.Struct, frozen=True):
    """What the fleet will say, and when."""

    at_ms: int
    event: Event


class SimFleet:
    """Some machines with containers on them. `world` may be looked at and changed between steps."""

    def __init__(self, seed: int = 0, *, nodes: Iterable[str] = NODES, at_ms: int = BEGAN_MS) -> None:
        self.world = World(joining=["ticket-1", "ticket-2"])
        self.faults: dict[str, int] = {}  # by name: how many more orders meet it, -1 for all
        self.log: list[tuple[str, str, str]] = []  # (order id, verb, outcome) of what was carried out
        self._random = random.Random(seed)  # noqa: S311  (repeatable on purpose)
        self._answered: dict[str, Result] = {}
        for number, name in enumerate(nodes, 1):
            machine = _furnished(number, name, at_ms)
            self.world.machines[machine.id] = machine

    @property
    def first(self) -> str:
        """The id of the machine that a session is about when nobody says another."""
        return next(iter(self.world.machines))

    def break_(self, name: str, times: int = -1) -> None:
        """Switch a fault on, for so many orders or lookups (-1: until mended). Raises NoSuchFault."""
        self.faults[fault(name).name] = times

    def mend(self, name: str = "") -> None:
        """Switch a fault off, or all."""
        if name:
            self.faults.pop(fault(name).name, None)
        else:
            self.faults.clear()

    def carry_out(self, wish: SendOrder, at_ms: int) -> list[Said]:
        """What comes of an order, and when. The world changes at once."""
        verb = str(wish.order["verb"])
        if wish.id in self._answered:
            return [self._said(self._answered[wish.id], at_ms + LOOKUP_MS)]
        met = [one for one in self._met(verb) if one.kind != "facts"]
        names = {one.name for one in met}
        took_ms = self._random.randrange(200, 3_000) * (100 if "slow" in names else 1)
        ended_ms = at_ms + took_ms
        if "target-busy" in names and wish.claim and not wish.breaks:
            taken = Taken(
                at_ms=at_ms,
                order_id=wish.id,
                claim=wish.claim,
                session="s-another",
                name="Ben",
                title="Upgrade",
                says="Upgrading it.",
                since_ms=at_ms - 60_000,
            )
            return [Said(at_ms + 1, taken)]
        for one in met:
            self._befall(one, wish)
        machine = self.world.machines.get(wish.node)
        if "node-offline" in names or machine is None or not machine.online:
            late = Problem(
                code="expired",
                says="The machine did not answer in time.",
                do="Look whether it is switched on and connected.",
            )
            return [
                self._said(
                    self._result(wish, verb, "failed", at_ms, wish.expires_ms, problem=late), wish.expires_ms
                )
            ]
        refusing = next((one for one in met if one.code), None)
        if refusing is not None:
            problem = Problem(
                code=refusing.code,
                says=refusing.says,
                do=refusing.do,
                left_behind=refusing.left_behind,
                evidence=refusing.evidence,
            )
            outcome: Outcome = "refused" if refusing.code.startswith("refused.") else "failed"
            result = self._result(wish, verb, outcome, at_ms, ended_ms, problem=problem)
        elif "unknown-then-failed" in names:
            gone = Problem(code="internal", says="It was not done, as is known now.", do="Try again.")
            result = self._result(wish, verb, "failed", at_ms, ended_ms + 60_000, problem=gone)
        else:
            result = self._done(wish, verb, machine, at_ms, ended_ms)
        self.log.append((wish.id, verb, result.outcome))
        self._answered[wish.id] = result
        return self._travel(result, names, ended_ms)

    def facts(self, wish: AskFacts, at_ms: int) -> list[Said]:
        """What comes of a lookup. Nothing comes of one that gets no answer but a sentence at its end."""
        names = {one.name for one in self._met("") if one.kind == "facts"}
        machine = self.world.machines.get(str(wish.args.get("node") or wish.node))
        away = wish.fact not in ("nodes", "demos") and (
            machine is None or not machine.online or "node-offline" in self.faults
        )
        if away or "facts-away" in names:
            says = "The machine is not connected." if away else "No answer came in time."
            late = FactsCame(at_ms=wish.due_ms, lookup_id=wish.id, problem=says)
            return [Said(wish.due_ms, late)]
        if FACTS[wish.fact].fills == "value":
            given = (
                None if "facts-empty" in names else seen.value(self.world, wish.fact, wish.args, wish.node)
            )
            facts: dict[str, Any] = {"value": given}
        else:
            found = (
                [] if "facts-empty" in names else seen.options(self.world, wish.fact, wish.args, wish.node)
            )
            facts = {"options": found}
        due = at_ms + (5_000 if "facts-late" in names else LOOKUP_MS)
        return [Said(due, FactsCame(at_ms=due, lookup_id=wish.id, facts=facts))]

    def _met(self, verb: str) -> list[Fault]:
        """The faults that this order (or lookup, verb "") meets; each that is limited is used up by it."""
        met = []
        for name, times in list(self.faults.items()):
            one = fault(name)
            if not (one.befalls(verb) if verb else one.kind == "facts"):
                continue
            met.append(one)
            if times > 0:
                self.faults[name] = times - 1
                if times == 1:
                    del self.faults[name]
        return met

    def _befall(self, one: Fault, wish: SendOrder) -> None:
        """What is other since the person was asked."""
        machine = self.world.machines.get(wish.node)
        if one.kind != "world" or machine is None:
            return
        if one.name == "node-full":
            machine.disk_free = 0
            return
        target = wish.order.get("target")
        if not isinstance(target, dict):
            return
        for box in list(machine.boxes.values()):
            if box.deployment == target.get("deployment", "-") or box.id == target.get("engine_id", "-"):
                if one.name == "container-stopped":
                    box.state = "exited"
                else:
                    del machine.boxes[box.name]
                    machine.apps.pop(box.deployment, None)

    def _done(self, wish: SendOrder, verb: str, machine: Machine, at_ms: int, ended_ms: int) -> Result:
        if machine.disk_free <= 0 and fault("disk-full").befalls(verb):
            full = fault("disk-full")
            problem = Problem(code=full.code, says=full.says, do=full.do)
            return self._result(wish, verb, "failed", at_ms, ended_ms, problem=problem)
        site = doing.Site(self.world, machine, ended_ms, wish.id)
        try:
            order: Order = msgspec.convert(wish.order, Order)
            done = doing.carry_out(site, order)
        except doing.NotDone as e:
            return self._result(wish, verb, "failed", at_ms, ended_ms, problem=e.problem)
        return self._result(wish, verb, "done", at_ms, ended_ms, facts=done.facts, already=done.already)

    def _result(
        self, wish: SendOrder, verb: str, outcome: Outcome, began_ms: int, ended_ms: int, **more: Any
    ) -> Result:
        return Result(
            order=wish.id,
            node=wish.node,
            verb=verb,
            outcome=outcome,
            started_ms=began_ms,
            ended_ms=ended_ms,
            **more,
        )

    def _travel(self, result: Result, names: set[str], at_ms: int) -> list[Said]:
        later = at_ms + 60_000
        if names & {"unknown-then-done", "unknown-then-failed", "unknown-for-long"}:
            open_ = msgspec.structs.replace(result, outcome="unknown", facts={}, problem=None, already=False)
            settles = at_ms + (7 * DAY_MS if "unknown-for-long" in names else 60_000)
            return [self._said(open_, at_ms), self._said(result, settles)]
        if "result-lost" in names:
            return [self._said(result, later)]
        if "result-twice" in names:
            return [self._said(result, at_ms), self._said(result, at_ms + 1)]
        return [self._said(result, at_ms)]

    def _said(self, result: Result, at_ms: int) -> Said:
        return Said(at_ms, OrderFinished(at_ms=at_ms, order_id=result.order, result=result))


def _furnished(number: int, name: str, at_ms: int) -> Machine:
    """A machine as they are: some of ours, one of somebody else's, a stopped one, and what lies around."""
    machine = Machine(id=f"n-{a_digest('node', name)[:16]}", name=name)
    suffix = "" if number == 1 else f"-{number}"
    for index, (app_name, reference, inside) in enumerate(
        [("web", "nginx:1.27", 80), ("wiki", "ghcr.io/example/wiki:3", 3000), ("db", "postgres:16", 5432)]
    ):
        id = f"d-{a_digest('deployment', name, app_name)[:16]}"
        digest = f"sha256:{a_digest('image', reference)}"
        image = Image(reference=reference, digest=digest, port=inside, health_check=app_name == "web")
        machine.images[reference] = image
        pin = {"reference": reference, "repository": f"docker.io/{reference.split(':')[0]}", "digest": digest}
        volumes = {"data": f"the data of {app_name}"}
        settings = {"PASSWORD": a_digest("secret", id)} if app_name != "web" else {"MODE": "production"}
        machine.apps[id] = App(id=id, name=app_name + suffix, pin=pin, settings=settings, volumes=volumes)
        box_name = f"{app_name}{suffix}-{id[2:8]}"
        machine.boxes[box_name] = Box(
            id=a_digest("box", id),
            name=box_name,
            image=reference,
            health="healthy" if app_name == "web" else "none",
            deployment=id,
            ports=[(inside, 8_000 + 100 * number + index)],
            log=[f"{app_name}: line {line}" for line in range(1, 6)],
            created_ms=at_ms - 30 * DAY_MS,
            started_ms=at_ms - 3 * DAY_MS,
        )
        for volume, holds in volumes.items():
            for days in range(1, 6):
                copy = f"b-{a_digest('copy', id, days)[:16]}"
                machine.copies[copy] = Copy(
                    id=copy,
                    deployment=id,
                    volume=volume,
                    holds=f"{holds}, {days} days ago",
                    at_ms=at_ms - days * DAY_MS,
                )
    for other, state in (("grafana", "running"), ("old-import", "exited")):
        machine.boxes[other + suffix] = Box(
            id=a_digest("box", name, other),
            name=other + suffix,
            image=f"{other}:1",
            state=state,
            created_ms=at_ms - 60 * DAY_MS,
            started_ms=at_ms - 60 * DAY_MS,
            log=[] if state == "exited" else ["ready"],
        )
    for lying in ("grafana:1", "old-import:1", "busybox:1.36"):
        machine.images[lying] = Image(reference=lying, digest=f"sha256:{a_digest('image', lying)}", port=None)
    return machine
