"""What is wrong with a prompt, and which texts of it hold templates. A part of `bot.engine.checks`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bot.engine import answers_time, facts, form, patterns, template, times
from bot.engine.filters import Unfit

FIELDS_MAX: Final = 30
COLUMNS_MAX: Final = 12
SERIES_MAX: Final = 6


def default_query(prompt: form.Prompt) -> form.FactQuery | None:
    """The lookup that a prompt's default needs, if any (as data it is a dict with the key "fact")."""
    return _query(prompt.default) if isinstance(prompt, form.Text | form.Number) else None


def options_query(prompt: form.Prompt) -> form.FactQuery | None:
    """The lookup that a pick's options need, if any."""
    return _query(prompt.options) if isinstance(prompt, form.Pick | form.PickMany) else None


def fixed_options(prompt: form.Prompt) -> tuple[form.Option, ...]:
    """The options of a pick of one that its author wrote."""
    return _options(prompt) if isinstance(prompt, form.Pick) else ()


def _options(prompt: form.Prompt) -> tuple[form.Option, ...]:
    if not isinstance(prompt, form.Pick | form.PickMany) or isinstance(prompt.options, form.FactQuery):
        return ()
    return prompt.options


def branches(prompt: form.Prompt) -> set[str] | None:
    """The answers that may lead to states of their own; None where all go the same way."""
    if isinstance(prompt, form.YesNo | form.Confirm):
        return {"yes", "no"}
    if isinstance(prompt, form.Pick) and options_query(prompt) is None:
        return {option.value for option in _options(prompt)}
    return None


def expressions(prompt: form.Prompt) -> Iterator[str]:
    """The sources of a prompt's expressions (written without braces)."""
    yield from (option.when for option in _options(prompt) if option.when is not None)
    if isinstance(prompt, form.Form):
        for field in prompt.fields:
            yield from expressions(field.prompt)


def texts(prompt: form.Prompt) -> Iterator[Any]:
    """A prompt's messages, in Markdown."""
    yield from (prompt.label, prompt.help)
    if isinstance(prompt, form.Pick | form.PickMany):
        yield prompt.empty
        for option in _options(prompt):
            yield from (option.label, option.description, option.disabled)
    if isinstance(prompt, form.Confirm):
        yield from (value for _, value in prompt.facts)
    if isinstance(prompt, form.Form):
        for field in prompt.fields:
            yield from texts(field.prompt)


def values(prompt: form.Prompt) -> Iterator[Any]:
    """What else of a prompt may hold templates: values, which are no Markdown."""
    default = getattr(prompt, "default", None)
    yield default.args if isinstance(default, form.FactQuery) else default
    match prompt:
        case form.Pick() | form.PickMany() if isinstance(prompt.options, form.FactQuery):
            yield prompt.options.args
        case form.DateTime():
            yield from (prompt.zone, prompt.earliest, prompt.latest)
        case form.Form():
            for field in prompt.fields:
                yield from values(field.prompt)
        case form.Table():
            yield prompt.rows
        case form.Chart():
            yield [value for _, value in prompt.series]
            yield prompt.at
        case form.Log() | form.Code() | form.QRCode():
            yield prompt.text
        case form.Diff():
            yield from (prompt.before, prompt.after)
        case form.Image():
            yield from (prompt.blob, prompt.alt)
        case form.Download():
            yield from (prompt.name, prompt.blob, prompt.text)


def problems(prompt: form.Prompt) -> Iterator[tuple[str, str]]:
    """Every mistake of a prompt by itself: a code and a sentence."""
    if (query := default_query(prompt)) and (says := facts.problem(query, "value")):
        yield "fact", says
    match prompt:
        case form.Pick() | form.PickMany():
            yield from _of_options(prompt)
        case form.Text(pattern=str(pattern)) if says := patterns.problem(pattern, prompt.max_length):
            yield "pattern", says
        case form.Number(minimum=int() | float() as least, maximum=int() | float() as most) if least > most:
            yield "range", "`minimum` is above `maximum`."
        case form.DateTime():
            yield from _of_date_time(prompt)
        case form.Duration() if not 0 <= prompt.minimum_s <= prompt.maximum_s:
            yield "range", "`minimum_s` and `maximum_s` must be in order, and 0 or more."
        case form.Duration(default=str(words)) if not template.is_template(words):
            if answers_time.seconds_of(words) is None:
                yield "default", f"The default {words!r} is no length of time like 2h 30m."
        case form.Form():
            yield from _of_form(prompt)
        case form.Table() if not 1 <= len(prompt.columns) <= COLUMNS_MAX:
            yield "columns", f"A Table has 1 to {COLUMNS_MAX} columns."
        case form.Chart() if not 1 <= len(prompt.series) <= SERIES_MAX:
            yield "series", f"A Chart has 1 to {SERIES_MAX} series."
        case form.Image() if not prompt.alt.strip():
            yield "alt", "An Image needs `alt`: what is to be seen, for those who do not see it."
        case form.Download():
            if (prompt.blob is None) == (prompt.text is None):
                yield "download", "A Download needs one of `blob` and `text`."
            elif prompt.text is not None and not prompt.name:
                yield "download", "A Download of a text needs a `name` for its file."
        case _:
            pass
    if (
        isinstance(prompt, form.Text | form.Secret)
        and not 0 <= prompt.min_length <= prompt.max_length <= 100_000
    ):
        yield "length", "`min_length` and `max_length` must be in order, and at most 100,000."


def _of_options(prompt: form.Pick | form.PickMany) -> Iterator[tuple[str, str]]:
    kind = "PickMany" if isinstance(prompt, form.PickMany) else "Pick"
    query = options_query(prompt)
    given = [option.value for option in _options(prompt)]
    if query is not None:
        if says := facts.problem(query, "options"):
            yield "fact", says
    elif not given or len(set(given)) != len(given):
        yield "options", f"A {kind} needs options, each with a value of its own."
    if isinstance(prompt, form.PickMany):
        most = prompt.most or len(given) or prompt.least
        if not 0 <= prompt.least <= most or (given and most > len(given)):
            yield "range", "`least` and `most` must be in order, and not more than there are options."


def _of_date_time(prompt: form.DateTime) -> Iterator[tuple[str, str]]:
    if prompt.zone and not template.is_template(prompt.zone):
        try:
            times.zone_of(prompt.zone)
        except Unfit as e:
            yield "zone", f"{str(e)[:1].upper()}{str(e)[1:]}."
            return
    for bound in (prompt.earliest, prompt.latest):
        if not template.is_template(bound):
            try:
                answers_time.bound(bound, prompt, "", 0)
            except Unfit as e:
                yield "range", f"{str(e)[:1].upper()}{str(e)[1:]}."


def _of_form(prompt: form.Form) -> Iterator[tuple[str, str]]:
    if not 1 <= len(prompt.fields) <= FIELDS_MAX:
        yield "fields", f"A Form has 1 to {FIELDS_MAX} fields."
    before: dict[str, form.FieldPrompt] = {}
    for field in prompt.fields:
        name = field.name
        if not name.isidentifier() or name in before:
            yield "fields", f"The field {name!r} of a form needs a name of its own, like that of a state."
        if default_query(field.prompt) is not None or options_query(field.prompt) is not None:
            yield (
                "fields",
                f"The field {name!r} of a form cannot look something up: ask that in its own Ask.",
            )
        for other, wanted in field.only_when.items():
            if other not in before:
                yield "only-when", f"`only_when` of {name!r} names {other!r}, which is no field before it."
            elif isinstance(before[other], form.Secret | form.PickMany):
                yield (
                    "only-when",
                    f"`only_when` of {name!r} cannot depend on {other!r}: it has no single value.",
                )
            elif (known := branches(before[other])) and isinstance(before[other], form.Pick):
                for value in wanted if isinstance(wanted, list | tuple) else [wanted]:
                    if value not in known:
                        yield "only-when", f"`only_when` of {name!r}: {other!r} is never {value!r}."
        for code, says in problems(field.prompt):
            yield code, f"Field {name!r}: {says}"
        before[name] = field.prompt


def _query(value: Any) -> form.FactQuery | None:
    if isinstance(value, form.FactQuery):
        return value
    if isinstance(value, dict) and "fact" in value:
        return msgspec.convert(value, form.FactQuery)
    return None
