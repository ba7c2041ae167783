"""hercules flow: begin, check and draw a chatflow, without a running bot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that only its owner can write, as plugins need it."""
    tmp_path.chmod(0o700)
    return tmp_path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_new_chatflow_is_a_working_one(folder: Path) -> None:
    made = run("--data", folder, "flow", "new", "restart-it")
    assert made.exit_code == 0
    file = folder / "chatflows.d/restart_it.py"
    assert file.exists()
    checked = run("flow", "check", file)
    assert (checked.exit_code, "nothing to say against it" in checked.output) == (0, True), checked.output
    assert run("flow", "draw", file).output.startswith("stateDiagram-v2")


def test_a_chatflow_that_is_there_is_not_written_over(folder: Path) -> None:
    run("--data", folder, "flow", "new", "mine")
    (folder / "chatflows.d/mine.py").write_text("# mine\n")
    assert run("--data", folder, "flow", "new", "mine").exit_code == 1
    assert (folder / "chatflows.d/mine.py").read_text() == "# mine\n"


@pytest.mark.parametrize("name", ["../x", "", "1st", "a b"])
def test_a_name_that_cannot_be_one_is_wrong_use(folder: Path, name: str) -> None:
    assert run("--data", folder, "flow", "new", name).exit_code == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class (", "not Python"),
        ("raise RuntimeError('no')", "no"),
        (
            "from bot.engine import Chatflow, End, Say\n"
            "class X(Chatflow):\n    title = 'X'\n"
            "    a = Say('hello {{ nobody }}', then='b')\n    b = End('x')\n",
            "nobody",
        ),
    ],
)
def test_mistakes_are_said_with_their_place_and_fail(folder: Path, text: str, says: str) -> None:
    file = folder / "bad.py"
    file.write_text(text)
    done = run("flow", "check", file)
    assert done.exit_code == 1
    assert says in done.output
    found = json.loads(run("flow", "check", "--json", file).stdout)
    assert says in found["fault"]


def test_the_built_in_ones_and_the_example_are_drawn() -> None:
    assert "stateDiagram-v2" in run("flow", "draw", "deploy").output
    assert run("flow", "check", ROOT / "chatflows.d/restart_politely.py").exit_code == 0
