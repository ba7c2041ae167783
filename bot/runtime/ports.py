"""What the runtime needs from other rooms, as Protocols: `bot/app.py` fills them.

The store is no port: sessions live there and nowhere else, so it is the real one in every test too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bot.engine.effects import AskFacts, SendOrder
from bot.engine.events import FactsCame
from bot.engine.ready import Flows, Ready


class Person(Protocol):
    """Who is speaking. `role` is owner, operator, support or viewer."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...


class Node(Protocol):
    """A machine with an agent."""

    @property
    def id(self) -> str: ...
    @property
    def online(self) -> bool: ...


class Sent(Protocol):
    """An order as the fleet keeps it. `handed_ms` is 0 while it never was on a wire."""

    @property
    def session(self) -> str: ...
    @property
    def handed_ms(self) -> int: ...


class Fleet(Protocol):
    """Nodes, and orders by their id: any number of times the same order is one order."""

    async def send(self, effect: SendOrder) -> None:
        """Have it carried out; its result comes to `Runtime.order_finished`. Raises Gone: later."""

    async def withdraw(self, order: str) -> bool:
        """Take it back if it never was handed over. False: it was, its result will come."""

    async def order(self, id: str) -> Sent | None:
        """What is known of an order."""

    async def facts(self, effect: AskFacts) -> FactsCame:
        """What a prompt asked for, or a sentence why not."""

    async def nodes(self) -> Sequence[Node]:
        """Every node."""


class Sealer(Protocol):
    """Seals secrets to a node and the recovery key; nobody here can open them again."""

    def seal(self, node: str, plaintext: str) -> dict[str, Any]:
        """SealedValue builtins. Raises Refused when the node is not known or the secret too large."""


class FlowBook(Flows, Protocol):
    """Flows by version and name, and their functions (`bot.plugins.book`)."""

    async def bring(self, versions: Iterable[str]) -> None:
        """Make versions ready for `by_version`. Raises NoSuchFlow, Gone."""

    @property
    def published(self) -> asyncio.Event:
        """Set when another version of a flow became current."""

    def flows(self) -> list[Ready]:
        """The current flows."""

    def kept_anyway(self) -> set[str]:
        """Versions that are kept whoever needs them: the current ones and those of the history."""

    async def collect(self, needed: set[str]) -> list[str]:
        """Throw away all other versions, but for those that these call. Returns what is gone."""

    async def call_hook(self, version: str, hook: str, names: Mapping[str, Any]) -> Any:
        """What a function of a flow's own file returns. Raises HookFailed, Gone."""


class AuditLog(Protocol):
    """The audit (`bot.audit`): each id once."""

    async def append(
        self, *, id: str, at_ms: int, actor: str, what: str, details: dict[str, Any], session: str = ""
    ) -> bool:
        """On the disk when this returns. Raises OSError."""


class Names(Protocol):
    """What people call a person. Who is not known any more is "Somebody". Raises Gone."""

    async def __call__(self, person: str, /) -> str: ...


class Clock(Protocol):
    """Unix milliseconds."""

    def __call__(self) -> int: ...
