"""Take effects that are due out of the store and have them carried out.

Rule 1: an effect is leased before it is touched, and the lease is renewed while somebody works on it; a
process that dies lets go of it within LEASE_MS. Rule 2: what the world keeps from being done is tried again
with growing pauses; what fails by our own fault is tried PARK_AFTER times, then it is parked: logged as an
error, listed by `parked`, and tried again every ten minutes. Rule 3: no kind takes all the room, and an
effect that finds its kind busy goes back into the store. Rule 4: nothing that an effect does ends a worker.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from bot.engine.effects import AnyEffect, SendOrder
from bot.engine.refusals import Gone, Spoken
from bot.runtime import limits, records
from bot.runtime.carrying import Carrying, Later
from bot.runtime.ports import Clock
from bot.store import Leased, Store, StoreError, Tampered

log = structlog.get_logger("runtime")


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """An effect that keeps failing by our own fault."""

    id: str
    session: str
    kind: str
    attempts: int
    why: str
    at_ms: int


class Workers:
    """Runs between `start` and `stop`."""

    def __init__(self, store: Store, carrying: Carrying, now_ms: Clock) -> None:
        self._store, self._carrying, self._now_ms = store, carrying, now_ms
        self._renewed: dict[str, Leased] = {}
        self._under_way: dict[str, tuple[Leased, asyncio.Task[None]]] = {}
        self._busy = dict.fromkeys(limits.AT_ONCE, 0)
        self._some_room = asyncio.Event()
        self._parked: dict[str, Parked] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to carry out what is due."""
        self._tasks = [
            asyncio.create_task(self._lease(), name="effects"),
            asyncio.create_task(self._renew(), name="effect leases"),
        ]

    async def stop(self) -> None:
        """Stop, and give back what is not done, so that the next process need not wait for the leases."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = list(self._under_way.values())
        for _, task in left:
            task.cancel()
        await asyncio.gather(*(task for _, task in left), return_exceptions=True)
        now_ms = self._now_ms()
        try:
            async with asyncio.timeout(2):
                await asyncio.gather(*(self._store.release(leased, now_ms) for leased, _ in left))
        except (TimeoutError, StoreError) as e:
            log.info("effects.left_leased", effects=len(left), why=str(e))

    def parked(self) -> list[Parked]:
        """What keeps failing by our own fault, oldest first."""
        return sorted(self._parked.values(), key=lambda one: (one.at_ms, one.id))

    @property
    def under_way(self) -> int:
        """How many effects are being carried out."""
        return len(self._under_way)

    async def _lease(self) -> None:
        pause_s = limits.PAUSE_FROM_S
        while True:
            try:
                if not await self._take_some():
                    await self._store.wait_due(limits.IDLE_S)
                pause_s = limits.PAUSE_FROM_S
            except Spoken as e:
                log.info("effects.wait", why=e.sentence)
                await asyncio.sleep(pause_s)
                pause_s = min(limits.PAUSE_TO_S, pause_s * 2)
            except Exception:  # our bug; the others' effects must not wait for its correction
                log.exception("effects.lease_failed")
                await asyncio.sleep(limits.PAUSE_TO_S)

    async def _take_some(self) -> bool:
        room = limits.ROOM - len(self._under_way)
        if room <= 0:
            self._some_room.clear()
            await self._some_room.wait()
            return True
        leased = await self._store.lease(self._now_ms(), lease_ms=limits.LEASE_MS, limit=min(room, 100))
        for one in leased:
            if one.effect_id in self._under_way:  # our own lease ended although we live: it goes on
                self._renewed[one.effect_id] = one
                continue
            self._renewed[one.effect_id] = one
            task = asyncio.create_task(self._work(one), name=f"effect {one.effect_id}")
            self._under_way[one.effect_id] = (one, task)
        return bool(leased)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(limits.RENEW_S)
            until_ms = self._now_ms() + limits.LEASE_MS
            for id, leased in list(self._renewed.items()):
                if id in self._renewed:  # not finished while another was renewed
                    try:
                        await self._store.release(leased, until_ms)
                    except Spoken as e:
                        log.info("effects.not_renewed", effect=id, why=e.sentence)
                        break

    async def _work(self, leased: Leased) -> None:
        try:
            await self._carry_out(leased)
        except Spoken as e:  # the store is away: the lease ends by itself
            log.info("effect.later", effect=leased.effect_id, why=e.sentence)
        except Exception:  # our bug, outside of what `_try` covers: the lease ends by itself too
            log.exception("effect.failed", effect=leased.effect_id, session=leased.session_id)
        finally:
            self._under_way.pop(leased.effect_id, None)
            self._renewed.pop(leased.effect_id, None)
            self._some_room.set()

    async def _carry_out(self, leased: Leased) -> None:
        try:
            effect = records.effect_of(leased.body)
        except msgspec.MsgspecError as e:
            await self._failed(leased, "unreadable", e)
            return
        kind = str(effect.__struct_config__.tag)
        if self._busy[kind] >= limits.AT_ONCE[kind]:
            await self._again(leased, self._now_ms() + min(5_000, 250 * leased.attempt))
            return
        self._busy[kind] += 1
        try:
            await self._try(leased, effect, kind)
        finally:
            self._busy[kind] -= 1

    async def _try(self, leased: Leased, effect: AnyEffect, kind: str) -> None:
        try:
            async with asyncio.timeout(limits.CARRY_S):
                done = await self._carrying.carry_out(effect, leased.attempt)
        except Tampered as e:  # the store has raised the alarm; nothing is to be done until somebody looked
            log.error("effect.held", effect=effect.id, kind=kind, session=effect.session, why=e.sentence)
            await self._again(leased, self._now_ms() + limits.PARKED_MS)
        except (Gone, OSError, TimeoutError) as e:
            log.info("effect.later", effect=effect.id, kind=kind, session=effect.session, why=str(e))
            wait_ms = min(limits.BACKOFF_TO_MS, limits.BACKOFF_FROM_MS * 2 ** min(leased.attempt, 10))
            await self._again(leased, self._now_ms() + wait_ms)
        except Exception as e:
            await self._failed(leased, kind, e, never_park=isinstance(effect, SendOrder))
        else:
            self._parked.pop(effect.id, None)
            if isinstance(done, Later):
                await self._again(leased, done.at_ms)
            elif done == "settle":
                await self._store.settle(leased)

    async def _failed(self, leased: Leased, kind: str, e: Exception, *, never_park: bool = False) -> None:
        """Our own fault. An order is never parked: its time ends it."""
        now_ms = self._now_ms()
        parked = leased.attempt >= limits.PARK_AFTER and not never_park
        log.error(
            "effect.parked" if parked else "effect.failed",
            effect=leased.effect_id,
            kind=kind,
            session=leased.session_id,
            attempt=leased.attempt,
            exc_info=e,
        )
        if parked:
            self._parked[leased.effect_id] = Parked(
                id=leased.effect_id,
                session=leased.session_id,
                kind=kind,
                attempts=leased.attempt,
                why=f"{type(e).__name__}: {e}"[:500],
                at_ms=now_ms,
            )
            await self._again(leased, now_ms + limits.PARKED_MS)
            return
        wait_ms = min(limits.BACKOFF_TO_MS, limits.BACKOFF_FROM_MS * 2 ** min(leased.attempt, 10))
        await self._again(leased, now_ms + wait_ms)

    async def _again(self, leased: Leased, at_ms: int) -> None:
        """Give it back for later; from here on this is its time, and no renewal's."""
        self._renewed.pop(leased.effect_id, None)
        await self._store.release(leased, at_ms)
