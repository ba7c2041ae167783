"""Answers that arrive as an HTML form, for pages without script: fields to the value that the API takes.

Only shapes are settled here; whether the value fits is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.channels.web_render import TEXTS
from bot.engine.refusals import InvalidAnswer
from bot.engine.session import Shown

MOST_PAIRS = 200
BLANK_PAIRS = 3  # empty rows offered when there is no script to add more


def value_of(shown: Shown, fields: Mapping[str, Any]) -> Any:
    """The answer that a form means. Raises InvalidAnswer."""
    text = str(fields.get("value", "")).replace("\r\n", "\n")
    match shown.kind:
        case "number":
            return _number(text, whole=shown.schema.get("type") == "integer")
        case "yes-no" | "confirm":
            return text == "yes"
        case "pick" if not text:
            raise InvalidAnswer([{"field": "", "says": TEXTS("pick_first")}])
        case "secret" if not text:
            return _no_secret(shown, fields)
        case "key-values":
            return _pairs(fields)
        case "upload":
            raise InvalidAnswer([{"field": "", "says": TEXTS("upload_needs_script")}])
        case _:
            return text


def _no_secret(shown: Shown, fields: Mapping[str, Any]) -> Any:
    if shown.kept is not None and "keep" in fields:
        return {"kept": True}
    return None if "null" in shown.schema.get("type", ()) else ""


def _number(text: str, *, whole: bool) -> int | float:
    plain = text.strip().replace("\u00a0", "").replace(" ", "")
    try:
        return int(plain)
    except ValueError:
        pass
    try:
        number = float(plain.replace(",", "."))
    except ValueError as error:
        raise InvalidAnswer([{"field": "", "says": TEXTS("not_a_number")}]) from error
    if number != number or abs(number) == float("inf"):
        raise InvalidAnswer([{"field": "", "says": TEXTS("not_a_number")}])
    if whole and not number.is_integer():
        raise InvalidAnswer([{"field": "", "says": TEXTS("not_whole")}])
    return int(number) if number.is_integer() else number


def _pairs(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    pairs = []
    for index in range(MOST_PAIRS):
        if f"name-{index}" not in fields:
            break
        name, value = str(fields[f"name-{index}"]).strip(), str(fields.get(f"value-{index}", ""))
        if not name and value:
            raise InvalidAnswer([{"field": f"{index}.name", "says": TEXTS("pair_name_missing")}])
        if name and not value and fields.get(f"kept-{index}") == name:
            pairs.append({"name": name, "kept": True})
        elif name:
            pairs.append({"name": name, "value": value, "secret": f"secret-{index}" in fields})
    return pairs


def rows_of(shown: Shown, typed: Any) -> list[dict[str, Any]]:
    """The rows of a list of names and values: what was typed, kept or given, and some empty ones."""
    given = typed if typed is not None else shown.kept if shown.kept is not None else shown.default
    rows = [
        {
            "name": str(r.get("name", "")),
            "value": str(r.get("value") or ""),
            "secret": bool(r.get("secret")),
            "kept": bool(r.get("kept")),
        }
        for r in (given or [])
        if isinstance(r, dict)
    ]
    return rows + [{"name": "", "value": "", "secret": False, "kept": False}] * BLANK_PAIRS
