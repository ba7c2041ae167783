"""Calls of the store's functions, batched: all calls of one turn of the event loop leave in one pipeline.

Rule 1: one call is one FCALL; its outcome is its own (a failed call fails no neighbour). Rule 2: nothing is
repeated here: when the connection breaks, the outcome of every call in flight is unknown and StoreGone says
so; who needs the outcome calls again with the same id. Rule 3: at most IN_FLIGHT pipelines at once, so that
calls gather while the disk syncs: group commit. A caller that is cancelled leaves its call in the batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from bot.store import limits
from bot.store.errors import StoreBug, StoreEmptied, StoreError, StoreFull, StoreGone, Tampered, UnfitStore

Arg = bytes | str | int
_PASSING = ("LOADING", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS")
_packer = HiredisRespSerializer()
_UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError, asyncio.TimeoutError)


class _Call:
    __slots__ = ("command", "future", "key", "size")

    def __init__(self, command: tuple[Arg, ...], key: str, future: asyncio.Future[Any]) -> None:
        self.command, self.key, self.future = command, key, future
        self.size = sum(len(arg) for arg in command if isinstance(arg, bytes))


def shown(url: str) -> str:
    """The address without the password, for messages."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


async def open_client(url: str, *, user: str, password: str) -> Redis | RedisCluster:
    """A client for one server, or for a cluster when the slots are spread over several servers."""
    try:
        pool = ConnectionPool.from_url(
            url,
            username=user,
            password=password,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,  # the deadline is one of the whole batch
            socket_connect_timeout=limits.CONNECT_TIMEOUT_S,
            protocol=2,
            driver_info=None,
        )
    except ValueError as bad:
        raise UnfitStore(
            where=shown(url), why=str(bad), how="Give redis://HOST:PORT or unix:///PATH."
        ) from bad
    client = Redis.from_pool(pool)
    try:
        if await _servers(client) < 2:
            return client
        cluster = RedisCluster.from_url(
            url,
            username=user,
            password=password,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=limits.CALL_TIMEOUT_S,
            socket_connect_timeout=limits.CONNECT_TIMEOUT_S,
            protocol=2,
            driver_info=None,
        )
        await cluster.initialize()
    except (RedisError, *_UNREACHABLE) as gone:
        await client.aclose()
        raise meaning(gone, url) from gone
    await client.aclose()
    return cluster


async def _servers(client: Redis) -> int:
    try:
        slots = await command(client, "CLUSTER", "SLOTS")
    except ResponseError as answer:
        if "cluster support disabled" in str(answer):
            return 0
        raise
    return len({tuple(row[2][:2]) for row in slots})  # first slot, last slot, primary (host, port, …), …


async def command(client: Redis | RedisCluster, *words: str, **how: Any) -> Any:
    """One plain command and the answer as the server gave it (of a cluster: of `target_nodes`)."""
    return await client.execute_command(*words, **how)


def meaning(error: BaseException, where: str) -> StoreError:
    """Which of our errors a client's error is. `where` is the key, or the address."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error.__cause__, RedisError):  # on connecting, redis-py wraps the server's answer
        error = error.__cause__
    text = str(error).rstrip(".")
    if isinstance(error, OutOfMemoryError) or text.startswith("OOM"):
        return StoreFull(why=text)
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        how = "Start Hercules with 'hercules up', which sets up the store's user and its rights."
        return UnfitStore(where=shown(where), why=text, how=how)
    if isinstance(error, _UNREACHABLE) or text.startswith(_PASSING):
        return StoreGone(why=text or type(error).__name__)
    if "Function not found" in text:
        return StoreEmptied()
    if "WRONGTYPE" in text or "equal or smaller" in text or "not an integer" in text:
        return Tampered(key=where, why=f"the store says: {text}")
    return StoreBug(why=text)


class Wire:
    """The one way to the store. Made with `open_client`'s client."""

    def __init__(self, client: Redis | RedisCluster, url: str) -> None:
        self.client, self.url = client, url
        self._waiting: deque[_Call] = deque()
        self._flying: set[asyncio.Task[None]] = set()
        self._woken = False
        self._closed = False

    def call(self, function: str, keys: Sequence[str], *args: Arg, reads: bool = False) -> Awaitable[Any]:
        """Queue one FCALL; await the answer. Raises StoreGone (outcome unknown), Tampered, StoreFull."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._closed:
            future.set_exception(StoreGone(why="this connection was closed"))
            return future
        name = "FCALL_RO" if reads else "FCALL"
        self._waiting.append(_Call((name, f"h1_{function}", len(keys), *keys, *args), keys[0], future))
        if not self._woken and len(self._flying) < limits.IN_FLIGHT:
            self._woken = True
            loop.call_soon(self._send)
        return future

    async def gather(self, calls: Sequence[Awaitable[Any]]) -> list[Any]:
        """The answers in order, an exception in the place of one that failed."""
        return await asyncio.gather(*calls, return_exceptions=True)

    def pubsub(self) -> PubSub:
        """A subscription connection of its own."""
        return self.client.pubsub()

    async def close(self) -> None:
        """Let what is in flight end; what waits fails with StoreGone."""
        self._closed = True
        while self._waiting:
            _fail(self._waiting.popleft(), StoreGone(why="this connection was closed"))
        if self._flying:
            await asyncio.gather(*self._flying, return_exceptions=True)
        await self.client.aclose()

    def _send(self) -> None:
        self._woken = False
        while self._waiting and len(self._flying) < limits.IN_FLIGHT:
            batch: list[_Call] = []
            size = 0
            while self._waiting and len(batch) < limits.BATCH_CALLS and size < limits.BATCH_BYTES:
                call = self._waiting.popleft()
                size += call.size
                batch.append(call)
            task = asyncio.get_running_loop().create_task(self._fly(batch))
            self._flying.add(task)
            task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._flying.discard(task)
        if self._waiting and not self._woken:
            self._send()

    async def _fly(self, batch: list[_Call]) -> None:
        try:
            if isinstance(self.client, RedisCluster):
                answers = await self._by_node(self.client, batch)
            else:
                answers = await self._in_one_write(self.client, batch)
        except (RedisError, OSError, TimeoutError) as gone:
            for call in batch:
                _fail(call, meaning(gone, self.url))
        except BaseException as ours:
            for call in batch:
                _fail(call, ours)
            raise
        else:
            for call, answer in zip(batch, answers, strict=True):
                if call.future.done():  # cancelled by its caller
                    continue
                if isinstance(answer, Exception):
                    call.future.set_exception(meaning(answer, call.key))
                else:
                    call.future.set_result(answer)

    async def _in_one_write(self, client: Redis, batch: list[_Call]) -> list[Any]:
        """What redis-py's pipeline does, in half the time: one pack, one write, no timer per answer."""
        pool: Any = client.connection_pool
        connection = await pool.get_connection()
        answers: list[Any] = []
        try:
            async with asyncio.timeout(limits.CALL_TIMEOUT_S):
                packed = [part for call in batch for part in _packer.pack(*call.command)]  # type: ignore[arg-type]
                await connection.send_packed_command(packed, check_health=False)
                for _ in batch:
                    try:
                        answers.append(await connection.read_response())
                    except ResponseError as refused:
                        answers.append(refused)
        except BaseException:  # what is still to come must not be taken for the answer to a later call
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)
        return answers

    async def _by_node(self, client: RedisCluster, batch: list[_Call]) -> list[Any]:
        pipe = client.pipeline()
        for call in batch:
            pipe.execute_command(*call.command)
        async with asyncio.timeout(limits.CALL_TIMEOUT_S):
            return await pipe.execute(raise_on_error=False)


def _fail(call: _Call, error: BaseException) -> None:
    if not call.future.done():
        call.future.set_exception(error)
