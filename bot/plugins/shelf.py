"""What the plugin files say now: the last good flows of each, and what is wrong with it.

Rule 1: what is wrong with one file is listed, and nothing else changes; a file that was good keeps its last
good flows while its new text is not. Rule 2: a file that is not to be trusted keeps nothing. Rule 3: a Python
file is imported in a worker of its own, never here; one that did not change is taken from the cache.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from bot.engine import checks, compile, form
from bot.plugins import builtin, cache, files, limits, process
from bot.plugins.files import Place, Source
from bot.plugins.frames import Compiled, Fault
from bot.plugins.hooks import Hooks
from bot.plugins.packages import Packages

log = structlog.get_logger("plugins")


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why a file, or one flow of it, is not there. For the author and the owner.

    `stays`: the version before is in use meanwhile.
    """

    file: str
    line: int = 0
    flow: str = ""
    says: str
    at_ms: int
    stays: bool = False

    @property
    def sentence(self) -> str:
        """With the place in front."""
        return f"{self.file}:{self.line}: {self.says}" if self.line else f"{self.file}: {self.says}"


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose flows came in; for the audit and the log."""

    file: str
    sha256: str
    flows: tuple[str, ...]


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The last good reading of one source."""

    source: Source
    flows: tuple[form.Flow, ...]


class Shelf:
    """All plugin files. `kept` is DIR/flows, `packages` finds those of installed packages."""

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        kept: Path,
        hooks: Hooks,
        packages: Packages | None = None,
        on_loaded: Callable[[Loaded], None] | None = None,
    ) -> None:
        self._folders, self._hooks, self._packages = tuple(folders), hooks, packages
        self._on_loaded = on_loaded
        self._cache = cache.Cache(kept / "compiled.json")
        self._keys: dict[Place, str] = {}
        self._marks: dict[Place, files.Mark] = {}
        self._held: dict[Place, Held] = {}
        self._troubles: dict[Place, list[Trouble]] = {}
        self._loading: dict[Place, tuple[files.Mark, asyncio.Task[None]]] = {}
        self._at_once = asyncio.Semaphore(limits.LOADS_AT_ONCE)

    @property
    def held(self) -> list[Held]:
        """The last good flows, in the order of the files."""
        return [self._held[place] for place in self._marks if place in self._held]

    @property
    def waiting(self) -> list[str]:
        """The files that were not read yet."""
        return [place.name for place, mark in self._marks.items() if not mark]

    def troubles(self) -> list[Trouble]:
        """What is wrong with the files, in their order."""
        found = [trouble for place in self._marks for trouble in self._troubles.get(place, [])]
        missing = self._packages.missing if self._packages else {}
        return [*found, *(trouble(name, says) for name, says in missing.items())]

    async def look(self, *, wait: bool = True) -> AsyncGenerator[None, None]:
        """Read what changed on the disk; yields when something is other than before, as soon as it is.

        Without `wait` it ends while files are still imported that take their time; the next look takes them.
        """
        marks = await asyncio.to_thread(self._marks_now)
        changed = [
            place
            for place, mark in marks.items()
            if self._marks.get(place) != mark and not self._is_loading(place, mark)
        ]
        gone = [place for place in self._marks if place not in marks]
        for place in (*gone, *changed):
            if loading := self._loading.pop(place, None):
                loading[1].cancel()
        for place in gone:
            self._forget(place)
        self._marks = {place: self._marks.get(place, ()) for place in marks}
        if gone and not changed:
            yield
        slow: list[tuple[Place, Source]] = []
        for few in (changed[i : i + 50] for i in range(0, len(changed), 50)):
            for place, source, answer in await asyncio.to_thread(self._quick, few):
                if answer is None and isinstance(source, Source):
                    slow.append((place, source))
                    continue
                await self._take(place, source, answer)
                self._marks[place] = marks[place]
            yield
        for place, source in slow:
            task = asyncio.create_task(self._import(place, source, marks[place]), name=f"load {place.name}")
            self._loading[place] = (marks[place], task)
        waited = bool(self._loading)
        while self._loading:  # the quick ones need not wait for the slow one
            done, _ = await asyncio.wait({t for _, t in self._loading.values()}, timeout=limits.PUBLISH_S)
            self._loading = {p: loading for p, loading in self._loading.items() if loading[1] not in done}
            for task in done:
                if not task.cancelled():
                    task.result()
            if done:
                yield
            elif not wait:
                return
        if changed or waited:
            keys = {self._keys[place] for place in self._held if place in self._keys}
            await asyncio.to_thread(self._cache.save, keys)

    @property
    def is_loading(self) -> bool:
        """Files are still imported."""
        return bool(self._loading)

    async def close(self) -> None:
        """End what is still imported."""
        tasks = [task for _, task in self._loading.values()]
        self._loading = {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_loading(self, place: Place, mark: files.Mark) -> bool:
        return place in self._loading and self._loading[place][0] == mark

    def _marks_now(self) -> dict[Place, files.Mark]:
        return files.marks(self._folders, self._packages.places() if self._packages else ())

    def _quick(
        self, places: list[Place]
    ) -> list[tuple[Place, Source | files.Unfit, tuple[form.Flow, ...] | list[Trouble] | None]]:
        """What needs no worker: files that are not to be read, known ones, and those in YAML."""
        out: list[tuple[Place, Source | files.Unfit, tuple[form.Flow, ...] | list[Trouble] | None]] = []
        for place in places:
            try:
                source = files.read(place)
            except files.Unfit as unfit:
                out.append((place, unfit, [trouble(place.name, str(unfit))]))
                continue
            answer: tuple[form.Flow, ...] | list[Trouble] | None = self._cache.flows(
                cache.key_of(place, source)
            )
            if answer is None and source.is_yaml:
                answer = from_yaml(source)
            out.append((place, source, answer))
        return out

    async def _import(self, place: Place, source: Source, mark: files.Mark) -> None:
        async with self._at_once:
            answer = await process.compiled(source.name, source.text, source.sha256, source.messages)
        taken = await asyncio.to_thread(from_worker, answer, source)
        await self._take(place, source, taken)
        self._marks[place] = mark

    async def _take(
        self, place: Place, source: Source | files.Unfit, answer: tuple[form.Flow, ...] | list[Trouble] | None
    ) -> None:
        if not isinstance(source, Source):  # somebody else may have had a hand in it
            self._forget(place)
            self._note(place, answer if isinstance(answer, list) else [])
            return
        if not isinstance(answer, tuple):
            troubles = answer or []
            if place in self._held and troubles:
                told = f"{troubles[0].says} The version before stays in use."
                first = msgspec.structs.replace(troubles[0], says=told)
                troubles = [msgspec.structs.replace(t, stays=True) for t in (first, *troubles[1:])]
            self._note(place, troubles)
            return
        if any(flow.hooks for flow in answer):
            await self._hooks.keep(source.sha256, source.text)
        self._held[place] = Held(source=source, flows=answer)
        self._keys[place] = key = cache.key_of(place, source)
        self._cache.put(key, answer)
        self._note(place, [])
        names = tuple(flow.name for flow in answer)
        for file, sha256 in ((source.name, source.sha256), *source.parts.items()):
            name = file if file == source.name else f"{source.name.rpartition('/')[0]}/{file}"
            log.info("plugin.loaded", file=name, sha256=sha256, flows=names)
            if self._on_loaded:
                self._on_loaded(Loaded(file=name, sha256=sha256, flows=names))

    def _forget(self, place: Place) -> None:
        self._held.pop(place, None)
        self._keys.pop(place, None)
        self._troubles.pop(place, None)

    def _note(self, place: Place, troubles: list[Trouble]) -> None:
        self._troubles[place] = troubles
        for one in troubles:
            log.warning("plugin.not_loaded", file=one.file, line=one.line, says=one.says, stays=one.stays)


async def read(place: Place) -> tuple[form.Flow, ...] | list[Trouble]:
    """What a file says, read as the bot reads it; for the author's tools. No cache."""
    try:
        source = await asyncio.to_thread(files.read, place)
    except files.Unfit as unfit:
        return [trouble(place.name, str(unfit))]
    if source.is_yaml:
        return await asyncio.to_thread(from_yaml, source)
    return from_worker(
        await process.compiled(source.name, source.text, source.sha256, source.messages), source
    )


def from_yaml(source: Source) -> tuple[form.Flow, ...] | list[Trouble]:
    """The flow of a YAML file, or its mistakes."""
    from bot.plugins import yaml_flow  # a start that reads no new YAML does without
    from bot.plugins.yaml_nodes import YamlRefused

    try:
        return (
            yaml_flow.read(source.text, source=source.name, name=source.flow, messages=source.messages).flow,
        )
    except YamlRefused as refused:
        return _listed(source.name, [(wrong.line, wrong.says) for wrong in refused.wrongs])
    except Exception as e:  # our bug; the other files go on
        log.exception("plugin.yaml_failed", file=source.name)
        return [trouble(source.name, f"It could not be read ({type(e).__name__}): please report this file.")]


def from_worker(answer: Compiled | Fault, source: Source) -> tuple[form.Flow, ...] | list[Trouble]:
    """What a worker says are flows, looked at as if somebody else had said it."""
    if isinstance(answer, Fault):
        return _listed(source.name, [(answer.line, answer.says), *answer.more])
    flows = []
    for raw in answer.flows:
        try:
            flows.append(_accepted(raw, source))
        except compile.FlowRefused as refused:
            return [trouble(source.name, builtin.told(refused), flow=refused.flow)]
    return tuple(flows)


def trouble(file: str, says: str, *, line: int = 0, flow: str = "") -> Trouble:
    """Something wrong, now."""
    return Trouble(file=file, line=line, flow=flow, says=says, at_ms=time.time_ns() // 1_000_000)


def line_of_call(text: str, says: str) -> int:
    """Where a text calls the flow that a sentence names: that it is not there is known last."""
    if not (named := re.search(r"It calls '([^']+)'", says)):
        return 0
    found = re.search(rf"\bcall\b[^\n]*?\b{re.escape(named[1])}\b", text, re.IGNORECASE)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def _listed(file: str, wrongs: Sequence[tuple[int, str]]) -> list[Trouble]:
    told = [trouble(file, says, line=line) for line, says in wrongs[: limits.TROUBLES_PER_FILE]]
    if len(wrongs) > len(told):
        told.append(trouble(file, f"… and {len(wrongs) - len(told)} more mistakes."))
    return told


def _accepted(raw: str, source: Source) -> form.Flow:
    """Raises FlowRefused."""
    if len(raw) > limits.FLOW_BYTES:
        raise _refused(source, f"It is larger than {limits.FLOW_BYTES // 1024} KiB when compiled: split it.")
    flow = compile.decode(raw.encode())
    if flow.source != source.name or flow.hooks not in ("", source.sha256):
        raise _refused(source, "It does not say truly which file it comes from.")
    if any(isinstance(state, form.Call) and state.version for state in flow.states.values()):
        raise _refused(source, "It names versions of flows that it calls; those are fixed here.")
    return flow


def _refused(source: Source, says: str) -> compile.FlowRefused:
    return compile.FlowRefused(source.name, [checks.Problem("", "plugin", says)], source.name)
