"""Answers that arrive as an HTML form, for pages without script: fields to the value that the API takes.

Only shapes are settled here; whether the value fits is the engine's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.channels.drawn import KINDS as SHOWS
from bot.channels.web_render import TEXTS
from bot.engine.answers import is_needed
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
        case "pick-many":
            return _many(shown.options, "value", fields)
        case "location":
            return _place(fields)
        case "form":
            return _fields(shown.details["fields"], fields)
        case kind if kind in SHOWS:
            return True
        case "upload":
            raise InvalidAnswer([{"field": "", "says": TEXTS("upload_needs_script")}])
        case _:
            return text


def _many(options: Sequence[Any], name: str, fields: Mapping[str, Any]) -> list[str]:
    """What is ticked: each box has a name of its own."""
    return [str(fields[f"{name}-{n}"]) for n in range(len(options)) if f"{name}-{n}" in fields]


def _place(fields: Mapping[str, Any]) -> dict[str, Any]:
    place: dict[str, Any] = {"label": str(fields.get("label", "")).strip()}
    errors = []
    for part in ("lat", "lon"):
        try:
            place[part] = float(str(fields.get(part, "")).strip().replace(",", "."))
        except ValueError:
            errors.append({"field": part, "says": TEXTS("not_degrees")})
    if errors:
        raise InvalidAnswer(errors)
    return place


def _fields(asked: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The record that the fields of a form give; those that are not asked are left out."""
    given: dict[str, Any] = {}
    errors = []
    for field in asked:
        name, own = field["name"], f"f-{field['name']}"
        if not is_needed(field, given):
            continue
        text = str(fields.get(own, "")).replace("\r\n", "\n")
        try:
            match field["kind"]:
                case "number":
                    given[name] = _number(text, whole=field["schema"].get("type") == "integer")
                case "yes-no" | "pick" if not text:
                    raise InvalidAnswer([{"field": "", "says": TEXTS("pick_first")}])
                case "yes-no":
                    given[name] = text == "yes"
                case "pick-many":
                    given[name] = _many(field["options"], own, fields)
                case "secret" if not text and f"{own}-keep" in fields:
                    given[name] = {"kept": True}
                case "secret" if not text and "null" in field["schema"].get("type", ()):
                    given[name] = None
                case _:
                    given[name] = text
        except InvalidAnswer as e:
            given[name] = text
            errors += [{"field": name, "says": one["says"]} for one in e.errors]
    if errors:
        raise InvalidAnswer(errors)
    return given


def typed_of(shown: Shown, fields: Mapping[str, Any], value: Any) -> Any:
    """What was typed, to be shown again beside its mistakes; never the secret of a form. `value` is what it
    meant, None when it meant nothing.
    """
    if shown.kind == "location":
        return {part: str(fields.get(part, "")) for part in ("lat", "lon", "label")}
    if shown.kind != "form":
        return value if value is not None else fields.get("value")
    again: dict[str, Any] = {}
    for field in shown.details["fields"]:
        own = f"f-{field['name']}"
        if field["kind"] == "pick-many":
            again[field["name"]] = _many(field["options"], own, fields)
        elif field["kind"] == "yes-no":
            again[field["name"]] = {"yes": True, "no": False}.get(str(fields.get(own, "")))
        elif field["kind"] != "secret":
            again[field["name"]] = str(fields.get(own, ""))
    return again


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
