"""The compiled form of prompts: what an Ask may show. A part of `bot.engine.form`, which gives all of it out.

A new kind also needs its spelling (`bot.engine.vocabulary_prompts`), its schema, answers, controls in each
channel, and a row in docs/engine.md.
"""

from __future__ import annotations

from typing import Any

import msgspec

Template = str  # Markdown with {{ }} and {% %} in the restricted syntax
Value = Any  # JSON, whose strings may be templates


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Closed and immutable; defaults are left out of the canonical bytes."""


class FactQuery(Base, frozen=True, kw_only=True):
    """A lookup that a prompt needs: which fact, with which arguments (see `bot.engine.facts`)."""

    fact: str
    args: dict[str, Value] = {}


class Option(Base, frozen=True, kw_only=True):
    """One option of a pick. `when` (an expression) leaves it out; `unless` disables it with a reason."""

    value: str
    label: Template
    description: Template = ""
    when: str | None = None
    disabled: Template = ""  # the reason; renders empty = enabled


class Text(Base, frozen=True, kw_only=True, tag="text", tag_field="kind"):
    """Text of one or more lines."""

    label: Template
    help: Template = ""
    placeholder: str = ""
    default: Value = None
    min_length: int = 1
    max_length: int = 2_000
    pattern: str | None = None
    pattern_says: str = ""  # the sentence shown when `pattern` does not match
    lines: bool = False


class Number(Base, frozen=True, kw_only=True, tag="number", tag_field="kind"):
    """A number; whole unless `whole` is False."""

    label: Template
    help: Template = ""
    default: Value | FactQuery = None
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    whole: bool = True


class YesNo(Base, frozen=True, kw_only=True, tag="yes-no", tag_field="kind"):
    """Yes or no."""

    label: Template
    help: Template = ""
    default: bool | None = None
    yes: str = "Yes"
    no: str = "No"


class Pick(Base, frozen=True, kw_only=True, tag="pick", tag_field="kind"):
    """One of several options, given or live from the fleet. The name gets the option's data."""

    label: Template
    help: Template = ""
    options: tuple[Option, ...] | FactQuery
    default: Value = None
    empty: Template = "There is nothing to choose from."


class Secret(Base, frozen=True, kw_only=True, tag="secret", tag_field="kind"):
    """A secret: sealed before it is acknowledged, never shown again."""

    label: Template
    help: Template = ""
    min_length: int = 1
    max_length: int = 2_000
    optional: bool = False


class KeyValues(Base, frozen=True, kw_only=True, tag="key-values", tag_field="kind"):
    """A list of names and values, of which each may be secret."""

    label: Template
    help: Template = ""
    default: Value = None
    max_items: int = 100


class Upload(Base, frozen=True, kw_only=True, tag="upload", tag_field="kind"):
    """A file, kept as a blob."""

    label: Template
    help: Template = ""
    accept: tuple[str, ...] = ()
    max_bytes: int = 8 * 1024**3


class Confirm(Base, frozen=True, kw_only=True, tag="confirm", tag_field="kind"):
    """Yes or no to a summary. `summary` names answers; each row can be changed in place.

    `facts` adds rows that cannot be changed: (label, template).
    """

    label: Template
    help: Template = ""
    summary: tuple[str, ...] = ()
    facts: tuple[tuple[str, Template], ...] = ()
    yes: str = "Yes, go ahead"
    no: str = "No"


Prompt = Text | Number | YesNo | Pick | Secret | KeyValues | Upload | Confirm
