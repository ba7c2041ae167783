"""The author's spelling of prompts in Python; `bot.engine.vocabulary` gives all of it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

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
    return Prompt(
        form.Pick(label=label, help=help, options=_listed(options), default=default, empty=empty), as_
    )


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


def PickMany(
    label: str,
    *,
    options: FactQuery | Mapping[str, str] | Sequence[form.Option | str],
    as_: str | None = None,
    help: str = "",
    default: Any = None,
    least: int = 0,
    most: int = 0,
    empty: str = "There is nothing to choose from.",
) -> Prompt:
    """Several of the options; `least` and `most` bound how many."""
    return Prompt(
        form.PickMany(
            label=label,
            help=help,
            options=_listed(options),
            default=default,
            least=least,
            most=most,
            empty=empty,
        ),
        as_,
    )


def DateTime(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    default: Any = None,
    time: bool = True,
    zone: str = "",
    earliest: str = "",
    latest: str = "",
) -> Prompt:
    """A day and time of day, or a day alone with `time=False`, in `zone` (left out: the session's)."""
    return Prompt(
        form.DateTime(
            label=label,
            help=help,
            default=default,
            time=time,
            zone=zone,
            earliest=earliest,
            latest=latest,
        ),
        as_,
    )


def Duration(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    default: Any = None,
    minimum_s: int = 0,
    maximum_s: int = 366 * 24 * 3600,
) -> Prompt:
    """How long, like "2h 30m"; the name gets seconds."""
    return Prompt(
        form.Duration(label=label, help=help, default=default, minimum_s=minimum_s, maximum_s=maximum_s), as_
    )


def Location(label: str, *, as_: str | None = None, help: str = "", default: Any = None) -> Prompt:
    """A place on Earth, {lat, lon, label}."""
    return Prompt(form.Location(label=label, help=help, default=default), as_)


def Form(
    label: str,
    *,
    fields: Mapping[str, Prompt],
    as_: str | None = None,
    help: str = "",
    only_when: Mapping[str, Mapping[str, Any]] | None = None,
) -> Prompt:
    """Several fields at once: {name: prompt}. `only_when`: {field: {earlier field: its value, or values}}."""
    needs = only_when or {}
    if unknown := sorted(set(needs) - set(fields)):
        raise ValueError(f"`only_when` names {unknown[0]!r}, which is no field of the form")
    made = []
    for name, prompt in fields.items():
        if not isinstance(prompt.compiled, form.FieldPrompt):
            kind = type(prompt.compiled).__name__
            raise ValueError(f"a form has no field of the kind {kind}: ask that in an Ask of its own")
        made.append(form.Field(name=name, prompt=prompt.compiled, only_when=dict(needs.get(name, {}))))
    return Prompt(form.Form(label=label, help=help, fields=tuple(made)), as_)


def Table(
    label: str,
    *,
    columns: Mapping[str, str] | Sequence[str],
    rows: Any,
    as_: str | None = None,
    help: str = "",
) -> Prompt:
    """A table to look at: `rows` is a list of records (or a template that gives one)."""
    named = columns.items() if isinstance(columns, Mapping) else ((name, name) for name in columns)
    return Prompt(form.Table(label=label, help=help, columns=tuple(named), rows=rows), as_)


def Chart(
    label: str,
    *,
    series: Mapping[str, Any],
    as_: str | None = None,
    help: str = "",
    at: Any = None,
    unit: str = "",
    style: Literal["line", "bars"] = "line",
) -> Prompt:
    """Numbers, drawn: `series` is {name: list of numbers}, `at` what each of them is about."""
    return Prompt(
        form.Chart(label=label, help=help, series=tuple(series.items()), at=at, unit=unit, style=style), as_
    )


def Log(label: str, *, text: Any, as_: str | None = None, help: str = "") -> Prompt:
    """Lines of a log to look at."""
    return Prompt(form.Log(label=label, help=help, text=text), as_)


def Code(label: str, *, text: Any, as_: str | None = None, help: str = "", language: str = "") -> Prompt:
    """A file or commands to look at and copy."""
    return Prompt(form.Code(label=label, help=help, text=text, language=language), as_)


def Diff(label: str, *, before: Any, after: Any, as_: str | None = None, help: str = "") -> Prompt:
    """What is different between two texts."""
    return Prompt(form.Diff(label=label, help=help, before=before, after=after), as_)


def QRCode(label: str, *, text: Any, as_: str | None = None, help: str = "") -> Prompt:
    """A text or address for the camera of a phone."""
    return Prompt(form.QRCode(label=label, help=help, text=text), as_)


def Image(label: str, *, blob: Any, alt: str, as_: str | None = None, help: str = "") -> Prompt:
    """A picture out of a blob; `alt` says what is to be seen, for those who do not see it."""
    return Prompt(form.Image(label=label, help=help, blob=blob, alt=alt), as_)


def Download(
    label: str,
    *,
    as_: str | None = None,
    help: str = "",
    name: str = "",
    blob: Any = None,
    text: Any = None,
) -> Prompt:
    """A file to take away: a `blob`, or a `text` made here, which needs a `name`."""
    return Prompt(form.Download(label=label, help=help, name=name, blob=blob, text=text), as_)


def _listed(
    options: FactQuery | Mapping[str, str] | Sequence[form.Option | str],
) -> tuple[form.Option, ...] | FactQuery:
    if isinstance(options, FactQuery):
        return options
    if isinstance(options, Mapping):
        return tuple(Option(value, words) for value, words in options.items())
    return tuple(o if isinstance(o, form.Option) else Option(o) for o in options)
