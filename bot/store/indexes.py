"""Finding sessions: by person, by flow, by state.

The lists of a shard are written by the commit itself. Lists of a person or flow lie in another shard, so the
commit only leaves a mark in `unindexed`; `fill` writes the lists from the session's own (checked) record and
takes the mark away. Rule 1: a mark is taken away only for the version that was written, a list never goes
back to an older version. Rule 2: lists are hints: they carry no tag, so who acts on a session loads it and
looks whose it is. Rule 3: everything here can be rebuilt from the shards.
"""

from __future__ import annotations

import asyncio

import msgspec

from bot.store import keys, limits
from bot.store.commits import Commits
from bot.store.errors import Tampered
from bot.store.wire import Wire

_AT_ONCE = 200
_SHARDS_AT_ONCE = 64


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Session ids, newest first within what was asked for. `after` leads to the next page, "" at the end."""

    ids: list[str]
    after: str = ""


class Indexes:
    """Writes and reads the lists."""

    def __init__(self, wire: Wire, commits: Commits) -> None:
        self._wire, self._commits = wire, commits

    async def write(
        self, session_id: str, version: int, *, open: bool, person: str, flow: str, at_ms: int
    ) -> None:
        """Write the lists of person and flow, then take the mark away."""
        for of, id in (("person", person), ("flow", flow)):
            if id:
                names = [keys.index(of, keys.checked(id), state) for state in ("open", "ended", "versions")]
                await self._wire.call("index", names, session_id, version, "1" if open else "0", at_ms)
        number = keys.shard(session_id)
        await self._wire.call("indexed", [keys.unindexed(number)], session_id, version)

    async def fill(self, number: int, at_ms: int) -> None:
        """Write what a commit of a process that died left to be written."""
        answer = await self._wire.call("unindexed", [keys.unindexed(number)], _AT_ONCE, reads=True)
        for raw_id, raw_version in zip(answer[::2], answer[1::2], strict=True):
            id, version = raw_id.decode(errors="replace"), raw_version.decode(errors="replace")
            try:
                held = await self._commits.load(id)
            except Tampered:
                held = None
            if held:
                await self.write(
                    id, held.version, open=held.open, person=held.person, flow=held.flow, at_ms=at_ms
                )
            await self._wire.call("indexed", [keys.unindexed(number)], raw_id, version)

    async def rebuild(self) -> int:
        """Write all lists of persons and flows again from the shards. How many sessions there are."""
        count = 0
        for number in range(limits.SHARDS):
            for state_key in (keys.open_sessions(number), keys.ended_sessions(number)):
                after, score = "", "0"
                while True:
                    rows = await self._page(state_key, after, score, _AT_ONCE)
                    for id, at in rows:
                        try:
                            held = await self._commits.load(id)
                        except Tampered:
                            continue
                        if held:
                            count += 1
                            await self.write(
                                id,
                                held.version,
                                open=held.open,
                                person=held.person,
                                flow=held.flow,
                                at_ms=int(float(at)),
                            )
                    if len(rows) < _AT_ONCE:
                        break
                    after, score = rows[-1]
        return count

    async def of(self, of: str, id: str, state: str, after: str, limit: int) -> SessionPage:
        """A page of the sessions of a person or flow."""
        cursor_id, _, score = after.partition(",")
        rows = await self._page(keys.index(of, keys.checked(id), state), cursor_id, score or "0", limit)
        more = f"{rows[-1][0]},{rows[-1][1]}" if len(rows) == limit else ""
        return SessionPage(ids=[one for one, _ in rows], after=more)

    async def everywhere(self, state: str, after: str, limit: int) -> SessionPage:
        """A page of all sessions, shard by shard."""
        begin, _, rest = after.partition(",")
        cursor_id, _, score = rest.partition(",")
        first = int(begin or 0)
        name = keys.open_sessions if state == "open" else keys.ended_sessions
        ids: list[str] = []
        for at in range(first, limits.SHARDS, _SHARDS_AT_ONCE):
            some = range(at, min(at + _SHARDS_AT_ONCE, limits.SHARDS))
            left = limit - len(ids)
            pages = await asyncio.gather(
                *(
                    self._page(name(n), cursor_id, score or "0", left)
                    if n == first
                    else self._page(name(n), "", "0", left)
                    for n in some
                )
            )
            rows = [(n, *row) for n, page in zip(some, pages, strict=True) for row in page][:left]
            ids += [row[1] for row in rows]
            if len(ids) >= limit:
                return SessionPage(ids=ids, after="{},{},{}".format(*rows[-1]))
        return SessionPage(ids=ids)

    async def _page(self, key: str, after: str, score: str, limit: int) -> list[tuple[str, str]]:
        raw = await self._wire.call("sessions", [key], after, score, limit, reads=True)
        texts = [one.decode(errors="replace") for one in raw]
        return list(zip(texts[::2], texts[1::2], strict=True))
