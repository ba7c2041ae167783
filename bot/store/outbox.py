"""Effects and timers: leased from the store, never carried out from memory.

Rule 1: whoever carries an effect out leases it first; a lease that ends unsettled goes to the next who asks,
with a higher attempt. At least once, so effects must be harmless twice. Rule 2: an effect ends by the commit
that it led to (`Commit.settled`) or by `settle`. Rule 3: a body is checked when it is leased; what fails is
parked and never leased again. The due time in the stamped wish counts, not the one in the ready list.
Rule 4: cheap when idle: the next due time of every shard is remembered, refreshed by each lease, by hints and
by a sweep; only shards with something due are asked. The memory may be wrong towards asking, and only for
SWEEP_S towards not asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import structlog

from bot.store import keys, limits
from bot.store.commits import Wish
from bot.store.errors import Tampered
from bot.store.parking import Parking
from bot.store.tags import Tags
from bot.store.wire import Wire

log = structlog.get_logger("store")
_wish = msgspec.msgpack.Decoder(Wish)
CLOCK_BACK_MS = 2_000  # two tasks of one process may ask a little out of order
CLOCK_REACH_MS = 600_000  # the longest pause that a retry is put off by
_SHARE = 32  # of one shard in one round, so that one busy shard does not starve the rest


class Leased(msgspec.Struct, frozen=True, kw_only=True):
    """An effect or timer that is this caller's until `until_ms`. `attempt` counts leases from 1."""

    effect_id: str
    session_id: str
    kind: Literal["effect", "timer"]
    body: bytes
    attempt: int
    due_ms: int
    until_ms: int


class Outbox:
    """Leases over all shards. `woken` is set when something may have become due sooner than known."""

    def __init__(self, wire: Wire, tags: Tags, parking: Parking, clock: Callable[[], int]) -> None:
        self._wire, self._tags, self._parking, self._clock = wire, tags, parking, clock
        self._next: list[int | None] = [0] * limits.SHARDS  # 0: not looked at yet, so ask
        self._notes = [0] * limits.SHARDS
        self._from = 0
        self._latest_ms = 0  # that any lease asked for
        self.woken = asyncio.Event()

    async def lease(self, now_ms: int, *, lease_ms: int, limit: int) -> list[Leased]:
        """Up to `limit` that are due at `now_ms`."""
        if lease_ms <= 0:
            raise ValueError("a lease lasts more than 0 ms")
        await self._mind_the_clock(now_ms)
        out: list[Leased] = []
        # Ends: what a round leases or puts back is due later than `now_ms` afterwards.
        while len(out) < limit:
            due = [number for number in self._in_turn() if self._is_due(number, now_ms)][: limit - len(out)]
            if not due:
                break
            self._from = (due[-1] + 1) % limits.SHARDS
            share = min(_SHARE, max(1, (limit - len(out)) // len(due)))
            answers = await self._wire.gather([self._ask(number, now_ms, lease_ms, share) for number in due])
            for number, answer in zip(due, answers, strict=True):
                if isinstance(answer, Tampered):  # a list of the shard is not a list any more
                    await self._parking.park(Tampered(key=keys.types(number), why=answer.why))
                    self._next[number] = None
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    for row in answer:
                        if leased := await self._checked(number, row, now_ms, now_ms + lease_ms):
                            out.append(leased)
        return out

    async def release(self, leased: Leased, retry_at_ms: int) -> bool:
        """Give it back, to be leased again at `retry_at_ms`. False: it is settled or somebody else's."""
        return await self._put_back(leased.session_id, leased.effect_id, leased.attempt, retry_at_ms)

    async def settle(self, leased: Sequence[Leased]) -> int:
        """End effects that lead to no commit. How many were still there."""
        by_shard: dict[int, list[str]] = {}
        for one in leased:
            by_shard.setdefault(keys.shard(one.session_id), []).append(one.effect_id)
        had = 0
        for answer in await self._wire.gather(
            [
                self._wire.call("settle", [keys.ready(n), keys.effects(n), keys.attempts(n)], *ids)
                for n, ids in by_shard.items()
            ]
        ):
            if isinstance(answer, BaseException):
                raise answer
            had += answer
        return had

    def note(self, number: int, due_ms: int) -> None:
        """Something in this shard is due at `due_ms`."""
        self._notes[number] += 1
        known = self._next[number]
        if known is None or due_ms < known:
            self._next[number] = due_ms
            self.woken.set()

    def forget_all(self) -> None:
        """Hints may have been missed: ask every shard again."""
        for number in range(limits.SHARDS):
            self.note(number, 0)

    def soonest(self) -> int | None:
        """When the next is due, as far as known."""
        return min((due for due in self._next if due is not None), default=None)

    async def wait_due(self, at_most_s: float) -> None:
        """Return when something may be due, or after `at_most_s`. For one waiting task."""
        self.woken.clear()
        soonest = self.soonest()
        if soonest is not None:
            at_most_s = min(at_most_s, (soonest - self._clock()) / 1000)
        if at_most_s <= 0:
            return
        try:
            async with asyncio.timeout(at_most_s):
                await self.woken.wait()
        except TimeoutError:
            return

    def looked(self, number: int, notes: int, next_due: bytes) -> None:
        """Take in what the store said, unless a note came while it was on its way."""
        due = int(float(next_due)) if next_due else None
        if self._notes[number] != notes:
            known = self._next[number]
            due = known if due is None or (known is not None and known < due) else due
        sooner = due is not None and (self._next[number] is None or due < (self._next[number] or 0))
        self._next[number] = due
        if sooner:
            self.woken.set()

    def notes(self, number: int) -> int:
        """To be handed to `looked` after asking."""
        return self._notes[number]

    def _in_turn(self) -> list[int]:
        return [*range(self._from, limits.SHARDS), *range(self._from)]

    async def _mind_the_clock(self, now_ms: int) -> None:
        """When the clock was set back, what waits for a moment that is now hours away is due now.

        Retries and leases of the dead were timed by the old clock. Timers keep their own time: it stands in
        the stamped wish.
        """
        back_ms = self._latest_ms - now_ms
        if back_ms <= CLOCK_BACK_MS:
            self._latest_ms = max(self._latest_ms, now_ms)
            return
        log.warning("store.clock_went_back", by_ms=back_ms)
        until_ms = now_ms + back_ms + CLOCK_REACH_MS
        for answer in await self._wire.gather(
            [self._wire.call("hasten", [keys.ready(n)], now_ms, until_ms) for n in range(limits.SHARDS)]
        ):
            if isinstance(answer, BaseException) and not isinstance(answer, Tampered):
                raise answer  # and it is tried again by the next lease
        self._latest_ms = now_ms
        self.forget_all()

    def _is_due(self, number: int, now_ms: int) -> bool:
        due = self._next[number]
        return due is not None and due <= now_ms

    async def _ask(self, number: int, now_ms: int, lease_ms: int, share: int) -> list[Any]:
        notes = self._notes[number]
        rows, next_due = await self._wire.call(
            "lease",
            [keys.ready(number), keys.effects(number), keys.attempts(number)],
            now_ms,
            now_ms + lease_ms,
            share,
            limits.EFFECT_BYTES * 2,
        )
        self.looked(number, notes, next_due)
        return list(rows)

    async def _checked(self, number: int, row: list[Any], now_ms: int, until_ms: int) -> Leased | None:
        raw_id, value, attempt = row
        id = raw_id.decode(errors="replace")
        name = keys.effect(number, id)
        try:
            stamped = self._tags.check(name, value)
        except Tampered as bad:
            await self._parking.park(bad, ready_id=raw_id)
            return None
        wish = _wish.decode(stamped.body)
        if wish.due_ms > now_ms:  # the ready list was changed; the stamped time counts
            log.warning("store.leased_early", effect=id, due_ms=wish.due_ms)
            await self._put_back(wish.session, id, attempt, wish.due_ms)
            return None
        return Leased(
            effect_id=id,
            session_id=wish.session,
            kind=wish.kind,
            body=wish.body,
            attempt=attempt,
            due_ms=wish.due_ms,
            until_ms=until_ms,
        )

    async def _put_back(self, session_id: str, id: str, attempt: int, at_ms: int) -> bool:
        number = keys.shard(session_id)
        names = [keys.ready(number), keys.effects(number), keys.attempts(number)]
        done = bool(await self._wire.call("release", names, at_ms, attempt, id))
        if done:
            self.note(number, at_ms)
        return done
