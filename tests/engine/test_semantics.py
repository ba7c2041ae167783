"""What answer, back, change and cancel mean, against a model that knows nothing of the engine.

The model is a list of questions, which of them are asked given the answers, and a place in it. It has to
agree with the session after everything that a person does, with crashes and old answers thrown in.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.engine import Ask, Chatflow, Confirm, End, Number, Pick, Text, text
from bot.engine.refusals import AlreadyAnswered, CannotGoBack, InvalidAnswer, NotNow
from bot.engine.session import Session
from tests.engine.play import Play


class Order(Chatflow):
    title = "Order a cake"

    size = Ask(Number("How large?", minimum=1, maximum=9), title="Size")
    kind = Ask(Pick("Which kind?", options={"plain": "Plain", "fruit": "With fruit"}), title="Kind")
    fruit = Ask(Text("Which fruit?", max_length=10), title="Fruit", only_if="kind == 'fruit'")
    glaze = Ask(Pick("Glazed?", options={"yes": "Yes", "no": "No"}, default="no"), title="Glaze", quiet=True)
    person = Ask(Text("For whom?", max_length=10), as_="whom", title="For")
    sure = Ask(
        Confirm("Order it?", summary=["size", "kind", "fruit", "glaze", "whom"]),
        then={"yes": "ordered", "no": "not_ordered"},
    )
    ordered = End("{{ size }} {{ kind }} {{ fruit | default('') }} {{ glaze }} {{ whom }}")
    not_ordered = End("Nothing.", outcome="unchanged")


GOOD: dict[str, st.SearchStrategy[Any]] = {
    "size": st.integers(1, 9),
    "kind": st.sampled_from(["plain", "fruit"]),
    "fruit": st.sampled_from(["apple", "plum"]),
    "glaze": st.sampled_from(["yes", "no"]),
    "whom": st.sampled_from(["Ann", "Ben"]),
}
BAD: dict[str, list[Any]] = {
    "size": [0, 10, "x", None, 1.5, True],
    "kind": ["nuts", None, 1],
    "fruit": ["", "x" * 11, 1],
    "glaze": ["maybe", None],
    "whom": ["", "x" * 11, None, "a\x00"],
    "sure": ["yes", None, 1],
}
ASKED = ["size", "kind", "fruit", "whom"]


class Person(RuleBasedStateMachine):
    """`at` is the name that is asked; `said` are the answers given, also those left behind by going back."""

    def __init__(self) -> None:
        super().__init__()
        self.play = Play(Order)
        self.at = "size"
        self.said: dict[str, Any] = {}
        self.changing = ""
        self.ended = ""

    # the model

    def asked(self) -> list[str]:
        """The questions that are asked, in their order, given what was answered."""
        return [name for name in ASKED if name != "fruit" or self.said.get("kind") == "fruit"]

    def after(self, name: str) -> str:
        if self.changing:
            if name == "kind" and "fruit" in self.asked() and "fruit" not in self.said:
                return "fruit"  # only what has no answer yet is asked
            self.changing = ""
            return "sure"
        following = self.asked()[self.asked().index(name) + 1 :]
        return following[0] if following else "sure"

    # what a person does

    @precondition(lambda self: not self.ended and self.at != "sure")
    @rule(data=st.data())
    def answers(self, data: st.DataObject) -> None:
        name, value = self.at, data.draw(GOOD[self.at], label=self.at)
        self.play.answer(value)
        self.said[name] = value
        self.at = self.after(name)

    @precondition(lambda self: not self.ended)
    @rule(data=st.data())
    def answers_what_does_not_fit(self, data: st.DataObject) -> None:
        before = self.play.session
        with pytest.raises(InvalidAnswer):
            self.play.answer(data.draw(st.sampled_from(BAD[self.at]), label=f"bad {self.at}"))
        assert self.play.session == before

    @precondition(lambda self: not self.ended and not self.changing)
    @rule()
    def goes_back(self) -> None:
        asked = self.asked()
        before = asked if self.at == "sure" else asked[: asked.index(self.at)]
        if not before:
            with pytest.raises(CannotGoBack):
                self.play.back()
            return
        self.play.back()
        self.at = before[-1]
        assert self.play.shown.kept == self.said[self.at], "the former answer is offered again"

    @precondition(lambda self: not self.ended and self.at == "sure" and not self.changing)
    @rule(data=st.data())
    def changes_one_answer(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self.asked(), "glaze"]), label="change")
        self.play.change(name)
        self.at, self.changing = name, name

    @precondition(lambda self: not self.ended and self.at == "sure")
    @rule(yes=st.booleans())
    def confirms(self, yes: bool) -> None:
        self.play.answer(yes)
        self.ended = "done" if yes else "unchanged"

    @precondition(lambda self: not self.ended and len(self.said) > 2)
    @rule()
    def cancels(self) -> None:
        self.play.cancel()
        self.ended = "cancelled"

    @rule(old=st.integers(1, 3))
    def repeats_an_old_answer(self, old: int) -> None:
        seq = self.play.session.seq - old
        before = self.play.session
        with pytest.raises((AlreadyAnswered, NotNow)):
            self.play.answer(1, seq=seq)
        assert self.play.session == before

    @rule()
    def the_bot_is_killed(self) -> None:
        self.play.session = msgspec.json.decode(msgspec.json.encode(self.play.session), type=Session)

    # what has to agree

    @invariant()
    def it_stands_where_the_model_stands(self) -> None:
        session = self.play.session
        if self.ended:
            assert (session.status, session.outcome) == ("ended", self.ended)
            return
        assert self.play.shown.name == self.at
        assert self.play.shown.can_cancel

    @invariant()
    def the_summary_has_the_answers(self) -> None:
        if self.ended or self.at != "sure":
            return
        names = {"Size": "size", "For": "whom"}
        assert {label: self.play.rows[label] for label in names} == {
            label: str(self.said[name]) for label, name in names.items()
        }
        assert self.play.rows["Kind"] == {"plain": "Plain", "fruit": "With fruit"}[self.said["kind"]]
        if self.said["kind"] == "fruit":
            assert self.play.rows["Fruit"] == self.said["fruit"]
        assert self.play.rows["Glaze"] == {"yes": "Yes", "no": "No"}[self.said.get("glaze", "no")]

    @invariant()
    def the_end_says_what_was_answered(self) -> None:
        if self.ended == "done":
            fruit = self.said["fruit"] if self.said["kind"] == "fruit" else ""
            glaze, whom = self.said.get("glaze", "no"), self.said["whom"]
            words = [self.said["size"], self.said["kind"], fruit, glaze, whom]
            said = text.plain(self.play.entries[-1].text)
            assert said.split() == [str(word) for word in words if word != ""]


TestPerson = Person.TestCase
TestPerson.settings = settings(max_examples=120, stateful_step_count=25, deadline=None, derandomize=True)


@pytest.mark.full
def test_the_same_for_longer_and_along_other_ways() -> None:
    run_state_machine_as_test(
        Person, settings=settings(max_examples=3_000, stateful_step_count=50, deadline=None)
    )
