"""What is running here, and removing it: what is shown, asked and ordered."""

from __future__ import annotations

from typing import Any

import pytest

from bot.engine.text import plain
from tests.chatflows.play import Play

OURS = {
    "engine_id": "a" * 64,
    "name": "hercules-abcdef-hello-main",
    "deployment": "d-aaaaaaaaaaaaaaaa",
    "deployment_name": "hello",
    "image": "hercules/welcome:1",
    "state": "running",
    "health": "healthy",
    "created_ms": 1_700_000_000_000,
    "open": "http://localhost:20080/",
    "target": {"type": "part", "deployment": "d-aaaaaaaaaaaaaaaa", "part": "main"},
}
ELSEWHERE = {
    **OURS,
    "engine_id": "b" * 64,
    "name": "old-db",
    "deployment": "",
    "deployment_name": "",
    "health": "none",
    "open": "",
    "target": {"type": "engine", "engine_id": "b" * 64, "created_ms": 5},
}
STOPPED = {**OURS, "state": "exited", "health": "none"}


def facts(*containers: dict[str, Any]) -> dict[str, Any]:
    options = [
        {"value": c["deployment_name"] or c["name"], "label": c["deployment_name"] or c["name"], "data": c}
        for c in containers
    ]
    return {"containers": {"options": options}}


def test_it_shows_how_something_is_and_what_can_be_done_with_it() -> None:
    play = Play("running", facts(OURS, ELSEWHERE)).answer("hello")
    details = plain(play.shown.help)
    assert "running, healthy" in details
    assert "http://localhost:20080/" in details
    assert [o.value for o in play.shown.options] == [
        "logs",
        "restart",
        "stop",
        "remove",
        "other",
        "nothing",
    ]
    assert play.answer("nothing").session.outcome == "done"


def test_of_something_stopped_only_a_start_is_offered() -> None:
    play = Play("running", facts(STOPPED)).answer("hello")
    assert {"start"} == {o.value for o in play.shown.options} & {"start", "stop", "restart"}
    assert play.answer("start").order.order["verb"] == "container.start"


def test_its_log_is_shown_and_the_question_comes_again() -> None:
    play = Play("running", facts(OURS), container="hello", action="logs")
    play.done("container.logs", lines=["one", "**two**"], cut=False)
    assert "one\n**two**" in play.said()
    assert (play.asked, play.shown.default) == ("after_log", "nothing")
    assert play.answer("it").asked == "action"


def test_an_empty_log_is_said() -> None:
    play = Play("running", facts(OURS), container="hello", action="logs").done(
        "container.logs", lines=[], cut=False
    )
    assert "written nothing" in play.said()


@pytest.mark.parametrize(("action", "verb"), [("stop", "container.stop"), ("restart", "container.restart")])
def test_what_disturbs_is_confirmed_first(action: str, verb: str) -> None:
    play = Play("running", facts(OURS)).answers("hello", action)
    assert (play.shown.kind, play.shown.risk) == ("confirm", "disturbs")
    assert play.answer(False).asked == "action"
    play.answers(action, True)
    assert play.order.order["verb"] == verb
    assert play.order.order["target"] == OURS["target"]
    play.done(verb).answer("nothing")
    assert play.session.outcome == "done"


def test_what_did_not_work_is_said_and_a_script_fails() -> None:
    play = Play("running", facts(OURS)).answers("hello", "stop", True)
    play.failed("container.stop", "engine_down", "The Docker Engine does not answer.", do="Start it.")
    assert "The Docker Engine does not answer. Start it." in play.said()
    assert play.answer("nothing").session.outcome == "failed"


def test_removing_from_here_asks_about_the_data_and_destroys_only_after_a_yes() -> None:
    play = Play("running", facts(OURS)).answers("hello", "remove")
    assert play.asked == "data"
    play.answer("delete")
    assert (play.shown.kind, play.shown.risk) == ("confirm", "destroys")
    play.answer(True)
    assert play.order.order == {
        "verb": "deployment.remove",
        "deployment": OURS["deployment"],
        "data": "delete",
    }
    assert play.done("deployment.remove").session.outcome == "done"


def test_data_is_kept_when_nothing_else_is_said() -> None:
    play = Play("remove", facts(OURS), container="hello")
    assert play.shown.default == "keep"
    play.answers("keep", True).done("deployment.remove")
    assert "Its data is kept." in play.said()


def test_what_was_made_elsewhere_goes_by_engine_id_and_creation_time() -> None:
    play = Play("remove", facts(OURS, ELSEWHERE), container="old-db")
    assert "did not make it" in play.label
    play.answer(True)
    assert play.order.order == {"verb": "container.remove", "target": ELSEWHERE["target"], "force": True}
    assert play.done("container.remove").session.outcome == "done"


def test_a_no_removes_nothing() -> None:
    assert Play("remove", facts(ELSEWHERE)).answers("old-db", False).session.outcome == "unchanged"


def test_where_nothing_runs_that_is_said() -> None:
    play = Play("running", facts())
    assert "Nothing is here yet" in play.shown.problem
