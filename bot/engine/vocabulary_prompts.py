"""The author's spelling of prompts in Python; `bot.engine.vocabulary` gives all of it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.engine import form
from bot.engine.form import FactQuery


class Prompt:
    """A prompt as written: its compiled form, and the name that its answer gets."""

    def __init__(self, compiled: form.Prompt, as_: str | None) -> None:
        self.compiled = compiled
        self.as_ = as_


def Text(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    placeholder: str = "",
    default: Any = None,
    min_length: int = 1,
    max_length: int = 2_000,
    pattern: str | None = None,
    pattern_says: str = "",
    lines: bool = False,
) -> Prompt:
    """Text of one line, or of more with `lines`."""
    return Prompt(
        form.Text(
            label=label,
            help=help,
            placeholder=placeholder,
            default=default,
            min_length=min_length,
            max_length=max_length,
            pattern=pattern,
            pattern_says=pattern_says,
            lines=lines,
        ),
        as_,
    )


def Number(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    default: Any | FactQuery = None,
    minimum: float | None = None,
    maximum: float | None = None,
    unit: str = "",
    whole: bool = True,
) -> Prompt:
    """A number, whole unless `whole=False`."""
    return Prompt(
        form.Number(
            label=label, help=help, default=default, minimum=minimum, maximum=maximum, unit=unit, whole=whole
        ),
        as_,
    )


def YesNo(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    default: bool | None = None,
    yes: str = "Yes",
    no: str = "No",
) -> Prompt:
    """Yes or no."""
    return Prompt(form.YesNo(label=label, help=help, default=default, yes=yes, no=no), as_)


def Option(
    value: str, label: str = "", *, description: str = "", when: str | None = None, disabled: str = ""
) -> form.Option:
    """One option of a pick. `when` (an expression) leaves it out, `disabled` gives a reason against it."""
    return form.Option(
        value=value, label=label or value, description=description, when=when, disabled=disabled
    )


def Pick(
    label: str,
    *,
    options: FactQuery | Mapping[str, str] | Sequence[form.Option | str],
    as_: str | None = None,
    help: str = "",
    default: Any = None,
    empty: str = "There is nothing to choose from.",
) -> Prompt:
    """One of several options: {value: label}, a list of `Option(…)`, or facts."""
    listed: tuple[form.Option, ...] | FactQuery
    if isinstance(options, FactQuery):
        listed = options
    elif isinstance(options, Mapping):
        listed = tuple(Option(value, words) for value, words in options.items())
    else:
        listed = tuple(o if isinstance(o, form.Option) else Option(o) for o in options)
    return Prompt(form.Pick(label=label, help=help, options=listed, default=default, empty=empty), as_)


def Secret(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    min_length: int = 1,
    max_length: int = 2_000,
    optional: bool = False,
) -> Prompt:
    """A secret: sealed before it is acknowledged, never shown again."""
    return Prompt(
        form.Secret(label=label, help=help, min_length=min_length, max_length=max_length, optional=optional),
        as_,
    )


def KeyValues(
    label: str, *, as_: str | None = None, help: str = "", default: Any = None, max_items: int = 100
) -> Prompt:
    """A list of names and values, of which each may be secret."""
    return Prompt(form.KeyValues(label=label, help=help, default=default, max_items=max_items), as_)


def Upload(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    accept: Sequence[str] = (),
    max_bytes: int = 8 * 1024**3,
) -> Prompt:
    """A file."""
    return Prompt(form.Upload(label=label, help=help, accept=tuple(accept), max_bytes=max_bytes), as_)


def Confirm(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    summary: Sequence[str] = (),
    facts: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    yes: str = "Yes, go ahead",
    no: str = "No",
) -> Prompt:
    """Yes or no to a summary of the answers named; `facts` are rows {label: template} besides."""
    rows = facts.items() if isinstance(facts, Mapping) else facts
    return Prompt(
        form.Confirm(
            label=label,
            help=help,
            summary=tuple(summary),
            facts=tuple((words, value) for words, value in rows),
            yes=yes,
            no=no,
        ),
        as_,
    )
