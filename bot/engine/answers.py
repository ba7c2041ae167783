"""What an answer may be: one check per kind of prompt, with a sentence per field for people.

Rule 1: the same rules stand in the prompt's JSON Schema (`bot.engine.schema`); a test compares the two.
Rule 2: secrets arrive sealed (`bot.engine.seal`); one that does not is refused and never kept.
An accepted answer has two forms: as given (to offer it again), and what the flow's name gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bot.engine import answers_basic, answers_lists, answers_time, filters, form
from bot.engine.accepted import NOTHING as NOTHING
from bot.engine.accepted import Accepted as Accepted
from bot.engine.accepted import is_sealed as is_sealed
from bot.engine.accepted import refuse as refuse
from bot.engine.answers_basic import check_text as check_text
from bot.engine.answers_lists import FILE_NAME_CHARS as FILE_NAME_CHARS
from bot.engine.answers_lists import check_setting_name as check_setting_name
from bot.engine.answers_lists import check_setting_value as check_setting_value
from bot.engine.refusals import InvalidAnswer
from bot.engine.session import Choice

YES: Final = frozenset({"yes", "y", "true", "1", "on"})
NO: Final = frozenset({"no", "n", "false", "0", "off"})
LOOK_AGAIN: Final = "look-again"  # an option of a live pick whose lookup failed or found nothing
GO_ON: Final = "Go on"  # the answer to what is only shown


def accept(
    prompt: form.Prompt,
    value: Any,
    *,
    options: tuple[Choice, ...] = (),
    kept: Any = None,
    loosely: bool = False,
    details: Mapping[str, Any] | None = None,
) -> Accepted:
    """The answer in its two forms. `options` are those offered, `kept` the former answer, `details` those
    of the prompt as shown.

    `loosely` also takes words as people type them ("8080", "yes", an option's label): for answers given
    beforehand. Raises InvalidAnswer.
    """
    if loosely and isinstance(value, str):
        value = read(prompt, value, options)
    match prompt:
        case form.Text():
            return answers_basic.text(prompt, value)
        case form.Number():
            return answers_basic.number(prompt, value)
        case form.YesNo():
            return answers_basic.yes_no(value, prompt.yes, prompt.no)
        case form.Confirm():
            return answers_basic.yes_no(value, prompt.yes, prompt.no)
        case form.Pick():
            return answers_basic.pick(value, options)
        case form.Secret():
            return answers_basic.secret(prompt, value, kept)
        case form.KeyValues():
            return answers_lists.key_values(prompt, value, kept)
        case form.Upload():
            return answers_lists.upload(prompt, value)
        case form.PickMany():
            return answers_basic.pick_many(prompt, value, options)
        case form.DateTime():
            return answers_time.date_time(prompt, value, details or {})
        case form.Duration():
            return answers_time.duration(prompt, value)
        case form.Location():
            return answers_time.location(value)
        case form.Form():
            return _form(value, kept, loosely, _fields(prompt, details))
        case _:
            if value is not True:
                raise refuse("There is nothing to answer here but to go on.")
            return Accepted(True, True, GO_ON)


def read(prompt: form.Prompt, words: str, options: tuple[Choice, ...] = ()) -> Any:
    """The value that words typed by a person stand for; the words themselves when they stand for none."""
    plain = words.strip()
    match prompt:
        case form.Number():
            try:
                number = float(plain.replace("_", ""))
            except ValueError:
                return words
            return int(number) if number.is_integer() else number
        case form.YesNo() | form.Confirm():
            folded = plain.casefold()
            if folded in YES or folded == prompt.yes.casefold():
                return True
            return False if folded in NO or folded == prompt.no.casefold() else words
        case form.Pick():
            return _option(plain, options) or words
        case form.PickMany():
            parts = [part.strip() for part in plain.replace("\n", ",").split(",")]
            return [_option(part, options) or part for part in parts if part]
        case form.KeyValues():
            pairs = [line.partition("=") for line in plain.splitlines() if line.strip()]
            return [{"name": name.strip(), "value": value} for name, _, value in pairs]
        case form.Duration():
            return int(plain) if plain.isdecimal() else words
        case form.Location():
            return answers_time.place_of(plain)
        case _ if isinstance(prompt, form.Shows) and plain.casefold() in YES | {GO_ON.casefold()}:
            return True
        case _:
            return words


def display(prompt: form.Prompt | None, named: Any, options: tuple[Choice, ...] = ()) -> str:
    """What a name holds, in words, as it would be shown in a summary."""
    if named is None or named == "" or named == []:
        return NOTHING
    match prompt:
        case form.YesNo() | form.Confirm() if isinstance(named, bool):
            return prompt.yes if named else prompt.no
        case form.Number(unit=str(unit)) if unit:
            return f"{filters.as_text(named)} {unit}"
        case form.Pick():
            return _label(named, options)
        case form.PickMany() if isinstance(named, list | tuple):
            return ", ".join(_label(one, options) for one in named)
        case form.DateTime() if isinstance(named, str):
            return named.replace("T", " ")
        case form.Duration() if isinstance(named, int):
            return answers_time.long(named)
        case form.Form() if isinstance(named, dict):
            return _words_of(_fields(prompt, None), named)
        case _:
            return filters.as_text(named)


def looks_again(value: Any, options: tuple[Choice, ...]) -> bool:
    """Whether an answer to a live pick asks to look the options up again."""
    return value in (LOOK_AGAIN, [LOOK_AGAIN]) and any(o.value == LOOK_AGAIN for o in options)


def is_needed(field: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether a field of a form is asked, as the fields before it are answered (`given`)."""
    return all(
        given.get(name) in wanted if isinstance(wanted, list | tuple) else given.get(name) == wanted
        for name, wanted in field["only_when"].items()
    )


def _option(words: str, options: tuple[Choice, ...]) -> str:
    if any(o.value == words for o in options):
        return words
    folded = words.casefold()
    named = [o.value for o in options if folded in (o.label.casefold(), o.value.casefold())]
    return named[0] if len(named) == 1 else ""


def _label(named: Any, options: tuple[Choice, ...]) -> str:
    chosen = next((o.label for o in options if named in (o.value, o.data)), None)
    return filters.as_text(named) if chosen is None else chosen


def _fields(prompt: form.Form, details: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Each field with its prompt, and how it is shown (label, options, details) where that is known."""
    shown = {one["name"]: one for one in (details or {}).get("fields", ())}
    found = []
    for field in prompt.fields:
        own = shown.get(field.name, {})
        options = own.get("options")
        if options is None:
            listed = field.prompt.options if isinstance(field.prompt, form.Pick | form.PickMany) else ()
            fixed = () if isinstance(listed, form.FactQuery) else listed
            options = [{"value": o.value, "label": o.label} for o in fixed]
        found.append(
            {
                "name": field.name,
                "prompt": field.prompt,
                "only_when": field.only_when,
                "label": own.get("label") or field.prompt.label,
                "options": tuple(Choice(**one) for one in options),
                "details": own.get("details", {}),
                "default": own.get("default"),
            }
        )
    return found


def _form(value: Any, kept: Any, loosely: bool, fields: list[dict[str, Any]]) -> Accepted:
    if not isinstance(value, dict):
        raise refuse("Give a record with the form's fields.")
    errors = [
        {"field": str(name), "says": "The form has no such field."}
        for name in value
        if name not in {one["name"] for one in fields}
    ]
    former = kept if isinstance(kept, dict) else {}
    given: dict[str, Any] = {}
    named: dict[str, Any] = {}
    for field in fields:
        name, prompt = field["name"], field["prompt"]
        if not is_needed(field, given):
            given[name] = named[name] = None
            continue
        own = value.get(name)
        if own is None and loosely:  # what was not given beforehand is as the form proposes
            own = field["default"]
        if own is None and isinstance(prompt, form.Text):
            own = ""
        elif own is None and isinstance(prompt, form.PickMany):
            own = []
        try:
            accepted = accept(
                prompt,
                own,
                options=field["options"],
                kept=former.get(name),
                loosely=loosely,
                details=field["details"],
            )
        except InvalidAnswer as e:
            errors += [{"field": f"{name}.{x['field']}".rstrip("."), "says": x["says"]} for x in e.errors]
            given[name] = None
            continue
        given[name], named[name] = accepted.given, accepted.named
    if errors:
        raise InvalidAnswer(errors)
    return Accepted(given, named, _words_of(fields, named))


def _words_of(fields: list[dict[str, Any]], named: Mapping[str, Any]) -> str:
    """A line per field that was asked."""
    lines = [
        f"{field['label']}: {display(field['prompt'], named.get(field['name']), field['options'])}"
        for field in fields
        if is_needed(field, named)
    ]
    return "\n".join(lines) or NOTHING
