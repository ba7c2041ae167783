"""The examples of chatflows.d: each is loaded as a user's own would be, has nothing said against it, and is
played to its ends. Those whose orders an agent carries out run on a real engine, too (tests/main_job).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bot.engine import compile as compiling
from bot.engine import diagram, form, lint
from bot.engine.effects import AskFacts
from bot.engine.events import Approved
from bot.engine.vocabulary import Chatflow
from bot.plugins.yaml_flow import read
from tests.engine.play import NODE, Play
from tests.engine.sample import SEALED

ROOT = Path(__file__).parents[2]
FILES = sorted(p for p in (ROOT / "chatflows.d").iterdir() if p.suffix in (".py", ".yaml"))
DEPLOYMENT = "d-aaaaaaaaaaaaaaaa"
TARGET = {"type": "part", "deployment": DEPLOYMENT, "part": "main"}
WEB = {
    "engine_id": "a" * 64,
    "name": "web",
    "deployment": DEPLOYMENT,
    "deployment_name": "web",
    "image": "nginx:1.27",
    "state": "running",
    "health": "healthy",
    "created_ms": 1,
    "target": TARGET,
}
FLEET: dict[str, list[dict[str, Any]]] = {
    "containers": [{"value": "web", "label": "web", "data": WEB}],
    "deployments": [{"value": DEPLOYMENT, "label": "web", "data": WEB}],
    "nodes": [{"value": NODE, "label": "one", "data": {"id": NODE, "name": "one", "online": True}}],
}
PIN = {"reference": "nginx:1.27", "repository": "docker.io/library/nginx", "digest": f"sha256:{'b' * 64}"}
ADVICE = {"nightly-backup": {"unconfirmed"}}  # it clears away every night what one yes agreed to


def load(file: Path) -> form.Flow:
    """The flow of an example, as the loader makes it."""
    if file.suffix == ".yaml":
        return read(file.read_text(), source=file.name, name=file.stem).flow
    spec = importlib.util.spec_from_file_location(f"example_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [flow] = [v for v in vars(module).values() if isinstance(v, type) and Chatflow in v.__bases__]
    return compiling.compile_class(flow, source=file.name)


FLOWS = {flow.name: flow for flow in map(load, FILES)}


def begun(name: str, *answers: Any) -> Play:
    """A session of an example, with some answers given; lookups are answered by the fleet."""
    play = served(Play(FLOWS[name]))
    for answer in answers:
        served(play.answer(answer))
    return play


def served(play: Play) -> Play:
    """The same, with its lookups answered."""
    while play.session.lookup:
        asked = [e for e in play.effects if isinstance(e, AskFacts) and e.id == play.session.lookup]
        play.facts({"options": FLEET[asked[-1].fact]})
    return play


def went(play: Play, outcome: str = "done", /, **facts: Any) -> Play:
    """The order that is awaited ended."""
    return served(play.finish(outcome, facts=facts))


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.name)
def test_nothing_is_said_against_an_example(file: Path) -> None:
    flow = load(file)
    assert {problem.code for problem in lint.check(flow)} <= ADVICE.get(flow.name, set())
    assert flow.says
    assert diagram.mermaid(flow).count("\n") > len(flow.states)


def test_there_are_examples_in_both_spellings() -> None:
    assert len(FILES) >= 8
    assert sum(file.suffix == ".yaml" for file in FILES) * 2 >= len(FILES)


def test_one_example_stands_in_both_spellings_as_short_as_promised() -> None:
    yaml, python = ROOT / "chatflows.d/restart_healthy.yaml", ROOT / "docs/examples/restart_healthy.py"
    assert len(python.read_text().splitlines()) <= 25
    assert len(yaml.read_text().splitlines()) <= 30
    one, other = (msgspec.structs.replace(load(file), source="") for file in (yaml, python))
    assert compiling.version_of(one) == compiling.version_of(other)
    assert diagram.mermaid(one) == diagram.mermaid(other)


def test_restart_politely() -> None:
    play = went(begun("restart-politely", "web", "now"))
    assert (play.session.outcome, play.verbs()) == ("done", ["container.restart"])
    assert begun("restart-politely", "web", "never").session.outcome == "unchanged"
    night = begun("restart-politely", "web", "night")
    assert night.alarm("pause").due_ms > night.now_ms
    assert served(night.due()).verbs() == ["container.restart"]


def test_restart_healthy() -> None:
    play = went(begun("restart-healthy", "web", True))
    assert (play.session.outcome, play.verbs()) == ("done", ["container.restart"])
    sick = went(went(begun("restart-healthy", "web", True), "failed"), lines=["out of memory"])
    assert (sick.session.outcome, sick.verbs()) == ("failed", ["container.restart", "container.logs"])
    assert "out of memory" in sick.said("ended")[0]
    assert begun("restart-healthy", "web", False).session.outcome == "unchanged"


def test_fetch_image() -> None:
    play = went(went(begun("fetch-image", "nginx:1.27"), **PIN).answer(True), pin=PIN)
    assert (play.session.outcome, play.verbs()) == ("done", ["image.resolve", "image.pull"])
    assert went(begun("fetch-image", "nope"), "failed").session.outcome == "failed"


def test_on_call() -> None:
    def asked() -> Play:
        play = went(begun("on-call", "web"), lines=["500 /"])
        assert "500 /" in "\n".join(play.said("said"))
        return served(play.answer(True).answer("restart"))

    def decided(yes: bool) -> Play:
        play = asked()
        wait = play.waiting.id
        return served(
            play.take(
                lambda at: Approved(
                    at_ms=at,
                    by="p-bob",
                    name="bob",
                    role="operator",
                    approval=wait,
                    answer_id="a-bob",
                    yes=yes,
                    reason="ok",
                )
            )
        )

    play = went(decided(True)).answer("Watch it")
    assert (play.session.outcome, play.verbs()) == ("done", ["container.logs", "container.restart"])
    assert decided(False).session.outcome == "unchanged"
    assert begun("on-call", "web").verbs() == ["container.logs"]


def test_disk_clean_up() -> None:
    play = begun("disk-clean-up", NODE, "all", 24, True)
    assert play.orders()[0].order == {
        "verb": "disk.clean",
        "want": ["images", "build_cache", "stopped"],
        "older_than_h": 24,
    }
    assert went(play).session.outcome == "done"
    assert begun("disk-clean-up", NODE, "images", 24, False).verbs() == []


def test_rotate_secret() -> None:
    play = begun("rotate-secret", DEPLOYMENT, "DB_PASSWORD", SEALED)
    assert play.rows["New secret"] == "••••••"
    play = served(play.answer(True))
    assert play.orders()[0].order == {
        "verb": "secret.rotate",
        "deployment": DEPLOYMENT,
        "name": "DB_PASSWORD",
        "sealed": SEALED["sealed"],
    }
    assert went(play).session.outcome == "done"


def test_nightly_backup() -> None:
    play = begun("nightly-backup", DEPLOYMENT, "data", "03:00", 7, True)
    assert play.alarm("pause").due_ms > play.now_ms
    play = went(went(served(play.due())))
    assert play.verbs() == ["volume.backup", "backup.prune"]
    assert play.shown.name == "again"
    assert play.due("late").alarm("pause").due_ms > play.now_ms  # nobody said stop: on to the next night
    missed = went(served(begun("nightly-backup", DEPLOYMENT, "data", "03:00", 7, True).due()), "failed")
    assert missed.answer("stop").session.outcome == "done"


def test_maintain_node() -> None:
    play = went(went(begun("maintain-node", NODE, True)).answer("done"))
    assert (play.session.outcome, play.verbs()) == ("done", ["node.drain", "node.undrain"])
    cancelled = went(begun("maintain-node", NODE, True)).cancel()
    assert (went(cancelled).session.outcome, cancelled.verbs()[-1]) == ("cancelled", "node.undrain")


@pytest.mark.parametrize(("days", "outcome"), [(-1, "failed"), (5, "done"), (60, "done")])
def test_certificates(days: int, outcome: str) -> None:
    play = begun("certificates", "wiki.example.org")
    assert play.orders()[0].order == {"verb": "certificate.check", "host": "wiki.example.org", "port": 443}
    play = went(play, not_after_ms=play.now_ms + days * 86_400_000)
    assert play.session.outcome == outcome
    assert ("renew" in play.said("ended")[0].casefold()) is (days < 21)


def test_staging() -> None:
    play = begun("staging", DEPLOYMENT, "web-try", "empty", True)
    made = play.orders()[0].order
    assert (made["verb"], made["deployment"], made["name"]) == ("deployment.clone", DEPLOYMENT, "web-try")
    gone = went(went(play).answer("remove"))
    assert (gone.session.outcome, gone.orders()[1].order["deployment"]) == ("done", made["to"])
    undone = went(begun("staging", DEPLOYMENT, "web-try", "copy", True)).cancel()
    assert undone.verbs()[-1] == "deployment.remove"


def test_onboard_node() -> None:
    play = went(begun("onboard-node", "attic", "spare", "none", True))
    assert (play.session.outcome, play.verbs()) == ("done", ["node.enrol"])
    assert "Nobody backs it up" in play.said("ended")[0]
