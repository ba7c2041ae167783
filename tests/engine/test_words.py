"""What people type, to what they mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine import Ask, Chatflow, End, Number, Pick, Say, Secret, Text, facts
from bot.engine import compile as compiling
from bot.engine.slots import Named, Names
from bot.engine.words import CHOICES, Index, Stranger, from_stranger
from tests.engine.play import Play


class Deploy(Chatflow):
    """Run an image as a container."""

    title = "Deploy a container"
    says = ("deploy {image}", "run {image} on port {port}", "install something")
    risk = "changes"
    image = Ask(Text("Which image?"))
    port = Ask(Number("Which port?"))
    done = End("ok")


class Running(Chatflow):
    """Look at what runs, read its log."""

    title = "What is running here"
    says = ("what runs here", "show the log of {which}")
    which = Ask(Pick("Which?", options=facts.containers()))
    done = End("ok")


class Restart(Chatflow):
    """Restart a container and make sure that it is healthy again."""

    title = "Restart a container"
    says = ("restart {container}", "{container} hangs", "{container} is slow")
    risk = "disturbs"
    which = Ask(Pick("Which?", options=facts.containers(), as_="container"))
    done = End("ok")


class Patch(Chatflow):
    """Bring a machine up to date."""

    title = "Patch a machine"
    says = ("patch {node}", "update {node}")
    risk = "disturbs"
    hello = Say("Hello.")
    node = Ask(Pick("Which machine?", options=facts.nodes()), title="Machine")
    password = Ask(Secret("Its password?"))
    done = End("ok")


FLOWS = [compiling.compile_class(flow) for flow in (Deploy, Running, Restart, Patch)]
INDEX = Index(FLOWS)
NAMES = Names(
    [
        Named(kind="container", label="nginx", value="c-nginx", on="node-1"),
        Named(kind="container", label="wiki", value="c-wiki1", on="node-1"),
        Named(kind="container", label="wiki", value="c-wiki2", on="node-2"),
        Named(kind="node", label="node-1", value="n-1"),
        Named(kind="node", label="node-2", value="n-2"),
    ]
)


@pytest.mark.parametrize(
    ("typed", "flow", "answers"),
    [
        ("deploy nginx:1.27", "deploy", {"image": "nginx:1.27"}),
        ("  Deploy   wiki ", "deploy", {"image": "wiki"}),
        ("deploy my wiki please", "deploy", {"image": "wiki"}),
        ("run wiki on port 8080", "deploy", {"image": "wiki", "port": "8080"}),
        ("deploy", "deploy", {}),
        ("deploy a container", "deploy", {}),
        ("please install something for me", "deploy", {}),
        ("what is running", "running", {}),
        ("whats runing here?", "running", {}),
        ("restart nginx", "restart", {"container": "c-nginx"}),
        ("nginx restart", "restart", {"container": "c-nginx"}),
        ("could you restart nginx on node-1 please", "restart", {"container": "c-nginx"}),
        ("restart wiki on node-2", "restart", {"container": "c-wiki2"}),
        ("restrat ngnix", "restart", {"container": "c-nginx"}),
        ("the nginx container hangs again", "restart", {"container": "c-nginx"}),
        ("nginx is slow", "restart", {"container": "c-nginx"}),
        ("update node-2", "patch", {"node": "n-2"}),
        ("node-2 needs an update", "patch", {"node": "n-2"}),
        ("show me the log of nginx", "running", {"which": "c-nginx"}),
    ],
)
def test_what_people_type_is_understood(typed: str, flow: str, answers: dict[str, str]) -> None:
    understood = INDEX.understand(typed, NAMES)
    assert understood.clear
    assert (understood.guesses[0].flow.name, understood.guesses[0].answers) == (flow, answers)


@pytest.mark.parametrize(
    "typed", ["", "   ", "zzzz qqqq xxxx", "\x00", "?" * 10_000, "{{ 1 }}", "the and of"]
)
def test_what_means_nothing_finds_nothing(typed: str) -> None:
    understood = INDEX.understand(typed, NAMES)
    assert (understood.guesses, understood.clear, understood.needs_yes) == ((), False, True)


def test_of_two_things_with_one_name_none_is_chosen() -> None:
    first = INDEX.understand("restart the wiki", NAMES).guesses[0]
    assert (first.flow.name, first.named) == ("restart", ())
    assert first.answers.get("container") in (None, "the wiki")


@pytest.mark.parametrize(
    ("typed", "needs_yes"),
    [
        ("what runs here", False),  # reads
        ("what rusn here", True),  # reads, but it was a typo
        ("deploy", False),  # changes, but asks first
        ("deploy nginx", True),  # the first question is answered: the person has to see how
        ("restart nginx", True),
        ("restart", False),
        ("patch node-1", True),
    ],
)
def test_nothing_that_could_change_something_begins_without_a_yes(typed: str, needs_yes: bool) -> None:
    understood = INDEX.understand(typed, NAMES)
    assert understood.clear
    assert understood.needs_yes is needs_yes


def test_what_was_understood_is_said() -> None:
    assert (
        INDEX.understand("restrat ngnix", NAMES).guesses[0].sentence == "Restart a container: nginx on node-1"
    )
    assert INDEX.understand("run wiki on port 80", NAMES).guesses[0].sentence == (
        "Deploy a container: image wiki, port 80"
    )
    assert INDEX.understand("deploy", NAMES).guesses[0].sentence == "Deploy a container"


def test_unclear_words_give_at_most_three_choices() -> None:
    index = Index(
        [
            compiling.compile_class(
                type(
                    f"Clean{n}",
                    (Chatflow,),
                    {"title": f"Clean up {word}", "only": Ask(Text("x")), "done": End("")},
                )
            )
            for n, word in enumerate(("disks", "images", "logs", "volumes", "networks"))
        ]
    )
    understood = index.understand("clean up")
    assert len(understood.guesses) == CHOICES
    assert not understood.clear
    assert understood.needs_yes


@given(st.text(max_size=400))
def test_any_text_is_read_without_harm(typed: str) -> None:
    understood = INDEX.understand(typed, NAMES)
    assert len(understood.guesses) <= CHOICES
    assert all(0 <= guess.score <= 100 for guess in understood.guesses)


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        (Stranger(flow="restart", answers={"container": "nginx"}), {"container": "c-nginx"}),
        (Stranger(flow="restart", answers={"container": "no-such"}), {}),
        (Stranger(flow="restart", answers={"container": "c-nginx; rm -rf /"}), {}),
        (Stranger(flow="patch", answers={"node": "node-1", "password": "hunter2"}), {"node": "n-1"}),
        (Stranger(flow="deploy", answers={"image": "x" * 5_000}), {"image": "x" * 200}),
        (Stranger(flow="deploy", answers={"image": "a\nb", "nothing": "x"}), {}),
        (Stranger(flow="deploy", answers={"image": 7}), {}),  # type: ignore[dict-item]
    ],
)
def test_what_a_language_model_says_is_a_strangers_input(said: Stranger, answers: dict[str, Any]) -> None:
    known = INDEX.understand("zzzz", NAMES)
    understood = from_stranger(INDEX, [said], NAMES, known)
    assert understood.guesses[0].answers == answers
    assert understood.needs_yes


def test_a_language_model_cannot_name_what_is_not_there() -> None:
    known = INDEX.understand("restart", NAMES)
    strange = [Stranger(flow="format-disk"), "restart", None, {"flow": "restart"}]
    understood = from_stranger(INDEX, strange, NAMES, known)
    assert [guess.flow.name for guess in understood.guesses] == ["restart"]
    assert understood.guesses[0].by == "words"


def test_a_session_says_in_its_title_what_it_is_about() -> None:
    named = Play(compiling.compile_class(Deploy))
    assert named.session.title == "Deploy a container"
    assert named.answer("nginx:1.27").session.title == "Deploy a container · nginx:1.27"
    assert named.back().answer("x" * 90).session.title == f"Deploy a container · {'x' * 40}"
