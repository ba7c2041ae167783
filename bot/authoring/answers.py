"""Answers to a prompt, from its JSON Schema, options and default: those that fit, the straight one first.

Works for any kind of prompt, since what a channel may send is what the schema says.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any, Final

from bot.engine.session import Shown

SEALED: Final = {"sealed": {"node": "n-simulated", "for_node": "c2VhbGVk", "for_recovery": "c2VhbGVk"}}
_WORDS: Final = (
    "web-2",
    "web",  # is there already
    "nginx:1.27",
    "example.org",
    "hello",
    "Hello, this is a text.",
    "1",
    "2030-01-02",
    "2030-01-02T03:00",
    "03:00",
    "https://example.org/",
    "ann@example.org",
    "10.0.0.1",
)
TAKEN_PORT: Final = 8_100  # something has it, on the first machine
_MOST_OPTIONS: Final = 12
_sre: Final[Any] = importlib.import_module("re._parser")


def candidates(shown: Shown) -> list[Any]:
    """Answers that should fit: the default, then options or bounds. None of them twice."""
    found: list[Any] = []
    for value in _of(shown):
        if value not in found or any(value is not one and type(value) is not type(one) for one in found):
            found.append(value)
    return found


def fit(shown: Shown, given: Any) -> Any:
    """What an author wrote as an answer, as a channel would send it: labels and yes/no are understood."""
    if shown.kind == "secret" and isinstance(given, str):
        return SEALED
    if shown.schema.get("type") == "boolean" and isinstance(given, str):
        folded = given.casefold()
        if folded in ("yes", "true", shown.yes.casefold()):
            return True
        return False if folded in ("no", "false", shown.no.casefold()) else given
    if shown.options and isinstance(given, bool):
        given = "yes" if given else "no"
    if shown.options and isinstance(given, str):
        return _option(shown, given)
    if shown.options and isinstance(given, list | tuple):
        return [_option(shown, one) if isinstance(one, str) else one for one in given]
    return given


def nonsense(shown: Shown) -> list[Any]:
    """Answers that nobody should get through with (some may fit: then they are answers)."""
    return [None, [], {}, "\x00", "x" * 5_000, -1, 10**20, {"sealed": 1}, "no such option ☃"]


def _option(shown: Shown, given: str) -> str:
    folded = given.casefold()
    for option in shown.options:
        if given == option.value:
            return given
    named = [one.value for one in shown.options if folded in (one.label.casefold(), one.value.casefold())]
    return named[0] if len(named) == 1 else given


def _of(shown: Shown) -> Iterator[Any]:
    if shown.kind == "secret":
        yield SEALED
        if shown.schema.get("minLength") == 0:
            yield None
        return
    if shown.default is not None:
        yield shown.default
    if shown.kind == "upload":
        ending = shown.accept[0] if shown.accept else ".txt"
        yield {"blob": "0" * 64, "bytes": 1_000, "name": f"image{ending}"}
        return
    if shown.options and shown.schema.get("type") == "string":
        usable = [one.value for one in shown.options if not one.disabled]
        yield from usable[: _MOST_OPTIONS - 1]
        yield from usable[-1:]
        return
    if shown.placeholder and shown.schema.get("type") == "string":
        yield shown.placeholder
    yield from of_schema(shown.schema)


def of_schema(schema: dict[str, Any]) -> Iterator[Any]:
    """Values that a JSON Schema takes: ordinary ones first, then its bounds."""
    if "const" in schema:
        yield schema["const"]
        return
    if "enum" in schema:
        yield from schema["enum"]
        return
    for word in ("oneOf", "anyOf"):
        if word in schema and "type" not in schema:
            for one in schema[word]:
                yield from of_schema(one)
            return
    kind = schema.get("type")
    for one in kind if isinstance(kind, list) else [kind]:
        match one:
            case "boolean":
                yield from (True, False)
            case "integer" | "number":
                yield from _numbers(schema)
            case "string":
                yield from _strings(schema)
            case "array":
                yield from _arrays(schema)
            case "object":
                yield from _objects(schema)
            case "null":
                yield None
            case _:
                yield True


def _numbers(schema: dict[str, Any]) -> Iterator[int | float]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        yield from (3, 0)
        return
    if low is not None and high is not None:
        middle = (low + high) / 2
        yield int(middle) if low <= int(middle) <= high else middle
    for bound in (low, high):
        if bound is not None:
            yield int(bound) if float(bound).is_integer() else bound
    if (low is None or low <= TAKEN_PORT) and (high is None or high >= TAKEN_PORT):
        yield TAKEN_PORT


def _strings(schema: dict[str, Any]) -> Iterator[str]:
    least, most, pattern = schema.get("minLength", 0), schema.get("maxLength", 2_000), schema.get("pattern")
    made = [*_WORDS, _matching(pattern)] if pattern else [*_WORDS]
    fitting = [w for w in made if least <= len(w) <= most and (not pattern or re.search(pattern, w))]
    if pattern is None:
        fitting = fitting[:2] if schema.get("format") is None else fitting
        fitting.append("x" * max(least, 1))
        fitting.append("x" * min(most, 300))
    yield from fitting
    if least == 0:
        yield ""


def _arrays(schema: dict[str, Any]) -> Iterator[list[Any]]:
    items = list(of_schema(schema.get("items", {"type": "string"})))
    least, most = schema.get("minItems", 0), schema.get("maxItems", 100)
    for count in dict.fromkeys((max(least, 1), least, min(most, len(items)))):
        if least <= count <= most:
            yield [items[index % len(items)] for index in range(count)] if items else []


def _objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    properties = schema.get("properties", {})
    needed = list(schema.get("required", ()))
    for one in schema.get("anyOf", ())[:1]:
        needed += one.get("required", ())
    smallest = {name: next(of_schema(properties.get(name, {}))) for name in needed}
    yield smallest
    whole = {name: next(of_schema(one), None) for name, one in properties.items() if name not in ("kept",)}
    if whole != smallest and schema.get("anyOf") is None:
        yield {**whole, **smallest}


def _matching(pattern: str) -> str:
    """A short text that a regular expression matches."""
    return _text(_sre.parse(pattern))


def _text(parts: Any) -> str:
    made = ""
    for kind, value in parts:
        match str(kind):
            case "LITERAL":
                made += chr(value)
            case "ANY" | "NOT_LITERAL":
                made += "y" if value == ord("x") else "x"
            case "IN":
                made += _one_of(value)
            case "MAX_REPEAT" | "MIN_REPEAT":
                made += _text(value[2]) * value[0]
            case "SUBPATTERN":
                made += _text(value[-1])
            case "BRANCH":
                made += _text(value[1][0])
            case _:
                pass
    return made


def _one_of(members: Any) -> str:
    for kind, value in members:
        match str(kind):
            case "LITERAL":
                return chr(value)
            case "RANGE":
                return chr(value[0])
            case "CATEGORY":
                return {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(value), "a")
            case _:
                continue
    return "a"
