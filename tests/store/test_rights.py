"""Attack R-7: what the bot's user may do is call the functions, and nothing that would reach further."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError, ResponseError

from bot.store import EmbeddedStore, keys
from bot.store.setup import BOT_USER, CONNECTION_COMMANDS, DATA_COMMANDS, LIBRARY
from tests.store.steps import BOT, send


@pytest.fixture
async def bot(valkey: EmbeddedStore, admin: Redis) -> AsyncIterator[Redis]:
    """A plain connection with the bot's credentials, as somebody who stole them has."""
    client = Redis(unix_socket_path=str(valkey.socket), username=BOT_USER, password=BOT)
    yield client
    await client.aclose()


FORBIDDEN = [
    "EVAL|return 1|0",
    "EVAL_RO|return 1|0",
    "EVALSHA|e0e1f9fabfc9d4800c877a703b823ac0578ff8db|0",
    "SCRIPT|LOAD|return 1",
    "SCRIPT|FLUSH",
    "FUNCTION|LOAD|REPLACE|#!lua name=x\nredis.register_function('x', function() return 1 end)",
    "FUNCTION|DELETE|hercules1",
    "FUNCTION|FLUSH",
    "FUNCTION|LIST",
    "FUNCTION|DUMP",
    "CONFIG|SET|dir|/tmp",
    "CONFIG|GET|*",
    "CONFIG|REWRITE",
    "KEYS|*",
    "SCAN|0",
    "FLUSHALL",
    "FLUSHDB",
    "MODULE|LOAD|/tmp/x.so",
    "MODULE|LIST",
    "ACL|SETUSER|hercules-bot|+@all",
    "ACL|LIST",
    "ACL|WHOAMI",
    "DEBUG|SLEEP|0",
    "SHUTDOWN|NOSAVE",
    "REPLICAOF|127.0.0.1|6379",
    "SAVE",
    "BGREWRITEAOF",
    "MONITOR",
    "CLIENT|LIST",
    "CLIENT|KILL|TYPE|normal",
    "CLUSTER|RESET",
    "SWAPDB|0|1",
    "SELECT|0",
    "INFO",
    "PUBLISH|h1:x|y",
    "SUBSCRIBE|h1:x",
    "PSUBSCRIBE|*",
    "RENAME|h1:a|h1:b",
    "RESTORE|h1:a|0|x",
    "MIGRATE|h|1|h1:a|0|1",
    "SORT|h1:a|BY|x*",
]


@pytest.mark.parametrize("words", FORBIDDEN)
async def test_bots_user_may_not(bot: Redis, words: str) -> None:
    with pytest.raises((NoPermissionError, ResponseError), match=r"no permissions|not allowed"):
        await send(bot, *words.split("|"))


@pytest.mark.parametrize("words", ["GET|other", "SET|other|x", "HGETALL|session:1", "SSUBSCRIBE|other"])
async def test_bots_user_reaches_no_key_or_channel_of_others(bot: Redis, words: str) -> None:
    with pytest.raises((NoPermissionError, ResponseError), match=r"[Nn]o permissions"):
        await send(bot, *words.split("|"))


async def test_function_called_with_a_key_of_others_is_denied(bot: Redis, admin: Redis) -> None:
    await admin.set("other", "x")
    with pytest.raises((NoPermissionError, ResponseError), match=r"[Nn]o permissions"):
        await send(bot, "FCALL_RO", "h1_get", "2", "other", "h1:{s000}:parked", "10")


async def test_nobody_gets_in_without_a_name_and_password(valkey: EmbeddedStore, admin: Redis) -> None:
    nobody = Redis(unix_socket_path=str(valkey.socket), retry=Retry(NoBackoff(), 0), protocol=2)
    with pytest.raises((AuthenticationError, ConnectionError), match=r"[Aa]uthentica"):
        await nobody.ping()
    await nobody.aclose()


async def test_rights_of_the_bots_user_are_exactly_the_written_ones(admin: Redis) -> None:
    user: Any = await admin.acl_getuser(BOT_USER)
    given = {one[1:] for one in user["commands"] if one.startswith("+")}
    assert given == {*DATA_COMMANDS, *CONNECTION_COMMANDS}
    assert user["categories"] == ["-@all"]
    assert (user["keys"], user["channels"]) == (["~h1:*"], ["&h1:*"])


def test_commands_given_are_those_that_the_functions_use() -> None:
    assert {one.lower() for one in re.findall(r"redis\.call\('([A-Z]+)'", LIBRARY)} == set(DATA_COMMANDS)


async def test_every_function_is_registered_and_read_only_where_it_only_reads(admin: Redis) -> None:
    [library] = await send(admin, "FUNCTION", "LIST")
    found = {
        one[b"name"].decode(): {flag.decode() for flag in one[b"flags"]} for one in library[b"functions"]
    }
    written = dict(re.findall(r"register\('(\w+)', \w+(?:, \{'([\w-]+)'\})?\)", LIBRARY))
    assert found == {f"h1_{name}": {flag} if flag else set() for name, flag in written.items()}
    assert "allow-cross-slot-keys" not in LIBRARY


def test_every_name_begins_with_the_prefix_that_the_user_is_held_to() -> None:
    assert keys.session("s-1").startswith(keys.PREFIX)
    assert keys.INSTALLATION.startswith(keys.PREFIX)
