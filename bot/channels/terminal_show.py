"""The transcript, prompts and progress in a terminal: rich where somebody looks, plain lines in a script.

What is said goes to standard output, progress and errors to standard error. Values are never taken as markup.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text as RichText

from agent.orders import READING
from bot.channels import terminal_kinds
from bot.engine import text as tree_of

QUIET = frozenset({"asked"})  # a prompt is shown when it is open, not when it was asked

STATES = {
    "to_do": "not begun yet",
    "under_way": "under way",
    "done": "done",
    "failed": "failed",
    "unknown": "not known yet",
    "left": "not begun",
}


class Show:
    """Where things are written to. `lively`: somebody looks, so colours and a moving progress line; `quiet`:
    standard output belongs to somebody else, so nothing is said there.
    """

    def __init__(self, *, lively: bool, quiet: bool = False) -> None:
        self.lively = lively
        self.out = Console(
            highlight=False, markup=False, soft_wrap=True, no_color=not sys.stdout.isatty(), quiet=quiet
        )
        self.err = Console(highlight=False, markup=False, soft_wrap=True, stderr=True)
        self._told: dict[str, tuple[str, str]] = {}
        self._bar: Progress | None = None
        self._task: Any = None

    def entry(self, entry: Mapping[str, Any]) -> None:
        """Show one entry of the transcript."""
        if entry["kind"] in QUIET or (entry["kind"] == "answered" and self.lively):
            return
        if entry.get("verb") in READING and entry.get("outcome") in ("", "done"):
            return  # looking something up is not worth a line
        self.no_progress()
        text = to_text(entry.get("text", ()))
        if entry["kind"] == "answered":
            self.out.print(RichText(f"{entry.get('label', '')}: ") + text, style="dim")
        elif entry["kind"] == "problem" or entry.get("outcome") in ("failed", "refused"):
            self.err.print(text, style="red")
        elif text.plain.strip():
            self.out.print(text)
        for offer in entry.get("offers", ()):
            words = "".join(f" --set {name}={value}" for name, value in offer.get("answers", {}).items())
            self.out.print(RichText(f"  {offer['label']}: hercules chat {offer['flow']}{words}", style="dim"))

    def targets(self, targets: Sequence[Mapping[str, Any]]) -> None:
        """How far a change to many is: a line for each whose state is another than it was told before."""
        width = max((len(str(one["label"])) for one in targets), default=0)
        for one in targets:
            state = (one["state"], one["says"])
            if self._told.get(one["label"]) == state:
                continue
            self._told[one["label"]] = state
            if one["state"] in ("to_do", "under_way") and not self.lively:
                continue  # a script wants to know how it ended
            self.no_progress()
            words = STATES.get(str(one["state"]), str(one["state"]))
            line = RichText(f"  {one['label']!s:<{width}}  {words}")
            if one["says"]:
                line.append(f": {one['says']}", style="dim")
            self.err.print(line)
        if not targets:
            self._told.clear()

    def progress(self, frame: Mapping[str, Any]) -> None:
        """Show how far something is; only where somebody looks."""
        if not self.lively:
            return
        if self._bar is None:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30))
            self._bar = Progress(*columns, console=self.err, transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        total = frame["total"] or None
        self._bar.update(self._task, description=frame["says"], completed=frame["done"], total=total)

    def no_progress(self) -> None:
        """Take the progress line away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def prompt(self, shown: Mapping[str, Any]) -> None:
        """Show the open question, all but the field itself."""
        self.no_progress()
        self.out.print()
        self.out.print(to_text(shown["label"]), style="bold")
        if shown.get("help"):
            self.out.print(to_text(shown["help"]), style="dim")
        if shown.get("problem"):
            self.err.print(RichText(str(shown["problem"])), style="yellow")
        for words in (shown.get("no_return"), shown.get("no_back")):
            if words:
                self.out.print(
                    RichText(str(words)), style="yellow" if words == shown.get("no_return") else "dim"
                )
        for one in terminal_kinds.shown(shown, lively=self.lively):
            self.out.print(one)
        self._rows(shown.get("rows", ()))
        for number, option in enumerate(shown.get("options", ()), 1):
            self._option(number, option)

    def says(self, sentence: str) -> None:
        """A sentence of the channel's own."""
        self.no_progress()
        self.err.print(RichText(sentence), style="dim")

    def wrong(self, sentence: str) -> None:
        """What does not fit."""
        self.no_progress()
        self.err.print(RichText(sentence), style="red")

    def _rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        width = max((len(str(row["label"])) for row in rows), default=0)
        for row in rows:
            line = RichText(f"  {row['label']!s:<{width}}  ", style="dim") + RichText(str(row["value"]))
            if row.get("change") and self.lively:
                line.append(f"   /change {row['change']}", style="dim")
            self.out.print(line)

    def _option(self, number: int, option: Mapping[str, Any]) -> None:
        line = RichText(f"  {number}. {option['label']}")
        if option.get("disabled"):
            line.append(f" (not possible: {option['disabled']})", style="dim")
        elif option.get("description"):
            line.append(f"  {option['description']}", style="dim")
        self.out.print(line)


def to_text(tree: Any) -> RichText:
    """The typed tree of a message as styled text."""
    blocks = msgspec.convert(tree, tuple[tree_of.Block, ...])
    out = RichText()
    for number, block in enumerate(blocks):
        if number:
            out.append("\n\n")
        match block:
            case tree_of.Paragraph(c):
                _inline(out, c, "")
            case tree_of.Items(ordered, items):
                for index, item in enumerate(items):
                    out.append("\n" if index else "")
                    out.append(f"{index + 1}. " if ordered else "• ")
                    _inline(out, item, "")
            case _:
                out.append(tree_of.plain((block,)))
    return out


def _inline(out: RichText, nodes: tuple[tree_of.Inline, ...], style: str) -> None:
    for node in nodes:
        match node:
            case tree_of.Strong(c):
                _inline(out, c, f"{style} bold")
            case tree_of.Emphasis(c):
                _inline(out, c, f"{style} italic")
            case tree_of.Code(v):
                out.append(v, style=f"{style} cyan".strip())
            case _:
                out.append(tree_of.plain((tree_of.Paragraph((node,)),)), style=style.strip())
