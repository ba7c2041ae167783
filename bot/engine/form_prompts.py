"""The compiled form of prompts: what an Ask may show. A part of `bot.engine.form`, which gives all of it out.

A new kind also needs its spelling (`bot.engine.vocabulary_prompts`), its schema, answers, controls in each
channel, and a row in docs/engine.md.
"""

from __future__ import annotations

from typing import Any, Literal

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


class PickMany(Base, frozen=True, kw_only=True, tag="pick-many", tag_field="kind"):
    """Any number of several options, given or live. The name gets the list of what was picked.

    `least` and `most` bound how many; `most` 0 is as many as there are.
    """

    label: Template
    help: Template = ""
    options: tuple[Option, ...] | FactQuery
    default: Value = None
    least: int = 0
    most: int = 0
    empty: Template = "There is nothing to choose from."


class DateTime(Base, frozen=True, kw_only=True, tag="date-time", tag_field="kind"):
    """A day, or a day and time of day, in a time zone that is shown (left out: that of the session).

    `earliest` and `latest` are dates or moments; "now" is when it was asked.
    """

    label: Template
    help: Template = ""
    default: Value = None
    time: bool = True
    zone: Template = ""
    earliest: Template = ""
    latest: Template = ""


class Duration(Base, frozen=True, kw_only=True, tag="duration", tag_field="kind"):
    """How long: people write "2h 30m", the name gets seconds."""

    label: Template
    help: Template = ""
    default: Value = None
    minimum_s: int = 0
    maximum_s: int = 366 * 24 * 3600


class Location(Base, frozen=True, kw_only=True, tag="location", tag_field="kind"):
    """A place on Earth: degrees north and east, and what people call it."""

    label: Template
    help: Template = ""
    default: Value = None


FieldPrompt = Text | Number | YesNo | Pick | PickMany | Secret | DateTime | Duration


class Field(Base, frozen=True, kw_only=True):
    """One field of a form. `only_when` names earlier fields with the value (or list of values) of theirs
    that this one is for; where they have others it is not shown, and its answer is None.
    """

    name: str
    prompt: FieldPrompt
    only_when: dict[str, Any] = {}


class Form(Base, frozen=True, kw_only=True, tag="form", tag_field="kind"):
    """Several fields at once; the name gets one record of their answers."""

    label: Template
    help: Template = ""
    fields: tuple[Field, ...]


class Table(Base, frozen=True, kw_only=True, tag="table", tag_field="kind"):
    """A table to look at. `rows` gives a list of records; `columns` are (field, heading)."""

    label: Template
    help: Template = ""
    columns: tuple[tuple[str, str], ...]
    rows: Value


class Chart(Base, frozen=True, kw_only=True, tag="chart", tag_field="kind"):
    """A few rows of numbers, drawn. `series` are (name, list of numbers), `at` the words below each."""

    label: Template
    help: Template = ""
    series: tuple[tuple[str, Value], ...]
    at: Value = None
    unit: str = ""
    style: Literal["line", "bars"] = "line"


class Log(Base, frozen=True, kw_only=True, tag="log", tag_field="kind"):
    """Lines of a log to look at, the newest last."""

    label: Template
    help: Template = ""
    text: Value


class Code(Base, frozen=True, kw_only=True, tag="code", tag_field="kind"):
    """A file or commands to look at and copy."""

    label: Template
    help: Template = ""
    text: Value
    language: str = ""


class Diff(Base, frozen=True, kw_only=True, tag="diff", tag_field="kind"):
    """What is different between two texts."""

    label: Template
    help: Template = ""
    before: Value
    after: Value


class QRCode(Base, frozen=True, kw_only=True, tag="qr", tag_field="kind"):
    """A text or address for the camera of a phone."""

    label: Template
    help: Template = ""
    text: Value


class Image(Base, frozen=True, kw_only=True, tag="image", tag_field="kind"):
    """A picture: `blob` gives an upload's answer or a SHA-256; `alt` says what is to be seen."""

    label: Template
    help: Template = ""
    blob: Value
    alt: Template


class Download(Base, frozen=True, kw_only=True, tag="download", tag_field="kind"):
    """A file to take away: a blob (as an image's), or a `text` made by the flow."""

    label: Template
    help: Template = ""
    name: Template = ""
    blob: Value = None
    text: Value = None


Shows = Table | Chart | Log | Code | Diff | QRCode | Image | Download
Prompt = (
    Text
    | Number
    | YesNo
    | Pick
    | Secret
    | KeyValues
    | Upload
    | Confirm
    | PickMany
    | DateTime
    | Duration
    | Location
    | Form
    | Shows
)
