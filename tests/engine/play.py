"""A book of flows, and a player that answers, finishes orders and checks each step as it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from agent.orders.results import Problem, Result
from bot.engine import compile as compiling
from bot.engine import form, text
from bot.engine.advance import advance, open_session
from bot.engine.effects import AskFacts, CallHook, SendOrder
from bot.engine.events import (
    Answered,
    CancelAsked,
    ChangeAsked,
    Event,
    FactsCame,
    HookReturned,
    Opened,
    OrderFinished,
    TimerDue,
    UndoAsked,
    WentBack,
)
from bot.engine.ready import Ready
from bot.engine.refusals import NoSuchFlow
from bot.engine.session import Alarm, Entry, Session, Shown, Waiting
from bot.engine.step import Step
from bot.engine.vocabulary import Chatflow

NODE = "n-0000000000000000"
PERSON = "p-ann"


class Book:
    """Flows held in memory."""

    def __init__(self, *flows: form.Flow | type[Chatflow]) -> None:
        self._ready = [Ready(f if isinstance(f, form.Flow) else compiling.compile_class(f)) for f in flows]

    def by_version(self, version: str) -> Ready:
        for ready in self._ready:
            if ready.version == version:
                return ready
        raise NoSuchFlow(flow=version)

    def current(self, name: str) -> Ready:
        for ready in self._ready:
            if ready.flow.name == name:
                return ready
        raise NoSuchFlow(flow=name)


class Play:
    """One session, played. Every step is checked for what always holds."""

    def __init__(
        self,
        *flows: form.Flow | type[Chatflow],
        answers: dict[str, Any] | None = None,
        at_ms: int = 1_000,
        id: str = "s-1",
        parent: str = "",
        generation: int = 0,
    ) -> None:
        self.book = Book(*flows)
        self.now_ms = at_ms
        self.entries: list[Entry] = []
        self.effects: list[Any] = []
        first = self.book._ready[0].flow.name
        opened = Opened(
            at_ms=at_ms,
            by=PERSON,
            answers=answers or {},
            node=NODE,
            parent=parent,
            generation=generation,
        )
        self._took(open_session(self.book, first, id, PERSON, opened))

    # what stands

    @property
    def shown(self) -> Shown:
        assert self.session.shown is not None, self.session
        return self.session.shown

    @property
    def waiting(self) -> Waiting:
        assert self.session.waiting is not None, self.session
        return self.session.waiting

    @property
    def names(self) -> dict[str, Any]:
        return self.session.stack[-1].names

    @property
    def rows(self) -> dict[str, str]:
        return {row.label: row.value for row in self.shown.rows}

    def orders(self) -> list[SendOrder]:
        return [e for e in self.effects if isinstance(e, SendOrder)]

    def verbs(self) -> list[str]:
        return [str(o.order["verb"]) for o in self.orders()]

    def said(self, kind: str = "") -> list[str]:
        return [text.plain(e.text) for e in self.entries if not kind or e.kind == kind]

    # what happens

    def take(self, make: Callable[[int], Event]) -> Play:
        self.now_ms += 10
        self._took(advance(self.book, self.session, make(self.now_ms)))
        return self

    def answer(self, value: Any, *, seq: int | None = None, refusal: str = "") -> Play:
        number = self.session.seq if seq is None else seq
        return self.take(
            lambda at: Answered(
                at_ms=at, by=PERSON, seq=number, answer_id=f"a-{at}", value=value, refusal=refusal
            )
        )

    def back(self, to: int | None = None) -> Play:
        seq = self.session.seq
        return self.take(lambda at: WentBack(at_ms=at, by=PERSON, seq=seq, answer_id=f"a-{at}", to=to))

    def change(self, name: str) -> Play:
        seq = self.session.seq
        return self.take(lambda at: ChangeAsked(at_ms=at, by=PERSON, seq=seq, answer_id=f"a-{at}", to=name))

    def undo(self) -> Play:
        return self.take(lambda at: UndoAsked(at_ms=at, by=PERSON, seq=self.session.seq, answer_id=f"a-{at}"))

    def cancel(self) -> Play:
        return self.take(
            lambda at: CancelAsked(at_ms=at, by=PERSON, seq=self.session.seq, answer_id=f"a-{at}")
        )

    def finish(self, outcome: str = "done", *, order_id: str = "", **more: Any) -> Play:
        waiting = self.session.waiting
        id = order_id or (waiting.id if waiting is not None else "o-none")
        return self.take(lambda at: OrderFinished(at_ms=at, order_id=id, result=result(id, outcome, **more)))

    def facts(self, facts: dict[str, Any] | None = None, problem: str = "") -> Play:
        lookup = self.session.lookup
        return self.take(lambda at: FactsCame(at_ms=at, lookup_id=lookup, facts=facts, problem=problem))

    def hook(self, value: Any = None, problem: str = "") -> Play:
        waiting = self.session.waiting
        assert waiting is not None
        return self.take(lambda at: HookReturned(at_ms=at, hook_id=waiting.id, value=value, problem=problem))

    def alarm(self, kind: str) -> Alarm:
        """The alarm of that kind, which stands beside a prompt or a wait."""
        return next(alarm for alarm in self.session.alarms if alarm.kind == kind)

    def due(self, kind: str = "") -> Play:
        """The timer of the wait rings, or the alarm of that kind."""
        waiting = self.session.waiting
        timer = waiting.id if waiting is not None and not kind else self.alarm(kind or "pause").id
        return self.take(lambda at: TimerDue(at_ms=at, timer_id=timer))

    def lookups(self) -> list[AskFacts]:
        return [e for e in self.effects if isinstance(e, AskFacts)]

    def hooks(self) -> list[CallHook]:
        return [e for e in self.effects if isinstance(e, CallHook)]

    def _took(self, step: Step) -> None:
        check_always(step, getattr(self, "session", None))
        self.session = step.session
        self.entries += step.entries
        self.effects += step.effects


def result(order_id: str, outcome: str = "done", **more: Any) -> Result:
    """What a node answers; failures get a problem."""
    if outcome in ("failed", "refused") and "problem" not in more:
        more["problem"] = Problem(code="port_taken", says="Port 80 is taken.", do="Choose another port.")
    fields = {"node": NODE, "verb": "x", "started_ms": 1_000, "ended_ms": 3_000, **more}
    return Result(order=order_id, outcome=outcome, **fields)  # type: ignore[arg-type]


def check_always(step: Step, before: Session | None) -> None:
    """What holds after every step, whatever it was."""
    session = step.session
    assert msgspec.json.decode(msgspec.json.encode(session), type=Session) == session
    assert session.version == (before.version + 1 if before is not None else 1)
    first = (before.entries if before is not None else 0) + 1
    assert [e.n for e in step.entries] == list(range(first, first + len(step.entries)))
    assert session.entries == first + len(step.entries) - 1
    assert len({e.id for e in step.effects}) == len(step.effects)
    if session.status == "open":
        assert (session.shown is None) != (session.waiting is None), session
        assert session.trail, "there is always a place to come back to"
    else:
        assert session.shown is None and session.waiting is None
    if session.shown is not None:
        assert session.shown.seq == session.seq
