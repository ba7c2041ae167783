"""Deployments as this installation orders them, and as its nodes last said they are.

Rules. 1: a name belongs to one living deployment of the installation, by a record that is written before
the order is handed over. 2: every apply and remove stands in the history, once per order. 3: a failed first
revision that left nothing behind frees its name; so does a remove. 4: what a node says is a fact with a
time; it never changes what should run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from agent.orders import ApplyDeployment, DeploymentFact, RemoveDeployment, Revision
from agent.orders.results import Result
from bot.fleet.records import (
    Change,
    DeploymentRecord,
    NameRecord,
    OrderRecord,
    believable,
    decoded,
    encoded,
    every,
)
from bot.fleet.signing import body_in
from bot.store import Conflict, Kind, Store

HISTORY = 100  # changes kept of a deployment; the audit has them all
FACTS = 1_000  # deployments taken from one node

_log = structlog.get_logger("fleet")


class NameHeld(Exception):
    """The name belongs to another living deployment."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(name)
        self.name = name
        self.holder = holder


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a node said about a deployment, and when."""

    fact: DeploymentFact
    node: str
    at_ms: int


class DeploymentView(msgspec.Struct, frozen=True, kw_only=True):
    """What should run (None: made by another installation of this agent, or lost), and what was seen."""

    record: DeploymentRecord | None
    seen: Seen | None


class DeploymentBook:
    """Deployment records, their names, and what was seen of them."""

    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._seen: dict[str, dict[str, Seen]] = {}  # by node, then deployment

    async def get(self, id: str) -> DeploymentRecord | None:
        """The deployment of this id. Raises Tampered."""
        found = await self._store.get(Kind.DEPLOYMENT, id)
        return None if found is None else decoded(found.body, DeploymentRecord)

    async def named(self, name: str) -> DeploymentRecord | None:
        """The living deployment that holds a name."""
        body = await believable(self._store, Kind.NAME, name)
        if body is None:
            return None
        record = await self.get(decoded(body, NameRecord).deployment)
        return record if record and record.is_alive and record.name == name else None

    async def all(self) -> list[DeploymentRecord]:
        """Every deployment, removed ones too, the newest first."""
        found = [decoded(b, DeploymentRecord) async for b in every(self._store, Kind.DEPLOYMENT)]
        return sorted(found, key=lambda r: (-r.made_ms, r.id))

    async def views(self) -> list[DeploymentView]:
        """Living deployments with what was seen of them, and seen ones that no record explains."""
        records = [r for r in await self.all() if r.is_alive]
        views = [DeploymentView(record=r, seen=self.seen(r.node, r.id)) for r in records]
        known = {r.id for r in records}
        strays = [s for of_node in self._seen.values() for id, s in of_node.items() if id not in known]
        return views + [DeploymentView(record=None, seen=s) for s in strays]

    # -- what is ordered

    async def begin(self, record: OrderRecord, order: ApplyDeployment | RemoveDeployment) -> None:
        """Write down that an order is about to be handed over; again: nothing. Raises NameHeld."""
        present = await self.get(order.deployment)
        if present is not None and any(c.order == record.id for c in present.history):
            return
        if isinstance(order, ApplyDeployment):
            await self._claim(order.name, order.deployment)
        await self._change(order.deployment, lambda present: _begun(present, record, order, self._now_ms()))

    async def finish(self, record: OrderRecord, result: Result) -> None:
        """Write down how an order ended. Unknown yet changes only the history."""
        if not record.deployment:
            return
        after = await self._change(
            record.deployment, lambda present: _finished(present, record, result, self._now_ms())
        )
        if after is not None and not after.is_alive:
            await self._release(after.name, after.id)

    async def _change(
        self,
        id: str,
        step: Callable[[DeploymentRecord | None], DeploymentRecord | None],
    ) -> DeploymentRecord | None:
        while True:
            found = await self._store.get(Kind.DEPLOYMENT, id)
            present = None if found is None else decoded(found.body, DeploymentRecord)
            after = step(present)
            if after is None or after == present:
                return after
            try:
                await self._store.put(
                    Kind.DEPLOYMENT, id, encoded(after), seen=0 if found is None else found.version
                )
            except Conflict:
                continue
            if present is not None and present.name != after.name:
                await self._release(present.name, id)
            return after

    async def _claim(self, name: str, deployment: str) -> None:
        """Take a name for a deployment. Raises NameHeld."""
        while True:
            found = await self._store.get(Kind.NAME, name)
            if found is not None:
                holder = decoded(found.body, NameRecord).deployment
                if holder == deployment:
                    return
                other = await self.get(holder)
                if other is not None and other.is_alive and other.name == name:
                    raise NameHeld(name, holder)
            try:
                body = encoded(NameRecord(deployment=deployment))
                await self._store.put(Kind.NAME, name, body, seen=found.version if found else 0)
            except Conflict:
                continue
            return

    async def _release(self, name: str, deployment: str) -> None:
        body = await believable(self._store, Kind.NAME, name)
        if body is not None and decoded(body, NameRecord).deployment == deployment:
            await self._store.delete(Kind.NAME, name)

    # -- what is seen

    def heard(self, node: str, facts: tuple[DeploymentFact, ...], at_ms: int) -> None:
        """A node said what runs there: this replaces what it said before."""
        self._seen[node] = {f.deployment: Seen(fact=f, node=node, at_ms=at_ms) for f in facts[:FACTS]}

    def heard_one(self, node: str, facts: dict[str, Any], at_ms: int) -> None:
        """A result holds the fact of one deployment."""
        try:
            fact = msgspec.convert(facts.get("deployment"), DeploymentFact)
        except msgspec.ValidationError as e:
            _log.warning("facts.refused", node=node, why=str(e))
            return
        self._seen.setdefault(node, {})[fact.deployment] = Seen(fact=fact, node=node, at_ms=at_ms)

    def forget_seen(self, node: str, deployment: str) -> None:
        """It was removed."""
        self._seen.get(node, {}).pop(deployment, None)

    def seen(self, node: str, deployment: str) -> Seen | None:
        """What the node last said about a deployment."""
        return self._seen.get(node, {}).get(deployment)


def _begun(
    present: DeploymentRecord | None,
    record: OrderRecord,
    order: ApplyDeployment | RemoveDeployment,
    now_ms: int,
) -> DeploymentRecord | None:
    if present is not None and any(c.order == record.id for c in present.history):
        return present
    change = Change(
        order=record.id,
        verb=record.verb,
        session=record.session,
        actor=record.actor,
        at_ms=now_ms,
        revision=order.revision.number if isinstance(order, ApplyDeployment) else 0,
    )
    if isinstance(order, RemoveDeployment):
        if present is None:  # not ours, or its record is lost: the node decides
            return None
        return _changed(present, change, state="removing")
    if present is None:
        present = DeploymentRecord(
            id=order.deployment,
            name=order.name,
            node=record.node,
            state="applying",
            actor=record.actor,
            session=record.session,
            made_ms=now_ms,
            changed_ms=now_ms,
        )
    return _changed(
        present,
        change,
        state="applying",
        name=order.name,
        node=record.node,
        trying=order.revision,
        gate=order.gate,
        number=max(present.number, order.revision.number),
    )


def _changed(present: DeploymentRecord, change: Change, **fields: Any) -> DeploymentRecord:
    history = (*present.history, change)[-HISTORY:]
    return msgspec.structs.replace(present, history=history, changed_ms=change.at_ms, **fields)


def _finished(
    present: DeploymentRecord | None, record: OrderRecord, result: Result, now_ms: int
) -> DeploymentRecord | None:
    if present is None:
        return None
    was = next((c for c in present.history if c.order == record.id), None)
    if was is None or was.outcome not in ("", "unknown"):
        return present
    now = msgspec.structs.replace(
        was,
        outcome=result.outcome,
        says=result.problem.says if result.problem else "",
        ended_ms=result.ended_ms or now_ms,
    )
    history = tuple(now if c.order == record.id else c for c in present.history)
    changed = msgspec.structs.replace(present, history=history, changed_ms=now_ms)
    if result.outcome == "unknown":
        return changed
    is_done = result.outcome == "done"
    if record.verb == "deployment.remove":
        if is_done:
            return msgspec.structs.replace(changed, state="removed", revision=None, trying=None)
        return msgspec.structs.replace(changed, state="applied" if present.revision else "failed")
    tried = _revision_of(record)
    other = present.trying if present.trying != tried else None  # another order is under way meanwhile
    revision = tried if is_done else present.revision
    return msgspec.structs.replace(
        changed,
        state="applying" if other else "applied" if revision else "failed",
        revision=revision,
        trying=other,
        leftover=not is_done and bool(result.problem and result.problem.left_behind),
    )


def _revision_of(record: OrderRecord) -> Revision | None:
    order = body_in(record.envelope).order
    return order.revision if isinstance(order, ApplyDeployment) else None
