"""Orders of sessions, from the effect to the kept result.

Rules. 1: an order is stored, signed, before it is sent; and marked as handed over before its first byte
leaves, so that "never sent" is a fact one can rely on (expiry, withdrawal). 2: `send` may be called any
number of times; a link gets an order once, the next link gets it again, byte for byte. 3: a result is
believed by the pinned identity key and by the stored order, then told (`on_result`), then kept, then
acknowledged (`ResultKept`), in this order; a crash between any two repeats from the first. 4: one order at
a time passes each of these steps (a lock per order).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from weakref import WeakValueDictionary

import msgspec
import structlog

from agent.link.messages import OrderSent, ResultKept, ResultSaid
from agent.orders import ApplyDeployment, RemoveDeployment, envelope, verb_of
from agent.orders.results import Problem, Result
from bot.engine.effects import SendOrder
from bot.engine.refusals import Gone
from bot.fleet.deployments import DeploymentBook, NameHeld
from bot.fleet.keys import Installation
from bot.fleet.link import Link
from bot.fleet.lookups import unknown_verb
from bot.fleet.nodes import Pin, Pins
from bot.fleet.orders import OrderBook
from bot.fleet.records import OrderRecord
from bot.fleet.refusals import NodeOffline, NoSuchNode, OrderChanged
from bot.fleet.signing import (
    NotAnOrder,
    NotBelieved,
    believed,
    blobs_of,
    body_in,
    payload_in,
    signed,
    typed,
)
from bot.store import StoreError, StoreGone, Tampered

RETRY_FROM_S, RETRY_TO_S = 0.2, 30.0  # telling a result while the store is away

_log = structlog.get_logger("fleet")

Tell = Callable[[str, Result], Awaitable[None]]
Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Delivery:
    """Sends, repeats and settles the orders of sessions."""

    def __init__(
        self,
        *,
        book: OrderBook,
        deployments: DeploymentBook,
        installation: Installation,
        pins: Pins,
        link_of: Callable[[str], Link | None],
        tell: Tell,
        spawn: Spawn,
        now_ms: Callable[[], int],
    ) -> None:
        self._book = book
        self._deployments = deployments
        self._installation = installation
        self._pins = pins
        self._link_of = link_of
        self._tell = tell
        self._spawn = spawn
        self._now_ms = now_ms
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # -- to the node

    async def send(self, effect: SendOrder) -> None:
        """Sign and store the order, and hand it over. Raises NodeOffline, OrderChanged, store errors."""
        async with self._lock(effect.id):
            record = await self._book.get(effect.id)
            if record is None:
                await self._send_new(await self._record_of(effect))
                return
            if not _is_of(record, effect):
                _log.error("order.changed", order=effect.id, session=effect.session)
                raise OrderChanged(order=effect.id)
            if record.is_settled:
                self._tell_again(record)
            else:
                await self._hand_over(record)

    async def _send_new(self, record: OrderRecord) -> None:
        """Store and hand over. Where its node is linked, all that has to be written is written at once."""
        link = self._link_of(record.node)
        if record.is_settled or link is None or not link.is_up or record.verb not in link.verbs:
            record = await self._book.add(record)
            if record.is_settled:
                self._tell_again(record)
            else:
                await self._hand_over(record)
            return
        handed = msgspec.structs.replace(record, handed_ms=self._now_ms())
        kept, held = await asyncio.gather(self._book.add(handed), self._begin(handed), return_exceptions=True)
        for failed in (kept, held):
            if isinstance(failed, BaseException) and not isinstance(failed, NameHeld):
                raise failed
        if isinstance(held, NameHeld):
            await self._settle(handed, _name_held(held))
        elif isinstance(kept, OrderRecord):
            await self._hand_over(kept, begun=True)

    async def resume(self, link: Link) -> None:
        """A link came up: hand over every open order of its node, the oldest first."""
        for known in self._book.open_of(link.node):
            try:
                async with self._lock(known.id):
                    record = await self._book.get(known.id)
                    if record is not None and not record.is_settled:
                        await self._hand_over(record)
            except NodeOffline:
                return
            except StoreError as e:
                _log.error("order.not_sent", order=known.id, why=e.sentence)

    async def withdraw(self, id: str) -> bool:
        """Take back an order that was never handed over; False when it may have been carried out."""
        async with self._lock(id):
            record = await self._book.get(id)
            if record is None:
                return True
            if record.handed_ms and not record.withdrawn_ms:
                return False
            if not record.is_settled:
                await self._book.change(id, withdrawn_ms=self._now_ms())
                _log.info("order.withdrawn", order=id, node=record.node)
            return True

    async def _record_of(self, effect: SendOrder) -> OrderRecord:
        """The signed order as it is kept; one that cannot be signed says so in `own_result`."""
        record = OrderRecord(
            id=effect.id,
            session=effect.session,
            node=effect.node,
            verb=str(effect.order.get("verb", ""))[:80],
            actor=effect.actor,
            says=effect.says,
            envelope=b"",
            sha256="",
            expires_ms=effect.expires_ms,
            signed_ms=self._now_ms(),
        )
        try:
            order = typed(effect.order)
            await self._pins.now(effect.node)
            made = signed(
                id=effect.id,
                order=order,
                node=effect.node,
                actor=effect.actor,
                session=effect.session,
                not_before_ms=effect.not_before_ms,
                expires_ms=effect.expires_ms,
                installation=self._installation.id,
                epoch=self._installation.epoch,
                key=self._installation.dispatch,
            )
        except NotAnOrder as e:
            return self._refused(record, Problem(code=e.code, says=e.says))
        except NoSuchNode as e:
            return self._refused(record, Problem(code="refused.node", says=e.sentence, do=e.next_step))
        return msgspec.structs.replace(
            record,
            verb=verb_of(order),
            envelope=made.envelope,
            sha256=made.sha256,
            blobs=blobs_of(order),
            deployment=order.deployment if isinstance(order, ApplyDeployment | RemoveDeployment) else "",
        )

    async def _hand_over(self, record: OrderRecord, *, begun: bool = False) -> None:
        if self._book.may_expire(record):
            problem = Problem(
                code="expired",
                says="The node did not come back before this order's time was over; nothing was done.",
                do="Start again when the node is connected.",
            )
            await self._settle(record, problem)
            return
        link = self._link_of(record.node)
        if link is None or not link.is_up:
            raise NodeOffline(node=record.node)
        if record.id in link.sent:
            return
        if record.verb not in link.verbs:
            if record.handed_ms:  # an older agent took its place: what the newer one did is not known here
                raise NodeOffline(node=record.node)
            await self._settle(record, unknown_verb(record.verb))
            return
        if not begun:  # again: nothing; after a crash between the two records: now
            try:
                await self._begin(record)
            except NameHeld as e:
                await self._settle(record, _name_held(e))
                return
        if not record.handed_ms:
            record = await self._book.change(record.id, handed_ms=self._now_ms())
        link.sent.add(record.id)
        await link.say(OrderSent(envelope=record.envelope.decode()))
        _log.info("order.sent", order=record.id, verb=record.verb, node=record.node, session=record.session)

    async def _begin(self, record: OrderRecord) -> None:
        """Write down what the order does to a deployment. Raises NameHeld."""
        order = body_in(record.envelope).order
        if isinstance(order, ApplyDeployment | RemoveDeployment):
            await self._deployments.begin(record, order)

    def _refused(self, record: OrderRecord, problem: Problem) -> OrderRecord:
        now = self._now_ms()
        result = Result(
            order=record.id,
            node=record.node,
            verb=record.verb,
            outcome="failed",
            problem=problem,
            started_ms=now,
            ended_ms=now,
            order_sha256=record.sha256,
        )
        return msgspec.structs.replace(record, own_result=result, outcome="failed", finished_ms=now)

    async def _settle(self, record: OrderRecord, problem: Problem) -> None:
        ended = self._refused(record, problem)
        ended = await self._book.change(
            record.id, own_result=ended.own_result, outcome=ended.outcome, finished_ms=ended.finished_ms
        )
        _log.info("order.not_handed_over", order=record.id, node=record.node, code=problem.code)
        self._tell_again(ended)

    def _tell_again(self, record: OrderRecord) -> None:
        """Say a result that stands in the record, until somebody took it."""
        result = record.own_result
        if record.result:
            result = envelope.decode_result(payload_in(record.result))
        if result is None:  # withdrawn
            return
        said = result

        async def tell() -> None:
            await self._insist(record.id, lambda: self._tell(record.id, said), lambda: True)

        self._spawn(tell(), f"tell-{record.id}")

    # -- from the node

    async def hear(self, link: Link, pin: Pin, said: ResultSaid) -> None:
        """Take up a result: check, tell, keep, acknowledge."""
        async with self._lock(said.order):
            try:
                record = await self._stored(said.order, link)
                result, payload = believed(
                    said.envelope,
                    identity=pin.identity,
                    node=record.node,
                    order=record.id,
                    verb=record.verb,
                    order_sha256=record.sha256,
                )
                if record.is_settled and (not record.result or payload_in(record.result) != payload):
                    raise NotBelieved("second_result", "The order was settled by another result.")
            except NotBelieved as e:
                _log.warning("result.refused", node=link.node, order=said.order[:80], code=e.code, why=e.says)
                return
            if not record.is_settled:
                is_kept = await self._insist(
                    record.id, lambda: self._keep(record, result, said), lambda: link.is_up
                )
                if not is_kept:
                    return
            link.sent.discard(record.id)
        try:
            await link.say(ResultKept(order=said.order))
        except NodeOffline:
            _log.debug("result.ack_unsaid", node=link.node, order=said.order)

    async def _stored(self, id: str, link: Link) -> OrderRecord:
        try:
            record = await self._book.get(id)
        except StoreError as e:  # where the store was away, the agent says it again on its next link
            raise NotBelieved(e.code, e.sentence) from e
        if record is None or record.node != link.node or not record.envelope:
            raise NotBelieved("unknown_order", "No such order was sent to this node.")
        return record

    async def _keep(self, record: OrderRecord, result: Result, said: ResultSaid) -> None:
        now = self._now_ms()
        try:
            await self._deployments.finish(record, result)
        except Tampered as e:
            _log.error("deployment.not_recorded", deployment=record.deployment, why=e.sentence)
        if result.outcome == "done":
            if record.verb == "deployment.remove":
                self._deployments.forget_seen(record.node, record.deployment)
            elif "deployment" in result.facts:
                self._deployments.heard_one(record.node, result.facts, now)
        await self._tell(record.id, result)
        await self._book.change(
            record.id, result=said.envelope.encode(), outcome=result.outcome, finished_ms=now
        )
        _log.info(
            "order.finished",
            order=record.id,
            verb=record.verb,
            node=record.node,
            outcome=result.outcome,
            code=result.problem.code if result.problem else "",
        )

    async def _insist(self, id: str, step: Callable[[], Awaitable[None]], still: Callable[[], bool]) -> bool:
        """Do `step` until it succeeds, as long as `still` holds; True if it did."""
        delay = RETRY_FROM_S
        while True:
            try:
                await step()
            except (Gone, StoreGone) as e:
                _log.warning("result.waits", order=id, why=str(e))
            except Exception:  # our bug: the result must not be lost, and the log must say so
                _log.exception("result.undelivered", order=id)
            else:
                return True
            if not still():
                return False
            await asyncio.sleep(delay)
            delay = min(delay * 2, RETRY_TO_S)

    def _lock(self, id: str) -> asyncio.Lock:
        """The lock of one order; it lives as long as somebody holds or awaits it."""
        return self._locks.setdefault(id, asyncio.Lock())


def _is_of(record: OrderRecord, effect: SendOrder) -> bool:
    """Whether a stored order says what the effect says."""
    if not record.envelope:  # it could not be signed
        return record.session == effect.session and record.node == effect.node
    try:
        order = typed(effect.order)
    except NotAnOrder:
        return False
    body = body_in(record.envelope)
    return (
        body.id,
        body.node,
        body.order,
        body.actor,
        body.session,
        body.not_before_ms,
        body.expires_ms,
    ) == (
        effect.id,
        effect.node,
        order,
        effect.actor,
        effect.session,
        effect.not_before_ms,
        effect.expires_ms,
    )


def _name_held(e: NameHeld) -> Problem:
    return Problem(
        code="name_taken",
        says=f"Another deployment is called {e.name!r} already.",
        do="Choose another name, or remove that one first.",
    )
