"""Walks find what is wrong with a flow, go all ways of one that is right, and can be played again."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.authoring import museum, random_walks, scripts, walks
from bot.authoring.library import Library, built_in
from bot.authoring.loading import flows_below
from bot.engine import compile as compiling
from bot.engine import form
from tests.authoring.flows import Good, Unasked, WrongName, WrongUndo

EXAMPLES = Path(__file__).parents[2] / "chatflows.d"


def all_flows() -> list[form.Flow]:
    return [*built_in(), *flows_below(EXAMPLES)]


def test_a_flow_that_is_right_is_gone_through_whole() -> None:
    walked = walks.walk(Library([Good]), "good")
    assert walked.found == ()
    assert walked.coverage.whole, walked.coverage
    assert walked.coverage.failures_gone == walked.coverage.failures == 1
    assert set(walked.ends) == {"done", "unchanged", "failed", "cancelled"}


@pytest.mark.parametrize(
    ("flow", "rule"), [(Unasked, "unconfirmed"), (WrongUndo, "undo"), (WrongName, "fault")]
)
def test_a_mistake_is_found_and_its_script_shows_it_again(flow: type, rule: str) -> None:
    library = Library([flow])
    name = library.names()[0]
    found = walks.walk(library, name).found
    assert rule in {one.rule for one in found}
    script = scripts.script_of(next(one for one in found if one.rule == rule))
    assert scripts.replay(library, script).rule == rule
    assert len(script.moves) <= 8, "it was cut down to what matters"


def test_a_script_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    library = Library([Unasked])
    script = scripts.script_of(walks.walk(library, "unasked").found[0])
    file = tmp_path / "found.json"
    file.write_text(scripts.written(script))
    assert scripts.read(file) == script
    file.write_text("{}")
    with pytest.raises(ValueError, match="no script"):
        scripts.read(file)


@pytest.mark.parametrize("flow", [flow.name for flow in all_flows()])
def test_each_flow_of_ours_holds_on_every_way(flow: str) -> None:
    walked = walks.walk(Library(all_flows()), flow)
    assert [(one.rule, one.says, one.moves) for one in walked.found] == []
    assert walked.coverage.not_seen == (), "every state was come to"
    assert walked.coverage.stuck == ()


def test_what_went_wrong_elsewhere_goes_wrong_in_no_flow_of_ours() -> None:
    assert museum.unknown_faults() == []
    library = Library(all_flows())
    shown = [one for name in library.names() for one in museum.visit(library, name)]
    assert [(f.flow, f.says) for one in shown for f in one.found] == []
    visited = {one.scene for one in shown if one.runs}
    without = {"the backup is no backup"}  # no flow of ours restores one yet
    assert visited | without == {scene.name for scene in museum.SCENES}


def test_the_museum_shows_a_flow_that_has_the_mistake() -> None:
    found = [f for one in museum.visit(Library([WrongUndo]), "wrong-undo") for f in one.found]
    assert "undo" in {one.rule for one in found}


def test_random_walks_find_nothing_in_ours_and_throw_everything_in() -> None:
    done = random_walks.wander(all_flows(), 500, seed=11)
    assert [scripts.written(scripts.script_of(one)) for one in done.found] == []
    assert done.walks == 500
    assert {"again", "old", "crash", "version", "migrate", "back", "cancel", "undeliver"} <= set(done.rough)


def test_random_walks_find_a_mistake() -> None:
    library = [compiling.compile_class(Good), compiling.compile_class(WrongUndo)]
    found = random_walks.wander(library, 300, seed=1, stop_after=1).found
    assert [(one.flow, one.rule) for one in found] == [("wrong-undo", "undo")]


@pytest.mark.full
@pytest.mark.timeout(1_200)
def test_ten_thousand_random_walks_find_nothing() -> None:
    done = random_walks.wander(all_flows(), 10_000, seed=2026)
    assert [scripts.written(scripts.script_of(one)) for one in done.found] == []
    assert done.walks == 10_000
