"""What holds for every way through a flow: tried with random events, in random order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.advance import advance, open_session
from bot.engine.effects import SendOrder
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
from bot.engine.refusals import Refused
from bot.engine.session import Session
from bot.engine.step import Step
from tests.engine.play import NODE, PERSON, Book, check_always, result
from tests.engine.sample import DIGEST, PIN, SEALED, Sample
from tests.engine.test_ask import Live

BOOK = Book(Sample)
ANSWERS: list[Any] = [
    "demo",
    "registry",
    "nginx:1.27",
    "web",
    8080,
    True,
    False,
    SEALED,
    [],
    [{"name": "A", "value": "1"}],
    {"kept": True},
    "retry",
    "back",
    "cancel",
    "leave",
    None,
    -1,
    "NOT A NAME",
    {"sealed": 1},
]
FACTS = {"reference": "r", "repository": "docker.io/library/nginx", "digest": DIGEST, "pin": PIN}
Make = Callable[[Session, int], Event]


def _answer(value: Any, off: int = 0) -> Make:
    return lambda s, at: Answered(at_ms=at, by=PERSON, seq=s.seq + off, answer_id=f"a{at}", value=value)


def _finish(outcome: str) -> Make:
    def make(s: Session, at: int) -> Event:
        id = s.waiting.id if s.waiting is not None else "o-none"
        return OrderFinished(at_ms=at, order_id=id, result=result(id, outcome, facts=FACTS))

    return make


def _facts(facts: dict[str, Any] | None) -> Make:
    return lambda s, at: FactsCame(
        at_ms=at, lookup_id=s.lookup, facts=facts, problem="" if facts else "No answer."
    )


HAPPENINGS: st.SearchStrategy[Make] = st.one_of(
    st.sampled_from(ANSWERS).map(_answer),
    st.sampled_from(ANSWERS).map(_answer),
    st.sampled_from(ANSWERS).map(lambda v: _answer(v, -1)),
    st.sampled_from(["done", "done", "failed", "unknown", "refused"]).map(_finish),
    st.sampled_from([{"value": 20_000}, {"options": []}, {}, None]).map(_facts),
    st.sampled_from([None, 1, 2, 3]).map(
        lambda to: lambda s, at: WentBack(at_ms=at, by=PERSON, seq=s.seq, answer_id=f"b{at}", to=to)
    ),
    st.sampled_from(["reference", "name", "port", "memory", "password", "nonsense"]).map(
        lambda to: lambda s, at: ChangeAsked(at_ms=at, by=PERSON, seq=s.seq, answer_id=f"c{at}", to=to)
    ),
    st.just(lambda s, at: UndoAsked(at_ms=at, by=PERSON, seq=s.seq, answer_id=f"u{at}")),
    st.just(lambda s, at: TimerDue(at_ms=at, timer_id="t-none")),
    st.just(lambda s, at: HookReturned(at_ms=at, hook_id="h-none", value="x")),
)
CANCEL: Make = lambda s, at: CancelAsked(at_ms=at, by=PERSON, seq=s.seq, answer_id=f"x{at}")  # noqa: E731


def opened() -> Step:
    return open_session(BOOK, "sample", "s-1", PERSON, Opened(at_ms=1, by=PERSON, node=NODE))


def leading(value: Any) -> Make:
    """The event that leads straight on: what a willing person and healthy nodes would do."""

    def make(s: Session, at: int) -> Event:
        if s.waiting is not None and s.waiting.kind in ("order", "undo"):
            return _finish("done")(s, at)
        if s.lookup:
            return _facts({"value": 20_000})(s, at)
        name = s.shown.name if s.shown is not None else ""
        ways = {
            "source": "registry",
            "reference": "nginx:1.27",
            "name": "web",
            "password": SEALED,
            "way_on": "retry",
        }
        return _answer(ways.get(name, True))(s, at)

    return make


# half of what happens leads on, or nobody would ever come far
HAPPENS = st.lists(st.one_of(HAPPENINGS, st.none().map(leading)), min_size=5, max_size=80)


def walk(happenings: list[Make], each: Callable[[Session, Event, Step | None], None]) -> Session:
    session = opened().session
    for at, make in enumerate(happenings, 2):
        event = make(session, at)
        before = msgspec.json.encode(session)
        step: Step | None
        try:
            step = advance(BOOK, session, event)
        except Refused:
            step = None
        assert msgspec.json.encode(session) == before, "a session is never changed in place"
        each(session, event, step)
        if step is not None:
            session = step.session
    return session


@settings(max_examples=300, deadline=None)
@given(HAPPENS)
def test_whatever_happens_a_step_is_sound_or_refused(happenings: list[Make]) -> None:
    def each(before: Session, event: Event, step: Step | None) -> None:
        if step is not None:
            check_always(step, before)

    walk(happenings, each)


@settings(max_examples=100, deadline=None)
@given(HAPPENS)
def test_the_same_session_and_event_give_the_same_bytes(happenings: list[Make]) -> None:
    def each(before: Session, event: Event, step: Step | None) -> None:
        if step is not None:
            stored = msgspec.json.decode(msgspec.json.encode(before), type=Session)
            again = advance(Book(Sample), stored, event)
            assert msgspec.json.encode(again) == msgspec.json.encode(step)

    walk(happenings, each)


@settings(max_examples=200, deadline=None)
@given(HAPPENS)
def test_no_order_has_the_id_of_another(happenings: list[Make]) -> None:
    seen: set[str] = set()

    def each(before: Session, event: Event, step: Step | None) -> None:
        for effect in step.effects if step is not None else ():
            assert effect.id not in seen
            seen.add(effect.id)

    walk(happenings, each)


@settings(max_examples=200, deadline=None)
@given(HAPPENS)
def test_a_secret_is_in_no_entry_and_in_no_prompt(happenings: list[Make]) -> None:
    def each(before: Session, event: Event, step: Step | None) -> None:
        if step is not None:
            shown = msgspec.json.encode((step.entries, step.session.shown, step.session.waiting))
            assert b"for_node" not in shown

    walk(happenings, each)


@settings(max_examples=200, deadline=None)
@given(HAPPENS)
def test_cancel_takes_back_everything_that_can_be_in_reverse(happenings: list[Make]) -> None:
    """The list of things done is kept here by the orders' results, apart from the engine's own."""
    undone_by = {"image.pull": "image.remove", "deployment.apply": "deployment.remove"}
    verbs: dict[str, str] = {}
    done: list[str] = []

    def each(before: Session, event: Event, step: Step | None) -> None:
        if step is None:
            return
        if isinstance(event, OrderFinished) and before.waiting is not None and event.result.outcome == "done":
            verb = verbs[event.order_id]
            if before.waiting.kind == "undo":
                assert undone_by[done.pop()] == verb
            elif verb in undone_by:
                done.append(verb)
        if isinstance(event, Answered) and event.value == "leave" and before.unwinding is not None:
            done.pop()
        verbs.update({e.id: str(e.order["verb"]) for e in step.effects if isinstance(e, SendOrder)})

    session = walk(happenings, each)
    at = 1_000
    if session.status == "ended":
        return
    for _ in range(20):
        at += 1
        try:
            step = advance(BOOK, session, CANCEL(session, at))
        except Refused:
            finish = _finish("done")(session, at) if session.waiting else _answer("retry")(session, at)
            step = advance(BOOK, session, finish)
            each(session, finish, step)
        else:
            each(session, CANCEL(session, at), step)
        session = step.session
        if session.status == "ended":
            break
    assert (session.status, session.outcome, done) == ("ended", "cancelled", [])


@settings(max_examples=150, deadline=None)
@given(HAPPENS)
def test_back_then_the_same_answer_reaches_the_same_place(happenings: list[Make]) -> None:
    def each(before: Session, event: Event, step: Step | None) -> None:
        if step is None or not isinstance(event, Answered) or before.shown is None or before.returning:
            return
        after = step.session
        if (
            before.shown.name in ("way_on", "sure", "happy")
            or after.shown is None
            or not after.shown.can_back
        ):
            return
        if after.shown.name == before.shown.name or before.kept:
            return
        back = advance(
            BOOK,
            after,
            WentBack(at_ms=event.at_ms, by=PERSON, seq=after.seq, answer_id="x", to=before.shown.seq),
        ).session
        assert back.shown is not None and back.shown.name == before.shown.name
        assert back.stack == before.stack
        again = advance(BOOK, back, msgspec.structs.replace(event, seq=back.seq)).session
        assert (again.stack, again.undos) == (after.stack, after.undos)

    walk(happenings, each)


def test_the_straight_way_leads_to_the_end() -> None:
    session = walk([leading(None)] * 20, lambda *_: None)
    assert (session.status, session.outcome) == ("ended", "done")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["source", "reference", "name", "port", "memory", "password", "settings", "sure", "else"]


@settings(max_examples=300, deadline=None)
@given(
    answers=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5),
    facts=st.none()
    | st.dictionaries(
        st.sampled_from(["value", "options", "x"]),
        JSON
        | st.lists(
            st.dictionaries(st.sampled_from(["value", "label", "description", "disabled", "data"]), JSON),
            max_size=3,
        ),
        max_size=3,
    ),
)
def test_whatever_is_given_beforehand_or_found_is_sound_or_refused(
    answers: dict[str, Any], facts: dict[str, Any] | None
) -> None:
    given_before = {"source": "demo", "name": "web", **answers}
    try:
        step = open_session(BOOK, "sample", "s-1", PERSON, Opened(at_ms=1, answers=given_before, node=NODE))
    except Refused:
        return
    check_always(step, None)
    session = step.session
    if session.lookup:
        step = advance(BOOK, session, FactsCame(at_ms=2, lookup_id=session.lookup, facts=facts))
        check_always(step, session)


LIVE = Book(Live)


@settings(max_examples=300, deadline=None)
@given(
    answers=st.dictionaries(st.sampled_from(["which", "port"]), JSON, max_size=2),
    options=st.lists(
        st.dictionaries(st.sampled_from(["value", "label", "disabled", "data"]), JSON), max_size=4
    ),
    value=JSON,
)
def test_options_and_answers_of_any_shape_are_sound_or_refused(
    answers: dict[str, Any], options: list[Any], value: Any
) -> None:
    step = open_session(LIVE, "live", "s-1", PERSON, Opened(at_ms=1, answers=answers, node=NODE))
    check_always(step, None)
    came = advance(
        LIVE, step.session, FactsCame(at_ms=2, lookup_id=step.session.lookup, facts={"options": options})
    )
    check_always(came, step.session)
    try:
        taken = advance(
            LIVE, came.session, Answered(at_ms=3, by=PERSON, seq=came.session.seq, answer_id="a", value=value)
        )
    except Refused:
        return
    check_always(taken, came.session)


@settings(max_examples=200, deadline=None)
@given(
    facts=st.dictionaries(st.text(max_size=8), JSON, max_size=4), outcome=st.sampled_from(["done", "failed"])
)
def test_results_of_any_shape_are_sound(facts: dict[str, Any], outcome: str) -> None:
    session = walk([_answer("registry"), _answer("nginx")], lambda *_: None)
    assert session.waiting is not None
    id = session.waiting.id
    event = OrderFinished(at_ms=9, order_id=id, result=result(id, outcome, facts=facts))
    check_always(advance(BOOK, session, event), session)
