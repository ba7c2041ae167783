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
    return from_text(given.name, given.text(), kind, schema)


def from_text(name: str, text: str, kind: str, schema: Mapping[str, Any]) -> Any:
    """Turn a text into the kind of value that the prompt takes. Raises WrongUse."""
    match kind:
        case "number":
            return _number(name, text, schema)
        case "yes-no" | "confirm":
            return _yes_no(name, text)
        case "key-values":
            return key_values(name, text)
        case _:
            return text


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
