"""Puts the rooms together into one bot. The only module, with bot/cli, that knows all of them.

`make_bot` opens what has to be there (store, keys, people, flows, blobs, fleet), `Bot.start` begins to serve,
`Bot.stop` ends it in the reverse order: nobody new comes in, what is under way ends, the store is left last.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import structlog

from agent.orders.results import Progress, Result
from bot.app_names import FleetNames
from bot.app_recovery import RecoveryKey
from bot.app_versions import Versions
from bot.app_views import AuditViews
from bot.audit import AuditLog
from bot.blobs import Blobs
from bot.cli import store_keys
from bot.demo_images import DemoImages
from bot.engine.refusals import Gone
from bot.fleet import keys as fleet_keys
from bot.fleet.fleet import Fleet
from bot.fleet.keys import Installation
from bot.fleet.lists import Lists
from bot.ops.metrics import Metrics, Read
from bot.people import NoSuchPerson, People
from bot.plugins.book import FlowBook, Loaded
from bot.plugins.meaning import Meaning, load_model
from bot.plugins.packages import Packages
from bot.runtime import KeptFlows, Runtime
from bot.settings import Settings
from bot.store import Store, StoreError, StoreGone
from bot.store.setup import BOT_USER, Prepared, prepare

STORE_WITHIN_S = 60.0  # the supervisor starts the store at the same time; a long file takes a while to load
STORE_PAUSE_S = 0.02

_log = structlog.get_logger("app")


class StoreAbsent(Gone):
    """No store answered in time."""

    code = "store_absent"
    says = "The store does not answer: {why}"
    do = "hercules up starts one; with a store of your own see that it runs."


@dataclass(frozen=True, slots=True)
class Check:
    """One line of /readyz."""

    name: str
    ok: bool
    says: str = ""


DO = {
    "store": "hercules up starts it again by itself; look at DIR/logs/valkey.log if it stays away.",
    "fleet": "The agent is started by hercules up; its log is DIR/logs/agent.log.",
    "flows": "Correct the file; it is loaded again when you save it.",
    "effects": "This is a fault of Hercules; the log has it. Restarting the bot tries again.",
}


@dataclass
class Bot:
    """One running bot. Made by `make_bot`."""

    settings: Settings
    port: int
    installation: Installation
    store: Store
    people: People
    blobs: Blobs
    fleet: Fleet
    book: FlowBook
    runtime: Runtime
    audit: AuditLog
    demos: DemoImages
    metrics: Metrics
    warnings: tuple[str, ...] = ()
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def version(self) -> str:
        """The version of this program."""
        return importlib.metadata.version("hercules")

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://localhost:{self.port}/"

    async def ready(self) -> Sequence[Check]:
        """What has to hold for this bot to serve."""
        checks = [await self._store_check()]
        if self.settings.agent:
            online = any(node.online for node in await self.fleet.nodes())
            checks.append(Check("fleet", online, "" if online else "No agent is connected."))
        troubles = self.book.troubles()
        checks.append(Check("flows", True, "; ".join(t.sentence for t in troubles)))
        parked = self.runtime.parked()
        checks.append(Check("effects", not parked, f"{len(parked)} steps keep failing." if parked else ""))
        return checks

    async def _store_check(self) -> Check:
        try:
            await self.store.ping()
            alarms = await self.store.alarms()
        except StoreError as e:
            return Check("store", False, e.sentence)
        if alarms:
            return Check("store", True, f"{len(alarms)} records were changed by hand and are parked.")
        return Check("store", True)

    def what_to_do(self, check: str) -> str:
        """What to do when a check does not hold."""
        return DO.get(check, "")

    async def start(self) -> None:
        """Begin to serve: agents, effects, pages and the owner's socket."""
        from bot.channels.web import make_web, runner_for
        from bot.cli.owner_site import add_owner_calls, listen

        parts = self._parts()
        await self.fleet.start()
        self._stack.push_async_callback(self.fleet.stop)
        await self.runtime.start()
        self._stack.push_async_callback(self.runtime.stop)
        page = runner_for(make_web(parts))
        await page.setup()
        self._stack.push_async_callback(page.cleanup)
        await _listen_on(page, self.port)
        owner = make_web(parts, owner=await self.people.named("owner"))
        add_owner_calls(owner, self)
        runner = runner_for(owner)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await listen(runner, self.settings)
        demo = asyncio.create_task(self._make_demo(), name="demo")
        self._stack.callback(demo.cancel)
        _log.info("bot.started", port=self.port, installation=self.installation.id)

    async def stop(self) -> None:
        """End in order. What was committed stays; what was not is not acknowledged."""
        await self._stack.aclose()
        _log.info("bot.stopped")

    def _parts(self) -> Any:
        from bot.channels import web_parts

        return web_parts.Parts(
            settings=web_parts.Settings(
                installation=self.installation.id,
                port=self.port,
                base_url=self.url.rstrip("/"),
                version=self.version,
            ),
            runtime=self.runtime,
            people=self.people,
            flows=self.book,
            versions=Versions(self.book, self.runtime, now_ms),
            meaning=self._meaning(),
            blobs=self.blobs,
            fleet=Lists(self.fleet),
            audit=AuditViews(self.settings.data / "audit"),
            ready=self.ready,
            counted=self.metrics,
            recovery=RecoveryKey(self.installation, self.audit),
            called=self._called,
        )

    async def _called(self, person: str) -> str:
        return await _name_of(self.people, person)

    def _meaning(self) -> Meaning:
        try:
            model = load_model(self.settings.language_model)
        except (ImportError, AttributeError, TypeError) as e:
            _log.error("words.no_model", setting="language_model", why=str(e))
            model = None
        meaning = Meaning(
            lambda: [ready.flow for ready in self.book.flows()], FleetNames(self.fleet).named, model
        )
        self._stack.callback(meaning.stop)
        return meaning

    async def _make_demo(self) -> None:
        """Have the welcome demo ready before somebody asks for it."""
        try:
            await self.demos.welcome()
        except Exception as e:  # asked for, it says the reason to the person; here it must end nothing
            _log.warning("demo.not_made", why=str(e))


async def make_bot(settings: Settings, port: int) -> Bot:
    """Open everything that a bot needs, without serving yet. Raises Spoken and store errors."""
    installation = await asyncio.to_thread(fleet_keys.ensure, settings.keys)
    stack = AsyncExitStack()
    try:
        return await _made(settings, port, installation, stack)
    except BaseException:
        await stack.aclose()
        raise


async def _made(settings: Settings, port: int, installation: Installation, stack: AsyncExitStack) -> Bot:
    store, warnings = await _open_store(settings, installation)
    stack.push_async_callback(store.close)
    people = People(store, installation.id)
    await people.start()
    audit = AuditLog(settings.data / "audit")
    await audit.open()
    blobs = Blobs(
        settings.blobs,
        quota_bytes=settings.blob_quota_bytes,
        max_bytes=settings.blob_upload_bytes,
        reserve_bytes=settings.reserve_bytes,
    )
    await blobs.start()
    stack.push_async_callback(blobs.stop)
    book = FlowBook(
        KeptFlows(store),
        kept=settings.data / "flows",
        folders=settings.plugin_folders,
        packages=Packages() if settings.plugins else None,
        on_loaded=_Auditor(audit).plugin_loaded,
    )
    await book.open()
    stack.push_async_callback(book.close)
    demos = DemoImages(blobs)
    fleet = Fleet(
        store=store,
        installation=installation,
        blobs=blobs,
        socket=settings.agent_socket,
        bot=f"bot {importlib.metadata.version('hercules')}",
        more_facts={"demos": demos.options},
    )

    async def named(person: str, /) -> str:
        return await _name_of(people, person)

    runtime = Runtime(
        store=store,
        fleet=fleet,
        sealer=fleet,
        flows=book,
        audit=audit,
        body_key=hashlib.blake2b(installation.tag_key, digest_size=32, person=b"hercules-bodies").digest(),
        now_ms=now_ms,
        names=named,
        zone=settings.time_zone,
    )

    metrics = Metrics(_readings(fleet, runtime))

    async def finished(order: str, result: Result) -> None:
        await runtime.order_finished(order, result)
        metrics.result(result.verb, result.outcome)

    async def progressed(order: str, progress: Progress) -> None:
        await runtime.order_progressed(order, progress)

    fleet.on_result, fleet.on_progress = finished, progressed
    return Bot(
        settings=settings,
        port=port,
        installation=installation,
        store=store,
        people=people,
        blobs=blobs,
        fleet=fleet,
        book=book,
        runtime=runtime,
        audit=audit,
        demos=demos,
        metrics=metrics,
        warnings=warnings,
        _stack=stack,
    )


async def _name_of(people: People, person: str) -> str:
    try:
        return (await people.person(person)).name
    except NoSuchPerson:
        return "Somebody"


def _readings(fleet: Fleet, runtime: Runtime) -> list[Read]:
    """What is read when somebody asks for the metrics."""
    return [
        Read(
            "hercules_orders_open",
            "Orders without a final result",
            "verb",
            lambda: Counter(order.verb for order in fleet.open_orders()),
        ),
        Read(
            "hercules_effects_parked",
            "Steps that keep failing",
            "",
            lambda: {"": float(len(runtime.parked()))},
        ),
    ]


class _Auditor:
    """Notes which plugin files came in. The entry's id follows from the file, so a restart adds none."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._tasks: set[asyncio.Task[bool]] = set()

    def plugin_loaded(self, loaded: Loaded) -> None:
        """Append it; the book does not wait for the disk."""
        entry = self._audit.append(
            id=f"plugin-{loaded.sha256}",
            at_ms=now_ms(),
            actor="system",
            what="plugin.loaded",
            details={"file": loaded.file, "sha256": loaded.sha256, "flows": list(loaded.flows)},
        )
        task = asyncio.create_task(entry, name="audit plugin")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _open_store(settings: Settings, installation: Installation) -> tuple[Store, tuple[str, ...]]:
    """Make the store ready as its admin, then connect as the bot's user, who may do far less."""
    keys = await asyncio.to_thread(store_keys.ensure, settings)
    door = store_keys.door(settings, keys)
    prepared = await _prepared(door, keys, installation)
    await asyncio.to_thread(store_keys.note_made, settings, keys)
    for warning in prepared.warnings:
        _log.warning("store.warning", says=warning)
    store = await Store.connect(
        door.url,
        user=BOT_USER,
        password=keys.bot,
        tag_key=installation.tag_key,
        installation=installation.id,
    )
    return store, tuple(prepared.warnings)


async def _prepared(
    door: store_keys.StoreDoor, keys: store_keys.StoreKeys, installation: Installation
) -> Prepared:
    """Wait for the store, which the supervisor starts at the same time, and make it ready."""
    end = time.monotonic() + STORE_WITHIN_S
    while True:
        try:
            return await prepare(
                door.url,
                user=door.admin_user,
                password=door.admin_password,
                bot_password=keys.bot,
                tag_key=installation.tag_key,
                installation=installation.id,
                may_create=not keys.made,
            )
        except StoreGone as e:
            if time.monotonic() > end:
                raise StoreAbsent(why=e.sentence) from e
            await asyncio.sleep(STORE_PAUSE_S)


async def _listen_on(runner: Any, port: int) -> None:
    """The page, on the loopback addresses only."""
    from aiohttp import web

    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    try:
        await web.TCPSite(runner, "::1", port, reuse_address=True).start()
    except OSError:  # a machine without IPv6: browsers take 127.0.0.1 for localhost there
        _log.info("bot.no_ipv6")


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000
