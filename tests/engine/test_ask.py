"""Asking: what is shown, what is taken, what is refused, and answers that are there beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bot.engine import Ask, Chatflow, Confirm, End, Number, Option, Pick, Say, Text, YesNo, facts
from bot.engine.events import Answered, FactsCame, OrderFinished
from bot.engine.refusals import AlreadyAnswered, InvalidAnswer, NeverWaits, NotNow, Refused, Stale
from bot.engine.turn import ENTRIES_BYTES, ENTRIES_MAX
from tests.engine.play import PERSON, Play, result
from tests.engine.sample import SEALED, Sample


class Hello(Chatflow):
    """Greet somebody."""

    title = "Hello"
    who = Ask(Text("Who are you?"))
    loud = Ask(YesNo("Loudly?", yes="Oh yes", no="Rather not"), then={"yes": "shout", "no": "done"})
    shout = Say("HELLO")
    done = End("Hello, **{{ who }}**.", result="{{ who }}")


def test_the_first_prompt_is_shown_with_its_schema_and_number() -> None:
    play = Play(Hello)
    shown = play.shown
    assert (shown.seq, shown.state, shown.name, shown.kind) == (1, "who", "who", "text")
    assert shown.schema == {"type": "string", "minLength": 1, "maxLength": 2000}
    assert not shown.can_back and shown.can_cancel
    assert [e.kind for e in play.entries] == ["asked"]


def test_answers_lead_to_the_end_by_the_rows_of_their_branch() -> None:
    play = Play(Hello).answer("Ann").answer(True)
    assert (play.session.status, play.session.outcome, play.session.result) == ("ended", "done", "Ann")
    assert play.said("said") == ["HELLO"]
    assert play.said("ended") == ["Hello, Ann."]
    assert [e.label for e in play.entries if e.kind == "answered"] == ["Who are you?", "Loudly?"]
    assert play.said("answered") == ["Ann", "Oh yes"]
    assert [e.who for e in play.entries if e.kind == "answered"] == [PERSON, PERSON]


@pytest.mark.parametrize("value", ["", "   ", 7, None, "a\x00b", "a\nb", "x" * 2_001, "\ud800", ["a"]])
def test_a_wrong_answer_is_refused_with_a_sentence_and_changes_nothing(value: Any) -> None:
    play = Play(Hello)
    before = play.session
    with pytest.raises(InvalidAnswer) as refused:
        play.answer(value)
    (error,) = refused.value.errors
    assert error["field"] == "" and error["says"].endswith(".")
    assert play.session == before


def test_second_answer_to_same_prompt_is_refused_and_changes_nothing() -> None:
    play = Play(Hello).answer("Ann")
    before = play.session
    with pytest.raises(AlreadyAnswered):
        play.answer("Bob", seq=1)
    with pytest.raises(NotNow):
        play.answer("Bob", seq=9)
    assert play.session == before


def test_an_ended_session_takes_nothing_more() -> None:
    play = Play(Hello).answer("Ann").answer(False)
    asked: list[Callable[[], Play]] = [
        lambda: play.answer("x"),
        play.back,
        play.cancel,
        play.undo,
        lambda: play.change("who"),
    ]
    for ask in asked:
        with pytest.raises(NotNow):
            ask()
    with pytest.raises(Stale):
        play.finish(order_id="o-1")


def test_what_a_check_says_refuses_the_answer() -> None:
    with pytest.raises(InvalidAnswer, match="Not you"):
        Play(Hello).answer("Eve", refusal="Not you.")


def test_answers_given_beforehand_are_used_and_marked() -> None:
    play = Play(Hello, answers={"who": "Ann", "loud": "rather not"})
    assert play.session.status == "ended"
    given = [e for e in play.entries if e.kind == "answered"]
    assert [(e.outcome, e.seq) for e in given] == [("prefilled", 1), ("prefilled", 2)]


def test_an_answer_given_beforehand_that_does_not_fit_shows_the_prompt_and_says_why() -> None:
    play = Play(Hello, answers={"who": "Ann", "loud": "perhaps"})
    assert play.shown.name == "loud"
    assert play.shown.problem == "Answer yes or no."
    assert play.session.prefill == {}


def test_a_name_that_nothing_asks_is_refused_when_opening() -> None:
    with pytest.raises(InvalidAnswer) as refused:
        Play(Hello, answers={"hwo": "Ann"})
    assert refused.value.errors[0]["field"] == "hwo"


def test_a_confirmation_cannot_be_given_beforehand() -> None:
    with pytest.raises(InvalidAnswer, match="confirmed when it is shown"):
        Play(Sample, answers={"sure": True})


def test_an_unsealed_secret_is_never_kept() -> None:
    with pytest.raises(InvalidAnswer, match="sealed"):
        Play(Sample, answers={"password": "geheim"})
    with pytest.raises(InvalidAnswer, match="sealed"):
        Play(Sample, answers={"settings": [{"name": "A", "value": "geheim", "secret": True}]})


class Live(Chatflow):
    """Choose a container."""

    title = "Live"
    which = Ask(Pick("Which?", options=facts.containers(state="running"), empty="Nothing runs here."))
    port = Ask(Number("Port?", default=facts.free_port(), minimum=1, maximum=65535))
    done = End("{{ which.name }} on {{ port }}")


OPTIONS = {
    "options": [
        {"value": "web", "label": "Web", "description": "nginx", "data": {"name": "web", "state": "running"}},
        {"value": "db", "label": "Db", "disabled": "it is being removed", "data": {"name": "db"}},
    ]
}


def test_a_prompt_is_shown_at_once_while_its_facts_are_looked_up() -> None:
    play = Play(Live)
    assert play.shown.loading and not play.shown.options
    (lookup,) = play.lookups()
    assert (lookup.fact, lookup.args, lookup.seq) == ("containers", {"state": "running"}, 1)
    assert lookup.id == play.session.lookup and lookup.due_ms > play.now_ms
    filled = play.facts(OPTIONS).shown
    assert not filled.loading and filled.seq == 1
    assert [option.value for option in filled.options] == ["web", "db"]
    assert filled.schema["enum"] == ["web"]
    play.answer("web")
    assert play.names["which"] == {"name": "web", "state": "running"}
    assert play.entries[-2].offered == ("Web", "Db")


def test_a_disabled_option_is_refused_with_its_reason() -> None:
    with pytest.raises(InvalidAnswer, match="being removed"):
        Play(Live).facts(OPTIONS).answer("db")


def test_a_default_that_is_looked_up_does_not_hold_the_answer_back() -> None:
    play = Play(Live).facts(OPTIONS).answer("web")
    assert play.shown.loading
    late = play.session.lookup
    play.answer(80)
    assert play.session.status == "ended"
    with pytest.raises(Stale):
        play.take(lambda at: FactsCame(at_ms=at, lookup_id=late, facts={"value": 20_000}))


def test_a_default_that_is_looked_up_fills_in() -> None:
    play = Play(Live).facts(OPTIONS).answer("web").facts({"value": 20_001})
    assert play.shown.default == 20_001 and not play.shown.loading


def test_a_lookup_that_fails_becomes_a_sentence_and_the_prompt_stays_usable() -> None:
    play = Play(Live).facts(problem="The machine did not answer in time.")
    assert play.shown.problem == "The machine did not answer in time."
    assert [o.value for o in play.shown.options] == ["look-again"]
    play.answer("look-again")
    assert play.shown.loading and play.shown.seq == 1 and len(play.lookups()) == 2
    play.facts(OPTIONS).answer("web").facts(problem="No answer.")
    assert play.shown.problem == "No answer."
    play.answer(80)
    assert play.session.outcome == "done"


def test_nothing_to_choose_from_is_said_in_the_authors_words() -> None:
    play = Play(Live).facts({"options": []})
    assert play.shown.problem == "Nothing runs here."


def test_an_answer_given_beforehand_waits_for_the_options_it_chooses_from() -> None:
    play = Play(Live, answers={"which": "WEB", "port": "8080"})
    assert play.shown.loading
    play.facts(OPTIONS)
    assert play.session.status == "ended"
    assert play.said("ended") == ["web on 8080"]
    gone = Play(Live, answers={"which": "gone"}).facts(OPTIONS)
    assert gone.shown.problem and gone.shown.options


def test_facts_of_any_shape_are_taken_with_care() -> None:
    odd = {
        "options": [
            1,
            {"value": ""},
            {"value": "a", "label": 7},
            {"value": "b", "label": "\u202ex", "data": [1]},
        ]
    }
    play = Play(Live).facts(odd)
    assert [(o.value, o.label) for o in play.shown.options] == [("a", "7"), ("b", "x")]
    many = {"options": [{"value": str(i), "label": "x", "data": {"t": "y" * 900}} for i in range(2_000)]}
    play = Play(Live).facts(many)
    assert len(play.shown.options) < 500 and "Only the first" in play.shown.problem


class Quiet(Chatflow):
    """Quiet asks."""

    title = "Quiet"
    wants = Ask(YesNo("Ports?"), then={"yes": "port", "no": "size"})
    port = Ask(Number("Port?", default=facts.free_port(), minimum=1), quiet=True)
    size = Ask(Number("Size?", default="{{ 10 if wants else 0 }}", minimum=1), quiet=True)
    extra = Ask(Text("Extra?"), only_if="size > 5 and wants")
    sure = Ask(Confirm("Go?", summary=["port", "size", "extra"]), then={"yes": "done", "no": "done"})
    done = End("ok")


def test_a_quiet_ask_takes_its_default_and_waits_for_a_lookup_without_asking() -> None:
    play = Play(Quiet).answer(True)
    assert play.waiting.kind == "lookup"
    play.facts({"value": 20_002})
    assert play.names["port"] == 20_002 and play.names["size"] == 10
    assert play.shown.name == "extra"
    play.answer("x")
    assert play.rows == {"Port?": "20002", "Size?": "10", "Extra?": "x"}


def test_a_quiet_ask_whose_default_fails_is_asked() -> None:
    play = Play(Quiet).answer(True).facts(problem="Nobody answered.")
    assert (play.shown.name, play.shown.problem) == ("port", "Nobody answered.")
    play.answer(80)
    assert play.shown.name == "extra"
    assert Play(Quiet).answer(False).shown.name == "size"  # its default 0 is below the minimum


def test_an_ask_whose_condition_does_not_hold_is_skipped_and_its_name_is_none() -> None:
    play = Play(Quiet).answer(False).answer(3)
    assert play.shown.name == "sure" and play.names["extra"] is None
    assert play.rows == {"Size?": "3"}


class Options(Chatflow):
    """Options that depend."""

    title = "Options"
    root = Ask(YesNo("Root?"), then={"yes": "how", "no": "how"})
    how = Ask(
        Pick(
            "How?",
            options=[
                Option("a", "A {{ 'for root' if root else 'for all' }}"),
                Option("b", "B", when="root"),
                Option("c", "C", disabled="{{ '' if root else 'only root may' }}"),
            ],
            default="{{ 'b' if root else 'a' }}",
        )
    )
    done = End("{{ how }}")


def test_options_appear_and_are_disabled_by_what_was_answered() -> None:
    play = Play(Options).answer(False)
    assert [(o.value, o.label, o.disabled) for o in play.shown.options] == [
        ("a", "A for all", ""),
        ("c", "C", "only root may"),
    ]
    assert play.shown.default == "a"
    with pytest.raises(InvalidAnswer):
        play.answer("b")
    assert Play(Options).answer(True).answer("c").session.outcome == "done"


class Round(Chatflow):
    """Goes round."""

    title = "Round"
    first = Ask(Text("Go?"))
    one = Say("one")
    two = Say("two", then="one")
    done = End("never")


def test_a_flow_that_never_waits_is_refused_and_does_not_hang() -> None:
    play = Play(Round)
    before = play.session
    with pytest.raises(NeverWaits):
        play.answer("yes")
    assert play.session == before


class Broken(Chatflow):
    """Uses what is not there."""

    title = "Broken"
    first = Ask(YesNo("Set it?"), then={"yes": "set_it", "no": "say"})
    set_it = Ask(Text("Value?"))
    say = Say("It is {{ set_it }}.")
    done = End("ok")


def test_an_authors_mistake_gives_a_sentence_its_place_and_ways_on() -> None:
    play = Play(Broken).answer(False)
    assert play.shown.name == "way_on"
    assert [o.value for o in play.shown.options] == ["retry", "back", "cancel"]
    assert "'set_it' has no value here" in play.shown.problem and "broken, say" in play.shown.problem
    assert play.answer("retry").shown.name == "way_on"
    play.answer("back")
    assert play.shown.name == "first"
    play.answer(True).answer("good")
    assert play.said("said") == ["It is good."]
    assert Play(Broken).answer(False).answer("cancel").session.outcome == "cancelled"


def test_events_that_fit_nowhere_are_refused() -> None:
    play = Play(Hello)
    happenings: list[Callable[[], Play]] = [
        lambda: play.take(lambda at: OrderFinished(at_ms=at, order_id="o-1", result=result("o-1"))),
        lambda: play.facts({"value": 1}),
        play.undo,
        play.back,
        lambda: play.change("who"),
    ]
    for happen in happenings:
        with pytest.raises(Refused):
            happen()
    with pytest.raises(InvalidAnswer):
        play.take(lambda at: Answered(at_ms=at, by=PERSON, seq=1, answer_id="x", value={"sealed": SEALED}))


@pytest.mark.parametrize("full", [{"entries": ENTRIES_MAX}, {"bytes": ENTRIES_BYTES}])
def test_a_session_that_grows_too_long_ends_with_a_sentence(full: dict[str, int]) -> None:
    play = Play(Hello)
    play.session = msgspec.structs.replace(play.session, **full)
    play.answer("Ann")
    assert (play.session.status, play.session.outcome) == ("ended", "failed")
    assert "too long" in play.said("ended")[0]
