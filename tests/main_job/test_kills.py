"""Kill -9 of bot, agent and store at several moments of a deploy: each deploy finishes, and happens once."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from tests.lab.processes import wait_until
from tests.main_job.machine import Machine

MOMENTS_S = (0.0, 0.3, 1.2)  # after the yes: sending, creating and starting, waiting for health


@pytest.mark.parametrize("who", ["bot", "agent", "store"])
def test_whoever_is_killed_during_a_deploy_it_finishes_once(running: Machine, who: str) -> None:
    since = time.time()
    names = [f"app{number}" for number in range(len(MOMENTS_S))]
    for number, (name, moment) in enumerate(zip(names, MOMENTS_S, strict=True)):
        session = running.begin("deploy", what="demo", name=name, port=20_090 + number)
        asked = running.until_asked(session, "sure")
        running.answer(session, asked["prompt"]["seq"], True, id=f"yes-{name}")
        time.sleep(moment)
        running.kill(who)
        ended = running.until_asked(session)
        assert ended["outcome"] == "done", (moment, ended, running.all_logs())
        _happened_once(running, session, name)
        assert running.engine.get(20_090 + number)[0] == 200
    assert _created(running, since) == Counter(names)


@pytest.mark.parametrize("who", ["bot", "agent", "store"])
def test_whoever_is_killed_while_the_image_comes_the_question_comes(running: Machine, who: str) -> None:
    session = running.begin("deploy", what="demo")
    running.kill(who)
    asked = running.until_asked(session, "name")
    assert asked["status"] == "open"
    finished = [
        e for e in running.entries(session) if e["kind"] == "finished" and e["verb"] == "image.import"
    ]
    assert [e["outcome"] for e in finished] == ["done"]


def test_an_answer_sent_again_after_a_kill_is_the_same_answer(running: Machine) -> None:
    session = running.begin("deploy", what="demo")
    seq = running.until_asked(session, "name")["prompt"]["seq"]
    first = running.answer(session, seq, "hello", id="one")
    running.kill("bot")
    again = running.answer(session, seq, "hello", id="one")
    assert (again[0], again[1]["seq"]) == (200, first[1]["seq"])
    answered = [e for e in running.entries(session) if e["kind"] == "answered" and e["seq"] == seq]
    assert len(answered) == 1


def test_everything_killed_at_once_goes_on_after_a_new_start(running: Machine) -> None:
    session = running.begin("deploy", what="demo", name="hello", port=20_090)
    seq = running.until_asked(session, "sure")["prompt"]["seq"]
    running.answer(session, seq, True)
    time.sleep(0.3)
    procs = [running.process(name) for name in ("agent", "bot", "store")]
    running.kill_up()
    for proc in procs:
        proc.signal(9)  # type: ignore[arg-type]
    assert wait_until(lambda: not any(proc.lives() for proc in procs), 60)
    running.up()
    ended = running.until_asked(session)
    assert ended["outcome"] == "done", running.all_logs()
    _happened_once(running, session, "hello")


def _happened_once(machine: Machine, session: str, name: str) -> None:
    entries = machine.entries(session)
    assert [e["n"] for e in entries] == list(range(1, len(entries) + 1))
    for kind in ("ordered", "finished"):
        found = [e for e in entries if e["kind"] == kind and e["verb"] == "deployment.apply"]
        assert len(found) <= 1, (kind, found)
    assert [c for c in machine.containers() if f"-{name}-" in c] == [
        c for c in machine.containers() if c.endswith(f"-{name}-main")
    ]
    assert sum(f"-{name}-" in c for c in machine.containers()) == 1


def _created(machine: Machine, since: float) -> Counter[str]:
    """How often a container was created, by deployment."""
    seen: Counter[str] = Counter()
    events: Any = machine.engine.client().events(
        since=int(since),
        until=int(time.time()) + 1,
        decode=True,
        filters={"event": "create", "type": "container"},
    )
    for event in events:
        seen[event["Actor"]["Attributes"]["hercules.name"]] += 1
    return seen
