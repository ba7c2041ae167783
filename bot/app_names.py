"""What the fleet has by name, for reading what people type. See `bot.plugins.meaning`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from bot.engine.effects import AskFacts
from bot.engine.ids import derived
from bot.engine.slots import Named
from bot.fleet.fleet import Fleet

NODES_ASKED: Final = 20  # of a larger fleet only nodes and deployments are known by name
WITHIN_MS: Final = 3_000


class FleetNames:
    """The names of nodes, deployments and containers, as they are now."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def named(self) -> Sequence[Named]:
        """All of them; of a node that does not answer, none."""
        nodes = await self._fleet.nodes()
        found = [Named(kind="node", label=node.name, value=node.id) for node in nodes if node.name]
        online = [node for node in nodes if node.online]
        several = len(nodes) > 1
        for node in online if len(online) <= NODES_ASKED else []:
            on = node.name if several else ""
            for kind, fact in (("container", "containers"), ("deployment", "deployments")):
                for option in await self._options(node.id, fact):
                    label = str((option.get("data") or {}).get("name") or option["label"])
                    found.append(Named(kind=kind, label=label, value=str(option["value"]), on=on))
        return found

    async def _options(self, node: str, fact: str) -> Sequence[dict[str, Any]]:
        asked = AskFacts(
            id=derived("l", secrets.token_hex(8)),
            session="",
            seq=0,
            fact=fact,
            args={},
            node=node,
            due_ms=int(time.time() * 1000) + WITHIN_MS,
        )
        came = await self._fleet.facts(asked)
        options: Sequence[dict[str, Any]] = (came.facts or {}).get("options", ())
        return options
