"""The fleet: every node, its link, and the orders, lookups, facts and blobs that pass over it.

The one door of this room for runtime and channels. Edges here (socket, store, files) are real; what an
order is and what a result is worth stand in `signing`, `delivery`, `deployments` and `facts`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from agent.link.messages import DeploymentsSaid, ProgressSaid, ResultKept, ResultSaid
from agent.orders import DeploymentFact, GetFacts, NodeFacts, Order
from agent.orders.results import Progress, Result
from bot.blobs import Blobs
from bot.engine.effects import AskFacts, SendOrder
from bot.engine.events import FactsCame
from bot.engine.refusals import Spoken
from bot.fleet import facts as shapes
from bot.fleet.delivery import Delivery
from bot.fleet.deployments import DeploymentBook, DeploymentView
from bot.fleet.keys import Installation
from bot.fleet.link import Heard, Link
from bot.fleet.lookups import PREFIX as LOOKUP
from bot.fleet.lookups import Lookups
from bot.fleet.nodes import NodeBook, NodeView, Pins
from bot.fleet.orders import OrderBook
from bot.fleet.records import OrderRecord
from bot.fleet.refusals import NodeOffline, NoSuchFact, NoSuchNode
from bot.fleet.sealing import sealed_builtins
from bot.fleet.server import HEAD_WITHIN_S, HELLO_WITHIN_S, Door
from bot.fleet.transfers import Transfers
from bot.store import Store, StoreError

LOOKUP_S = 10.0
PROGRESS_WAITING = 200  # progress not yet told; the oldest is dropped, it is telemetry
RESULTS_AT_ONCE = 64  # results of one process being taken up; more wait in the agents

_log = structlog.get_logger("fleet")

OnResult = Callable[[str, Result], Awaitable[None]]
OnProgress = Callable[[str, Progress], Awaitable[None]]
MoreFacts = Callable[[AskFacts], Awaitable[dict[str, Any]]]


async def _nobody(id: str, said: Result | Progress) -> None:
    raise RuntimeError(f"nobody listens to results ({id}): set Fleet.on_result before Fleet.start")


class Fleet:
    """Nodes and orders of one installation. Set `on_result` and `on_progress`, then `start`.

    `on_result(order id, result)` is called at least once per order, until it returns; `on_progress(order
    id, progress)` as often as it can keep up. `more_facts` answers facts that no node knows, by name.
    """

    def __init__(
        self,
        *,
        store: Store,
        installation: Installation,
        blobs: Blobs,
        socket: Path,
        bot: str,
        more_facts: dict[str, MoreFacts] | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        head_within_s: float = HEAD_WITHIN_S,
        hello_within_s: float = HELLO_WITHIN_S,
    ) -> None:
        self.on_result: OnResult = _nobody
        self.on_progress: OnProgress = _nobody
        self.more_facts: dict[str, MoreFacts] = dict(more_facts or {})
        self._installation = installation
        self._blobs = blobs
        self._now_ms = now_ms
        self._pins = Pins(installation.directory)
        self._links: dict[str, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._progress: deque[tuple[str, Progress]] = deque(maxlen=PROGRESS_WAITING)
        self._progress_came = asyncio.Event()
        self._results = asyncio.Semaphore(RESULTS_AT_ONCE)
        self._nodes = NodeBook(store, self._pins, now_ms)
        self._book = OrderBook(store, now_ms)
        self._deployments = DeploymentBook(store, now_ms)
        self._lookups = Lookups(installation, now_ms)
        self._delivery = Delivery(
            book=self._book,
            deployments=self._deployments,
            installation=installation,
            pins=self._pins,
            link_of=self._links.get,
            tell=lambda id, result: self.on_result(id, result),
            spawn=self._spawn,
            now_ms=now_ms,
        )
        self._door = Door(
            socket,
            installation=installation.id,
            bot=bot,
            pin_of=lambda node: self._pins.now(node, fresh=True),
            on_link=self._serve,
            head_within_s=head_within_s,
            hello_within_s=hello_within_s,
        )

    async def start(self) -> None:
        """Read pins and open orders, and open the door. Raises SocketTaken, store errors."""
        await asyncio.to_thread(self._pins.read)
        await self._book.read()
        self._spawn(self._tell_progress(), "progress")
        await self._door.start()

    async def stop(self) -> None:
        """Say goodbye to every agent and close the door."""
        links = list(self._links.values())
        await asyncio.gather(*(link.close("The bot is stopping.") for link in links))
        await self._door.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- orders

    async def send(self, effect: SendOrder) -> None:
        """Have an order carried out; any number of times. Raises NodeOffline while its node has no link
        (it is sent by itself when the link comes up), OrderChanged, store errors.

        What can never be carried out (unknown verb, node or form, name held) is told as a failed result.
        """
        await self._delivery.send(effect)

    async def withdraw(self, order: str) -> bool:
        """Take back an order that was never handed over. False: it was, so its result will come."""
        return await self._delivery.withdraw(order)

    async def order(self, id: str) -> OrderRecord | None:
        """An order of a session as it is kept: whose it is, whether it was handed over, how it ended."""
        return await self._book.get(id)

    def open_orders(self) -> list[OrderRecord]:
        """Orders that have no final result yet."""
        return [record for pin in self._pins.all() for record in self._book.open_of(pin.node)]

    async def orders(self) -> list[OrderRecord]:
        """Every order that is still kept (two weeks longer than its time)."""
        return await self._book.all()

    async def lookup(self, node: str, order: Order, timeout_s: float = LOOKUP_S) -> Result:
        """Ask a node something that changes nothing. Raises NoSuchNode, NodeOffline, NodeSilent."""
        await self._pins.now(node)
        return await self._lookups.ask(self._link(node), order, timeout_s)

    # -- nodes, deployments, secrets

    async def nodes(self) -> list[NodeView]:
        """Every pinned node."""
        await asyncio.to_thread(self._pins.read)
        return [await self._nodes.view(pin, self._links.get(pin.node)) for pin in self._pins.all()]

    def verbs(self, node: str) -> frozenset[str]:
        """The orders that a linked node's agent can carry out; none while it has no link."""
        link = self._links.get(node)
        return link.verbs if link else frozenset()

    async def deployments(self) -> list[DeploymentView]:
        """What should run, each with what its node last said and when."""
        return await self._deployments.views()

    def seal(self, node: str, plaintext: str) -> dict[str, Any]:
        """A secret as SealedValue builtins. Raises NoSuchNode, SecretTooLarge."""
        return sealed_builtins(
            plaintext,
            node=node,
            node_key=self._pins.of(node).sealing,
            recovery_key=self._installation.recovery_public,
        )

    # -- facts

    async def facts(self, effect: AskFacts) -> FactsCame:
        """What a prompt asked for, or a sentence why not. Never raises but for a bug."""
        try:
            found = await self._facts(effect)
        except (Spoken, StoreError) as e:
            _log.info("facts.failed", fact=effect.fact, node=effect.node, why=e.sentence)
            problem = f"{e.sentence} {e.next_step}".strip()
            return FactsCame(at_ms=self._now_ms(), lookup_id=effect.id, problem=problem)
        return FactsCame(at_ms=self._now_ms(), lookup_id=effect.id, facts=found)

    async def _facts(self, effect: AskFacts) -> dict[str, Any]:
        if more := self.more_facts.get(effect.fact):
            return await more(effect)
        if effect.fact == "nodes":
            return {"options": shapes.node_options(await self.nodes())}
        node = str(effect.args.get("node") or effect.node) or self._only_node(effect.fact)
        timeout_s = min(LOOKUP_S, max(1.0, (effect.due_ms - self._now_ms()) / 1000))
        state = str(effect.args.get("state", ""))
        match effect.fact:
            case "containers":
                said = await self._ask_node(node, GetFacts(want=("containers",)), timeout_s)
                alive = [r for r in await self._deployments.all() if r.is_alive]
                names = {r.id: r.name for r in alive}
                images = {r.id: r.revision.image.reference for r in alive if r.revision}
                made = str(effect.args.get("made", ""))
                options = shapes.container_options(
                    said.containers or (),
                    node=node,
                    names=names,
                    references=images,
                    state=state,
                    made=made,
                )
                return {"options": options}
            case "deployments":
                fresh = await self._refresh(node, timeout_s)
                options = shapes.deployment_options(
                    await self.deployments(), node=node, now_ms=self._now_ms(), fresh=fresh, state=state
                )
                return {"options": options}
            case "images":
                said = await self._ask_node(node, GetFacts(want=("images",)), timeout_s)
                return {"options": shapes.image_options(said.images or (), node=node)}
            case "free_port":
                said = await self._ask_node(node, GetFacts(want=("ports",)), timeout_s)
                return {"value": shapes.free_port(said, await self._deployments.all(), node)}
            case "free_memory":
                said = await self._ask_node(node, GetFacts(want=("engine",)), timeout_s)
                return {"value": shapes.free_memory_mib(said)}
        raise NoSuchFact(fact=effect.fact, why="nobody knows it")

    async def _refresh(self, node: str, timeout_s: float) -> bool:
        """Ask a node for its deployments; False when it does not answer, and what was seen must do."""
        try:
            said = await self._ask_node(node, GetFacts(want=("deployments",)), timeout_s)
        except NoSuchNode:
            raise
        except Spoken as e:
            _log.info("facts.stale", node=node, why=e.sentence)
            return False
        self._deployments.heard(node, said.deployments or (), self._now_ms())
        return True

    async def _ask_node(self, node: str, order: GetFacts, timeout_s: float) -> NodeFacts:
        result = await self.lookup(node, order, timeout_s)
        if result.outcome != "done":
            says = result.problem.says if result.problem else "the node did not say why"
            raise NoSuchFact(fact=", ".join(order.want), why=says)
        try:
            return msgspec.convert(result.facts, NodeFacts)
        except msgspec.ValidationError as e:
            raise NoSuchFact(fact=", ".join(order.want), why=f"the node's answer makes no sense: {e}") from e

    def _only_node(self, fact: str) -> str:
        pins = self._pins.all()
        if len(pins) != 1:
            raise NoSuchFact(fact=fact, why="it does not say which node to ask")
        return pins[0].node

    # -- links

    async def _serve(self, link: Link) -> None:
        """A believed agent is here: the newest link of a node is the one that counts."""
        older = self._links.get(link.node)
        self._links[link.node] = link
        if older is not None:
            _log.warning("link.replaced", node=link.node)
            await older.close("A newer link of this agent took its place.")
        _log.info("link.up", node=link.node, agent=link.agent)
        transfers = Transfers(
            self._blobs,
            node=link.node,
            may_fetch=lambda blob: self._may_fetch(link.node, blob),
            say_gone=link.say_gone,
            send_chunk=link.send_chunk,
        )
        self._spawn(self._delivery.resume(link), f"resume-{link.node}")
        self._spawn(self._get_to_know(link), f"know-{link.node}")
        why = "the bot is stopping"
        try:
            why = await link.listen(transfers, self._hear)
        finally:
            if self._links.get(link.node) is link:
                del self._links[link.node]
            self._lookups.lose(link)
            _log.info("link.down", node=link.node, why=why[:300])
        await link.close(why[:300])

    async def _hear(self, link: Link, message: Heard) -> None:
        if isinstance(message, ResultSaid):
            await self._results.acquire()
            self._spawn(self._take_up(link, message), f"result-{message.order[:40]}")
        elif isinstance(message, ProgressSaid):
            if self._book.open_one(link.node, message.order):
                self._progress.append((message.order, _progress_of(message)))
                self._progress_came.set()
        else:
            self._hear_deployments(link, message)

    async def _take_up(self, link: Link, said: ResultSaid) -> None:
        try:
            pin = self._pins.of(link.node)
            if said.order.startswith(LOOKUP):
                self._lookups.hear(link, pin, said)
                await link.say(ResultKept(order=said.order))
            else:
                await self._delivery.hear(link, pin, said)
        except (NoSuchNode, NodeOffline) as e:
            _log.info("result.refused", node=link.node, order=said.order[:80], code=e.code)
        finally:
            self._results.release()

    def _hear_deployments(self, link: Link, message: DeploymentsSaid) -> None:
        try:
            said = msgspec.json.decode(message.facts, type=tuple[DeploymentFact, ...])
        except (msgspec.MsgspecError, RecursionError, ValueError) as e:
            _log.warning("facts.refused", node=link.node, why=str(e))
            return
        self._deployments.heard(link.node, said, self._now_ms())

    async def _tell_progress(self) -> None:
        while True:
            while self._progress:
                order, progress = self._progress.popleft()
                try:
                    await self.on_progress(order, progress)
                except (Spoken, StoreError) as e:
                    _log.info("progress.lost", order=order, why=e.sentence)
                except Exception:  # our bug: progress is telemetry, and must not end for the others
                    _log.exception("progress.lost", order=order)
            self._progress_came.clear()
            await self._progress_came.wait()

    async def _may_fetch(self, node: str, blob: str) -> bool:
        """A node gets the blobs of its own open orders and of what runs there."""
        if any(blob in record.blobs for record in self._book.open_of(node)):
            return True
        return any(
            revision is not None and revision.image.blob == blob
            for record in await self._deployments.all()
            if record.node == node
            for revision in (record.revision, record.trying)
        )

    async def _get_to_know(self, link: Link) -> None:
        """Write down that a node is here, and read what runs there and how the machine is called."""
        try:
            await self._nodes.met(link)
            said = await self._ask_node(link.node, GetFacts(want=("deployments",)), LOOKUP_S)
            self._deployments.heard(link.node, said.deployments or (), self._now_ms())
            await self._nodes.met(link, said.hostname)
        except (Spoken, StoreError) as e:
            _log.info("node.facts_later", node=link.node, why=e.sentence)

    def _link(self, node: str) -> Link:
        link = self._links.get(node)
        if link is None or not link.is_up:
            raise NodeOffline(node=node)
        return link

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("fleet.task_failed", task=task.get_name(), exc_info=error)


def _progress_of(message: ProgressSaid) -> Progress:
    return Progress(
        order=message.order,
        step=message.step[:80],
        says=message.says,
        done=message.done,
        total=message.total,
        unit=message.unit[:40],
        at_ms=message.at_ms,
    )
