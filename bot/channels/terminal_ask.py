"""Ask a person at a terminal, with prompt_toolkit. Gives back a value, or one of the moves of `Move`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, PathCompleter, WordCompleter
from prompt_toolkit.patch_stdout import patch_stdout

from bot.channels.drawn import KINDS
from bot.channels.terminal_kinds import HINTS, picked, picked_many
from bot.channels.terminal_values import WrongUse, from_text, key_values
from bot.engine.answers import is_needed
from bot.engine.answers_time import long


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """Instead of an answer: back, cancel, undo, or change NAME."""

    action: str
    to: str = ""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """The answer is this file, to be uploaded."""

    path: Path


HINT = "/back  /cancel  /undo  /change NAME"


class Asker:
    """One line editor for the whole conversation."""

    def __init__(self) -> None:
        self._line: PromptSession[str] = PromptSession()

    async def ask(self, shown: Mapping[str, Any]) -> Any:
        """Ask until something can be made of what was typed. Raises EOFError and KeyboardInterrupt."""
        with patch_stdout(raw=True):
            while True:
                try:
                    if shown["kind"] == "form":
                        return await self._fields(shown)
                    text = await self._read(shown)
                    return self._meant(text.strip(), shown)
                except WrongUse as e:
                    print(f"{e.sentence} {e.next_step}")

    async def text(self, label: str) -> str:
        """Ask for a line that is no answer to a prompt."""
        with patch_stdout(raw=True):
            return await self._line.prompt_async(f"{label} ")

    async def _read(self, shown: Mapping[str, Any]) -> str:
        if shown["kind"] in KINDS:
            return await self._line.prompt_async("  Enter goes on > ", reserve_space_for_menu=0)
        if shown.get("lines"):
            return await self._lines("  an empty line ends > ") or _proposed(shown)
        if shown["kind"] == "key-values":
            return await self._lines("  NAME=VALUE, !NAME=VALUE for a secret, an empty line ends > ")
        proposed = _proposed(shown)
        text = await self._line.prompt_async(
            f"  [{proposed}] > " if proposed else _field(shown),
            is_password=shown["kind"] == "secret",
            completer=_completer(shown),
            reserve_space_for_menu=0,
        )
        return text or proposed

    async def _fields(self, shown: Mapping[str, Any]) -> Any:
        """One field after the other, those that are needed. A move at any of them is one of the form."""
        given: dict[str, Any] = {}
        kept = shown.get("kept") or {}
        for field in shown["details"]["fields"]:
            if not is_needed(field, given):
                continue
            own = {**field, "kept": kept.get(field["name"])}
            print(f"  {field['label']}{': ' + field['help'] if field['help'] else ''}")
            for number, option in enumerate(field["options"], 1):
                print(f"    {number}. {option['label']}{_reason(option)}")
            while field["name"] not in given:
                text = (await self._read(own)).strip()
                try:
                    value = self._meant(text, own)
                except WrongUse as e:
                    print(f"{e.sentence} {e.next_step}")
                    continue
                if isinstance(value, Move):
                    return value
                if field["kind"] == "secret" and text == "":
                    value = {"kept": True} if own["kept"] else None
                given[field["name"]] = value
        return given

    async def _lines(self, field: str) -> str:
        lines: list[str] = []
        while line := await self._line.prompt_async(field, reserve_space_for_menu=0):
            if line.startswith("/"):
                return line
            lines.append(line)
        return "\n".join(lines)

    def _meant(self, text: str, shown: Mapping[str, Any]) -> Any:
        if text.startswith("/") and shown["kind"] != "upload":
            return _move(text)
        match shown["kind"]:
            case "pick":
                return picked(text, shown["options"])
            case "pick-many":
                return picked_many(text, shown["options"])
            case kind if kind in KINDS:
                return True
            case "upload":
                if text in ("/back", "/cancel", "/undo"):
                    return _move(text)
                path = Path(text.removeprefix("@")).expanduser()
                if not path.is_file():
                    raise WrongUse(what=f"There is no file {path}.", way="Name one that is there.")
                return File(path=path)
            case "key-values":
                return key_values("a line", text)
            case "yes-no" | "confirm":
                return from_text("The answer", text or "no", "yes-no", {})
            case kind:
                return from_text("The answer", text, kind, shown.get("schema", {}))


def _proposed(shown: Mapping[str, Any]) -> str:
    """What an empty line means: the answer from before, else what the flow proposes."""
    value = shown.get("kept") if shown.get("kept") is not None else shown.get("default")
    if shown["kind"] == "duration" and isinstance(value, int):
        return long(value)
    if shown["kind"] == "pick-many" and isinstance(value, list):
        return ", ".join(value)
    if (
        value is None
        or isinstance(value, dict | list)
        or shown["kind"] in KINDS
        or shown["kind"] in ("secret", "upload", "confirm")
    ):
        return ""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _field(shown: Mapping[str, Any]) -> str:
    if shown["kind"] == "confirm":
        return f"  yes ({shown.get('yes', '')}) / no ({shown.get('no', '')}) > "
    if shown["kind"] == "yes-no":
        return "  yes / no > "
    if shown["kind"] in HINTS:
        zone = (shown.get("details") or {}).get("zone", "")
        return f"  {HINTS[shown['kind']]}{f' ({zone})' if zone else ''} > "
    return f"  {shown.get('unit', '')} > " if shown.get("unit") else "  > "


def _completer(shown: Mapping[str, Any]) -> Completer | None:
    if shown["kind"] == "upload":
        return PathCompleter(expanduser=True)
    if shown["kind"] in ("pick", "pick-many"):
        return WordCompleter([option["value"] for option in shown["options"]])
    return None


def _reason(option: Mapping[str, Any]) -> str:
    return f" (not possible: {option['disabled']})" if option.get("disabled") else ""


def _move(text: str) -> Move:
    action, _, to = text[1:].partition(" ")
    if action in ("back", "cancel", "undo") or (action == "change" and to.strip()):
        return Move(action=action, to=to.strip())
    raise WrongUse(what=f"There is no {text}.", way=f"There are {HINT}.")
