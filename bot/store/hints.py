"""Hints: what just happened, so that nobody has to poll. Never the thing itself.

One subscription connection per process, on the sharded channels of all ready lists and of the sessions that
somebody here watches. Rule 1: a hint may be lost, late, doubled or made up by somebody else; it only makes
the reader look, and gaps are read from the stream. Rule 2: a watcher's first hint comes when its channel is
subscribed, and again after every reconnect: read then, and nothing falls between. Rule 3: queues are
bounded; entries collapse into one hint, of progress the oldest is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Literal

import msgspec
import structlog
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterPubSub
from redis.exceptions import RedisError

from bot.store import keys, limits
from bot.store.errors import StoreGone, Tampered
from bot.store.tags import Tags
from bot.store.wire import Wire

log = structlog.get_logger("store")


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """`entries`: read the transcript on. `progress`: `body` is what `say_progress` was given."""

    kind: Literal["entries", "progress"]
    body: bytes = b""


ENTRIES = Hint(kind="entries")


class Watcher:
    """What is heard of one session. `event` is set with each news; the one who waits clears it.

    `ahead`: the version that the session is said to have, without end where all may have changed, 0 for no
    news; the one who reads sets it back. `progress`: what `say_progress` was given.
    """

    def __init__(self) -> None:
        self.ahead: float = 0
        self.progress: deque[bytes] = deque(maxlen=limits.WATCHED_PROGRESS)
        self.event = asyncio.Event()

    def look(self, version: float = math.inf) -> None:
        """Have the session read, unless this version is known."""
        self.ahead = max(self.ahead, version)
        self.event.set()

    def tell(self, body: bytes) -> None:
        """Hand on progress."""
        self.progress.append(body)
        self.event.set()


class Hints:
    """Listens and hands on."""

    def __init__(
        self, wire: Wire, tags: Tags, *, on_ready: Callable[[int, int], None], on_gap: Callable[[], None]
    ) -> None:
        self._wire, self._tags = wire, tags
        self._on_ready, self._on_gap = on_ready, on_gap
        self._ready = {keys.ready_channel(number): number for number in range(limits.SHARDS)}
        self._watchers: dict[str, set[Watcher]] = {}
        self._names: dict[str, str] = {}  # channel -> name that progress is stamped under
        self._subscribed: set[str] = set()
        self._pubsub: PubSub | None = None

    async def watch(self, session_id: str) -> AsyncGenerator[Hint, None]:
        """Hints of one session, until the generator is closed."""
        async with self.watching(session_id) as watcher:
            while True:
                await watcher.event.wait()
                watcher.event.clear()
                if watcher.ahead:
                    watcher.ahead = 0
                    yield ENTRIES
                while watcher.progress:
                    yield Hint(kind="progress", body=watcher.progress.popleft())

    @contextlib.asynccontextmanager
    async def watching(self, session_id: str) -> AsyncIterator[Watcher]:
        """The same for a reader who keeps its own time."""
        keys.checked(session_id)
        channel, watcher = keys.session_channel(session_id), Watcher()
        watchers = self._watchers.setdefault(channel, set())
        watchers.add(watcher)
        self._names[channel] = keys.progress(session_id)
        try:
            if channel in self._subscribed:
                watcher.look()
            elif len(watchers) == 1:
                await self._tell_server("ssubscribe", channel)
            yield watcher
        finally:
            watchers.discard(watcher)
            if not watchers and self._watchers.get(channel) is watchers:
                del self._watchers[channel], self._names[channel]
                self._subscribed.discard(channel)
                await self._tell_server("sunsubscribe", channel)

    async def listen(self) -> None:
        """Run until cancelled; reconnects by itself."""
        pause_s = 0.05
        while True:
            pubsub = self._wire.pubsub()
            try:
                for channel in [*self._ready, *self._watchers]:
                    await pubsub.ssubscribe(channel)
                self._pubsub = pubsub
                for channel in self._watchers:  # of watches that began in between
                    await pubsub.ssubscribe(channel)
                self._on_gap()
                pause_s = 0.05
                await self._read(pubsub)
            except (RedisError, OSError, TimeoutError, StoreGone) as gone:
                log.info("store.hints_lost", why=str(gone) or type(gone).__name__)
                if isinstance(pubsub, ClusterPubSub):  # one server of many is away: look now and then
                    for watchers in self._watchers.values():
                        for watcher in watchers:
                            watcher.look()
            finally:
                self._pubsub = None
                self._subscribed.clear()
                with contextlib.suppress(RedisError, OSError, TimeoutError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(pause_s)
            pause_s = min(2.0, pause_s * 2)

    async def _read(self, pubsub: PubSub) -> None:
        """Read until the connection (of a cluster: the first of its connections) breaks."""
        if not isinstance(pubsub, ClusterPubSub):
            await self._read_from(pubsub, pubsub.get_message, next(iter(self._ready)))
            return
        channels: dict[str, tuple[Any, str]] = {}  # by server: the server, and a channel that it has
        for channel in self._ready:
            node = pubsub.cluster.get_node_from_key(channel)
            if node is not None:
                channels.setdefault(node.name, (node, channel))
        readers = [  # redis-py's own round over the servers waits at each in turn
            asyncio.create_task(
                self._read_from(pubsub, partial(pubsub.get_sharded_message, target_node=node), channel)
            )
            for node, channel in channels.values()
        ]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _read_from(self, pubsub: PubSub, get: Callable[..., Awaitable[Any]], channel: str) -> None:
        quiet = 0
        while True:
            message = await get(timeout=limits.SWEEP_S)
            if message is not None:
                quiet = 0
                self._take_in(message)
                continue
            quiet += 1
            if quiet > 1:
                raise StoreGone(why="the subscription does not answer")
            await self._prove(pubsub, channel)

    async def _prove(self, pubsub: PubSub, channel: str) -> None:
        """A dead connection looks like a quiet one: ask for something that is answered."""
        await pubsub.ssubscribe(channel)

    def _take_in(self, message: dict[str, Any]) -> None:
        channel = _text(message.get("channel"))
        kind, data = message.get("type"), message.get("data")
        if kind == "ssubscribe":
            if channel in self._watchers:
                self._subscribed.add(channel)
                for watcher in self._watchers[channel]:
                    watcher.look()
        elif kind == "smessage" and isinstance(data, bytes):
            if channel in self._ready:
                if data.isdigit() and len(data) < 16:
                    self._on_ready(self._ready[channel], int(data))
            elif channel in self._watchers:
                self._for_watchers(channel, data)

    def _for_watchers(self, channel: str, data: bytes) -> None:
        if data[:1] == b"e":
            number = data[1:17].partition(b":")[0]
            version = int(number) if number.isdigit() else math.inf
            for watcher in self._watchers[channel]:
                watcher.look(version)
        elif data[:1] == b"p" and len(data) <= limits.PROGRESS_BYTES + 256:
            try:
                body = self._tags.check(self._names[channel], data[1:]).body
            except Tampered as bad:  # nothing is stored, so there is nothing to park
                log.error("store.tampered", key=bad.key, why=bad.why)
                return
            for watcher in self._watchers[channel]:
                watcher.tell(body)

    async def _tell_server(self, verb: Literal["ssubscribe", "sunsubscribe"], channel: str) -> None:
        if self._pubsub is None:
            return  # `listen` subscribes what is watched when it has a connection
        try:
            await getattr(self._pubsub, verb)(channel)
        except (RedisError, OSError, TimeoutError) as gone:
            log.info("store.hints_lost", why=str(gone) or type(gone).__name__)


def _text(raw: object) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
