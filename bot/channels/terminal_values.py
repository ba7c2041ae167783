"""What people write on a command line, as the value that a prompt takes.

Rule 1: `NAME=VALUE` gives a literal, `NAME=@FILE` what stands in a file, `NAME=@-` standard input,
`NAME=@env:VARIABLE` a variable. Rule 2: a secret never comes as a literal, since command lines are seen by
everybody on the machine and kept in the shell's history. Rule 3: the bot decides what fits; here is only
turned into the right kind, and refused what cannot be turned.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot.engine.answers_time import place_of
from bot.engine.refusals import Refused

YES = frozenset({"yes", "y", "true", "1", "on"})
NO = frozenset({"no", "n", "false", "0", "off"})


class WrongUse(Refused):
    """The command line cannot mean anything."""

    code, http = "wrong_use", 422
    says = "{what}"
    do = "{way}"


class Given:
    """One `--set NAME=…`: where its value comes from, read when it is needed."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.literal = None if text.startswith("@") else text
        self.source = text[1:] if text.startswith("@") else ""

    @classmethod
    def understood(cls, name: str, text: str) -> Given:
        """An answer that stood in what a person typed: never a file, whatever it begins with."""
        given = cls(name, "")
        given.literal = text
        return given

    @property
    def path(self) -> Path:
        """The file that was named. Raises WrongUse when it is not there."""
        path = Path(self.source).expanduser()
        if self.literal is not None or self.source == "-" or self.source.startswith("env:"):
            raise WrongUse(
                what=f"{self.name} is a file.", way=f"Name it with an at sign: --set {self.name}=@FILE"
            )
        if not path.is_file():
            raise WrongUse(what=f"There is no file {path}.", way=f"Correct --set {self.name}=@{self.source}")
        return path

    def text(self) -> str:
        """The value as text, without the line end that editors put at the end of a file."""
        if self.literal is not None:
            return self.literal
        if self.source == "-":
            return sys.stdin.read().rstrip("\n")
        if self.source.startswith("env:"):
            variable = self.source.removeprefix("env:")
            if variable not in os.environ:
                raise WrongUse(what=f"The variable {variable} is not set.", way="Set it, or use @FILE.")
            return os.environ[variable]
        try:
            return self.path.read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as e:
            raise WrongUse(what=f"{self.source} cannot be read as text.", way="Name another file.") from e


def parse_set(words: tuple[str, ...]) -> dict[str, Given]:
    """Read every `--set`. Raises WrongUse for one without `=` and for a name given twice."""
    given: dict[str, Given] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise WrongUse(what=f"--set {word} names no value.", way="Write --set NAME=VALUE or NAME=@FILE.")
        if name in given:
            raise WrongUse(what=f"--set {name} is there twice.", way="Give each name once.")
        given[name] = Given(name, text)
    return given


def value_of(given: Given, kind: str, schema: Mapping[str, Any]) -> Any:
    """The value for a prompt of `kind`; an upload is not for here. Raises WrongUse."""
    if kind == "secret" and given.literal is not None:
        raise WrongUse(
            what=f"{given.name} is a secret, and a command line is no place for one.",
            way=f"Use --set {given.name}=@FILE, {given.name}=@env:VARIABLE or {given.name}=@- (for stdin).",
        )
    value = from_text(given.name, given.text(), kind, schema)
    if kind == "form" and given.literal is not None:
        for field, own in schema["properties"].items():
            if _is_secret(own) and isinstance(value.get(field), str):
                raise WrongUse(
                    what=f"{field} is a secret, and a command line is no place for one.",
                    way=f"Use --set {given.name}.{field}=@FILE, or give the whole form by =@FILE.",
                )
    return value


def from_text(name: str, text: str, kind: str, schema: Mapping[str, Any]) -> Any:
    """Turn a text into the kind of value that the prompt takes. Raises WrongUse."""
    match kind:
        case "number":
            return _number(name, text, schema)
        case "yes-no" | "confirm":
            return _yes_no(name, text)
        case "key-values":
            return key_values(name, text)
        case "pick-many":
            return [part.strip() for part in text.replace("\n", ",").split(",") if part.strip()]
        case "duration":
            return int(text) if text.strip().isdecimal() else text
        case "location":
            return place_of(text)
        case "form":
            return _record(name, text)
        case "table" | "chart" | "log" | "code" | "diff" | "qr" | "image" | "download":
            return _yes_no(name, text)
        case _:
            return text


def fields_of(name: str, fields: Mapping[str, Given], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a form, from `--set NAME.FIELD=VALUE` each. Raises WrongUse."""
    known = schema["properties"]
    if unknown := sorted(set(fields) - set(known)):
        raise WrongUse(what=f"{name} has no field {unknown[0]}.", way=f"It has: {', '.join(known)}.")
    return {field: _field(given, known[field]) for field, given in fields.items()}


def _is_secret(schema: Mapping[str, Any]) -> bool:
    return any(one.get("writeOnly") for one in (schema, *schema.get("anyOf", ())))


def _field(given: Given, schema: Mapping[str, Any]) -> Any:
    if _is_secret(schema):
        return value_of(given, "secret", schema)
    kinds = {one.get("type") for one in (schema, *schema.get("anyOf", ()))}
    if "boolean" in kinds:
        return _yes_no(given.name, given.text())
    if "array" in kinds:
        return from_text(given.name, given.text(), "pick-many", schema)
    if kinds & {"integer", "number"} and "string" not in kinds:
        return _number(given.name, given.text(), schema)
    return given.text()


def _record(name: str, text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise WrongUse(
            what=f"{name} is a form.", way=f"Give its fields: --set {name}.FIELD=VALUE, or a JSON object."
        ) from e
    if not isinstance(record, dict):
        raise WrongUse(what=f"{name} is no JSON object.", way=f"Give its fields: --set {name}.FIELD=VALUE.")
    return record


def key_values(name: str, text: str) -> list[dict[str, Any]]:
    """Lines `NAME=VALUE`, or a JSON list; `!NAME=VALUE` is a secret. Empty lines and # lines don't count."""
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except (ValueError, RecursionError) as e:
            raise WrongUse(what=f"{name} is no JSON list.", way="Write lines NAME=VALUE instead.") from e
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise WrongUse(what=f"{name} is no list of objects.", way="Write lines NAME=VALUE instead.")
        return items
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise WrongUse(what=f"A line of {name} has no equals sign.", way="Write NAME=VALUE in each line.")
        secret = key.strip().startswith("!")
        found.append({"name": key.strip().lstrip("!"), "value": value, "secret": secret})
    return found


def _number(name: str, text: str, schema: Mapping[str, Any]) -> int | float:
    try:
        whole = int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise WrongUse(what=f"{name} must be a number, not {text!r}.", way="Correct it.") from None
    return float(whole) if schema.get("type") == "number" and "." in text else whole


def _yes_no(name: str, text: str) -> bool:
    word = text.strip().lower()
    if word in YES:
        return True
    if word in NO:
        return False
    raise WrongUse(what=f"{name} must be yes or no, not {text!r}.", way="Correct it.")
