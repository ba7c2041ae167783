"""hercules flow new, check, test, run --simulated and replay: the author's way, without a running bot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli import main

BAD = '''
"""A flow with a mistake that only a walk finds."""

from bot.engine import Chatflow, Do, End, orders


class Free(Chatflow):
    title = "How much is free"
    risk = "reads"

    seen = Do(orders.GetFacts(want=["disk"]), failed="away")
    done = End("{{ seen.disc.free }} bytes.")
    away = End("Nothing was seen.", outcome="failed")
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that only its owner can write, and where the author stands."""
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str | Path, code: int = 0, typed: str | None = None) -> Result:
    done = CliRunner().invoke(main, [str(word) for word in words], input=typed)
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize(
    ("more", "file", "test"),
    [([], "restart_it.py", "test_restart_it.py"), (["--yaml"], "restart_it.yaml", "restart_it.yaml")],
)
def test_a_new_chatflow_passes_its_own_test_and_all_walks(
    folder: Path, more: list[str], file: str, test: str
) -> None:
    made = json.loads(run("--data", folder, "flow", "new", "restart-it", "--json", *more).stdout)
    assert made["file"] == str(folder / "chatflows.d" / file)
    assert made["test"] == str(folder / "chatflows.d/tests" / test)
    assert json.loads(run("flow", "check", "--json", made["file"]).stdout)["problems"] == []
    told = json.loads(run("flow", "test", "--json", made["file"]).stdout)
    assert told["good"] and len(told["tests"]) == 3
    (coverage,) = told["coverage"]
    assert coverage["states_seen"] == coverage["states"] == 5
    assert coverage["not_gone"] == []


def test_a_test_that_fails_is_shown_with_the_conversation(folder: Path) -> None:
    run("--data", folder, "flow", "new", "mine")
    test = folder / "chatflows.d/tests/test_mine.py"
    test.write_text(
        'from bot.authoring import play\n\n\ndef test_it():\n    play("mine", sure="no").ends("done")\n'
    )
    done = run("flow", "test", folder / "chatflows.d/mine.py", code=1)
    assert "ended unchanged, not done" in done.stdout
    assert "Left as it is." in done.stdout


def test_what_a_walk_finds_prints_as_a_script_that_replays(folder: Path) -> None:
    (folder / "chatflows.d").mkdir(mode=0o700)
    file = folder / "chatflows.d/free.py"
    file.write_text(BAD)
    run("flow", "check", file)
    shown = run("flow", "test", file, code=1).stdout
    script = folder / "found.json"
    script.write_text(shown[shown.index("{") : shown.rindex("}") + 1])
    again = run("flow", "replay", script, code=1)
    assert "disc" in again.stdout
    file.write_text(BAD.replace("disc", "disk"))
    assert json.loads(run("flow", "replay", script, "--json").stdout)["rule"] == ""


def test_the_museum_and_random_walks_are_told(folder: Path) -> None:
    run("--data", folder, "flow", "new", "mine", "--yaml")
    file = folder / "chatflows.d/mine.yaml"
    told = json.loads(run("flow", "test", "--museum", "--random", "30", "--json", file).stdout)
    assert told["random"]["walks"] == 30
    assert any(scene["runs"] for scene in told["museum"])
    assert "all is well" in run("flow", "test", "--museum", "--random", "30", file).stdout


def test_the_faults_are_listed(folder: Path) -> None:
    assert "disk-full" in json.loads(run("flow", "test", "--faults", "--json").stdout)
    assert "container-gone" in run("flow", "test", "--faults").stdout


def test_a_chatflow_runs_in_the_terminal_on_a_simulated_fleet(folder: Path) -> None:
    run("--data", folder, "flow", "new", "mine")
    file = folder / "chatflows.d/mine.py"
    words = ("flow", "run", file, "--simulated", "--set", "container=web", "--set", "sure=yes")
    done = json.loads(run(*words, "--json").stdout)
    assert (done["outcome"], done["orders"]) == ("done", ["container.restart"])
    assert "runs again" in run(*words).stdout
    failed = run(*words, "--fault", "unhealthy", "--set", "way_on=cancel", code=1)
    assert "did not become healthy" in failed.stdout


def test_what_has_no_answer_or_does_not_exist_is_wrong_use(folder: Path) -> None:
    assert "--set" in run("flow", "run", "running", "--simulated", code=2).stderr
    assert "deploy" in run("flow", "run", "nobody", "--simulated", code=2).stderr
    assert "There is no fault" in run("flow", "run", "deploy", "--simulated", "--fault", "x", code=2).stderr
    (folder / "x.json").write_text("[]")
    run("flow", "replay", folder / "x.json", code=2)
    run("flow", "test", code=2)


def test_a_flow_is_drawn_with_letters_and_as_data(folder: Path) -> None:
    run("--data", folder, "flow", "new", "mine")
    file = folder / "chatflows.d/mine.py"
    assert "─ yes ─▶ restarting" in run("flow", "draw", file, "--text").stdout
    (drawn,) = json.loads(run("flow", "draw", file, "--json").stdout)
    assert {"trigger": "answered", "source": "sure", "dest": "nothing", "label": "no"} in drawn["ways"]


def test_advice_says_file_line_and_state(folder: Path) -> None:
    run("--data", folder, "flow", "new", "mine")
    file = folder / "chatflows.d/mine.py"
    file.write_text(file.read_text().replace('"Which container?"', '"Click here"'))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "Click here" in text)
    assert f"{file}:{line}: advice: mine, state which: " in run("flow", "check", file).stdout
    run("flow", "check", "--strict", file, code=1)
