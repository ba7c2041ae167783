"""Every error of the store says whose doing it was, in a sentence, and what to do next."""

from __future__ import annotations

from typing import Any

import pytest

from bot.engine.refusals import Gone, Refused, Spoken
from bot.store import errors
from bot.store.errors import StoreError

FIELDS: dict[type[StoreError], dict[str, Any]] = {
    errors.StoreError: {},
    errors.StoreRefused: {},
    errors.Conflict: {"id": "n-1", "present": 3},
    errors.IdReused: {"id": "a-1"},
    errors.TooLarge: {"what": "an entry", "size": 9, "limit": 8},
    errors.BadName: {"name": "'a b'"},
    errors.OutOfStep: {"session": "s-1", "stored": 4, "first": 7},
    errors.StoreGone: {"why": "connection refused"},
    errors.StoreFull: {"why": "OOM"},
    errors.StoreEmptied: {},
    errors.StoreBug: {"why": "ERR wrong number of arguments"},
    errors.UnfitStore: {"where": "redis://host", "why": "it is redis 6.2", "how": "Use Redis 7."},
    errors.Tampered: {"key": "h1:{s000}:effects/f-1", "why": "its tag does not fit"},
    errors.EmbeddedError: {"why": "Bad directive", "log": "/d/logs/valkey.log"},
    errors.PathTooLong: {"size": 120, "path": "/long", "log": "-"},
    errors.NoBinary: {"why": "no such file", "log": "-"},
    errors.DiskFull: {"path": "/d", "free_mib": 3, "need_mib": 64, "log": "-"},
    errors.StoreDamaged: {"path": "/d/a.aof", "at": 10, "size": 90, "log": "-"},
}


def families(of: type[StoreError]) -> list[type[StoreError]]:
    return [of, *(one for sub in of.__subclasses__() for one in families(sub))]


@pytest.mark.parametrize("error", dict.fromkeys(families(StoreError)))
def test_error_speaks_in_a_sentence_with_its_fields(error: type[StoreError]) -> None:
    spoken: Spoken = error(**FIELDS[error])
    assert spoken.sentence.endswith(".")
    assert "{" not in spoken.sentence.replace("h1:{s000}", "")
    assert "?" not in spoken.sentence + spoken.next_step
    assert error is StoreError or error is errors.StoreRefused or spoken.next_step.endswith((".", ")"))
    assert 400 <= spoken.http < 600
    assert isinstance(spoken, Refused) == (spoken.http < 500)
    print(f"{spoken.code}: {spoken.sentence} {spoken.next_step}")


def test_codes_are_different() -> None:
    codes = [error.code for error in dict.fromkeys(families(StoreError))]
    assert len(set(codes)) == len(codes)


def test_what_trying_again_may_help_is_told_from_what_it_does_not() -> None:
    assert issubclass(errors.StoreGone, Gone)
    assert not issubclass(errors.Tampered, Gone | Refused)
    assert not issubclass(errors.StoreBug, Gone | Refused)
