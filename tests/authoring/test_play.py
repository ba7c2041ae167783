"""An author's tests: short, and when they fail they say what was so instead."""

from __future__ import annotations

import pytest

from bot.authoring import play
from bot.authoring.library import Library
from bot.authoring.play import NotSo, Scene, using
from tests.authoring.flows import Good, WrongName


def test_a_run_is_told_in_one_line() -> None:
    played = play(Good, container="web", sure="yes").ends("done", says="Stopped").ordered("container.stop")
    assert played.state_of("web") == "exited"


def test_answers_are_given_by_label_or_value_and_no_means_no() -> None:
    play(Good, container="wiki", sure="No").ends("unchanged").ordered_nothing().restored()


def test_cancel_takes_back_and_the_fleet_is_as_before() -> None:
    play(Good, container="web", sure=True).until("keep").cancel().ends("cancelled").restored()


def test_back_and_another_answer() -> None:
    played = play(Good, container="web").until("sure").back().answer("wiki").answer("yes")
    assert played.ends("done").state_of("wiki") == "exited"
    assert played.state_of("web") == "running"


def test_a_fault_is_switched_on_by_name() -> None:
    play(Good, container="web", sure="yes", fault="engine stopped").ends("failed").said("does not answer")


def test_an_answer_that_does_not_fit_is_refused_in_words() -> None:
    play(Good).until("container").refuses("no such thing", says="Choose one of the options")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: play(Good, container="web", sure="no").ends("done"), "ended unchanged, not done"),
        (lambda: play(Good, sure="no").ordered("container.stop"), "no order container.stop"),
        (lambda: play(Good, sure="yes").ordered_nothing(), "an order container.stop"),
        (lambda: play(Good, sure="yes").restored(), "not as it was before"),
        (lambda: play(Good, sure="yes").asked("nobody"), "'nobody' was not asked"),
        (lambda: play(Good, sure="perhaps").go(), "was refused"),
        (lambda: play(WrongName).go(), "Something is wrong in this chatflow"),
    ],
)
def test_what_is_not_so_is_said_with_the_conversation(wrong: object, says: str) -> None:
    with pytest.raises(Exception, match=says) as caught:
        wrong()  # type: ignore[operator]
    if isinstance(caught.value, NotSo):
        assert "\n\n" in str(caught.value), "the conversation stands below"


def test_a_test_may_be_data() -> None:
    library = Library([Good])
    with using(library):
        Scene(
            name="x", answers={"container": "web", "sure": True}, ends="done", ordered=("container.stop",)
        ).check("good")
        with pytest.raises(NotSo):
            Scene(name="x", answers={"sure": False}, ordered=("container.stop",)).check("good")
