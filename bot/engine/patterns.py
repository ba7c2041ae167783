"""Regular expressions of authors: only such that cannot take long on any answer.

No repetition inside a repetition, no back-reference, no look-around; with several open-ended repetitions
the answer must be short. So the work stays polynomial of a small degree on a short text.
"""

from __future__ import annotations

import re
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

PATTERN_CHARS: Final = 500
OPEN_ENDED: Final = 4  # repetitions without a small upper end, in one pattern
SHORT_CHARS: Final = 256  # how long an answer may be that several of them look at
_LARGE = 64


def problem(pattern: str, max_length: int) -> str:
    """Why a pattern is not permitted, as a sentence; "" when it is."""
    if len(pattern) > PATTERN_CHARS:
        return f"A pattern may have {PATTERN_CHARS} characters."
    try:
        re.compile(pattern)
        tree = parser.parse(pattern)
        count = _open_ended(tree, inside=False)
    except (re.error, RecursionError, OverflowError) as e:
        return f"The pattern is not a regular expression: {e}."
    except _Refused as e:
        return str(e)
    if count > OPEN_ENDED:
        return f"A pattern may have {OPEN_ENDED} open-ended repetitions."
    if count > 1 and max_length > SHORT_CHARS:
        return f"With several open-ended repetitions, a text needs max_length={SHORT_CHARS} or less."
    return ""


class _Refused(Exception):
    pass


def _open_ended(tree: Any, inside: bool) -> int:
    count = 0
    for kind, value in tree:
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            _, most, body = value
            repeats = most > 1
            if repeats and inside:
                raise _Refused("A repetition inside a repetition is not permitted in a pattern.")
            count += int(most > _LARGE) + _open_ended(body, inside or repeats)
        elif kind is sre.BRANCH:
            count += sum(_open_ended(way, inside) for way in value[1])
        elif kind is sre.SUBPATTERN:
            count += _open_ended(value[-1], inside)
        elif kind is sre.ATOMIC_GROUP:
            count += _open_ended(value, inside)
        elif kind in (sre.ASSERT, sre.ASSERT_NOT, sre.GROUPREF, sre.GROUPREF_EXISTS):
            raise _Refused("Look-around and back-references are not permitted in a pattern.")
    return count
