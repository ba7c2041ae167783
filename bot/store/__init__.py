"""The store: sessions, transcripts, effects, timers and records in a Valkey or Redis that is not trusted.

Only bytes, ids and numbers: nothing here knows a type of the engine. Other rooms use `Store` and the plain
structs and errors below; key names, functions and tags stay inside (docs/store.md).
"""

from bot.store.commits import Commit, Committed, Loaded, Repeated, Superseded
from bot.store.embedded import EmbeddedStore
from bot.store.errors import (
    Conflict,
    IdReused,
    OutOfStep,
    StoreEmptied,
    StoreError,
    StoreGone,
    Tampered,
    TooLarge,
    UnfitStore,
)
from bot.store.hints import Hint, Watcher
from bot.store.keys import Kind
from bot.store.outbox import Leased
from bot.store.parking import Alarm
from bot.store.records import Record
from bot.store.store import Store

__all__ = [
    "Alarm",
    "Commit",
    "Committed",
    "Conflict",
    "EmbeddedStore",
    "Hint",
    "IdReused",
    "Kind",
    "Leased",
    "Loaded",
    "OutOfStep",
    "Record",
    "Repeated",
    "Store",
    "StoreEmptied",
    "StoreError",
    "StoreGone",
    "Superseded",
    "Tampered",
    "TooLarge",
    "UnfitStore",
    "Watcher",
]
