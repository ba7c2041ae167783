"""What an answer may be: one check per kind of prompt, with a sentence per field for people.

Rule 1: the same rules stand in the prompt's JSON Schema (`bot.engine.prompts`); a test compares the two.
Rule 2: secrets arrive sealed (`bot.engine.seal`); one that does not is refused and never kept.
An accepted answer has two forms: as given (to offer it again), and what the flow's name gets.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from agent.orders import limits
from agent.orders.spec import SealedValue
from bot.engine import filters, form
from bot.engine.refusals import InvalidAnswer
from bot.engine.session import Choice

REFUSED_SETTINGS: Final = frozenset({"LD_PRELOAD", "LD_LIBRARY_PATH", "DOCKER_HOST"})
FILE_NAME_CHARS: Final = 255
YES: Final = frozenset({"yes", "y", "true", "1", "on"})
NO: Final = frozenset({"no", "n", "false", "0", "off"})
NOTHING: Final = "—"  # how an answer of nothing is shown
LOOK_AGAIN: Final = "look-again"  # an option of a live pick whose lookup failed or found nothing
_ENV_NAME = re.compile(limits.ENV_NAME_PATTERN)
_SHA256 = re.compile(limits.SHA256_PATTERN)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_LINE_CONTROLS = re.compile("[\x00-\x1f\x7f]")


class Accepted(msgspec.Struct, frozen=True):
    """An answer that fits: as given, what the name gets, its words for people, and its branch."""

    given: Any
    named: Any
    words: str
    branch: str = ""


def refuse(says: str, field: str = "") -> InvalidAnswer:
    """One mistake as an exception to raise."""
    return InvalidAnswer([{"field": field, "says": says}])


def accept(
    prompt: form.Prompt,
    value: Any,
    *,
    options: tuple[Choice, ...] = (),
    kept: Any = None,
    loosely: bool = False,
) -> Accepted:
    """The answer in its two forms. `options` are those offered, `kept` the former answer.

    `loosely` also takes words as people type them ("8080", "yes", an option's label): for answers given
    beforehand. Raises InvalidAnswer.
    """
    if loosely and isinstance(value, str):
        value = read(prompt, value, options)
    match prompt:
        case form.Text():
            return _text(prompt, value)
        case form.Number():
            return _number(prompt, value)
        case form.YesNo():
            return _yes_no(value, prompt.yes, prompt.no)
        case form.Confirm():
            return _yes_no(value, prompt.yes, prompt.no)
        case form.Pick():
            return _pick(value, options)
        case form.Secret():
            return _secret(prompt, value, kept)
        case form.KeyValues():
            return _key_values(prompt, value, kept)
        case form.Upload():
            return _upload(prompt, value)


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
            if any(o.value == plain for o in options):
                return plain
            folded = plain.casefold()
            named = [o.value for o in options if folded in (o.label.casefold(), o.value.casefold())]
            return named[0] if len(named) == 1 else words
        case form.KeyValues():
            pairs = [line.partition("=") for line in plain.splitlines() if line.strip()]
            return [{"name": name.strip(), "value": value} for name, _, value in pairs]
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
            chosen = next((o.label for o in options if named in (o.value, o.data)), None)
            return filters.as_text(named) if chosen is None else chosen
        case _:
            return filters.as_text(named)


def check_text(prompt: form.Text | form.Secret, words: Any, *, lines: bool) -> str:
    """Text within its limits. Raises InvalidAnswer."""
    if not isinstance(words, str) or not _is_unicode(words):
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


def check_setting_name(name: Any) -> str:
    """Why a name cannot be a setting's, as a sentence; "" when it can."""
    if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
        return "A name is made of letters, digits, _ . and -, begins with a letter or _, and has at most 128."
    if name in REFUSED_SETTINGS:
        return f"{name} is not permitted: it would change how the container's programs are loaded."
    return ""


def check_setting_value(value: Any) -> str:
    """Why a text cannot be a setting's value, as a sentence; "" when it can."""
    if not isinstance(value, str) or not _is_unicode(value):
        return "Give a text as value."
    if "\x00" in value:
        return "A value cannot hold a NUL character."
    if len(value.encode()) > limits.ENV_VALUE_BYTES:
        return f"A value may have at most {limits.ENV_VALUE_BYTES} bytes."
    return ""


def is_sealed(value: Any) -> bool:
    """Whether this is exactly the stored form of a secret."""
    if not isinstance(value, dict) or set(value) != {"sealed"}:
        return False
    try:
        msgspec.convert(value["sealed"], SealedValue)
    except msgspec.ValidationError:
        return False
    return True


def _text(prompt: form.Text, value: Any) -> Accepted:
    if isinstance(value, str):
        value = value.replace("\r\n", "\n").strip()
    words = check_text(prompt, value, lines=prompt.lines)
    if prompt.pattern is not None and words and not re.search(prompt.pattern, words):
        raise refuse(prompt.pattern_says or "This does not have the form that is needed.")
    return Accepted(words, words, words)


def _number(prompt: form.Number, value: Any) -> Accepted:
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


def _yes_no(value: Any, yes: str, no: str) -> Accepted:
    if not isinstance(value, bool):
        raise refuse("Answer yes or no.")
    return Accepted(value, value, yes if value else no, "yes" if value else "no")


def _pick(value: Any, options: tuple[Choice, ...]) -> Accepted:
    chosen = next((o for o in options if isinstance(value, str) and o.value == value), None)
    if chosen is None:
        raise refuse("Choose one of the options shown.")
    if chosen.disabled:
        raise refuse(f"{chosen.label} cannot be chosen: {chosen.disabled}")
    return Accepted(
        chosen.value, chosen.value if chosen.data is None else chosen.data, chosen.label, chosen.value
    )


def _secret(prompt: form.Secret, value: Any, kept: Any) -> Accepted:
    if prompt.optional and value in (None, ""):
        return Accepted(None, None, NOTHING)
    if isinstance(value, dict) and value.get("kept") is True and is_sealed(kept):
        return Accepted(kept, kept, filters.MASK)
    if is_sealed(value):
        return Accepted(value, value, filters.MASK)
    raise refuse("A secret is needed, and it has to be sealed.")


def _key_values(prompt: form.KeyValues, value: Any, kept: Any) -> Accepted:
    if not isinstance(value, list | tuple):
        raise refuse("Give a list of names and values.")
    most = min(prompt.max_items, limits.SETTINGS_MAX)
    if len(value) > most:
        raise refuse(f"Give at most {most} names and values.")
    former = {item["name"]: item for item in kept or () if "sealed" in item}
    errors: list[dict[str, str]] = []
    items: list[dict[str, Any]] = []
    seen: set[str] = set()
    for index, item in enumerate(value):
        field, says = _wrong_item(item, former, seen)
        if says:
            errors.append({"field": f"{index}.{field}" if field else f"{index}", "says": says})
            continue
        name = item["name"]
        seen.add(name)
        if "sealed" in item:
            items.append({"name": name, "sealed": item["sealed"]})
        elif item.get("kept") is True:
            items.append(former[name])
        else:
            items.append({"name": name, "value": item["value"]})
    if errors:
        raise InvalidAnswer(errors)
    shown = ", ".join(filters.as_text(item) for item in items)
    return Accepted(items, items, shown or NOTHING)


def _wrong_item(item: Any, former: dict[str, Any], seen: set[str]) -> tuple[str, str]:
    if not isinstance(item, dict) or not set(item) <= {"name", "value", "secret", "sealed", "kept"}:
        return "", "Give a name and a value."
    name = item.get("name")
    if says := check_setting_name(name):
        return "name", says
    if name in seen:
        return "name", f"{name} is there twice."
    if "sealed" in item:
        return ("", "") if is_sealed({"sealed": item["sealed"]}) else ("value", "A secret has to be sealed.")
    if item.get("kept") is True:
        return ("", "") if name in former else ("value", "Give the value again.")
    if item.get("secret"):
        return "value", "A secret has to be sealed."
    return "value", check_setting_value(item.get("value"))


def _upload(prompt: form.Upload, value: Any) -> Accepted:
    match value:
        case {"blob": str(blob), "bytes": int(size), "name": str(name)} if len(value) == 3:
            pass
        case _:
            raise refuse("Give a file.")
    if not _SHA256.fullmatch(blob) or isinstance(size, bool) or size < 1:
        raise refuse("Give a file that is not empty.")
    if size > prompt.max_bytes:
        raise refuse(f"The file may have at most {filters.size_of(prompt.max_bytes)}.")
    if (
        not name
        or len(name) > FILE_NAME_CHARS
        or not _is_unicode(name)
        or re.search(r"[/\\\x00-\x1f\x7f]", name)
    ):
        raise refuse("The file's name is not usable: give it a plain one.", "name")
    if prompt.accept and not name.lower().endswith(tuple(end.lower() for end in prompt.accept)):
        raise refuse(f"Give a file that ends in {' or '.join(prompt.accept)}.", "name")
    return Accepted(value, value, filters.as_text(value))


def _is_unicode(words: str) -> bool:
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True
