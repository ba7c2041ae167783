"""A commit: session, transcript, effects, timers and the commit's outcome, in one call or not at all.

Rule 1: the id of a commit (`by`) exists before its first try, and its outcome is kept with the session: the
same id again returns the first outcome and changes nothing. Rule 2: of two commits that saw the same version
one wins; the other gets the present session. Rule 3: effects that led to a commit are settled by it, so that
"done" and "what follows" cannot come apart. Rule 4: entries are numbered without gap, checked by the store.
The order of the checks in `library.lua`: emptied, parked, repeated, superseded, out of step.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from bot.store import keys, limits
from bot.store.errors import BadName, IdReused, OutOfStep, StoreEmptied, Tampered, TooLarge
from bot.store.parking import Parking
from bot.store.tags import Tags
from bot.store.wire import Arg, Wire


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one step writes. `seen` is the version it was made from, 0 = the session must not exist yet.

    `settled` and `dropped_timers` are ids of effects and timers of this session that end with the commit;
    ids that are gone already are no error. `flow` is a name or version to find sessions by, like `person`.
    """

    session_id: str
    seen: int
    by: str
    outcome: bytes
    record: bytes
    entries: Sequence[tuple[int, bytes]] = ()
    effects: Sequence[tuple[str, int, bytes]] = ()  # id, due_ms, body
    timers: Sequence[tuple[str, int, bytes]] = ()
    dropped_timers: Sequence[str] = ()
    settled: Sequence[str] = ()
    open: bool = True
    person: str = ""
    flow: str = ""
    body_sha: str = ""


class Committed(msgspec.Struct, frozen=True):
    """Written and on disk. Sizes are of the whole transcript, stamps included."""

    version: int
    entries: int
    transcript_bytes: int

    @property
    def full(self) -> bool:
        """The transcript has reached its limit: the session is to end with a sentence."""
        return self.entries >= limits.ENTRIES or self.transcript_bytes >= limits.TRANSCRIPT_BYTES


class Repeated(msgspec.Struct, frozen=True):
    """The same commit was written before, as `version`; this is what it returned then."""

    version: int
    outcome: bytes


class Superseded(msgspec.Struct, frozen=True):
    """Another commit came first. The present session; version 0 and no bytes: there is none."""

    version: int
    record: bytes


class Loaded(msgspec.Struct, frozen=True):
    """A session as stored."""

    version: int
    record: bytes
    open: bool
    person: str
    flow: str
    entries: int
    transcript_bytes: int


class Wish(msgspec.Struct, frozen=True, array_like=True):
    """How an effect or timer is stored."""

    session: str
    kind: Literal["effect", "timer"]
    due_ms: int
    body: bytes


class _Held(msgspec.Struct, frozen=True, array_like=True):
    """How a session's record is stored: what the indexes need, then the runtime's bytes."""

    open: bool
    person: str
    flow: str
    record: bytes


class _Outcome(msgspec.Struct, frozen=True, array_like=True):
    body_sha: str
    outcome: bytes


_held = msgspec.msgpack.Decoder(_Held)
_outcome = msgspec.msgpack.Decoder(_Outcome)
_encode = msgspec.msgpack.Encoder().encode


def within(what: str, value: bytes, limit: int) -> bytes:
    """The value itself, if it is not too large."""
    if len(value) > limit:
        raise TooLarge(what=what, size=len(value), limit=limit)
    return value


class Commits:
    """Writes and loads sessions."""

    def __init__(self, wire: Wire, tags: Tags, parking: Parking, clock: Callable[[], int]) -> None:
        self._wire, self._tags, self._parking, self._clock = wire, tags, parking, clock
        self._remembered: OrderedDict[str, tuple[int, bytes, bytes]] = OrderedDict()

    async def commit(self, c: Commit) -> tuple[Committed | Repeated | Superseded, bool]:
        """The outcome, and whether the session moved in the indexes."""
        names, args = self._call_of(c)
        known = self._remembered.get(c.session_id)
        if known is not None and known[0] == c.seen:
            args.append(known[1])
        try:
            answer = await self._wire.call("commit", names, *args)
        except Tampered as wrong:  # some key has another type; that stops commits until it is put right
            bad = Tampered(key=keys.types(keys.shard(c.session_id)), why=wrong.why)
            await self._parking.park(bad)
            raise bad from wrong
        match answer[0]:
            case b"committed":
                self._remember(c, args[4])
                return Committed(c.seen + 1, answer[1], answer[2]), bool(answer[3])
            case b"repeated":
                return await self._repeated(c, answer[1]), False
            case b"superseded" if not answer[1]:
                self._remembered.pop(c.session_id, None)
                return Superseded(0, b""), False
            case b"superseded":
                self._remembered.pop(c.session_id, None)
                version, held = await self._open(c.session_id, answer[1])
                return Superseded(version, held.record), False
            case b"out_of_step":
                raise OutOfStep(session=c.session_id, stored=answer[1], first=c.entries[0][0])
            case b"emptied":
                raise StoreEmptied()
            case b"parked":
                raise Tampered(key=keys.session(c.session_id), why="it was parked before")
        broken = Tampered(key=keys.session(c.session_id), why="it has no tag")
        await self._parking.park(broken)
        raise broken

    def remembered(self, session_id: str) -> bytes | None:
        """The record that this process committed last, without asking the store: it may be out of date.

        Only to make a commit from, since that is checked: it is superseded when the store has anything else.
        """
        known = self._remembered.get(session_id)
        return known[2] if known is not None else None

    def _remember(self, c: Commit, stamped: Arg) -> None:
        self._remembered.pop(c.session_id, None)
        if c.open and isinstance(stamped, bytes) and len(stamped) <= limits.REMEMBERED_BYTES:
            self._remembered[c.session_id] = (c.seen + 1, stamped, c.record)
            if len(self._remembered) > limits.REMEMBERED:
                self._remembered.popitem(last=False)

    async def load(self, session_id: str) -> Loaded | None:
        """The session, None when there is none. Raises Tampered."""
        keys.checked(session_id)
        key = keys.session(session_id)
        parked = keys.parked(keys.shard(session_id))
        try:
            answer = await self._wire.call("load", [key, parked], limits.RECORD_BYTES * 2, reads=True)
        except Tampered as bad:
            await self._parking.park(bad)
            raise
        if answer[0] == b"parked":
            raise Tampered(key=key, why="it was parked before")
        if answer[0] is None:
            return None
        version, held = await self._open(session_id, answer[0])
        sizes = [int(raw) if raw is not None and raw.isdigit() else 0 for raw in answer[1:]]
        return Loaded(version, held.record, held.open, held.person, held.flow, sizes[0], sizes[1])

    async def entries(self, session_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Entries from number after + 1. Raises Tampered for the whole when one of them is not ours."""
        keys.checked(session_id)
        try:
            answer = await self._wire.call(
                "entries", [keys.transcript(session_id)], f"{after + 1}-0", limit, reads=True
            )
            out: list[tuple[int, bytes]] = []
            for raw_id, fields in answer:
                n = int(raw_id.partition(b"-")[0])
                if len(fields) != 2 or n != after + len(out) + 1:
                    raise Tampered(key=keys.entry(session_id, n), why="it does not follow the one before")
                out.append((n, self._tags.check(keys.entry(session_id, n), fields[1]).body))
        except Tampered as bad:
            await self._parking.park(bad)
            raise
        return out

    async def _open(self, session_id: str, value: bytes) -> tuple[int, _Held]:
        try:
            stamped = self._tags.check(keys.session(session_id), value)
        except Tampered as bad:
            await self._parking.park(bad)
            raise
        return stamped.version, _held.decode(stamped.body)

    async def _repeated(self, c: Commit, value: bytes) -> Repeated:
        try:
            stamped = self._tags.check(keys.commit(c.session_id, c.by), value)
        except Tampered as bad:
            await self._parking.park(bad)
            raise
        first = _outcome.decode(stamped.body)
        if first.body_sha != c.body_sha:
            raise IdReused(id=c.by)
        return Repeated(stamped.version, first.outcome)

    def _call_of(self, c: Commit) -> tuple[list[str], list[Arg]]:
        sid = keys.checked(c.session_id)
        if not 0 < len(c.by.encode()) <= limits.COMMIT_ID_BYTES:
            raise BadName(name=repr(c.by[:60]))
        version = c.seen + 1
        shard = keys.shard(sid)
        stamp = self._tags.stamp
        within("the record", c.record, limits.RECORD_BYTES)
        within("the outcome", c.outcome, limits.OUTCOME_BYTES)
        session, transcript, effects = keys.session(sid), keys.transcript(sid), keys.effects(shard)
        gone = (*c.settled, *c.dropped_timers)
        args: list[Arg] = [
            sid,
            c.seen,
            c.by,
            stamp(keys.commit(sid, c.by), _encode(_Outcome(c.body_sha, c.outcome)), version=version),
            stamp(session, _encode(_Held(c.open, c.person, c.flow, c.record)), version=version),
            "1" if c.open else "0",
            self._clock(),
            keys.session_channel(sid),
            keys.ready_channel(shard),
            len(c.entries),
            len(c.effects) + len(c.timers),
            len(gone),
        ]
        for n, body in c.entries:
            within("an entry", body, limits.ENTRY_BYTES)
            args += (n, stamp(f"{transcript}/{n}", body, version=n))
        for kind, wishes in (("effect", c.effects), ("timer", c.timers)):
            for id, due_ms, body in wishes:
                within("an effect", body, limits.EFFECT_BYTES)
                wish: Any = Wish(sid, kind, due_ms, body)  # type: ignore[arg-type]
                args += (
                    keys.checked(id),
                    due_ms,
                    stamp(f"{effects}/{id}", _encode(wish), version=version),
                )
        args += gone
        names = [
            keys.made(shard),
            session,
            transcript,
            keys.commits(sid),
            effects,
            keys.attempts(shard),
            keys.ready(shard),
            keys.parked(shard),
            keys.open_sessions(shard),
            keys.ended_sessions(shard),
            keys.unindexed(shard),
        ]
        return names, args
