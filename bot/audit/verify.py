"""Check an audit folder, or one segment of it, with nothing but the files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bot.audit import lines


class BadLine(Exception):
    """The first line that does not hold: in which file, which line of it, and why."""

    def __init__(self, file: Path, line: int, says: str) -> None:
        self.file, self.line, self.says = file, line, says
        super().__init__(f"{file.name}, line {line}: {says}")


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked: lines `first` to `last`. `head` is what line `last` + 1 has to be chained to."""

    segments: int
    first: int
    last: int
    head: str


def verify(path: Path) -> Verified:
    """Check every line of a folder of segments, or of one segment. Raises BadLine for the first bad one.

    Of one segment by itself the chain is checked from its second line on; of a folder from the first of all.
    """
    whole = path.is_dir()
    files = lines.segments(path) if whole else [path]
    if not whole and not path.is_file():
        raise FileNotFoundError(f"there is no audit at {path}")
    before = lines.FIRST if whole else None
    first = n = 0
    ids: set[str] = set()
    for file in files:
        for number, raw in enumerate(_raw_lines(file), start=1):
            try:
                line = lines.decode(raw)
            except msgspec.MsgspecError:
                raise BadLine(file, number, "this is no entry of an audit") from None
            if lines.encode(line) != raw:
                raise BadLine(file, number, "the entry is not in the form in which it was written")
            if before is not None and line.before != before:
                raise BadLine(file, number, "the entry does not follow from the line before it")
            if line.n != (n + 1 if n or whole else line.n):
                raise BadLine(file, number, f"this is entry {line.n}, and {n + 1} was to come")
            if line.id in ids:
                raise BadLine(file, number, f"the id {line.id} stood in an earlier entry")
            if number == 1 and file.name != lines.segment_name(line.n):
                raise BadLine(file, number, f"a segment that begins with entry {line.n} has another name")
            ids.add(line.id)
            before, n, first = lines.chained(raw), line.n, first or line.n
    return Verified(segments=len(files), first=first, last=n, head=before or lines.FIRST)


def _raw_lines(file: Path) -> list[bytes]:
    data = file.read_bytes()
    if not data:
        raise BadLine(file, 1, "the segment is empty")
    if not data.endswith(b"\n"):
        raise BadLine(file, data.count(b"\n") + 1, "the last line is cut off")
    return data[:-1].split(b"\n")
