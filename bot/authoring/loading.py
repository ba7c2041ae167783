"""Flows and tests of files, for the author's tools: as the bot reads them, with their lines."""

from __future__ import annotations

import ast
import asyncio
import functools
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bot.engine import compile, form
from bot.plugins import files, process, yaml_flow, yaml_nodes
from bot.plugins.frames import Fault

T = TypeVar("T")


class Mistake(msgspec.Struct, frozen=True):
    """Something wrong with a file; line 0 is the file as a whole."""

    file: str
    line: int
    says: str

    @property
    def told(self) -> str:
        """In one line, with its place."""
        return f"{self.file}:{self.line}: {self.says}" if self.line else f"{self.file}: {self.says}"


class Read(msgspec.Struct, frozen=True):
    """What a file says: its flows with the lines of their states, or what is wrong with it."""

    path: Path
    flows: tuple[form.Flow, ...] = ()
    lines: dict[str, dict[str, int]] = {}  # flow -> state -> line
    mistakes: tuple[Mistake, ...] = ()
    source: files.Source | None = None


def read(path: Path) -> Read:
    """Read one file (or a folder with a flow in it)."""
    try:
        source = files.read(files.place_of(path))
    except files.Unfit as e:
        return Read(path, mistakes=(Mistake(str(path), 0, str(e)),))
    if source.is_yaml:
        return _yaml(path, source)
    answer = _run(process.compiled(source.name, source.text, source.sha256, source.messages))
    if isinstance(answer, Fault):
        wrong = [(answer.line, answer.says), *answer.more]
        return Read(path, mistakes=tuple(Mistake(str(path), line, says) for line, says in wrong))
    flows = tuple(compile.decode(raw.encode()) for raw in answer.flows)
    return Read(path, flows, {flow.name: _lines(source.text, flow) for flow in flows}, source=source)


def flows_below(folder: Path) -> list[form.Flow]:
    """All flows of a folder of plugins that can be read."""
    found = files.marks([folder])
    return [flow for place, mark in found.items() for flow in _read_once(place.path, mark).flows]


@functools.lru_cache(maxsize=512)
def _read_once(path: Path, mark: files.Mark) -> Read:
    """A file that has not changed is read once."""
    return read(path)


def yaml_value(path: Path) -> Any:
    """Plain data of a YAML file. Raises ValueError with the line."""
    try:
        return yaml_nodes.plain(yaml_nodes.parse(path.read_text("utf-8")))
    except yaml_nodes.YamlRefused as e:
        wrong = e.wrongs[0]
        raise ValueError(f"{path}:{wrong.line}: {wrong.says}") from e


def _yaml(path: Path, source: files.Source) -> Read:
    try:
        found = yaml_flow.read(source.text, source=source.name, name=source.flow, messages=source.messages)
    except yaml_nodes.YamlRefused as e:
        return Read(path, mistakes=tuple(Mistake(str(path), one.line, one.says) for one in e.wrongs))
    return Read(path, (found.flow,), {found.flow.name: dict(found.lines)}, source=source)


def _lines(source: str, flow: form.Flow) -> dict[str, int]:
    """In which line each state stands, read from the text without running it."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ClassDef):
            continue
        lines = {
            target.id: one.lineno
            for one in node.body
            if isinstance(one, ast.Assign)
            for target in one.targets
            if isinstance(target, ast.Name)
        }
        if set(flow.states) <= set(lines):
            found = {**lines, "": node.lineno}
    return found


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Wait for it, also inside of somebody's event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    box: list[Any] = []

    def run() -> None:
        try:
            box.append((asyncio.run(work), None))
        except BaseException as e:  # handed on to who waits
            box.append((None, e))

    thread = threading.Thread(target=run, name="reading a plugin")
    thread.start()
    thread.join()
    value, error = box[0]
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]
