"""In the terminal: how far a change to many is, and what a script does where nobody knows yet."""

from __future__ import annotations

from typing import Any

import pytest

from bot.channels.terminal import Conversation
from bot.channels.terminal_show import Show
from bot.channels.terminal_wire import Wire


def targets(*states: str, says: str = "") -> list[dict[str, Any]]:
    return [
        {"label": f"node-{n}", "node": "n-1", "state": state, "order": f"o-{n}", "says": says}
        for n, state in enumerate(states)
    ]


def test_a_line_for_each_target_whose_state_changed(capsys: pytest.CaptureFixture[str]) -> None:
    show = Show(lively=True)
    show.targets(targets("under_way", "to_do"))
    show.targets(targets("under_way", "to_do"))
    show.targets(targets("failed", "under_way", says="Port 80 is taken."))
    told = [line.strip() for line in capsys.readouterr().err.splitlines()]
    assert told == [
        "node-0  under way",
        "node-1  not begun yet",
        "node-0  failed: Port 80 is taken.",
        "node-1  under way: Port 80 is taken.",
    ]


def test_a_script_reads_only_how_they_ended_and_the_next_list_is_new(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show = Show(lively=False)
    show.targets(targets("under_way", "to_do"))
    show.targets(targets("done", "left"))
    show.targets([])
    show.targets(targets("done"))
    told = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert told == [["node-0", "done"], ["node-1", "not", "begun"], ["node-0", "done"]]


def test_points_of_no_return_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {
        "kind": "confirm",
        "label": [{"t": "p", "c": [{"t": "text", "v": "Sure?"}]}],
        "no_return": "After this there is no way back.",
        "no_back": "It was a point of no return.",
    }
    Show(lively=True).prompt(shown)
    out = capsys.readouterr().out
    assert "After this there is no way back." in out and "It was a point of no return." in out


class Watched(Wire):
    """A wire that only remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    async def act(self, session_id: str, action: str, seq: int, **more: Any) -> None:
        self.sent.append((action, more.get("value")))


async def test_a_script_waits_where_nobody_knows_yet_and_cancels_what_failed() -> None:
    shown = {
        "label": [],
        "seq": 3,
        "kind": "pick",
        "name": "way_on",
        "default": "wait",
        "problem": "It is not known whether this was done.",
        "loading": False,
        "risk": "",
        "options": [],
    }
    wire = Watched()
    conversation = Conversation(wire, {}, show=Show(lively=False, quiet=True), asker=None)
    assert await conversation._open("s-1", shown) is None
    assert wire.sent == [("answers", "wait")]
    conversation._failed = "failed"
    assert await conversation._open("s-1", {**shown, "seq": 4, "default": None}) is None
    assert wire.sent[-1] == ("cancel", None)
