"""The table of rooms is checked, and the check finds what it is there to find."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import grimp
import pytest

from tests.project.rooms import RoomContract

ROOT = Path(__file__).parents[2]


def rows() -> list[dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    found: list[dict[str, Any]] = settings["contracts"]
    return found


def faults(importer: str, imported: str, **row: Any) -> list[str]:
    graph = grimp.ImportGraph()
    for module in {importer, imported}:
        graph.add_module(module)
    graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="")
    options = {"room": "bot.engine", "rooms": ["agent.orders"], "packages": ["jinja2"], "pure": "true", **row}
    found: list[str] = RoomContract("x", {}, options).check(graph, verbose=False).metadata["faults"]
    return found


@pytest.mark.parametrize("imported", ["bot.engine.form", "agent.orders.verbs", "jinja2", "dataclasses", "re"])
def test_pure_room_may_import_itself_its_neighbours_its_packages_and_harmless_modules(imported: str) -> None:
    assert faults("bot.engine.advance", imported) == []


@pytest.mark.parametrize(
    "imported", ["bot.store", "bot.engineering", "agent", "aiohttp", "time", "random", "socket"]
)
def test_pure_room_may_import_nothing_else(imported: str) -> None:
    assert len(faults("bot.engine.advance", imported)) == 1


def test_room_that_is_not_pure_may_use_the_whole_standard_library() -> None:
    assert faults("bot.engine.advance", "socket", pure="false") == []


def test_other_rooms_are_not_judged_by_this_row() -> None:
    assert faults("bot.store.keys", "redis") == []


def test_every_room_has_its_row() -> None:
    rooms = {f"bot.{folder.parent.name}" for folder in (ROOT / "bot").glob("*/__init__.py")}
    assert rooms - {"bot.cli"} <= {row["room"] for row in rows()}


def test_agent_never_imports_the_bot() -> None:
    (agent,) = (row for row in rows() if row["room"] == "agent")
    assert agent["rooms"] == []
    graph = grimp.build_graph("agent", include_external_packages=True)
    assert [m for m in graph.modules if m == "bot" or m.startswith("bot.")] == []
