"""What people type, to the flow they mean: "deploy nginx" -> deploy, with its image filled in.

A pattern of `says` that fits as a whole wins; else words that look alike (rapidfuzz). Linear in the text,
which is cut first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from rapidfuzz import fuzz, utils

from bot.engine import form

TEXT_CHARS: Final = 200
SLOT_CHARS: Final = 100
LEAST: Final = 55.0  # below it, two texts have nothing in common
_SLOT = re.compile(r"\{([^{}]*)\}")


class Match(NamedTuple):
    """A flow that may be meant, with answers that the text already gives. `score` is 0 … 100."""

    flow: form.Flow
    answers: dict[str, str]
    score: float


def best(flows: Iterable[form.Flow], typed: str, limit: int = 5) -> list[Match]:
    """The flows that a text may mean, the likeliest first; empty when none is like it."""
    words = " ".join(typed[:TEXT_CHARS].split())
    if not words:
        return []
    found = [match for flow in flows if (match := _match(flow, words)).score >= LEAST]
    return sorted(found, key=lambda match: (-match.score, match.flow.name))[:limit]


def _match(flow: form.Flow, words: str) -> Match:
    if words.casefold() in (flow.name.casefold(), flow.title.casefold()):
        return Match(flow, {}, 100.0)
    for pattern in flow.says:
        if (fits := _pattern(pattern).fullmatch(words)) is not None:
            answers = {name: value.strip(" ?!.") for name, value in fits.groupdict().items() if value}
            return Match(flow, answers, 100.0 if not answers else 98.0)
    scores = [
        fuzz.WRatio(words, flow.title, processor=utils.default_process),
        fuzz.WRatio(words, flow.name, processor=utils.default_process),
        fuzz.token_set_ratio(words, flow.description, processor=utils.default_process) * 0.7,
    ]
    for pattern in flow.says:
        fixed = _SLOT.sub(" ", pattern)
        scores.append(fuzz.token_set_ratio(words, fixed, processor=utils.default_process) * 0.95)
    return Match(flow, {}, round(min(97.0, max(scores)), 1))


@lru_cache(maxsize=2048)
def _pattern(source: str) -> re.Pattern[str]:
    """A pattern of `says`: its words in any case, each {slot} any few words; the last slot takes the rest."""
    parts: list[str] = []
    at = 0
    used: set[str] = set()
    for slot in _SLOT.finditer(source):
        parts.append(_words(source[at : slot.start()]))
        name = slot[1]
        if name.isidentifier() and name not in used and len(used) < 4:
            used.add(name)
            parts.append(rf"(?P<{name}>[^ ]{{1,{SLOT_CHARS}}}(?: [^ ]{{1,{SLOT_CHARS}}}){{0,3}}?)")
        at = slot.end()
    parts.append(_words(source[at:]))
    return re.compile("".join(parts) + r" ?[?!.]?", re.IGNORECASE)


def _words(literal: str) -> str:
    return re.sub(r"(?:\\ )+", " +", re.escape(literal))
