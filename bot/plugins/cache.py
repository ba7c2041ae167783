"""What files were compiled to, kept beside the hooks: a file that did not change needs no worker at a start.

Rule 1: an entry stands for a file's name and bytes, those of its messages, its package's version and this
program's own text; another of any of them is another entry. Rule 2: what is read back is taken only if it is
what was written. Rule 3: losing it costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import os
import sys
from pathlib import Path

import msgspec
import structlog

import bot.engine
import bot.plugins
from bot.engine import compile, form, orders
from bot.plugins.files import Place, Source

log = structlog.get_logger("plugins")


class _Kept(msgspec.Struct, frozen=True):
    program: str
    sum: str  # of what follows: half a write is none
    files: dict[str, list[str]]


_flow = msgspec.json.Decoder(form.Flow)


class Cache:
    """Compiled files by their key, in one file. Not for several threads at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._old: dict[str, list[str]] | None = None
        self._new: dict[str, list[str]] = {}
        self._written: set[str] = set()

    def flows(self, key: str) -> tuple[form.Flow, ...] | None:
        """What the file was compiled to; None when that is not known."""
        if self._old is None:
            self._old = _read(self._file)
            self._written = set(self._old)
        raws = self._new.get(key) or self._old.get(key)
        if not raws:
            return None
        flows = []
        for raw in raws:
            try:
                flow = _flow.decode(raw)
            except (msgspec.MsgspecError, RecursionError):
                return None
            if compile.encode(flow) != raw.encode():
                return None
            flows.append(flow)
        self._new[key] = raws
        return tuple(flows)

    def put(self, key: str, flows: tuple[form.Flow, ...]) -> None:
        """Know it the next time."""
        self._new[key] = [compile.encode(flow).decode() for flow in flows]

    def save(self, keys: set[str]) -> None:
        """Write down the entries that are needed, if they are others than those on the disk."""
        self._new = {key: raws for key, raws in self._new.items() if key in keys}
        if set(self._new) == self._written:
            return
        raw = msgspec.json.encode(_Kept(program(), _sum(self._new), self._new))
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as f:
                f.write(raw)
            draft.rename(self._file)
        except OSError as e:
            log.info("plugin.not_cached", why=e.strerror)
            with contextlib.suppress(OSError):
                draft.unlink()
        else:
            self._written = set(self._new)


def key_of(place: Place, source: Source) -> str:
    """What an entry stands for."""
    parts = [
        place.name,
        place.of,
        source.flow,
        source.sha256,
        *(f"{n} {sha}" for n, sha in source.parts.items()),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@functools.cache
def program() -> str:
    """The hash of what compiles: the engine, the orders, this room, and the interpreter."""
    digest = hashlib.sha256(sys.version.encode())
    of_orders = inspect.getfile(next(iter(orders.KINDS.values())))
    for file in (bot.engine.__file__, of_orders, bot.plugins.__file__):
        for path in sorted(Path(file).parent.rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _read(file: Path) -> dict[str, list[str]]:
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return {}
    return kept.files if kept.program == program() and kept.sum == _sum(kept.files) else {}


def _sum(files: dict[str, list[str]]) -> str:
    return hashlib.sha256(msgspec.json.encode(files)).hexdigest()
