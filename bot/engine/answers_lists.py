"""Lists of names and values, and files: what fits as an answer."""

from __future__ import annotations

import re
from typing import Any, Final

from agent.orders import limits
from bot.engine import filters, form
from bot.engine.accepted import NOTHING, Accepted, is_sealed, is_unicode, refuse
from bot.engine.refusals import InvalidAnswer

REFUSED_SETTINGS: Final = frozenset({"LD_PRELOAD", "LD_LIBRARY_PATH", "DOCKER_HOST"})
FILE_NAME_CHARS: Final = 255
_ENV_NAME = re.compile(limits.ENV_NAME_PATTERN)
_SHA256 = re.compile(limits.SHA256_PATTERN)


def check_setting_name(name: Any) -> str:
    """Why a name cannot be a setting's, as a sentence; "" when it can."""
    if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
        return "A name is made of letters, digits, _ . and -, begins with a letter or _, and has at most 128."
    if name in REFUSED_SETTINGS:
        return f"{name} is not permitted: it would change how the container's programs are loaded."
    return ""


def check_setting_value(value: Any) -> str:
    """Why a text cannot be a setting's value, as a sentence; "" when it can."""
    if not isinstance(value, str) or not is_unicode(value):
        return "Give a text as value."
    if "\x00" in value:
        return "A value cannot hold a NUL character."
    if len(value.encode()) > limits.ENV_VALUE_BYTES:
        return f"A value may have at most {limits.ENV_VALUE_BYTES} bytes."
    return ""


def key_values(prompt: form.KeyValues, value: Any, kept: Any) -> Accepted:
    """Settings, each name once. Raises InvalidAnswer with the row and its part as the field."""
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


def upload(prompt: form.Upload, value: Any) -> Accepted:
    """A blob with its name and size. Raises InvalidAnswer."""
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
        or not is_unicode(name)
        or re.search(r"[/\\\x00-\x1f\x7f]", name)
    ):
        raise refuse("The file's name is not usable: give it a plain one.", "name")
    if prompt.accept and not name.lower().endswith(tuple(end.lower() for end in prompt.accept)):
        raise refuse(f"Give a file that ends in {' or '.join(prompt.accept)}.", "name")
    return Accepted(value, value, filters.as_text(value))
