"""Text, numbers, yes and no, picks and secrets: what fits as an answer."""

from __future__ import annotations

import re
from typing import Any, Final

from bot.engine import filters, form
from bot.engine.accepted import NOTHING, Accepted, is_sealed, is_unicode, refuse
from bot.engine.session import Choice

MANY_WORDS: Final = 20  # options whose labels are said in the transcript; the others are counted
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_LINE_CONTROLS = re.compile("[\x00-\x1f\x7f]")


def check_text(prompt: form.Text | form.Secret, words: Any, *, lines: bool) -> str:
    """Text within its limits. Raises InvalidAnswer."""
    if not isinstance(words, str) or not is_unicode(words):
        raise refuse("Give a text.")
    if "\x00" in words or (_CONTROLS if lines else _LINE_CONTROLS).search(words):
        raise refuse(
            "Leave out control characters." if lines else "Give it in one line, without control characters."
        )
    if len(words) < prompt.min_length:
        raise refuse(
            "Something is needed here." if not words else f"Give at least {prompt.min_length} characters."
        )
    if len(words) > prompt.max_length:
        raise refuse(f"Give at most {prompt.max_length} characters; these are {len(words)}.")
    return words


def text(prompt: form.Text, value: Any) -> Accepted:
    """Text of one or more lines. Raises InvalidAnswer."""
    if isinstance(value, str):
        value = value.replace("\r\n", "\n").strip()
    words = check_text(prompt, value, lines=prompt.lines)
    if prompt.pattern is not None and words and not re.search(prompt.pattern, words):
        raise refuse(prompt.pattern_says or "This does not have the form that is needed.")
    return Accepted(words, words, words)


def number(prompt: form.Number, value: Any) -> Accepted:
    """A number within its range. Raises InvalidAnswer."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise refuse("Give a number.")
    if abs(value) > 2**53:
        raise refuse("That number is too large.")
    if prompt.whole:
        if value != int(value):
            raise refuse("Give a whole number.")
        value = int(value)
    unit = f" {prompt.unit}" if prompt.unit else ""
    if prompt.minimum is not None and value < prompt.minimum:
        raise refuse(f"It must be at least {filters.as_text(prompt.minimum)}{unit}.")
    if prompt.maximum is not None and value > prompt.maximum:
        raise refuse(f"It must be at most {filters.as_text(prompt.maximum)}{unit}.")
    return Accepted(value, value, filters.as_text(value) + unit)


def yes_no(value: Any, yes: str, no: str) -> Accepted:
    """Yes or no, which are also its branches. Raises InvalidAnswer."""
    if not isinstance(value, bool):
        raise refuse("Answer yes or no.")
    return Accepted(value, value, yes if value else no, "yes" if value else "no")


def pick(value: Any, options: tuple[Choice, ...]) -> Accepted:
    """One of the options, which is also its branch. Raises InvalidAnswer."""
    chosen = next((o for o in options if isinstance(value, str) and o.value == value), None)
    if chosen is None:
        raise refuse("Choose one of the options shown.")
    if chosen.disabled:
        raise refuse(f"{chosen.label} cannot be chosen: {chosen.disabled}")
    return Accepted(
        chosen.value, chosen.value if chosen.data is None else chosen.data, chosen.label, chosen.value
    )


def pick_many(prompt: form.PickMany, value: Any, options: tuple[Choice, ...]) -> Accepted:
    """Some of the options, each once, in the order in which they are shown. Raises InvalidAnswer."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise refuse("Give a list of the options shown.")
    wanted = set(value)
    chosen = [o for o in options if o.value in wanted]
    if len(chosen) != len(wanted):
        raise refuse("Choose among the options shown.")
    off = next((o for o in chosen if o.disabled), None)
    if off is not None:
        raise refuse(f"{off.label} cannot be chosen: {off.disabled}")
    if len(chosen) < prompt.least:
        raise refuse("Choose at least one." if prompt.least == 1 else f"Choose at least {prompt.least}.")
    if prompt.most and len(chosen) > prompt.most:
        raise refuse(f"Choose at most {prompt.most}; these are {len(chosen)}.")
    words = ", ".join(o.label for o in chosen[:MANY_WORDS])
    if len(chosen) > MANY_WORDS:
        words += f" and {len(chosen) - MANY_WORDS} more"
    named = [o.value if o.data is None else o.data for o in chosen]
    return Accepted([o.value for o in chosen], named, words or NOTHING)


def secret(prompt: form.Secret, value: Any, kept: Any) -> Accepted:
    """A sealed secret, new or from before. Raises InvalidAnswer."""
    if prompt.optional and value in (None, ""):
        return Accepted(None, None, NOTHING)
    if isinstance(value, dict) and value.get("kept") is True and is_sealed(kept):
        return Accepted(kept, kept, filters.MASK)
    if is_sealed(value):
        return Accepted(value, value, filters.MASK)
    raise refuse("A secret is needed, and it has to be sealed.")
