"""Every key and channel of the store, and nothing else knows one.

Rule 1: all names begin with ``h1:`` (schema 1). Rule 2: the hash tag is the shard, ``{s000}`` to ``{s255}``,
computed from the id and never changed, so that a session, its transcript, effects, timers and ready list
share a slot and commit in one function call, on a cluster too. Rule 3: generic records of a kind live in the
kind's own shard, so that they can be listed; kinds with very many records (`SPREAD`) over all shards by id.
Rule 4: ids are checked before they become part of a name, so that no id can reach another key or slot.
Rule 5: a part of a key that carries a tag of its own (a field of a hash, an entry of a stream) is named
``key/field`` in tags and alarms. A new key also needs a row in docs/store.md (tests/store/test_keys.py).
"""

from __future__ import annotations

import re
import zlib
from enum import StrEnum
from functools import cache, lru_cache

from bot.store.errors import BadName
from bot.store.limits import NAME_LENGTH, SHARDS

SCHEMA = "1"
PREFIX = "h1:"
INSTALLATION = "h1:{meta}:installation"  # tagged: which installation this store belongs to
SCHEMA_KEY = "h1:{meta}:schema"

_NAME = re.compile(rf"[A-Za-z0-9._:@+=~-]{{1,{NAME_LENGTH}}}")


class Kind(StrEnum):
    """Generic records that carry a tag; the value is part of the key."""

    PERSON = "person"
    SIGN_IN = "sign-in"
    TOKEN = "token"  # noqa: S105 - a kind, not a password
    LINK = "link"  # one-time sign-in link
    TICKET = "ticket"  # one-use right to enrol a node
    NODE = "node"
    DEPLOYMENT = "deployment"
    NAME = "name"  # a deployment's name on its node, taken once
    CLAIM = "claim"  # which session is at a target
    FLOW = "flow"
    ORDER = "order"
    BLOB = "blob"
    UPLOAD = "upload"
    ANSWER = "answer"  # first answer to an id of a call outside sessions
    AUDIT = "audit"  # checkpoints
    SETTING = "setting"
    APPROVAL = "approval"  # a question that waits for somebody's approval
    HISTORY = "history"  # which versions of a flow were published, and when


SPREAD = frozenset({Kind.CLAIM, Kind.ORDER, Kind.SIGN_IN, Kind.BLOB, Kind.UPLOAD, Kind.ANSWER})


def checked(name: str) -> str:
    """The name itself, if it may be part of a key."""
    if not _NAME.fullmatch(name):
        raise BadName(name=repr(name[:60]))
    return name


def shard(id: str) -> int:
    """0 to 255. CRC-32 and not `hash()`: the same in every process, for ever."""
    return zlib.crc32(id.encode()) % SHARDS


def tagged(number: int, rest: str) -> str:
    """A name in a shard."""
    return f"h1:{{s{number:03d}}}:{rest}"


# Of a shard
@cache
def made(number: int) -> str:
    """Says that `prepare` was here, with the schema's number; gone = the store was emptied."""
    return tagged(number, "made")


@cache
def effects(number: int) -> str:
    """Hash: effect or timer id -> stamped wish."""
    return tagged(number, "effects")


def effect(number: int, id: str) -> str:
    """What the tag of one effect covers as its name."""
    return f"{effects(number)}/{id}"


@cache
def attempts(number: int) -> str:
    """Hash: effect id -> how often it was leased. Not tagged: a wrong count can only delay."""
    return tagged(number, "attempts")


@cache
def ready(number: int) -> str:
    """Sorted set: effect id by the time it may be leased. Not tagged: the due time in the wish is."""
    return tagged(number, "ready")


@cache
def parked(number: int) -> str:
    """Hash: name of a record that failed its tag -> why and when."""
    return tagged(number, "parked")


def types(number: int) -> str:
    """No key: the name of the alarm for a key of the shard that has another type than Hercules gave it."""
    return tagged(number, "types")


@cache
def open_sessions(number: int) -> str:
    """Sorted set: open sessions of the shard by the time they were opened."""
    return tagged(number, "sessions:open")


@cache
def ended_sessions(number: int) -> str:
    """Sorted set: ended sessions of the shard by the time they ended."""
    return tagged(number, "sessions:ended")


@cache
def unindexed(number: int) -> str:
    """Hash: session -> version whose index entries elsewhere are still to be written."""
    return tagged(number, "unindexed")


@cache
def ready_channel(number: int) -> str:
    """Hint: something was added to the ready list; the message is its due time."""
    return tagged(number, "ready:hints")


# Of a session
@lru_cache(maxsize=4096)
def _own(id: str) -> str:
    return tagged(shard(id), id)


def session(id: str) -> str:
    """Hash: r the stamped record, n and b entries and bytes of the transcript, o open or not."""
    return f"{_own(id)}:session"


def transcript(id: str) -> str:
    """Stream: entry n has the id n-0 and one field, the stamped entry."""
    return f"{_own(id)}:transcript"


def entry(id: str, n: int) -> str:
    """What the tag of one entry covers as its name."""
    return f"{transcript(id)}/{n}"


def commits(id: str) -> str:
    """Hash: id of a commit -> stamped body digest and first outcome. Kept as long as the session."""
    return f"{_own(id)}:commits"


def commit(id: str, by: str) -> str:
    """What the tag of one outcome covers as its name."""
    return f"{commits(id)}/{by}"


def progress(id: str) -> str:
    """Stream with a cap: how far long work has come."""
    return f"{_own(id)}:progress"


def session_channel(id: str) -> str:
    """Hint: new entries (``e`` version:count) or progress (``p`` and the stamped body)."""
    return f"{_own(id)}:hints"


# Indexes outside the session's shard, filled from `unindexed`, rebuilt by `Store.rebuild_indexes`
def index(of: str, id: str, state: str) -> str:
    """Sorted set: sessions of a person or flow (`of`) by time; `state` is open, ended or versions (hash)."""
    return tagged(shard(id), f"{of}:{id}:{state}")


# Generic records
def record_shard(kind: Kind, id: str) -> int:
    """Where a record of this kind lives."""
    return shard(id) if kind in SPREAD else shard(kind.value)


def record_shards(kind: Kind) -> range | list[int]:
    """All places where records of this kind live."""
    return range(SHARDS) if kind in SPREAD else [shard(kind.value)]


def record(kind: Kind, id: str) -> str:
    """String: the stamped record; expires with it."""
    return tagged(record_shard(kind, id), f"record:{kind.value}:{id}")


def record_ids(kind: Kind, number: int) -> str:
    """Sorted set, all scores 0: ids of a kind in this shard, for listing."""
    return tagged(number, f"records:{kind.value}")


def shard_of_key(key: str) -> int:
    """The shard in a name made here."""
    return int(key[5:8])
