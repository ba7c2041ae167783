"""Generic records: people, nodes, tokens, links, deployments, flows … as stamped bytes with a version.

Rule 1: a change is compare-and-set on the version, which begins at 1 and counts changes. Rule 2: a record
past its time does not exist, whatever the store says. Rule 3: what is used up (`take`) is given to one
caller only. Rule 4: a record that fails its tag is parked and left out of lists; asked for by name it raises.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bot.store import keys, limits
from bot.store.commits import within
from bot.store.errors import Conflict, StoreEmptied, Tampered
from bot.store.keys import Kind
from bot.store.parking import Parking
from bot.store.tags import Tags
from bot.store.wire import Wire

_AT_ONCE = 64  # shards asked in one go
_TRIES = 50  # of an unconditional put against others; each try that fails means another one's succeeded


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A stored record. `expires_ms` None = never."""

    id: str
    version: int
    body: bytes
    expires_ms: int | None = None


class RecordPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some records of a kind. `after` is to be passed on for the next page, "" at the end."""

    items: list[Record]
    after: str = ""


class Records:
    """Reads and writes generic records."""

    def __init__(self, wire: Wire, tags: Tags, parking: Parking, clock: Callable[[], int]) -> None:
        self._wire, self._tags, self._parking, self._clock = wire, tags, parking, clock

    async def put(self, kind: Kind, id: str, body: bytes, *, seen: int | None, expires_ms: int | None) -> int:
        """Write and return the new version. `seen` None = whatever is there, 0 = nothing may be there."""
        within(f"a record of kind {kind.value}", body, limits.RECORD_BYTES)
        if seen is not None:
            try:
                return await self._put(kind, id, body, seen, expires_ms)
            except Conflict as other:
                if seen != 0 or await self.get(kind, id) is not None:
                    raise
                # past its time, but still lying there: of many who find it so, one may write over it
                return await self._put(kind, id, body, other.present, expires_ms)
        present = 0
        for _ in range(_TRIES):
            try:
                return await self._put(kind, id, body, present, expires_ms)
            except Conflict as other:
                present = other.present
        raise Conflict(id=id, present=present)

    async def get(self, kind: Kind, id: str) -> Record | None:
        """The record, None when there is none or its time is over. Raises Tampered."""
        found = await self._read(kind, id)
        return found[0] if found else None

    async def take(self, kind: Kind, id: str) -> Record | None:
        """Get and delete: of many callers at once, one gets it."""
        found = await self._read(kind, id)
        if not found:
            return None
        record, value = found
        number = keys.record_shard(kind, id)
        names = [keys.record(kind, id), keys.record_ids(kind, number), keys.parked(number)]
        return record if await self._wire.call("take", names, id, value) else None

    async def delete(self, kind: Kind, id: str) -> bool:
        """Delete the record, and its alarm if it was parked. False: there was none."""
        keys.checked(id)
        number = keys.record_shard(kind, id)
        names = [keys.record(kind, id), keys.record_ids(kind, number), keys.parked(number)]
        return bool(await self._wire.call("delete", names, id))

    async def all(self, kind: Kind, *, after: str, limit: int) -> RecordPage:
        """A page of records, by shard and id. A page may be short; `after` says whether there is more."""
        shards = list(keys.record_shards(kind))
        begin, _, last = after.partition(":")
        if after:
            shards = [number for number in shards if number >= int(begin)]
        items: list[Record] = []
        for at in range(0, len(shards), _AT_ONCE):
            some = shards[at : at + _AT_ONCE]
            left = limit - len(items)
            lists = await self._wire.gather(
                [
                    self._wire.call(
                        "list",
                        [keys.record_ids(kind, number)],
                        f"({last}" if last and number == int(begin) else "-",
                        left,
                        reads=True,
                    )
                    for number in some
                ]
            )
            found: list[tuple[int, str]] = []
            for number, raw in zip(some, lists, strict=True):
                if isinstance(raw, Tampered):
                    await self._parking.park(Tampered(key=keys.types(number), why=raw.why))
                elif isinstance(raw, BaseException):
                    raise raw
                else:
                    found += [(number, one.decode(errors="replace")) for one in raw]
            for record in await self._wire.gather([self._listed(kind, *one) for one in found[:left]]):
                if isinstance(record, BaseException):
                    raise record
                if record:
                    items.append(record)
            if len(found) >= left:
                return RecordPage(items=items, after="{}:{}".format(*found[left - 1]))
        return RecordPage(items=items)

    async def _listed(self, kind: Kind, number: int, id: str) -> Record | None:
        try:
            record = await self.get(kind, id)
        except Tampered:  # parked and alarmed by get
            return None
        if record is None:
            names = [keys.record_ids(kind, number), keys.tagged(number, f"record:{kind.value}:{id}")]
            await self._wire.call("prune", names, id)
        return record

    async def _read(self, kind: Kind, id: str) -> tuple[Record, bytes] | None:
        keys.checked(id)
        key = keys.record(kind, id)
        parked = keys.parked(keys.record_shard(kind, id))
        try:
            answer = await self._wire.call("get", [key, parked], limits.RECORD_BYTES * 2, reads=True)
            if answer[0] == b"parked":
                raise Tampered(key=key, why="it was parked before")
            if answer[0] == b"broken":
                raise Tampered(key=key, why="it is larger than anything Hercules writes")
            if answer[1] is None:
                return None
            stamped = self._tags.check(key, answer[1])
        except Tampered as bad:
            await self._parking.park(bad)
            raise
        if stamped.expires_ms and stamped.expires_ms <= self._clock():
            return None
        expires_ms = stamped.expires_ms or None
        record = Record(id=id, version=stamped.version, body=stamped.body, expires_ms=expires_ms)
        return record, answer[1]

    async def _put(self, kind: Kind, id: str, body: bytes, seen: int, expires_ms: int | None) -> int:
        keys.checked(id)
        number = keys.record_shard(kind, id)
        key = keys.record(kind, id)
        value = self._tags.stamp(key, body, version=seen + 1, expires_ms=expires_ms or 0)
        names = [keys.made(number), key, keys.record_ids(kind, number), keys.parked(number)]
        try:
            answer = await self._wire.call("put", names, id, seen, value, expires_ms or 0)
            match answer[0]:
                case b"put":
                    return seen + 1
                case b"conflict":
                    raise Conflict(id=id, present=answer[1])
                case b"emptied":
                    raise StoreEmptied()
                case b"parked":
                    raise Tampered(key=key, why="it was parked before")
            raise Tampered(key=key, why="it has no tag")
        except Tampered as bad:
            await self._parking.park(bad)
            raise
