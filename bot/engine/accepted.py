"""An accepted answer, and how one is refused: what the checks of all kinds share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from agent.orders.spec import SealedValue
from bot.engine.refusals import InvalidAnswer

NOTHING: Final = "—"  # how an answer of nothing is shown


class Accepted(msgspec.Struct, frozen=True):
    """An answer that fits: as given, what the name gets, its words for people, and its branch."""

    given: Any
    named: Any
    words: str
    branch: str = ""


def refuse(says: str, field: str = "") -> InvalidAnswer:
    """One mistake as an exception to raise."""
    return InvalidAnswer([{"field": field, "says": says}])


def refuse_all(refusals: Sequence[InvalidAnswer]) -> InvalidAnswer:
    """Several mistakes as one exception to raise."""
    return InvalidAnswer([error for one in refusals for error in one.errors])


def is_unicode(words: str) -> bool:
    """Whether a text has no lone half of a surrogate pair."""
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_sealed(value: Any) -> bool:
    """Whether this is exactly the stored form of a secret."""
    if not isinstance(value, dict) or set(value) != {"sealed"}:
        return False
    try:
        msgspec.convert(value["sealed"], SealedValue)
    except msgspec.ValidationError:
        return False
    return True
