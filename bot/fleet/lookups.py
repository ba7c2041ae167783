"""Reading orders: signed and checked like any other, short-lived, kept nowhere.

Rule 1: only verbs of READING. Rule 2: an answer that comes after its asker has gone is dropped.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from agent.link.messages import OrderSent, ResultSaid
from agent.orders import READING, Order, limits, verb_of
from agent.orders.results import Problem, Result
from bot.engine.ids import derived
from bot.fleet.keys import Installation
from bot.fleet.link import Link
from bot.fleet.nodes import Pin
from bot.fleet.refusals import NodeOffline, NodeSilent, NotReading
from bot.fleet.signing import NotBelieved, believed, signed

PREFIX = "l-"
ACTOR = "bot"

_log = structlog.get_logger("fleet")


@dataclass(frozen=True)
class _Asked:
    link: Link
    verb: str
    sha256: str
    answer: asyncio.Future[Result]


class Lookups:
    """Questions under way, by order id."""

    def __init__(self, installation: Installation, now_ms: Callable[[], int]) -> None:
        self._installation = installation
        self._now_ms = now_ms
        self._asked: dict[str, _Asked] = {}

    async def ask(self, link: Link, order: Order, timeout_s: float) -> Result:
        """The node's answer. Raises NotReading, NodeOffline, NodeSilent, NotAnOrder."""
        verb = verb_of(order)
        if verb not in READING:
            raise NotReading(verb=verb)
        now = self._now_ms()
        id = derived("l", secrets.token_hex(16))
        if verb not in link.verbs:
            return Result(
                order=id,
                node=link.node,
                verb=verb,
                outcome="failed",
                problem=unknown_verb(verb),
                started_ms=now,
                ended_ms=now,
            )
        made = signed(
            id=id,
            order=order,
            node=link.node,
            actor=ACTOR,
            session="",
            not_before_ms=now,
            expires_ms=now + limits.LOOKUP_LIFETIME_S * 1000,
            installation=self._installation.id,
            epoch=self._installation.epoch,
            key=self._installation.dispatch,
        )
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._asked[id] = _Asked(link, verb, made.sha256, answer)
        try:
            async with asyncio.timeout(timeout_s):
                await link.say(OrderSent(envelope=made.envelope.decode()))
                return await answer
        except TimeoutError as e:
            raise NodeSilent(node=link.node, seconds=round(timeout_s, 1)) from e
        finally:
            del self._asked[id]

    def hear(self, link: Link, pin: Pin, said: ResultSaid) -> None:
        """An answer came; one that is not believed is dropped."""
        asked = self._asked.get(said.order)
        if asked is None or asked.link is not link:
            _log.debug("lookup.late", node=link.node, order=said.order)
            return
        try:
            result, _ = believed(
                said.envelope,
                identity=pin.identity,
                node=link.node,
                order=said.order,
                verb=asked.verb,
                order_sha256=asked.sha256,
            )
        except NotBelieved as e:
            _log.warning("result.refused", node=link.node, order=said.order, code=e.code, why=e.says)
            return
        if not asked.answer.done():
            asked.answer.set_result(result)

    def lose(self, link: Link) -> None:
        """The link ended: whoever waits on it waits no longer."""
        for asked in self._asked.values():
            if asked.link is link and not asked.answer.done():
                asked.answer.set_exception(NodeOffline(node=link.node))


def unknown_verb(verb: str) -> Problem:
    """What is said of an order that the node's agent is too old for."""
    return Problem(
        code="unknown_verb",
        says=f"This agent does not know that yet ({verb}).",
        do="Update the agent of that node.",
    )
