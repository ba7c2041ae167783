"""The one door by which every channel opens, answers and watches sessions, and by which results come back.

Everything a session is stands in the store: a `Runtime` may be killed at any instant, and the next one on the
same store goes on. What it promises stands in `turns` (commits), `workers` (effects), `watching` (updates).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal, get_args

import msgspec
import structlog

from agent.orders.results import Progress, Result
from bot.engine import text, times
from bot.engine.events import (
    Answered,
    AnyEvent,
    Approved,
    CancelAsked,
    ChangeAsked,
    EventCame,
    Opened,
    OrderFinished,
    UndoAsked,
    WentBack,
)
from bot.engine.filters import Unfit
from bot.engine.ids import derived
from bot.engine.refusals import IdReused, InvalidAnswer, NoSuchSession
from bot.engine.session import Entry, Session
from bot.runtime import limits, preparing, records
from bot.runtime.asked import Asked, AskedList, is_asked, name_of
from bot.runtime.carrying import Carrying
from bot.runtime.claims import Claims
from bot.runtime.ports import AuditLog, Clock, Fleet, FlowBook, Names, Person, Sealer
from bot.runtime.refusals import BadId, NotYours, TooManyOpen
from bot.runtime.turns import Turns, View
from bot.runtime.versions import Versions
from bot.runtime.watching import Update, updates, wait_for_entries
from bot.runtime.workers import Parked, Workers
from bot.store import Store, Tampered
from bot.store.errors import BadName
from bot.store.errors import IdReused as StoredIdReused

log = structlog.get_logger("runtime")

State = Literal["open", "ended"]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A session in a list. `asks` is its question, `waits` what it does just now."""

    id: str
    person: str
    flow: str
    title: str
    status: str
    outcome: str
    opened_ms: int
    changed_ms: int
    asks: str = ""
    waits: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Part of a list. `next` is the `after` of the following part, "" at the end."""

    items: tuple[Summary, ...]
    next: str = ""


async def _somebody(person: str, /) -> str:
    return "Somebody"


class Runtime:
    """Drives sessions. `body_key` (32 bytes, never in the store) keys the fingerprints of answers.

    `person` is whoever speaks: an object with id and role, or the id of somebody who sees only their own.
    """

    def __init__(
        self,
        *,
        store: Store,
        fleet: Fleet,
        sealer: Sealer,
        flows: FlowBook,
        audit: AuditLog,
        body_key: bytes,
        now_ms: Clock,
        names: Names = _somebody,
        zone: str = "",
    ) -> None:
        self._store, self._fleet, self._sealer, self._flows = store, fleet, sealer, flows
        self._body_key, self._now_ms = body_key, now_ms
        self._turns = Turns(store, flows, now_ms)
        self._zone = zone
        self._asked, claims = AskedList(store, self._turns), Claims(store, names, now_ms)
        self._versions = Versions(store, self._turns, flows, now_ms)
        self._workers = Workers(
            store, Carrying(self._turns, fleet, flows, audit, self._asked, claims, now_ms), now_ms
        )
        self._order_sessions: OrderedDict[str, str] = OrderedDict()

    async def start(self) -> None:
        """Begin to carry out effects; what another process left undone is taken up as its leases end."""
        self._workers.start()
        self._versions.start()

    async def stop(self) -> None:
        """Stop carrying out. Sessions stay where they are."""
        await self._versions.stop()
        await self._workers.stop()

    # What people do

    async def open(
        self,
        *,
        person: Person | str,
        id: str,
        flow: str,
        answers: Mapping[str, Any] | None = None,
        typed: str = "",
        zone: str = "",
    ) -> View:
        """Begin a session; the same id of the same person meets the same session.

        `zone` is the time zone of whoever speaks, "" for that of the installation.
        Raises BadId, NoSuchFlow, InvalidAnswer, IdReused, TooManyOpen, FlowBroken, Gone.
        """
        who, given = _id_of(person), dict(answers or {})
        session_id = derived("s", who, _checked_id(id))
        by = f"open:{id}"
        sha = records.fingerprint(self._body_key, ["open", flow, _small(given), typed])
        try:
            if await self._store.load(session_id) is not None:
                first = await self._turns.first_outcome(session_id, by=by, body_sha=sha, id=id)
                if first is None:
                    raise IdReused(id=id)
                return first
            ready = self._flows.current(flow)
            await self._may_open_more(who)
            node = await self._node()
            given = preparing.sealed_beforehand(self._sealer, self._flows, ready, node, given)
            event = Opened(
                at_ms=self._now_ms(),
                by=who,
                answers=given,
                node=node,
                opened_for=typed[: limits.TYPED_LENGTH],
                zone=_checked_zone(zone) or self._zone,
            )
            view = await self._turns.open(session_id, who, flow, event, by=by, body_sha=sha)
        except StoredIdReused as e:
            raise IdReused(id=id) from e
        log.info("session.opened", session=session_id, flow=flow, repeated=view.repeated)
        return view

    async def answer(self, *, person: Person | str, session_id: str, seq: int, id: str, value: Any) -> View:
        """Answer prompt `seq`. Raises AlreadyAnswered, NotNow, InvalidAnswer, IdReused, NoSuchSession …

        Secrets are sealed and the flow's check is asked before anything else sees the value.
        """
        _small(value)

        async def event(session: Session) -> AnyEvent:
            preparing.current(session, seq)
            closed = preparing.sealed(self._sealer, session, value)
            refusal = await preparing.refusal_of(self._flows, session, closed)
            return Answered(
                at_ms=self._now_ms(),
                by=_id_of(person),
                seq=seq,
                answer_id=id,
                value=closed,
                refusal=refusal,
            )

        return await self._did(person, session_id, id, ["answer", seq, value], event)

    async def back(
        self, *, person: Person | str, session_id: str, seq: int, id: str, to: int | None = None
    ) -> View:
        """Leave prompt `seq` for the one before, or for prompt `to`. Raises CannotGoBack …"""

        async def event(session: Session) -> AnyEvent:
            return WentBack(at_ms=self._now_ms(), by=_id_of(person), seq=seq, answer_id=id, to=to)

        return await self._did(person, session_id, id, ["back", seq, to], event)

    async def change(self, *, person: Person | str, session_id: str, seq: int, id: str, to: str) -> View:
        """Leave the summary `seq` to change the answer named `to`. Raises CannotGoBack …"""

        async def event(session: Session) -> AnyEvent:
            return ChangeAsked(at_ms=self._now_ms(), by=_id_of(person), seq=seq, answer_id=id, to=to)

        return await self._did(person, session_id, id, ["change", seq, to], event)

    async def undo(self, *, person: Person | str, session_id: str, seq: int, id: str) -> View:
        """Take back what was done since the last answers. Raises NothingToUndo …"""

        async def event(session: Session) -> AnyEvent:
            return UndoAsked(at_ms=self._now_ms(), by=_id_of(person), seq=seq, answer_id=id)

        return await self._did(person, session_id, id, ["undo", seq], event)

    async def cancel(self, *, person: Person | str, session_id: str, seq: int, id: str) -> View:
        """End the session; what it did is taken back where it can be."""

        async def event(session: Session) -> AnyEvent:
            return CancelAsked(at_ms=self._now_ms(), by=_id_of(person), seq=seq, answer_id=id)

        return await self._did(person, session_id, id, ["cancel", seq], event)

    async def tell(self, *, person: Person | str, session_id: str, id: str, name: str, data: Any) -> View:
        """Say that something happened outside. Kept until the session waits for it.

        Raises NoSuchEvent, InvalidAnswer, MailFull, NotNow, IdReused, NoSuchSession …
        """
        _small(data)

        async def event(session: Session) -> AnyEvent:
            return EventCame(at_ms=self._now_ms(), by=_id_of(person), name=name, event_id=id, data=data)

        return await self._did(person, session_id, id, ["event", name, data], event)

    async def approve(self, *, person: Person, session_id: str, id: str, yes: bool, reason: str = "") -> View:
        """Agree to what waits for approval, or refuse with a reason.

        Raises NotAsked, Voted, InvalidAnswer, NotNow, IdReused, NoSuchSession …
        """
        by = f"{person.id}:{_checked_id(id)}"
        sha = records.fingerprint(self._body_key, ["approve", yes, reason])
        session = await self._turns.load(session_id)
        if not is_asked(session, person):
            first = await self._turns.first_outcome(session_id, by=by, body_sha=sha, id=id)
            if first is not None:
                return first
            if not _is_owner(person) and session.person != person.id:
                raise NoSuchSession()  # to whoever is not asked it does not exist
        approval = session.approval.id if session.approval is not None else ""

        async def event(session: Session) -> AnyEvent:
            return Approved(
                at_ms=self._now_ms(),
                by=person.id,
                approval=approval,
                answer_id=id,
                yes=yes,
                reason=reason,
                name=name_of(person),
                role=person.role,
            )

        return await self._turns.person_did(session, event, by=by, body_sha=sha, id=id, sure=True)

    # What people see

    async def open_sessions(self, flow: str) -> list[Session]:
        """The open sessions of a flow, whole: for what a new version would do. No channel's."""
        return await self._versions.open_sessions(flow)

    def touched(self, flow: str) -> dict[str, int]:
        """What became of the sessions that were open when the current version was published."""
        return dict(self._versions.touched.get(flow, {}))

    async def recorded(self, flow: str, *, since_ms: int, most: int) -> list[tuple[Session, list[Entry]]]:
        """The newest conversations of a flow that ended since, each with its transcript. No channel's."""
        found: list[tuple[Session, list[Entry]]] = []
        for session in await self._versions.ended_sessions(flow, most=most):
            if session.changed_ms >= since_ms:
                raw = await self._store.entries(session.id, 0, limits.ENTRIES_AT_ONCE)
                found.append((session, [records.entry_of(entry) for _, entry in raw]))
        return found

    async def asked(self, person: Person) -> list[Asked]:
        """What waits for this person's approval, oldest first."""
        return await self._asked.of(person)

    async def view(self, *, person: Person | str, session_id: str) -> View:
        """The session as it is. Raises NoSuchSession."""
        return View(session=self._turns.shown(await self._seen(person, session_id)))

    async def entries(
        self,
        *,
        person: Person | str,
        session_id: str,
        after: int = 0,
        wait_s: float = 0,
        limit: int = limits.ENTRIES_AT_ONCE,
    ) -> list[Entry]:
        """Entries from number `after` + 1; waits up to `wait_s` for one. Raises NoSuchSession."""
        await self._seen(person, session_id)
        limit = max(1, min(limit, limits.ENTRIES_AT_ONCE))
        found = await self._store.entries(session_id, max(0, after), limit)
        if not found and wait_s > 0:
            await wait_for_entries(self._store, session_id, after, wait_s)
            found = await self._store.entries(session_id, max(0, after), limit)
        return [records.entry_of(raw) for _, raw in found]

    async def sessions(
        self,
        *,
        person: Person | str,
        state: str | None = None,
        after: str = "",
        limit: int = 50,
        everyone: bool = False,
    ) -> Page:
        """Sessions, newest first: one's own, or with `everyone` all, for an owner."""
        if state is not None and state not in get_args(State):
            raise InvalidAnswer([{"field": "state", "says": "The state is open or ended."}])
        whose = None if everyone and _is_owner(person) else _id_of(person)
        page = await self._store.session_ids(
            whose,
            state=state,  # type: ignore[arg-type]  # checked above
            after=after,
            limit=max(1, min(limit, limits.PAGE)),
        )
        items = []
        for session_id in page.ids:
            try:
                session = await self._turns.load(session_id)
            except (NoSuchSession, Tampered) as e:  # the list is a hint; a changed record has its alarm
                log.info("session.not_listed", session=session_id, why=e.sentence)
                continue
            if whose is None or session.person == whose:
                items.append(_summary(self._turns.shown(session)))
        return Page(items=tuple(items), next=page.after)

    @asynccontextmanager
    async def watch(
        self, session_id: str, *, after: int | None = None
    ) -> AsyncIterator[AsyncIterator[Update]]:
        """Everything that happens in a session from entry `after` + 1 on (None: from now on).

        Who may see the session is asked by `view` before. Raises NoSuchSession when it is first read.
        """
        async with aclosing(updates(self._store, self._turns, session_id, after)) as stream:
            yield stream

    # What comes back

    async def deliver(self, session_id: str, event: AnyEvent) -> None:
        """Hand an event of the system to its session. Raises Gone: hand it over again."""
        await self._turns.system_said(session_id, event, settled=())

    async def order_finished(self, order_id: str, result: Result) -> None:
        """The fleet has a result; committed when this returns. Raises Gone: say it again."""
        session_id = await self._session_of(order_id)
        if not session_id:
            log.warning("order.unknown", order=order_id, outcome=result.outcome)
            return
        event = OrderFinished(at_ms=self._now_ms(), order_id=order_id, result=result)
        settled = () if result.outcome == "unknown" else (order_id,)
        await self._turns.system_said(session_id, event, settled=settled)

    async def order_progressed(self, order_id: str, progress: Progress) -> None:
        """The fleet heard how far an order is; whoever watches is told."""
        if session_id := await self._session_of(order_id):
            await self._store.say_progress(session_id, msgspec.json.encode(progress))

    def parked(self) -> list[Parked]:
        """Effects that keep failing by our own fault."""
        return self._workers.parked()

    async def _did(
        self, person: Person | str, session_id: str, id: str, body: list[Any], make_event: Any
    ) -> View:
        by = f"{_id_of(person)}:{_checked_id(id)}"
        remembered = self._turns.remembered(session_id)
        if remembered is not None and remembered.person == _id_of(person):
            session = remembered
        else:
            session, remembered = await self._seen(person, session_id), None
            if session.person != _id_of(person) and not _is_owner(person):
                raise NotYours()
        sha = records.fingerprint(self._body_key, body)
        return await self._turns.person_did(
            session, make_event, by=by, body_sha=sha, id=id, sure=remembered is None
        )

    async def _seen(self, person: Person | str, session_id: str) -> Session:
        session = await self._turns.load(session_id)
        if session.person != _id_of(person) and not _is_owner(person):
            raise NoSuchSession()
        return session

    async def _may_open_more(self, who: str) -> None:
        page = await self._store.session_ids(who, state="open", limit=limits.OPEN_PER_PERSON)
        if len(page.ids) >= limits.OPEN_PER_PERSON:
            raise TooManyOpen(most=limits.OPEN_PER_PERSON)

    async def _node(self) -> str:
        """Where orders of a new session go unless its flow says otherwise: the first node, better linked."""
        nodes = await self._fleet.nodes()
        linked = [node for node in nodes if node.online]
        return next((node.id for node in (*linked, *nodes)), "")

    async def _session_of(self, order_id: str) -> str:
        known = self._order_sessions.get(order_id)
        if known is None:
            try:
                sent = await self._fleet.order(order_id)
            except (Tampered, BadName) as e:
                log.error("order.unreadable", order=order_id[:80], why=e.sentence)
                return ""
            if sent is None:
                return ""
            known = self._order_sessions[order_id] = sent.session
            while len(self._order_sessions) > limits.ORDERS_REMEMBERED:
                self._order_sessions.popitem(last=False)
        return known


def _id_of(person: Person | str) -> str:
    return person if isinstance(person, str) else person.id


def _is_owner(person: Person | str) -> bool:
    return not isinstance(person, str) and person.role == "owner"


def _checked_id(id: str) -> str:
    if not 0 < len(id) <= limits.ID_LENGTH or not id.isprintable():
        raise BadId(most=limits.ID_LENGTH)
    return id


def _checked_zone(zone: str) -> str:
    try:
        times.zone_of(zone)
    except Unfit as e:
        raise InvalidAnswer([{"field": "zone", "says": f"{e}."}]) from e
    return zone


def _small(value: Any) -> Any:
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError, OverflowError) as e:
        raise InvalidAnswer([{"field": "", "says": "This is no plain JSON value."}]) from e
    if size > limits.VALUE_BYTES:
        says = f"An answer has at most {limits.VALUE_BYTES // 1024} KiB; files are uploaded."
        raise InvalidAnswer([{"field": "", "says": says}])
    return value


def _summary(session: Session) -> Summary:
    return Summary(
        id=session.id,
        person=session.person,
        flow=session.flow,
        title=session.title,
        status=session.status,
        outcome=session.outcome,
        opened_ms=session.opened_ms,
        changed_ms=session.changed_ms,
        asks=text.plain(session.shown.label)[:200] if session.shown else "",
        waits=text.plain(session.waiting.says)[:200] if session.waiting else "",
    )
