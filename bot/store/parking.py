"""Parking: what becomes of a record that fails its tag.

Rule 1: the record stays where it is, as evidence, and its name goes into the shard's `parked`, in the same
call that takes it from the ready list: it is never returned, leased or committed over again. Rule 2: every
find is a log line `store.tampered` (error) and an alarm that `alarms` lists until somebody clears it.
Rule 3: parking is by name and idempotent. Whoever writes to the store can park things; that is delay, which
the store's attacker has anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import structlog

from bot.store import keys, limits
from bot.store.errors import StoreError, Tampered
from bot.store.wire import Arg, Wire

log = structlog.get_logger("store")

_KNOWN = 10_000  # finds remembered, so that each is logged once


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One parked record: its name in the store, why, and when it was found."""

    key: str
    why: str
    at_ms: int


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Parking:
    """Parks and lists. `on_alarm` is called once for each new find of this process."""

    def __init__(self, wire: Wire, clock: Callable[[], int] = now_ms) -> None:
        self._wire, self._clock = wire, clock
        self.on_alarm: Callable[[Alarm], None] | None = None
        self._known: set[str] = set()

    async def park(self, bad: Tampered, *, ready_id: Arg = "") -> None:
        """Park the record named by `bad`; `ready_id` leaves the ready list with it."""
        shard = keys.shard_of_key(bad.key)
        alarm = Alarm(key=bad.key, why=bad.why, at_ms=self._clock())
        if bad.key not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known.add(bad.key)
            log.error("store.tampered", key=bad.key, why=bad.why)
            if self.on_alarm:
                self.on_alarm(alarm)
        try:
            await self._wire.call(
                "park",
                [keys.parked(shard), keys.ready(shard)],
                bad.key,
                msgspec.msgpack.encode(alarm),
                ready_id,
                limits.PARKED_PER_SHARD,
            )
        except StoreError as failed:  # it is refused at the next reading again
            log.warning("store.not_parked", key=bad.key, why=failed.sentence)

    async def alarms(self) -> list[Alarm]:
        """Everything parked, oldest first."""
        calls = [
            self._wire.call("alarms", [keys.parked(number)], reads=True) for number in range(limits.SHARDS)
        ]
        found: list[Alarm] = []
        for number, answer in enumerate(await self._wire.gather(calls)):
            if isinstance(answer, Tampered):
                found.append(Alarm(key=keys.parked(number), why=answer.why, at_ms=self._clock()))
                continue
            if isinstance(answer, BaseException):
                raise answer
            for name, raw in zip(answer[::2], answer[1::2], strict=True):
                found.append(_alarm(name.decode(errors="replace"), raw))
        return sorted(found, key=lambda alarm: (alarm.at_ms, alarm.key))

    async def clear(self, key: str) -> bool:
        """Forget that `key` is parked: after it was put right. It is parked again if it still fails."""
        self._known.discard(key)
        return bool(await self._wire.call("unpark", [keys.parked(keys.shard_of_key(key))], key))


def _alarm(key: str, raw: bytes) -> Alarm:
    try:
        return msgspec.structs.replace(msgspec.msgpack.decode(raw, type=Alarm), key=key)
    except msgspec.DecodeError:
        return Alarm(key=key, why="its alarm was changed from outside too", at_ms=0)
