"""Claims: which session is at which target, one record each, taken and given back by compare-and-set.

Rule 1: a claim is taken before an order is handed over, and its lease is renewed each time it is sent again.
Rule 2: a claim ends when its session gives it back, when its lease is over, or when somebody takes it over
with a reason; whoever wrote last has it, and nobody else's is ever removed. Rule 3: times are our own.
Rule 4: a record that cannot be believed keeps its alarm and stops nobody's work.
"""

from __future__ import annotations

import contextlib

import structlog
from msgspec import Struct, json
from msgspec.structs import replace

from bot.engine.effects import SendOrder
from bot.runtime.ports import Clock, Names
from bot.store import Conflict, Kind, Store, Tampered

log = structlog.get_logger("runtime")

LEASE_MS = 15 * 60_000  # of a claim; orders under way renew it every 5 minutes at the latest
KEPT_MS = 30 * 24 * 3_600_000  # a record that nobody claimed anew


class Claim(Struct, frozen=True, kw_only=True):
    """Who is at a target. `session` is "" when it was given back."""

    session: str
    person: str = ""
    name: str = ""
    title: str = ""
    says: str = ""
    since_ms: int = 0
    until_ms: int = 0


class Claims:
    """The claims in the store."""

    def __init__(self, store: Store, names: Names, now_ms: Clock) -> None:
        self._store, self._names, self._now_ms = store, names, now_ms

    async def take(self, order: SendOrder) -> Claim | None:
        """Claim the order's target for its session; None, or whose it is instead. Raises StoreGone."""
        try:
            return await self._take(order)
        except Tampered as e:
            log.error("claim.not_believed", claim=order.claim, why=e.sentence)
            return None

    async def _take(self, order: SendOrder) -> Claim | None:
        while True:
            now_ms = self._now_ms()
            held, version = await self._held(order.claim)
            ours = held is not None and held.session == order.session
            if held is not None and not ours and held.session != order.breaks and held.until_ms > now_ms:
                return held
            claim = Claim(
                session=order.session,
                person=order.actor,
                name=held.name if ours and held is not None else await self._names(order.actor),
                title=order.title,
                says=order.says,
                since_ms=held.since_ms if ours and held is not None else now_ms,
                until_ms=now_ms + LEASE_MS,
            )
            if await self._write(order.claim, claim, version):
                return None

    async def renew(self, order: SendOrder) -> None:
        """Lengthen the lease of an order that is with its node, if its session has the claim still."""
        with contextlib.suppress(Tampered):  # `take` has said so
            held, version = await self._held(order.claim)
            if held is not None and held.session == order.session:
                longer = replace(held, until_ms=self._now_ms() + LEASE_MS)
                await self._write(order.claim, longer, version)

    async def release(self, session: str, claims: tuple[str, ...]) -> None:
        """Give back what is still the session's."""
        for id in claims:
            with contextlib.suppress(Tampered):  # `take` has said so
                while not await self._released(session, id):
                    pass

    async def _released(self, session: str, id: str) -> bool:
        held, version = await self._held(id)
        if held is None or held.session != session:
            return True
        return await self._write(id, Claim(session=""), version)

    async def is_free(self, id: str, session: str) -> bool:
        """Whether no other session is at a target."""
        try:
            held, _ = await self._held(id)
        except Tampered:
            return True  # `take` goes on without it, too
        return held is None or held.session in ("", session) or held.until_ms <= self._now_ms()

    async def name_of(self, person: str) -> str:
        """What people call a person."""
        return await self._names(person)

    async def _held(self, id: str) -> tuple[Claim | None, int]:
        found = await self._store.get(Kind.CLAIM, id)
        if found is None:
            return None, 0
        return json.decode(found.body, type=Claim), found.version

    async def _write(self, id: str, claim: Claim, seen: int) -> bool:
        """Write it if nobody wrote meanwhile."""
        try:
            await self._store.put(
                Kind.CLAIM, id, json.encode(claim), seen=seen, expires_ms=self._now_ms() + KEPT_MS
            )
        except Conflict:
            return False
        return True
