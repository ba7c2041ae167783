"""What a verb works with: the node's parts (`Node`), and one order under way (`Work`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.blobs import Blobs
from agent.docker_engine import DockerEngine
from agent.docker_request import Names
from agent.journal import Journal
from agent.keys import NodeKeys, Trust
from agent.nodefile import NodeFile
from agent.orders import limits
from agent.orders.envelope import OrderBody
from agent.orders.results import Progress
from agent.problems import EngineDown, Failed


def now_ms() -> int:
    """The node's clock, in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def nowhere(point: str) -> None:
    """The failure points of a normal run: nothing happens there."""


class Locks:
    """One lock per deployment: whoever changes what runs of it holds it. Orders get it in their turn."""

    def __init__(self) -> None:
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def of(self, deployment: str) -> threading.Lock:
        """The lock of a deployment."""
        with self._lock:
            return self._locks.setdefault(deployment, threading.Lock())

    @contextmanager
    def held(self, deployment: str) -> Iterator[None]:
        """Hold the lock of a deployment."""
        with self.of(deployment):
            yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The parts of a node. `point` is called with a name before and after each effect of a saga."""

    data: Path
    keys: NodeKeys
    trust: Trust
    file: NodeFile
    journal: Journal
    engine: DockerEngine
    blobs: Blobs
    version: str = ""
    locks: Locks = field(default_factory=Locks)
    point: Callable[[str], None] = nowhere
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def secrets_root(self) -> Path:
        """Where secret files lie."""
        return Path(self.file.secrets)

    @property
    def reserve(self) -> int:
        """Bytes that have to stay free."""
        return self.file.reserve_mib * 1024 * 1024

    def names(self, deployment: str, name: str, part: str) -> Names:
        """What a part of a deployment is called here."""
        return Names(
            installation=self.trust.installation,
            short=self.trust.short,
            deployment=deployment,
            name=name,
            part=part,
        )


@dataclass(frozen=True, kw_only=True)
class Done:
    """An order that was done. `facts` go into the result; `already` = there was nothing to do.

    `tidy=False` = the engine went away before the last small things; the table's `tidy` does them later.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    already: bool = False
    tidy: bool = True


class Stopping(Exception):
    """The agent was asked to end; the order goes on at its next start."""


class Work:
    """One order under way: what it says of its progress, limited to `PROGRESS_PER_S` a second."""

    def __init__(
        self, node: Node, body: OrderBody, *, started_ms: int, tell: Callable[[Progress], None]
    ) -> None:
        self.node = node
        self.body = body
        self.started_ms = started_ms
        self.last: Progress | None = None
        self.deadline_ms: int | None = None
        self._tell = tell
        self._step = ""
        self._told = 0.0

    def mind(self) -> None:
        """Called between the pieces of long work. Raises Stopping, or Failed when the deadline has passed."""
        if self.node.stopping.is_set():
            raise Stopping
        if self.deadline_ms is not None and now_ms() > self.deadline_ms:
            raise Failed("deadline", "It took longer than the order allows.")

    @contextmanager
    def turn(self, deployment: str) -> Iterator[None]:
        """Hold a deployment's lock, after every earlier order on it has ended and is tidied up."""
        while self._earlier(deployment):
            self.mind()
            self.node.stopping.wait(0.1)
        with self.node.locks.held(deployment):
            yield

    def _earlier(self, deployment: str) -> bool:
        mine = (self.started_ms, self.body.id)
        for row in self.node.journal.unfinished():
            if row.deployment == deployment and (row.started_ms, row.id) < mine:
                if not row.tidy and not self.node.engine.answers():
                    raise EngineDown
                return True
        return False

    def say(self, step: str, says: str, done: int = 0, total: int = 0, unit: str = "") -> None:
        """Say how far the order is. A new step is always said, the rest when it is time."""
        self.last = Progress(
            order=self.body.id, step=step, says=says, done=done, total=total, unit=unit, at_ms=now_ms()
        )
        now = time.monotonic()
        if step == self._step and now - self._told < 1 / limits.PROGRESS_PER_S:
            return
        self._step, self._told = step, now
        self._tell(self.last)
