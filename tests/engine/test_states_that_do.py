"""Everything that happens to orders, in any order: nothing is lost, nothing is sent twice, cancel restores.

A model of the world stands beside the engine: what each node really has, and which orders are on their way.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bot.engine import Ask, Chatflow, Confirm, Do, End, Text, orders, unsure
from bot.engine.advance import advance, open_session
from bot.engine.effects import AwaitTarget, SendOrder
from bot.engine.events import (
    Answered,
    CancelAsked,
    Event,
    Opened,
    OrderFinished,
    Taken,
    TargetFree,
    UndoAsked,
    WentBack,
)
from bot.engine.refusals import Refused
from bot.engine.session import Session
from bot.engine.step import Step
from tests.engine.play import NODE, PERSON, Book, check_always, result
from tests.engine.sample import PIN

NODES = [f"n-{one * 16}" for one in "abc"]
PART = {"type": "part", "deployment": "d-0000000000000000"}


class Much(Chatflow):
    """Get an image everywhere, stop something, remove it for good, get the image here."""

    title = "Much"
    risk = "destroys"
    sure = Ask(Confirm("Begin?"), then={"yes": "get", "no": "left"})
    get = Do(
        orders.PullImage(image=PIN),
        says="Getting it",
        each=NODES,
        at_once=2,
        stop_after=2,
        undo=orders.RemoveImage(image=PIN),
    )
    next = Ask(Text("And now?"))
    stop = Do(orders.StopTarget(target=PART), says="Stopping it", undo=orders.StartTarget(target=PART))
    last = Ask(Confirm("Remove it?"), then={"yes": "remove", "no": "left"})
    remove = Do(
        orders.RemoveTarget(target={"type": "engine", "engine_id": "a" * 64, "created_ms": 1}),
        says="Removing it",
        no_return=True,
    )
    more = Ask(Text("More?"))
    here = Do(orders.PullImage(image=PIN), says="Getting it here", undo=orders.RemoveImage(image=PIN))
    late = Ask(Text("Done?"))
    left = End("ok")


BOOK = Book(Much)
TAKES_BACK = {"image.pull": "image.remove", "container.stop": "container.start"}


class Doing(RuleBasedStateMachine):
    """One session and its world."""

    @initialize(far=st.integers(0, 22))
    def begin(self, far: int) -> None:
        """A new session, led on so many steps by a willing person and healthy nodes."""
        self.at = 1
        self.session: Session
        self.sent: dict[str, SendOrder] = {}
        self.pending: dict[str, str] = {}  # order -> what its node said last, "" for nothing
        self.finished: dict[str, OrderFinished] = {}
        self.waits: list[str] = []
        self.world: set[tuple[str, str]] = set()  # (node, verb) that was done and not taken back
        self.kept: set[tuple[str, str]] = set()  # ... before a point of no return
        self.doubtful = False  # somebody went on without knowing, or left something
        self._took(open_session(BOOK, "much", "s-1", PERSON, Opened(at_ms=1, by=PERSON, node=NODE)), None)
        for _ in range(far):
            if self.pending:
                self._ends(min(self.pending), "done")
            elif self.session.shown is not None:
                self.goes_on()

    def _took(self, step: Step, before: Session | None) -> None:
        check_always(step, before)
        for effect in step.effects:
            if isinstance(effect, SendOrder):
                assert effect.id not in self.sent, "no order has the id of another"
                verb = str(effect.order["verb"])
                for other in self.pending:
                    same = (self.sent[other].node, self.sent[other].order) == (effect.node, effect.order)
                    assert not same or self.pending[other] == "unknown", "nothing is sent that is under way"
                assert verb in ("container.remove", *TAKES_BACK, *TAKES_BACK.values())
                self.sent[effect.id] = effect
                self.pending[effect.id] = ""
            elif isinstance(effect, AwaitTarget):
                self.waits.append(effect.id)
        self.session = step.session

    def _happens(self, event: Event) -> bool:
        self.at += 1
        before = msgspec.json.encode(self.session)
        stored = msgspec.json.decode(before, type=Session)  # as after a crash: all that is, is in the record
        try:
            step = advance(BOOK, stored, event)
        except Refused:
            assert msgspec.json.encode(self.session) == before
            return False
        self._took(step, stored)
        return True

    def _open(self) -> bool:
        return self.session.status == "open"

    # what happens

    @precondition(lambda self: self._open() and self.session.shown is not None)
    @rule()
    def goes_on(self) -> None:
        """The person does what leads on."""
        shown = self.session.shown
        assert shown is not None
        ways = {"pick": "wait" if shown.default == "wait" else "retry", "confirm": True}
        self._answer(ways.get(shown.kind, "because"))

    @precondition(lambda self: self._open() and self.session.shown is not None)
    @rule(data=st.data())
    def chooses(self, data: st.DataObject) -> None:
        """The person chooses any way."""
        shown = self.session.shown
        assert shown is not None
        values: list[Any] = [o.value for o in shown.options] or [True, False, "because"]
        self._answer(data.draw(st.sampled_from(values)))

    def _answer(self, value: Any) -> None:
        session = self.session
        happened = self._happens(
            Answered(at_ms=self.at, by=PERSON, seq=session.seq, answer_id=f"a{self.at}", value=value)
        )
        if happened and value in ("go_on", "leave"):
            self.doubtful = True
        if happened and value == "cancel" and session.unsure is not None:
            self.doubtful = True

    @precondition(lambda self: bool(self.pending))
    @rule(data=st.data(), outcome=st.sampled_from(["done", "done", "done", "failed", "refused", "unknown"]))
    def a_node_answers(self, data: st.DataObject, outcome: str) -> None:
        """A node says how an order ended, in any order, also after the end."""
        order = data.draw(st.sampled_from(sorted(self.pending)))
        assume(outcome != "unknown" or self._open())
        self._ends(order, outcome)

    def _ends(self, order: str, outcome: str) -> None:
        event = OrderFinished(at_ms=self.at, order_id=order, result=result(order, outcome))
        if not self._happens(event):
            assert outcome == "unknown", "a result that is under way is always taken"
            return
        if outcome == "unknown":
            self.pending[order] = "unknown"
            return
        del self.pending[order]
        self.finished[order] = event
        verb, node = str(self.sent[order].order["verb"]), self.sent[order].node
        if outcome == "done":
            if verb == "container.remove":
                self.kept |= self.world
            elif verb in TAKES_BACK:
                self.world.add((node, verb))
            else:
                self.world -= {(node, did) for did, back in TAKES_BACK.items() if back == verb}
                self.kept -= {(node, did) for did, back in TAKES_BACK.items() if back == verb}

    @precondition(lambda self: bool(self.finished))
    @rule(data=st.data())
    def a_node_repeats_itself(self, data: st.DataObject) -> None:
        """What is said again changes nothing."""
        assert not self._happens(self.finished[data.draw(st.sampled_from(sorted(self.finished)))])

    @precondition(lambda self: any(self.sent[o].claim and not said for o, said in self.pending.items()))
    @rule(data=st.data())
    def somebody_else_is_at_it(self, data: st.DataObject) -> None:
        """An order was not handed over."""
        some = sorted(o for o, said in self.pending.items() if self.sent[o].claim and not said)
        order = data.draw(st.sampled_from(some))
        claim = self.sent[order].claim
        assert self._happens(
            Taken(at_ms=self.at, order_id=order, claim=claim, session="s-2", name="Bob", title="Other")
        )
        del self.pending[order]

    @precondition(lambda self: bool(self.waits))
    @rule()
    def the_other_ends(self) -> None:
        """Whoever waits goes on; who gave up waiting is not disturbed."""
        waiting = self.session.waiting
        wait = self.waits.pop()
        taken = self._happens(TargetFree(at_ms=self.at, wait_id=wait))
        assert taken == (waiting is not None and waiting.id == wait)

    @precondition(lambda self: self._open())
    @rule(what=st.sampled_from([WentBack, UndoAsked, CancelAsked]))
    def the_person_turns_round(self, what: type[Any]) -> None:
        """Back, undo or cancel."""
        waiting = self.session.waiting or self.session.unsure
        unknown = waiting is not None and waiting.unknown
        if self._happens(what(at_ms=self.at, by=PERSON, seq=self.session.seq, answer_id=f"m{self.at}")):
            self.doubtful = self.doubtful or (what is CancelAsked and unknown)

    @rule()
    def a_stranger_answers(self) -> None:
        """A result that no order of this session asked for."""
        assert not self._happens(OrderFinished(at_ms=self.at, order_id="o-none", result=result("o-none")))

    # what holds

    @invariant()
    def nothing_is_lost(self) -> None:
        """Every order that is on its way is awaited, or kept in mind."""
        for order in getattr(self, "pending", ()):
            assert unsure.is_asked_on(self.session, order), order

    @invariant()
    def some_at_a_time(self) -> None:
        """No more are under way than the flow says."""
        batch = self.session.batch if hasattr(self, "session") else None
        if batch is not None:
            assert sum(t.state in ("under_way", "unknown") for t in batch.targets) <= 2

    @invariant()
    def cancel_restores(self) -> None:
        """After a cancel nothing is left of what could be taken back."""
        session: Session | None = getattr(self, "session", None)
        if session is None or session.status == "open" or self.doubtful or session.outcome != "cancelled":
            return
        assert self.world - self.kept == set()

    @invariant()
    def no_dead_end(self) -> None:
        """An open session asks somebody or waits for something that can come."""
        session: Session | None = getattr(self, "session", None)
        if session is None or session.status != "open" or session.waiting is None:
            return
        assert self.pending or session.waiting.id in self.waits


TestDoing = Doing.TestCase
TestDoing.settings = settings(max_examples=60, stateful_step_count=60, deadline=None, derandomize=True)
