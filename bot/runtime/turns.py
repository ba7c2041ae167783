"""One event, one commit: load, advance, commit with the version that was seen, or begin again.

Rule 1: a person's call has the id that the caller gave it, an event of the system one that is derived from
it; so whatever is repeated is recognised by the store and returns what it returned first. Rule 2: an outcome
that is not known (StoreGone) is asked for again with the same id and the same bytes. Rule 3: nothing that is
refused leaves a trace; a secret is sealed before the event is made, so no trace could hold one. Rule 4: a
failure of the engine or of a flow becomes a sentence in the session, never the end of a worker.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec
import structlog

from bot.engine import migrate, unsure, wayon
from bot.engine.advance import advance, open_session
from bot.engine.effects import BeginSession
from bot.engine.events import (
    AnyEvent,
    CancelAsked,
    ChildEnded,
    Event,
    FactsCame,
    HookReturned,
    Migrated,
    Opened,
    OrderFinished,
    ParentCancelled,
    Taken,
    TakenOver,
    TargetFree,
    TimerDue,
)
from bot.engine.ids import derived
from bot.engine.ready import Ready
from bot.engine.refusals import IdReused, NoSuchFlow, NoSuchSession, Refused, Stale
from bot.engine.session import Session
from bot.engine.step import Step
from bot.engine.turn import Fault, Turn
from bot.runtime import limits, records
from bot.runtime.ports import Clock, FlowBook
from bot.runtime.refusals import Crowded, FlowBroken, FlowGone, FlowVanished
from bot.store import Commit, Committed, Repeated, Store, StoreGone, Superseded
from bot.store.errors import BadName, StoreEmptied, StoreFull
from bot.store.errors import IdReused as StoredIdReused

log = structlog.get_logger("runtime")

_PROBE = 2**52  # a version that no session reaches: a commit that saw it never writes


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A session as a caller sees it. `repeated`: the call was made before, and this is its first outcome."""

    session: Session
    repeated: bool = False


class _Told:
    def __init__(self, event: asyncio.Event) -> None:
        self.event = event
        self.steps: deque[Step] = deque(maxlen=limits.STEPS_TOLD)


MakeEvent = Callable[[Session], Awaitable[AnyEvent]]


class Turns:
    """Advances sessions in the store."""

    def __init__(self, store: Store, flows: FlowBook, now_ms: Clock) -> None:
        self._store, self._flows, self._now_ms = store, flows, now_ms
        self._told: dict[str, set[_Told]] = {}  # by session: who watches it here
        self._under_way: Counter[str] = Counter()  # by session: our commits whose outcome is to come
        # told of sessions that have to come over to a newer version
        self.outdated: Callable[[Session, Ready], None] | None = None

    @contextmanager
    def told(self, session_id: str, event: asyncio.Event) -> Iterator[deque[Step]]:
        """What this process commits of a session from now on, sessions as channels see them.

        `event` is set with each, and when a commit came to nothing. The oldest are dropped from a full deque:
        the versions show it.
        """
        told = _Told(event)
        self._told.setdefault(session_id, set()).add(told)
        try:
            yield told.steps
        finally:
            self._told[session_id].discard(told)
            if not self._told[session_id]:
                del self._told[session_id]

    def commits(self, session_id: str) -> int:
        """How many commits of this process are under way; `told` is woken at the end of each."""
        return self._under_way[session_id]

    async def load(self, session_id: str) -> Session:
        """The session as it is. Raises NoSuchSession, Tampered, StoreGone."""
        try:
            loaded = await self._store.load(session_id)
        except BadName:
            raise NoSuchSession() from None
        if loaded is None:
            raise NoSuchSession()
        return records.session_of(loaded.record)

    def remembered(self, session_id: str) -> Session | None:
        """The session as this process committed it last, to try a commit from, else None."""
        raw = self._store.remembered(session_id)
        return records.session_of(raw) if raw is not None else None

    async def begin_child(self, wish: BeginSession) -> None:
        """Begin a session alongside; twice is once. Its parent is told when it cannot begin. Raises Gone."""
        event = Opened(
            at_ms=self._now_ms(),
            by=wish.person,
            answers=wish.answers,
            node=wish.node,
            zone=wish.zone,
            parent=wish.session,
            generation=wish.generation,
        )
        try:
            if wish.version:
                await self._flows.bring([wish.version])
            await self.open(
                wish.child,
                wish.person,
                wish.flow,
                event,
                by=f"begin:{wish.id}",
                body_sha="",
                version=wish.version,
            )
        except (Refused, FlowBroken) as e:
            log.warning("session.not_begun", session=wish.session, flow=wish.flow, why=e.sentence)
            ended = ChildEnded(
                at_ms=self._now_ms(),
                session=wish.child,
                outcome="failed",
                result={"outcome": "failed", "problem": e.sentence},
            )
            await self.system_said(wish.session, ended, settled=())

    async def open(
        self,
        session_id: str,
        person: str,
        flow: str,
        event: Opened,
        *,
        by: str,
        body_sha: str,
        version: str = "",
    ) -> View:
        """The first commit of a session. Raises IdReused as store error, NoSuchFlow, InvalidAnswer."""
        try:
            step = open_session(self._flows, flow, session_id, person, event, version=version)
        except Refused:
            raise
        except Exception as e:
            raise self._broken(e, flow, "start", session_id) from e
        self._log_faults(step)
        shown, commit = self._commit_of(step, 0, by, body_sha)
        outcome = await self._commit(commit, shown)
        match outcome:
            case Committed():
                return View(session=shown.session)
            case Repeated():
                return View(session=records.outcome_of(outcome.outcome), repeated=True)
            case Superseded():  # the id of an opening is of its session, so only another opening can be first
                raise IdReused(id=by)

    async def person_did(
        self, session: Session, make_event: MakeEvent, *, by: str, body_sha: str, id: str, sure: bool
    ) -> View:
        """What a person asked for. `make_event` is called again for each session that came first meanwhile.

        `sure`: the session was just read; else what it would refuse is tried on the session as it is.
        Raises Refused, IdReused, Crowded, FlowBroken, FlowGone, Gone.
        """
        for _ in range(limits.TRIES):
            try:
                await self._bring(session)
                step = self._advanced(session, await make_event(session))
            except Refused as refused:
                if not sure:
                    session, sure = await self.load(session.id), True
                    continue
                first = await self.first_outcome(session.id, by=by, body_sha=body_sha, id=id)
                if first is None:
                    raise
                log.debug("session.repeated", session=session.id, code=refused.code)
                return first
            shown, commit = self._commit_of(step, session.version, by, body_sha)
            outcome = await self._commit_known(commit, id, shown)
            match outcome:
                case Committed():
                    self._note_version(step.session)
                    return View(session=shown.session)
                case Repeated():
                    return View(session=records.outcome_of(outcome.outcome), repeated=True)
                case Superseded():
                    session, sure = await self._present(session.id, outcome), True
        raise Crowded()

    async def system_said(self, session_id: str, event: AnyEvent, *, settled: tuple[str, ...]) -> bool:
        """An event that no person sent. False: nobody waits for it (any more), it is settled.

        Raises Gone, FlowGone: later.
        """
        by = commit_id_of(event)
        try:
            session = await self.load(session_id)
        except NoSuchSession:
            return False
        for _ in range(limits.TRIES):
            if session.status != "open" and not _corrects(session, event):
                return False
            try:
                await self._bring(session)
                step = self._advanced(session, event)
            except Stale:
                return False
            except NoSuchFlow as e:
                raise FlowGone(flow=session.flow) from e
            except Refused as refused:
                log.warning("session.event_refused", session=session_id, event=by, code=refused.code)
                return False
            except FlowBroken as broken:
                step = self._stumbled(session, event, broken)
            shown, commit = self._commit_of(step, session.version, by, "", settled)
            outcome = await self._commit(commit, shown)
            if not isinstance(outcome, Superseded):
                self._note_version(step.session)
                return True
            session = await self._present(session_id, outcome)
        raise Crowded()

    async def first_outcome(self, session_id: str, *, by: str, body_sha: str, id: str) -> View | None:
        """What a call with this id returned when it came first; None when it never came. Raises IdReused."""
        probe = Commit(session_id=session_id, seen=_PROBE, by=by, outcome=b"", record=b"", body_sha=body_sha)
        outcome = await self._commit_known(probe, id)
        if isinstance(outcome, Repeated):
            return View(session=records.outcome_of(outcome.outcome), repeated=True)
        return None

    def _note_version(self, session: Session) -> None:
        """A session that has yet to come over to a newer version of its flow is told of."""
        if self.outdated is None or session.status != "open":
            return
        try:
            to = self._flows.current(session.flow)
        except NoSuchFlow:
            return
        if to.version != session.flow_version and migrate.is_due(session, to):
            self.outdated(session, to)

    def why_parked(self, session: Session) -> str:
        """Why an open session rests: its chatflow is gone. "" when it does not."""
        if session.status != "open":
            return ""
        for frame in session.stack:
            try:
                self._flows.current(frame.flow)
            except NoSuchFlow:
                return f"{FlowVanished(flow=frame.flow).sentence} {FlowVanished.do}"
        return ""

    def shown(self, session: Session) -> Session:
        """The session as channels see it."""
        public = records.public(session)
        why = self.why_parked(session)
        return msgspec.structs.replace(public, status="parked", parked=why) if why else public

    async def _bring(self, session: Session) -> None:
        if session.status != "open":
            return  # what is said of it now needs no flow
        try:
            await self._flows.bring(frame.version for frame in session.stack)
        except NoSuchFlow as e:
            log.error("session.version_missing", session=session.id, flow=session.flow)
            raise FlowGone(flow=session.flow) from e

    def _advanced(self, session: Session, event: AnyEvent) -> Step:
        ends = isinstance(event, CancelAsked | ParentCancelled) or _is_ending(session)
        if not ends and self.why_parked(session):
            raise FlowVanished(flow=session.flow)
        try:
            step = advance(self._flows, session, event)
        except Refused:
            raise
        except Exception as e:
            frame = session.stack[-1]
            raise self._broken(e, frame.flow, frame.state, session.id) from e
        self._log_faults(step)
        return step

    def _broken(self, e: Exception, flow: str, state: str, session_id: str) -> FlowBroken:
        log.error(
            "flow.broken",
            flow=flow,
            state=state,
            source=self._source_of(flow),
            session=session_id,
            exc_info=e,
        )
        return FlowBroken(flow=flow, state=state)

    def _stumbled(self, session: Session, event: Event, broken: FlowBroken) -> Step:
        """The session with a sentence and ways on, where the engine itself failed."""
        turn = Turn(self._flows, session, event)
        frame = session.stack[-1]
        wayon.fault(turn, Fault(frame.flow, frame.state, broken.sentence))
        return turn.step()

    def _log_faults(self, step: Step) -> None:
        for entry in step.entries:
            if entry.kind == "problem" and entry.outcome == "fault":
                flow = step.session.stack[-1].flow
                log.warning(
                    "flow.fault",
                    flow=flow,
                    state=entry.state,
                    source=self._source_of(flow),
                    session=step.session.id,
                    entry=entry.n,
                )

    def _source_of(self, flow: str) -> str:
        try:
            return self._flows.current(flow).flow.source
        except NoSuchFlow:
            return ""

    def _commit_of(
        self, step: Step, seen: int, by: str, body_sha: str, settled: tuple[str, ...] = ()
    ) -> tuple[Step, Commit]:
        """The step as channels see it, and as the store gets it."""
        shown = Step(records.public(step.session), step.entries, step.effects)
        commit = records.commit_of(
            step,
            shown.session,
            seen=seen,
            by=by,
            body_sha=body_sha,
            settled=settled,
        )
        return shown, commit

    async def _present(self, session_id: str, superseded: Superseded) -> Session:
        if superseded.record:
            return records.session_of(superseded.record)
        raise NoSuchSession()

    async def _commit_known(
        self, commit: Commit, id: str, shown: Step | None = None
    ) -> Committed | Repeated | Superseded:
        try:
            return await self._commit(commit, shown)
        except StoredIdReused as e:
            raise IdReused(id=id) from e

    async def _commit(self, commit: Commit, shown: Step | None) -> Committed | Repeated | Superseded:
        """Commit, and tell who watches here. Raises StoreGone."""
        session_id = commit.session_id
        self._under_way[session_id] += 1
        outcome = None
        try:
            outcome = await self._commit_surely(commit)
        finally:
            self._under_way[session_id] -= 1
            if not self._under_way[session_id]:
                del self._under_way[session_id]
            for told in self._told.get(session_id, ()):
                if shown is not None and isinstance(outcome, Committed):
                    told.steps.append(shown)
                told.event.set()
        return outcome

    async def _commit_surely(self, commit: Commit) -> Committed | Repeated | Superseded:
        """Commit; while the outcome is not known, ask again with the same id. Raises StoreGone at the end."""
        pause_s = limits.PAUSE_FROM_S
        try:
            async with asyncio.timeout(limits.COMMIT_FOR_S):
                while True:
                    try:
                        return await self._store.commit(commit)
                    except (StoreFull, StoreEmptied):
                        raise
                    except StoreGone as gone:
                        log.info("session.commit_again", session=commit.session_id, why=gone.sentence)
                    await asyncio.sleep(pause_s)
                    pause_s = min(limits.PAUSE_TO_S, pause_s * 2)
        except TimeoutError:
            raise StoreGone(why="it did not say whether it took the answer") from None


def _is_ending(session: Session) -> bool:
    """Whether it only takes back what was done, for which its flow is not asked."""
    return session.stopping or (session.unwinding is not None and session.unwinding.goal == "cancel")


def _corrects(session: Session, event: AnyEvent) -> bool:
    """Whether an event still counts for a session that has ended: what was not known is known now."""
    return isinstance(event, OrderFinished) and unsure.is_unsettled(session, event.order_id)


def commit_id_of(event: AnyEvent) -> str:
    """The commit id of an event of the system: the same event, the same id.

    An order may first be reported unknown and later with its end: two events.
    """
    match event:
        case OrderFinished():
            return derived("c", "order", event.order_id, event.result.outcome)
        case Taken():
            return derived("c", "taken", event.order_id)
        case TakenOver():
            return derived("c", "taken-over", event.order_id)
        case TargetFree():
            return derived("c", "free", event.wait_id)
        case FactsCame():
            return derived("c", "facts", event.lookup_id)
        case TimerDue():
            return derived("c", "timer", event.timer_id)
        case HookReturned():
            return derived("c", "hook", event.hook_id)
        case ChildEnded():
            return derived("c", "child", event.session)
        case ParentCancelled():
            return derived("c", "parent", event.parent)
        case Migrated():
            return derived("c", "migrated", event.to)
        case _:
            raise TypeError(f"{type(event).__name__} is no event of the system")
