"""Failed tries per source: a bucket each, in bounded memory.

It slows down whoever guesses and locks nobody out: what is right passes whatever the bucket says, since a
secret of 256 bits cannot be guessed, and many people may share an address.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from bot.people.refusals import TooManyTries

TRIES = 20  # at once
PER_S = 1 / 6  # and then ten a minute
SOURCES = 10_000  # remembered; the one longest unused is forgotten


class Tries:
    """Counts failures. `clock` in seconds, never set back (time.monotonic)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def failed(self, source: str) -> None:
        """Count one failure. Raises TooManyTries when there were too many. "" is not counted."""
        if not source:
            return
        now = self._clock()
        left, at = self._left.pop(source, (float(TRIES), now))
        left = min(float(TRIES), left + (now - at) * PER_S)
        self._left[source] = (max(0.0, left - 1), now)
        while len(self._left) > SOURCES:
            self._left.popitem(last=False)
        if left < 1:
            raise TooManyTries(seconds=math.ceil((1 - left) / PER_S))
