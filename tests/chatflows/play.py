"""Play a built-in chatflow by itself: the test is person, fleet and clock, the engine is the real one."""

from __future__ import annotations

from typing import Any

from agent.orders.results import Problem, Result
from bot.chatflows import FLOWS
from bot.engine.advance import advance, open_session
from bot.engine.compile import compile_class
from bot.engine.effects import AnyEffect, AskFacts, SendOrder
from bot.engine.events import Answered, CancelAsked, ChangeAsked, FactsCame, Opened, OrderFinished, WentBack
from bot.engine.ready import Ready
from bot.engine.refusals import NoSuchFlow
from bot.engine.session import Entry, Session, Shown
from bot.engine.text import plain

NODE = "n-0000000000000000"


class Book:
    """The built-in flows, unpinned."""

    def __init__(self) -> None:
        self._by_name = {ready.flow.name: ready for ready in (Ready(compile_class(cls)) for cls in FLOWS)}

    def by_version(self, version: str) -> Ready:
        for ready in self._by_name.values():
            if ready.version == version:
                return ready
        raise NoSuchFlow(flow=version)

    def current(self, name: str) -> Ready:
        if name not in self._by_name:
            raise NoSuchFlow(flow=name)
        return self._by_name[name]


BOOK = Book()


class Play:
    """One session. `facts` answers lookups, by fact; orders are answered by `done` and `failed`."""

    def __init__(self, flow: str, facts: dict[str, Any], **answers: Any) -> None:
        self.facts = facts
        self.entries: list[Entry] = []
        self._effects: list[AnyEffect] = []
        self._ids = 0
        self._now = 1_000
        opened = Opened(at_ms=self._now, by="p-1", answers=answers, node=NODE)
        self._take(open_session(BOOK, flow, "s-0000000000000000", "p-1", opened))

    @property
    def shown(self) -> Shown:
        assert self.session.shown is not None, self.said()
        return self.session.shown

    @property
    def asked(self) -> str:
        """The name of the open question."""
        return self.shown.name

    @property
    def label(self) -> str:
        return plain(self.shown.label)

    @property
    def order(self) -> SendOrder:
        """The order that is waited for."""
        orders = [e for e in self._effects if isinstance(e, SendOrder)]
        assert self.session.waiting is not None, f"it asks {self.shown.name}: {self.shown.problem}"
        return next(o for o in orders if o.id == self.session.waiting.id)

    def said(self) -> str:
        """All that the transcript says."""
        return "\n".join(plain(e.text) for e in self.entries)

    def answer(self, value: Any) -> Play:
        shown = self.shown
        self._ids += 1
        self._event(
            Answered(at_ms=self._tick(), by="p-1", seq=shown.seq, answer_id=f"a{self._ids}", value=value)
        )
        return self

    def answers(self, *values: Any) -> Play:
        for value in values:
            self.answer(value)
        return self

    def change(self, name: str) -> Play:
        self._ids += 1
        seq = self.shown.seq
        self._event(ChangeAsked(at_ms=self._tick(), by="p-1", seq=seq, answer_id=f"a{self._ids}", to=name))
        return self

    def back(self) -> Play:
        self._ids += 1
        self._event(WentBack(at_ms=self._tick(), by="p-1", seq=self.shown.seq, answer_id=f"a{self._ids}"))
        return self

    def cancel(self) -> Play:
        self._ids += 1
        self._event(
            CancelAsked(at_ms=self._tick(), by="p-1", seq=self.session.seq, answer_id=f"a{self._ids}")
        )
        return self

    def done(self, verb: str, *, already: bool = False, **facts: Any) -> Play:
        assert self.order.order["verb"] == verb
        self._finish(
            Result(order=self.order.id, node=NODE, verb=verb, outcome="done", facts=facts, already=already)
        )
        return self

    def failed(self, verb: str, code: str, says: str, **more: Any) -> Play:
        assert self.order.order["verb"] == verb
        problem = Problem(code=code, says=says, **more)
        self._finish(Result(order=self.order.id, node=NODE, verb=verb, outcome="failed", problem=problem))
        return self

    def _finish(self, result: Result) -> None:
        self._event(OrderFinished(at_ms=self._tick(), order_id=result.order, result=result))

    def _event(self, event: Any) -> None:
        self._take(advance(BOOK, self.session, event))

    def _take(self, step: Any) -> None:
        self.session: Session = step.session
        self.entries += step.entries
        self._effects += step.effects
        for effect in step.effects:
            if isinstance(effect, AskFacts):
                self._event(FactsCame(at_ms=self._tick(), lookup_id=effect.id, facts=self.facts[effect.fact]))

    def _tick(self) -> int:
        self._now += 1_000
        return self._now
