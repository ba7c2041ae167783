"""Keeps running what should run: after a start of the agent, of the machine, of the engine.

Rule 1: what should run is what the journal says, not what the engine remembers. Rule 2: it compares after
each start of agent or engine and never against a living engine, so that nobody who stops a container by hand
is fought. Rule 3: a deployment with an order under way is left to that order. Rule 4: crashes are counted;
beyond the budget it stops the container, says so, and waits for a person. Rule 5: the ping has a thread of
its own, so that an engine that hangs is noticed while every other call still waits.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from agent import deployments
from agent.carrier import Carrier
from agent.journal import Running
from agent.link.messages import DeploymentsSaid, Message
from agent.node import Node
from agent.orders import limits
from agent.problems import EngineGone, Failed

log = structlog.get_logger()

PING_EVERY_S = 2.0
AGAIN_S = 4.0  # an engine that starts is compared with twice: at once, and when it has restarted its own
RETRY_S = 5.0  # between two tries to start something that should run
_TOLD = frozenset({"start", "die", "destroy", "rename", "pause", "unpause"})  # or "health_status: …"


class Keeper:
    """The threads that watch the engine of one node."""

    def __init__(self, node: Node, carrier: Carrier, tell: Callable[[Message], None]) -> None:
        self.node = node
        self.carrier = carrier
        self._tell = tell
        self._up = False
        self._crashes: dict[str, deque[float]] = defaultdict(deque)
        self._not_started: set[str] = set()
        self._events: Any = None
        self._compare_at: list[float] = []
        self._threads: list[threading.Thread] = []
        self._changed = threading.Event()
        carrier.changed = self._changed.set

    def start(self) -> None:
        """Begin to watch."""
        for work in (self._ping, self._listen, self._report):
            thread = threading.Thread(target=work, name=f"keeper{work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End to watch, after `node.stopping` was set."""
        if self._events is not None:
            self._events.close()
        for thread in self._threads:
            thread.join(PING_EVERY_S * 2)

    @property
    def settled(self) -> bool:
        """Whether the engine answers and was compared with since it started."""
        return self._up and self._events is not None and not self._compare_at

    def say(self) -> None:
        """Have the deployments said to the bot soon."""
        self._changed.set()

    def reconcile(self) -> None:
        """Start what should run and does not."""
        for running in self.node.journal.deployments():
            if running.wanted == "running" and not running.held:
                self._bring_up(running)
        self.say()

    # -- the threads

    def _ping(self) -> None:
        retry_at = 0.0
        while not self.node.stopping.is_set():
            up = self.node.engine.answers()
            if up != self._up:
                log.info("engine.up" if up else "engine.down", engine=self.node.engine.base_url)
                self._up = up
            if up and self._compare_at and time.monotonic() >= self._compare_at[0]:
                self._compare_at.pop(0)
                self._guarded(self.reconcile)
            elif up and self._not_started and time.monotonic() > retry_at:
                self._guarded(self._retry)
                retry_at = time.monotonic() + RETRY_S
            if up:
                self._guarded(self.carrier.engine_is_back)
            self.node.stopping.wait(PING_EVERY_S if up else PING_EVERY_S / 4)

    def _listen(self) -> None:
        while not self.node.stopping.is_set():
            self._guarded(self._follow_events)
            self.node.stopping.wait(0.5)

    def _follow_events(self) -> None:
        label = f"hercules.installation={self.node.trust.installation}"
        with self.node.engine.calling():
            self._events = self.node.engine.api().events(
                decode=True, filters={"type": "container", "label": label}
            )
            # a stream that had to begin anew is how an engine that was away for a moment shows
            now = time.monotonic()
            self._compare_at = [now, now + AGAIN_S]
            for event in self._events:
                if self.node.stopping.is_set():
                    return
                self._saw(event)

    def _report(self) -> None:
        while not self.node.stopping.is_set():
            if not self._changed.wait(1.0):
                continue
            self._changed.clear()
            self._guarded(self._say_deployments)
            self.node.stopping.wait(1.0)  # many events are one message

    def _guarded(self, do: Callable[[], None]) -> None:
        """A watch that dies in silence is worse than one that says what it met."""
        try:
            do()
        except EngineGone:
            pass  # the next ping says so
        except Exception:
            log.exception("keeper.broke")

    # -- what should run

    def _retry(self) -> None:
        for deployment in sorted(self._not_started):
            running = self.node.journal.deployment(deployment)
            if running is None or running.wanted != "running" or running.held:
                self._not_started.discard(deployment)
            else:
                self._bring_up(running)

    def _bring_up(self, running: Running) -> None:
        node = self.node
        lock = node.locks.of(running.id)
        if node.journal.busy(running.id) or not lock.acquire(blocking=False):
            return
        try:
            found = deployments.current(node, deployments.committed(running))
            if found is not None and found["State"]["Status"] in ("running", "restarting", "paused"):
                self._not_started.discard(running.id)
                return
            deployments.put_up(node, running)
            self._not_started.discard(running.id)
            log.info("deployment.started", deployment=running.id, name=running.name)
        except EngineGone:
            raise
        except Failed as e:
            log.warning(
                "deployment.not_started", deployment=running.id, name=running.name, code=e.code, says=e.says
            )
            self._not_started.add(running.id)
            self._count_crash(running)
        finally:
            lock.release()

    def _saw(self, event: dict[str, Any]) -> None:
        action = str(event.get("Action") or "")
        if action not in _TOLD and not action.startswith("health_status"):
            return
        self.say()
        deployment = str(
            ((event.get("Actor") or {}).get("Attributes") or {}).get("hercules.deployment") or ""
        )
        if action != "die" or self.node.journal.busy(deployment):
            return
        running = self.node.journal.deployment(deployment)
        if running is not None and running.wanted == "running" and running.revision > 0:
            self._guarded(lambda: self._count_crash(running))

    def _count_crash(self, running: Running) -> None:
        node, crashes, now = self.node, self._crashes[running.id], time.monotonic()
        crashes.append(now)
        while crashes and now - crashes[0] > node.file.crash_window_s:
            crashes.popleft()
        if len(crashes) < node.file.crash_budget:
            return
        crashes.clear()
        node.journal.hold(running.id, "crash_loop")
        self._not_started.discard(running.id)
        log.warning("deployment.crash_loop", deployment=running.id, name=running.name)
        found = deployments.current(node, deployments.committed(running))
        if found is not None:
            node.engine.stop(str(found["Id"]), 10)
        self.say()

    def _say_deployments(self) -> None:
        if not self._up:
            return
        facts = msgspec.json.encode([deployments.fact(self.node, r) for r in self.node.journal.deployments()])
        if len(facts) <= limits.RESULT_BYTES:  # beyond, the bot asks for them
            self._tell(DeploymentsSaid(facts=facts.decode()))
