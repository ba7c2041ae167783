"""The audit as the web channel lists it: pages read from its files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bot.audit import lines
from bot.engine.refusals import Refused


class NoSuchPlace(Refused):
    """A list was asked for from a place that it does not have."""

    code, http = "no_such_place", 422
    says = "There is no page after {after!r}."
    do = "Take `next` of the page before, or nothing."


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list. `next` is the `after` of the following one, "" at the end."""

    items: Sequence[Any]
    next: str = ""


class AuditViews:
    """The audit's entries, oldest first, read from its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def entries(self, *, after: str, limit: int) -> Page:
        """Entries after number `after`. Raises NoSuchPlace."""
        if after and not (after.isascii() and after.isdigit()):
            raise NoSuchPlace(after=after)
        return await asyncio.to_thread(self._read, int(after or 0), limit)

    def _read(self, after: int, limit: int) -> Page:
        found: list[lines.Line] = []
        for line in self._lines_from(after):
            if len(found) == limit:
                return Page(items=found, next=str(found[-1].n))
            found.append(line)
        return Page(items=found)

    def _lines_from(self, after: int) -> Iterator[lines.Line]:
        files = lines.segments(self._folder)
        begins = [int(file.stem.removeprefix("audit-")) for file in files]
        for number, file in enumerate(files):
            if number + 1 < len(files) and begins[number + 1] <= after + 1:
                continue
            with file.open("rb") as raw:
                for one in raw:
                    if not one.endswith(b"\n"):
                        return  # being written
                    line = lines.decode(one)
                    if line.n > after:
                        yield line
