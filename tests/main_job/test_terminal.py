"""The same chat in a terminal, typed by a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.main_job.machine import Machine
from tests.main_job.terminal import Terminal

Chat = Callable[..., Terminal]


@pytest.fixture
def chat(running: Machine) -> Iterator[Chat]:
    """Start `hercules chat …` in a terminal."""
    made: list[Terminal] = []

    def start(*words: str) -> Terminal:
        made.append(Terminal(running.words("chat", *words), running.env))
        return made[-1]

    yield start
    for terminal in made:
        terminal.close()


def test_a_deploy_typed_in_a_terminal(running: Machine, chat: Chat) -> None:
    terminal = chat("deploy")
    terminal.until("What shall run?")
    terminal.until("3. An image from a registry")
    terminal.type("1")
    terminal.until("What shall it be called?")
    terminal.type("")  # what is proposed
    terminal.until("On which port")
    terminal.type("")
    terminal.until("Deploy welcome like this?")
    terminal.type("/change memory")
    terminal.until("How much memory")
    terminal.type("128")
    terminal.until("128 MiB")
    terminal.type("yes")
    terminal.until("welcome runs and is healthy.")
    assert terminal.wait() == 0, terminal.text
    assert running.engine.client().containers.list()[0].attrs["HostConfig"]["Memory"] == 128 * 2**20


def test_back_wrong_answers_and_cancel(running: Machine, chat: Chat) -> None:
    terminal = chat("deploy")
    terminal.until("What shall run?")
    terminal.type("nonsense")
    terminal.until("is none of these")
    terminal.type("registry")
    terminal.until("Which image?")
    terminal.type("no such name!")
    terminal.until("letters, digits")
    terminal.type("/back")
    terminal.until("What shall run?")
    terminal.type("/cancel")
    terminal.until("Cancelled")
    assert terminal.wait() == 1
    assert running.containers() == []


def test_what_is_typed_finds_the_chatflow(chat: Chat) -> None:
    terminal = chat()
    terminal.until("What would you like to do?")
    terminal.type("what is running")
    terminal.until("What do you want to look at?")
    terminal.until("Nothing is here yet")
    terminal.type("/cancel")
    assert terminal.wait() == 1


def test_an_answer_given_in_the_browser_shows_in_the_terminal(running: Machine, chat: Chat) -> None:
    terminal = chat("deploy")
    terminal.until("What shall run?")
    status, page = running.api("GET", "/sessions?state=open")
    assert status == 200
    session = page["items"][0]["id"]
    seq = running.until_asked(session, "what")["prompt"]["seq"]
    assert running.answer(session, seq, "demo")[0] == 200
    terminal.until("What shall it be called?")
    terminal.type("hello")
    terminal.until("On which port")
    assert running.until_asked(session, "port")["status"] == "open"
    terminal.type("/cancel")
    assert terminal.wait() == 1
