"""Before a chatflow's new version goes live: whom it touches, and what would have gone another way.

Everything is looked at, nothing is changed: open sessions by the rule that would move them, recorded
conversations of the last weeks by playing them again with both versions. And the way back: the history.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from bot.authoring import replay
from bot.engine import checks, compile, form, migrate
from bot.engine.ready import Ready
from bot.engine.refusals import NoSuchFlow
from bot.engine.session import Entry, Session
from bot.plugins.book import FlowBook, pinned_all
from bot.plugins.history import Published
from bot.runtime import Runtime

WEEKS_MS = 4 * 7 * 24 * 3_600_000
REPLAYED = 50  # conversations of each flow, the newest
LISTED = 200  # open sessions told one by one; all are counted


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """One open session. `becomes`: moves, stays, later or finishes (see `bot.engine.migrate`)."""

    session: str
    version: str
    state: str
    becomes: str
    why: str = ""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded conversation that would have gone another way."""

    session: str
    ended_ms: int
    differences: list[str]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What publishing a version does. `now` is the current version, "" for a new flow."""

    flow: str
    title: str
    version: str
    now: str
    counts: dict[str, int]
    sessions: list[Touched]
    replayed: int
    same: int
    changed: list[Changed]


class Versions:
    """The versions of this bot's flows."""

    def __init__(self, book: FlowBook, runtime: Runtime, now_ms: Callable[[], int]) -> None:
        self._book, self._runtime, self._now_ms = book, runtime, now_ms

    def history(self, name: str) -> Sequence[Published]:
        """The publications of a flow, oldest first. Raises NoSuchFlow."""
        history = self._book.histories.of(name)
        if not history:
            raise NoSuchFlow(flow=name)
        return history

    async def back(self, name: str, version: str) -> Ready:
        """Publish an earlier version again. Raises NoSuchFlow, NoSuchVersion, Gone."""
        return await self._book.back(name, version)

    async def earlier(self, name: str, version: str) -> form.Flow:
        """An earlier version, to be previewed. Raises NoSuchFlow, NoSuchVersion, Gone."""
        found = self._book.histories.find(name, version).version
        await self._book.bring([found])
        return self._book.by_version(found).flow

    async def preview(self, flows: Sequence[form.Flow]) -> list[Preview]:
        """What publishing these (compiled, checked) flows would do. Raises FlowRefused, Gone."""
        current = {ready.flow.name: ready.flow for ready in self._book.flows()}
        new = {flow.name: flow for flow in flows}
        others = {name: flow for name, flow in current.items() if name not in new}
        done = {name: flow for name, flow in new.items() if _is_pinned(flow)}
        pinned, refused = pinned_all({**others, **new}, {**others, **done})
        for flow, says in refused:
            if flow.name in new:
                problem = checks.Problem("", "call", says)
                raise compile.FlowRefused(flow.name, [problem], flow.source)
        ready = [Ready(flow) for flow in pinned if flow.name in new]
        looked = _Looked(self._book, {one.version: one for one in ready})
        return [await self._of(ready, looked) for ready in looked.new.values()]

    async def _of(self, ready: Ready, looked: _Looked) -> Preview:
        name = ready.flow.name
        touched: list[Touched] = []
        counts: Counter[str] = Counter()
        for session in await self._runtime.open_sessions(name):
            await self._book.bring(frame.version for frame in session.stack)
            becomes = migrate.fate(looked, session, ready)
            kind = "same" if session.flow_version == ready.version else becomes.kind
            counts[kind] += 1
            if kind != "same" and len(touched) < LISTED:
                touched.append(
                    Touched(
                        session=session.id,
                        version=session.flow_version,
                        state=session.stack[0].state,
                        becomes=kind,
                        why=becomes.why,
                    )
                )
        try:
            now = self._book.current(name).version
        except NoSuchFlow:
            now = ""
        changed, replayed = await self._replay(ready, looked)
        return Preview(
            flow=name,
            title=ready.flow.title,
            version=ready.version,
            now=now,
            counts=dict(counts),
            sessions=touched,
            replayed=replayed,
            same=replayed - len(changed),
            changed=changed,
        )

    async def _replay(self, ready: Ready, looked: _Looked) -> tuple[list[Changed], int]:
        since_ms = self._now_ms() - WEEKS_MS
        recorded = await self._runtime.recorded(ready.flow.name, since_ms=since_ms, most=REPLAYED)
        changed, count = [], 0
        after = await self._with_called(ready, looked)
        for session, entries in recorded:
            if session.flow_version == ready.version:
                continue
            try:
                await self._book.bring([session.flow_version])
                before = await self._with_called(self._book.by_version(session.flow_version), looked)
            except NoSuchFlow:  # collected meanwhile: nothing to compare with
                continue
            count += 1
            if told := await asyncio.to_thread(_compared, before, after, session, entries):
                changed.append(Changed(session=session.id, ended_ms=session.changed_ms, differences=told))
        return changed, count

    async def _with_called(self, ready: Ready, looked: _Looked) -> list[form.Flow]:
        """A flow after all that it calls."""
        found: dict[str, form.Flow] = {}
        todo = [ready]
        while todo:
            one = todo.pop()
            if one.version in found:
                continue
            found[one.version] = one.flow
            for state in one.flow.states.values():
                if isinstance(state, form.Call):
                    if state.version and state.version not in looked.new:
                        await self._book.bring([state.version])
                    todo.append(
                        looked.by_version(state.version) if state.version else looked.current(state.flow)
                    )
        return [flow for version, flow in found.items() if version != ready.version] + [ready.flow]


class _Looked:
    """The book as it would be: the engine's `Flows`."""

    def __init__(self, book: FlowBook, new: Mapping[str, Ready]) -> None:
        self._book, self.new = book, new
        self._names = {ready.flow.name: ready for ready in new.values()}

    def by_version(self, version: str) -> Ready:
        return self.new.get(version) or self._book.by_version(version)

    def current(self, name: str) -> Ready:
        return self._names.get(name) or self._book.current(name)


def _compared(
    before: list[form.Flow], after: list[form.Flow], session: Session, entries: Sequence[Entry]
) -> list[str]:
    rule = migrate.rule_for(after[-1], session.flow_version)
    return replay.differences(replay.replay(before, entries), replay.replay(after, entries, rule))


def _is_pinned(flow: form.Flow) -> bool:
    return any(isinstance(state, form.Call) and state.version for state in flow.states.values())
