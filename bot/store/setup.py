"""Making a store ready: is it fit, whose is it, its functions, and the user that bots connect with.

Only start-up holds the admin user, and only this module uses it. Rule 1: the bot's user has FCALL, its
subscriptions, and the data commands that the functions use (functions run with the rights of their caller),
on keys and channels ``h1:*`` only. Rule 2: every shard gets a mark once, when the store is made; where the
marks are gone the store was emptied, and nothing is written there any more. Rule 3: a store that could lose
confirmed answers is used only with a sentence that says so (`Prepared.warnings`); one that would
lose them at each start is refused.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import RedisError, ResponseError

from bot.store import keys, limits
from bot.store.errors import StoreEmptied, UnfitStore
from bot.store.store import check_meta
from bot.store.tags import Tags
from bot.store.wire import command, meaning, open_client, shown

LIBRARY = Path(__file__).with_name("library.lua").read_text()
BOT_USER = "hercules-bot"
OLDEST = 7  # first with functions and sharded channels

# Of the functions in library.lua; tests/store/test_setup.py compares.
DATA_COMMANDS = """
    del exists get hdel hexists hget hgetall hincrby hlen hmget hscan hset hsetnx hstrlen pexpire set spublish
    strlen xadd xlen xrange xrevrange zadd zcard zrange zrangebylex zrangebyscore zrem zrevrange
    zrevrangebyscore zrevrank zscore
    """.split()  # noqa: SIM905 - read as a list of words
CONNECTION_COMMANDS = """
    fcall fcall_ro ping ssubscribe sunsubscribe cluster|slots cluster|shards
    command asking
    """.split()  # noqa: SIM905


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `warnings` are sentences for the page, not only for the log."""

    server: str
    version: str
    cluster: bool
    made_new: bool
    warnings: list[str]


def bot_rules(password: str) -> list[str]:
    """The ACL rules of the bot's user."""
    digest = hashlib.sha256(password.encode()).hexdigest()
    allowed = [f"+{command}" for command in (*CONNECTION_COMMANDS, *DATA_COMMANDS)]
    return ["reset", "on", f"#{digest}", "~h1:*", "&h1:*", "-@all", *allowed]


async def prepare(
    url: str,
    *,
    user: str,
    password: str,
    bot_password: str,
    tag_key: bytes,
    installation: str,
    bot_user: str = BOT_USER,
    may_create: bool = True,
) -> Prepared:
    """Check the store and make it ready. `user`, `password` are the admin's.

    With `may_create` false an empty store is refused as StoreEmptied: this installation had one before.
    """
    client = await open_client(url, user=user, password=password)
    try:
        return await _prepare(client, url, bot_user, bot_password, Tags(tag_key), installation, may_create)
    except RedisError as gone:
        raise meaning(gone, url) from gone
    finally:
        await client.aclose()


async def _prepare(
    client: Redis | RedisCluster,
    url: str,
    bot_user: str,
    bot_password: str,
    tags: Tags,
    installation: str,
    may_create: bool,
) -> Prepared:
    server, version, warnings = "", "", list[str]()
    for node in _primaries(client):
        server, version = await _check_version(client, node, url)
        await _check_replay(client, node, url)
        for warning in await _check_settings(client, node, url):
            if warning not in warnings:
                warnings.append(warning)
    schema = await command(client, "GET", keys.SCHEMA_KEY)
    made_new = schema is None
    if made_new and not may_create:
        raise StoreEmptied()
    if not made_new:
        check_meta(schema, await command(client, "GET", keys.INSTALLATION), tags, installation, url)
    for node in _primaries(client):
        await _on(client, node, "FUNCTION", "LOAD", "REPLACE", LIBRARY)
    for node in _all_nodes(client):
        await _on(client, node, "ACL", "SETUSER", bot_user, *bot_rules(bot_password))
    if made_new:
        pipe = client.pipeline() if isinstance(client, RedisCluster) else client.pipeline(transaction=False)
        for number in range(limits.SHARDS):
            pipe.set(keys.made(number), keys.SCHEMA)
        await pipe.execute()
        await client.set(keys.INSTALLATION, tags.stamp(keys.INSTALLATION, installation.encode(), version=1))
        await client.set(keys.SCHEMA_KEY, keys.SCHEMA)  # last: without it everything is made again
    return Prepared(
        server=server,
        version=version,
        cluster=isinstance(client, RedisCluster),
        made_new=made_new,
        warnings=warnings,
    )


async def _check_version(client: Redis | RedisCluster, node: Any, url: str) -> tuple[str, str]:
    info = _parsed(await _on(client, node, "INFO", "server"))
    server = info.get("server_name", "redis")
    version = info.get("valkey_version") or info.get("redis_version", "0")
    if int(version.partition(".")[0]) < OLDEST:
        raise UnfitStore(
            where=shown(url),
            why=f"it is {server} {version}",
            how="Use Valkey, or Redis 7 or newer.",
        )
    return server, version


async def _check_replay(client: Redis | RedisCluster, node: Any, url: str) -> None:
    """Refuse what would lose commits at its next start.

    Redis 7.0 replays its append-only file with the rights of the default user and drops each transaction that
    this user may not do: every commit (seen with 7.0.15; Valkey 9.1 replays them all).
    """
    rights = _pairs(await _on(client, node, "ACL", "GETUSER", "default"))
    if (rights["commands"], rights["keys"], rights["channels"]) != ("+@all", "~*", "&*"):
        raise UnfitStore(
            where=shown(url),
            why="its default user has not all rights, and some releases then drop data when they start",
            how="Run 'ACL SETUSER default reset off ~* &* +@all' there: nobody can sign in as default then.",
        )


async def _check_settings(client: Redis | RedisCluster, node: Any, url: str) -> list[str]:
    memory = _parsed(await _on(client, node, "INFO", "memory"))
    policy = memory.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        raise UnfitStore(
            where=shown(url),
            why=f"its maxmemory-policy is {policy}, so it would silently drop sessions when memory is short",
            how="Set 'maxmemory-policy noeviction' there.",
        )
    try:
        found = {
            **_pairs(await _on(client, node, "CONFIG", "GET", "appendonly")),
            **_pairs(await _on(client, node, "CONFIG", "GET", "appendfsync")),
        }
    except ResponseError:  # managed services hide CONFIG
        return [
            "This store does not say how it keeps its data: if it does not sync every write to disk "
            "(appendfsync always), acknowledged answers of the last second can be lost."
        ]
    if found.get("appendonly") != "yes":
        return [
            "This store keeps no append-only file (appendonly is not yes): everything since its last "
            "snapshot can be lost."
        ]
    if found.get("appendfsync") != "always":
        return [
            f"This store's appendfsync is {found.get('appendfsync')}, not always: acknowledged answers of "
            "the last second can be lost."
        ]
    return []


def _primaries(client: Redis | RedisCluster) -> list[Any]:
    return list(client.get_primaries()) if isinstance(client, RedisCluster) else [None]


def _all_nodes(client: Redis | RedisCluster) -> list[Any]:
    return list(client.get_nodes()) if isinstance(client, RedisCluster) else [None]


async def _on(client: Redis | RedisCluster, node: Any, *words: str) -> Any:
    if isinstance(client, RedisCluster):
        return await command(client, *words, target_nodes=[node])
    return await command(client, *words)


def _parsed(info: Any) -> dict[str, str]:
    if isinstance(info, dict):
        if len(info) == 1 and isinstance(next(iter(info.values())), dict):  # by node, of a cluster
            info = next(iter(info.values()))
        return {str(name): str(value) for name, value in info.items()}
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}


def _pairs(answer: Any) -> dict[str, str]:
    if isinstance(answer, dict):
        return {_text(name): _text(value) for name, value in answer.items()}
    return {_text(name): _text(value) for name, value in zip(answer[::2], answer[1::2], strict=True)}


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
