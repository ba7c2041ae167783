"""Which versions of each flow were published, and when: what "back to the one before" needs.

Going back is one more publication. It holds until the file of the flow says something else than it did then:
whoever goes on to write the file means the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

import msgspec
import structlog

from bot.engine.refusals import Refused

log = structlog.get_logger("plugins")

KEPT: Final = 20  # publications remembered of one flow; their versions are kept whoever needs them


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One publication. `over` is what the file said when it was gone back from, without the versions that it
    calls; "" for a publication of the file itself.
    """

    version: str
    at_ms: int
    how: Literal["file", "back"] = "file"
    source: str = ""
    title: str = ""
    over: str = ""


class NoSuchVersion(Refused):
    """A version that is not in the history of the flow."""

    code, http = "no_such_version", 404
    says = "The chatflow {flow!r} has no version {version!r} in its history, or more than one begin so."
    do = "Look at its versions (hercules flow history NAME)."


class KeptHistories(Protocol):
    """Where histories are kept. Both may raise Gone."""

    async def histories(self) -> dict[str, bytes]:
        """All of them, by flow."""

    async def note(self, flow: str, raw: bytes) -> None:
        """Keep one."""


class Histories:
    """All of them, oldest publication first."""

    def __init__(self, store: KeptHistories) -> None:
        self._store = store
        self._of: dict[str, tuple[Published, ...]] = {}

    async def open(self) -> None:
        """Read them. One that cannot be read begins anew. Raises Gone."""
        for flow, raw in (await self._store.histories()).items():
            try:
                self._of[flow] = msgspec.json.decode(raw, type=tuple[Published, ...])
            except msgspec.MsgspecError as e:
                log.warning("flow.history_unreadable", flow=flow, why=str(e))

    def of(self, flow: str) -> tuple[Published, ...]:
        """The history of a flow."""
        return self._of.get(flow, ())

    def versions(self) -> set[str]:
        """Every version in any history."""
        return {one.version for history in self._of.values() for one in history}

    def gone_back(self) -> Mapping[str, Published]:
        """The flows that were gone back to an older version last."""
        return {flow: history[-1] for flow, history in self._of.items() if history[-1].how == "back"}

    def find(self, flow: str, version: str) -> Published:
        """The publication of the version that begins so. Raises NoSuchVersion."""
        found = {one.version: one for one in self.of(flow) if version and one.version.startswith(version)}
        if len(found) != 1:
            raise NoSuchVersion(flow=flow, version=version)
        return next(iter(found.values()))

    async def add(self, flow: str, published: Published) -> None:
        """Note a publication, unless it is what was noted last. Raises Gone."""
        history = self.of(flow)
        if history and history[-1].version == published.version and history[-1].how == published.how:
            return
        history = (*history, published)[-KEPT:]
        await self._store.note(flow, msgspec.json.encode(history))
        self._of[flow] = history
