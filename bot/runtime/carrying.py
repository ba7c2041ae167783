"""Carry one effect out, by its kind. At least once, so each must be harmless twice.

| kind | carried out by | harmless twice, because | ends by |
|---|---|---|---|
| send_order | fleet.send, again and again | the node's journal knows its id | the commit of its result |
| ask_facts | fleet.facts | reading changes nothing; the answer's commit has its id | that commit |
| call_hook | the plugin's worker | hooks only compute; the answer's commit has its id | that commit |
| set_timer | - | the commit of TimerDue has its id | that commit |
| begin_session | turns.begin_child | the session's id and the commit's are in the effect | settle |
| tell_parent | an event for that other session | the event's commit has its id | settle |
| cancel_session | an event for that other session | the event's commit has its id | settle |
| ask_approval | the list of what is asked | the same record | settle |
| drop_approval | the list of what is asked | no record stays none | settle |
| audit | audit.append | an id stands in the audit once | settle |
| await_target | a look every 2 s | it only reads; the answer's commit has its id | that commit |
| release_targets | claims.release | only what is the session's still is given back | settle |
| notify | an entry in the log, for now | a second line | settle |

An exception that is not Gone is our fault (or a plugin's): where a session waits it is told with a sentence.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec
import structlog

from agent.orders import READING
from agent.orders.results import Outcome, Problem, Result
from bot.engine import unsure
from bot.engine.effects import (
    AnyEffect,
    AskApproval,
    AskFacts,
    Audit,
    AwaitTarget,
    BeginSession,
    CallHook,
    CancelSession,
    DropApproval,
    Notify,
    ReleaseTargets,
    SendOrder,
    SetTimer,
    TellParent,
)
from bot.engine.events import (
    AnyEvent,
    ChildEnded,
    FactsCame,
    HookReturned,
    OrderFinished,
    ParentCancelled,
    Taken,
    TakenOver,
    TargetFree,
    TimerDue,
)
from bot.engine.refusals import Gone
from bot.plugins.hooks import HookFailed
from bot.runtime import limits
from bot.runtime.asked import AskedList
from bot.runtime.claims import Claims
from bot.runtime.ports import AuditLog, Clock, Fleet, FlowBook
from bot.runtime.turns import Turns

log = structlog.get_logger("runtime")


class Later(msgspec.Struct, frozen=True):
    """It goes on: look at it again at `at_ms`."""

    at_ms: int


Done = Literal["settle", "committed"]


class Carrying:
    """The hands of the runtime."""

    def __init__(
        self,
        turns: Turns,
        fleet: Fleet,
        flows: FlowBook,
        audit: AuditLog,
        asked: AskedList,
        claims: Claims,
        now_ms: Clock,
    ) -> None:
        self._turns, self._fleet, self._flows, self._audit = turns, fleet, flows, audit
        self._asked, self._claims, self._now_ms = asked, claims, now_ms

    async def carry_out(self, effect: AnyEffect, attempt: int) -> Done | Later:
        """Carry it out. "settle": to be settled by the caller. Raises Gone and OSError: later."""
        match effect:
            case SendOrder():
                return await self._send(effect, attempt)
            case AskFacts():
                return await self._tell(effect, await self._facts(effect))
            case CallHook():
                return await self._tell(effect, await self._hook(effect))
            case SetTimer():
                return await self._tell(effect, TimerDue(at_ms=self._now_ms(), timer_id=effect.id))
            case AwaitTarget():
                return await self._await_target(effect)
            case ReleaseTargets():
                await self._claims.release(effect.session, effect.claims)
            case Audit():
                await self._audit.append(
                    id=effect.id,
                    at_ms=effect.at_ms,
                    actor=effect.actor,
                    what=effect.what,
                    details=effect.details,
                    session=effect.session,
                )
            case BeginSession():
                await self._turns.begin_child(effect)
            case TellParent():
                ended = ChildEnded(
                    at_ms=self._now_ms(),
                    session=effect.session,
                    outcome=effect.outcome,
                    result=effect.result,
                )
                await self._turns.system_said(effect.parent, ended, settled=())
            case CancelSession():
                over = ParentCancelled(at_ms=self._now_ms(), parent=effect.session)
                await self._turns.system_said(effect.child, over, settled=())
            case AskApproval():
                await self._asked.put(effect)
            case DropApproval():
                await self._asked.drop(effect)
            case Notify():
                log.info("notice", session=effect.session, person=effect.person, text=effect.text)
            case _:
                log.error("effect.unknown", effect=effect.id, kind=type(effect).__name__)
        return "settle"

    async def _tell(self, effect: AnyEffect, event: AnyEvent) -> Done:
        taken = await self._turns.system_said(effect.session, event, settled=(effect.id,))
        return "committed" if taken else "settle"

    async def _send(self, order: SendOrder, attempt: int) -> Done | Later:
        now_ms = self._now_ms()
        if now_ms >= order.expires_ms:
            return await self._overdue(order, now_ms)
        if order.claim and (taken := await self._claim(order, attempt)) is not None:
            return await self._tell(order, taken)
        try:
            await self._fleet.send(order)
        except Gone as gone:
            log.info("order.waits", order=order.id, node=order.node, why=gone.sentence)
            wait_ms = limits.BACKOFF_FROM_MS * 2 ** min(attempt, 10)
            return Later(min(order.expires_ms, now_ms + min(wait_ms, limits.BACKOFF_TO_MS)))
        wait_ms = min(limits.RESEND_TO_MS, limits.RESEND_FROM_MS * 2 ** min(attempt - 1, 10))
        return Later(min(order.expires_ms, now_ms + wait_ms))

    async def _claim(self, order: SendOrder, attempt: int) -> Taken | None:
        """Claim its target before it is handed over; an order that is with its node only renews."""
        if attempt > 1:
            sent = await self._fleet.order(order.id)
            if sent is not None and sent.handed_ms:
                await self._claims.renew(order)
                return None
        other = await self._claims.take(order)
        if other is not None:
            return Taken(
                at_ms=self._now_ms(),
                order_id=order.id,
                claim=order.claim,
                session=other.session,
                name=other.name,
                title=other.title,
                says=other.says,
                since_ms=other.since_ms,
            )
        if order.breaks:
            over = TakenOver(
                at_ms=self._now_ms(),
                order_id=order.id,
                claim=order.claim,
                name=await self._claims.name_of(order.actor),
                reason=order.because,
            )
            log.info("claim.taken_over", claim=order.claim, session=order.session, of=order.breaks)
            await self._turns.system_said(order.breaks, over, settled=())
        return None

    async def _await_target(self, wait: AwaitTarget) -> Done | Later:
        session = await self._turns.load(wait.session)
        if session.waiting is None or session.waiting.id != wait.id:
            return "settle"
        if not await self._claims.is_free(wait.claim, wait.session):
            return Later(self._now_ms() + limits.CLAIM_LOOK_MS)
        return await self._tell(wait, TargetFree(at_ms=self._now_ms(), wait_id=wait.id))

    async def _overdue(self, order: SendOrder, now_ms: int) -> Done | Later:
        """Its time is over. Never sent, or only reading: it failed. Else its node knows, and is asked on."""
        withdrawn = await self._fleet.withdraw(order.id)
        if withdrawn or order.order.get("verb") in READING:
            result = self._own_result(
                order,
                "failed",
                "The machine did not answer in time; nothing was done.",
                "Try again when the machine is connected.",
            )
            taken = await self._finished(order, result)
            return "committed" if taken else "settle"
        if now_ms < order.expires_ms + limits.OVERDUE_MS:
            await self._send_on(order)
            return Later(order.expires_ms + limits.OVERDUE_MS)
        result = self._own_result(
            order,
            "unknown",
            "The machine has not said how this ended. It may have been done.",
            "It is asked again until it answers.",
        )
        if not await self._finished(order, result) and not await self._is_waited_for(order):
            return "settle"
        await self._send_on(order)
        return Later(now_ms + limits.RESEND_TO_MS)

    async def _send_on(self, order: SendOrder) -> None:
        try:
            await self._fleet.send(order)
        except Gone as gone:
            log.info("order.waits", order=order.id, node=order.node, why=gone.sentence)

    async def _is_waited_for(self, order: SendOrder) -> bool:
        return unsure.is_asked_on(await self._turns.load(order.session), order.id)

    async def _finished(self, order: SendOrder, result: Result) -> bool:
        event = OrderFinished(at_ms=self._now_ms(), order_id=order.id, result=result)
        settled = () if result.outcome == "unknown" else (order.id,)
        return await self._turns.system_said(order.session, event, settled=settled)

    def _own_result(self, order: SendOrder, outcome: Outcome, says: str, do: str) -> Result:
        now_ms = self._now_ms()
        return Result(
            order=order.id,
            node=order.node,
            verb=str(order.order.get("verb", "")),
            outcome=outcome,
            problem=Problem(code="expired", says=says, do=do),
            started_ms=now_ms,
            ended_ms=now_ms,
        )

    async def _facts(self, ask: AskFacts) -> FactsCame:
        late = "The machine took too long to answer. Choose Look again, or go on without it."
        left_s = (ask.due_ms - self._now_ms()) / 1000
        if left_s <= 0:
            return self._no_facts(ask, late)
        try:
            async with asyncio.timeout(left_s):
                came = await self._fleet.facts(ask)
        except TimeoutError:
            return self._no_facts(ask, late)
        except Gone as gone:
            return self._no_facts(ask, f"{gone.sentence} {gone.next_step}".strip())
        except Exception:
            log.exception("facts.failed", lookup=ask.id, fact=ask.fact, session=ask.session)
            return self._no_facts(ask, "Looking this up failed; the log says why.")
        return came

    def _no_facts(self, ask: AskFacts, problem: str) -> FactsCame:
        return FactsCame(at_ms=self._now_ms(), lookup_id=ask.id, problem=problem)

    async def _hook(self, call: CallHook) -> HookReturned:
        value: Any = None
        problem = ""
        try:
            value = await self._flows.call_hook(call.flow_version, call.hook, call.names)
        except HookFailed as failed:
            problem = str(failed)
        return HookReturned(at_ms=self._now_ms(), hook_id=call.id, value=value, problem=problem)
