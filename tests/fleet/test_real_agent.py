"""The real agent's two processes at our door: links, answers, comes back, is believed."""

from __future__ import annotations

import asyncio
import base64
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest
from nacl.public import SealedBox

from agent import keys as agent_keys
from agent.orders import SIMULATED, GetFacts, NodeFacts
from bot.engine.orders import KINDS
from bot.fleet.nodes import NodeView, write_pin
from tests.fleet.conftest import DEPLOYMENT, Lab


class Agent:
    """An agent as the supervisor starts it, on a machine whose engine does not answer."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.data = lab.folder / "agent"
        own = agent_keys.ensure(self.data)
        self.node = write_pin(lab.installation.directory, identity=own.identity, sealing=own.sealing)
        assert self.node == own.node
        trust = agent_keys.Trust(
            installation=lab.installation.id,
            epoch=lab.installation.epoch,
            dispatch_public=lab.installation.dispatch_public,
        )
        path = self.data / "keys" / "trust.json"
        path.write_bytes(msgspec.json.encode(trust))
        path.chmod(0o600)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait for its link."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent.cli", "run"),
            *("--data", str(self.data), "--bot", f"unix:{self.lab.socket}"),
            env={**os.environ, "DOCKER_HOST": f"unix://{self.data}/no-engine.sock"},
            cwd=Path(__file__).parents[2],
        )
        await self.until_online(True)

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def until_online(self, wanted: bool) -> NodeView:
        """Wait for the link, or its end."""
        for _ in range(3_000):  # a minute
            (node,) = await self.lab.fleet.nodes()
            if node.online is wanted:
                return node
            await asyncio.sleep(0.02)
        raise AssertionError(f"the agent is not {'on' if wanted else 'off'}line")


@pytest.fixture
async def agent(lab: Lab) -> AsyncGenerator[Agent]:
    made = await asyncio.to_thread(Agent, lab)
    await made.start()
    yield made
    await made.kill()


async def test_the_real_agent_links_and_knows_every_order(agent: Agent) -> None:
    assert agent.lab.fleet.verbs(agent.node) == set(KINDS) - SIMULATED


async def test_the_real_agent_answers_lookups(agent: Agent) -> None:
    result = await agent.lab.fleet.lookup(agent.node, GetFacts(want=("engine", "ports")))
    assert result.outcome == "done", result
    facts = msgspec.convert(result.facts, NodeFacts)
    assert facts.engine is not None
    assert not facts.engine.answers
    assert facts.hostname


async def test_an_order_to_the_real_agent_ends_with_a_signed_result(agent: Agent) -> None:
    target = {"type": "part", "deployment": DEPLOYMENT}
    effect = agent.lab.effect(agent.node, {"verb": "container.stop", "target": target})
    await agent.lab.fleet.send(effect)
    async with asyncio.timeout(30):
        id, result = await agent.lab.results.get()
    assert (id, result.node, result.verb) == (effect.id, agent.node, "container.stop")
    assert result.outcome in ("failed", "refused")
    assert result.problem is not None
    for _ in range(3_000):
        if not agent.lab.fleet.open_orders():
            break
        await asyncio.sleep(0.02)
    assert agent.lab.fleet.open_orders() == []


async def test_the_real_agent_comes_back_after_a_restart_of_the_bot_or_its_own(agent: Agent) -> None:
    await agent.lab.restart()
    await agent.until_online(True)
    await agent.kill()
    await agent.until_online(False)
    await agent.start()
    assert (await agent.lab.fleet.lookup(agent.node, GetFacts())).outcome == "done"


async def test_an_order_sent_while_the_real_agent_was_dead_is_answered_later(agent: Agent) -> None:
    await agent.kill()
    await agent.until_online(False)
    effect = agent.lab.effect(agent.node)
    with pytest.raises(Exception, match="not connected"):
        await agent.lab.fleet.send(effect)
    await agent.start()
    async with asyncio.timeout(30):
        assert (await agent.lab.results.get())[0] == effect.id


async def test_the_real_agent_opens_what_was_sealed_for_it(agent: Agent) -> None:
    own = await asyncio.to_thread(agent_keys.ensure, agent.data)
    value = agent.lab.fleet.seal(agent.node, "correct horse")
    box = SealedBox(own.sealing_key)
    assert box.decrypt(base64.b64decode(value["for_node"])) == b"correct horse"
