"""What was picked a while ago is looked up again before an order goes out, on the real runtime and store."""

from __future__ import annotations

from typing import Any

import pytest

from bot.engine.effects import AskFacts
from bot.engine.events import FactsCame
from bot.engine.session import Session
from tests.runtime.lab import Lab, asks, is_over


class Fleet:
    """Containers as the fleet's facts name them; changed by the tests."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.state = {"wiki": "running", "web": "running"}
        self.away = False
        self.asked: list[AskFacts] = []

    async def facts(self, effect: AskFacts) -> FactsCame:
        self.asked.append(effect)
        if self.away:
            return FactsCame(at_ms=self.lab.now_ms(), lookup_id=effect.id, problem="node-1 is not connected.")
        wanted = effect.args.get("state")
        options = [self.option(n, name) for n, name in enumerate(self.state)]
        some = [o for o in options if wanted in (None, o["data"]["state"])]
        return FactsCame(at_ms=self.lab.now_ms(), lookup_id=effect.id, facts={"options": some})

    def option(self, number: int, name: str) -> dict[str, Any]:
        target = {"type": "part", "deployment": f"d-{number:016}", "part": "main"}
        data = {"name": name, "state": self.state[name], "target": target}
        return {"value": name, "label": name, "data": data}


@pytest.fixture
def fleet(lab: Lab) -> Fleet:
    fleet = Fleet(lab)
    lab.world.facts = fleet.facts
    return fleet


async def sure(lab: Lab) -> Session:
    """Picked, and a minute later asked whether to go on."""
    session = await lab.until((await lab.open("pick-stop")).session.id, asks("which"))
    session = (await lab.answer(session, "wiki")).session
    lab.ahead_ms = 60_000
    return session


async def test_nothing_changed_and_the_order_goes_out(lab: Lab, fleet: Fleet) -> None:
    session = await sure(lab)
    session = await lab.until((await lab.answer(session, True)).session.id, is_over)
    assert session.outcome == "done" and len(fleet.asked) == 2
    assert len(lab.world.orders) == 1


async def test_what_was_stopped_meanwhile_is_asked_again(lab: Lab, fleet: Fleet) -> None:
    session = await sure(lab)
    fleet.state["wiki"] = "exited"
    session = await lab.until((await lab.answer(session, True)).session.id, asks("which"))
    assert session.shown is not None
    assert session.shown.problem == "wiki is exited now, not running: choose again."
    assert [o.value for o in session.shown.options] == ["web"]
    assert lab.world.orders == {}
    session = (await lab.answer(session, "web")).session
    session = await lab.until((await lab.answer(session, True, id="again")).session.id, is_over)
    assert next(iter(lab.world.orders.values())).effect.order["target"]["deployment"] == f"d-{1:016}"


async def test_a_node_that_is_away_is_said_and_one_may_go_on_anyway(lab: Lab, fleet: Fleet) -> None:
    session = await sure(lab)
    fleet.away = True
    session = await lab.until((await lab.answer(session, True)).session.id, asks("way_on"))
    assert session.shown is not None and "node-1 is not connected." in session.shown.problem
    session = await lab.until((await lab.answer(session, "anyway")).session.id, is_over)
    assert session.outcome == "done" and len(lab.world.orders) == 1
