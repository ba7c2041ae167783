"""The book of flows: which there are, which version is current, and every version that a session runs on.

Rule 1: a version is in the store, and its hooks file in DIR/flows, before it becomes current, so a session
never runs on what could be lost. Rule 2: versions are never replaced: a changed file gives a new version, the
older ones stay for the sessions that run on them. Rule 3: what is wrong with one file is listed, and nothing
else changes; a file that was good keeps its last good flows while its new text is not. Rule 4: a name belongs
to the built-in flow, else to the file that comes first (folders in their order, files by name).
Rule 5: a version pins those of the flows it calls; flows that call each other in a circle call what is
current.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from bot.engine import checks, compile, form
from bot.engine.ready import Ready
from bot.engine.refusals import Gone, NoSuchFlow
from bot.plugins import builtin, files, limits, process
from bot.plugins.frames import Fault
from bot.plugins.hooks import HookFailed, Hooks

log = structlog.get_logger("plugins")


class KeptFlows(Protocol):
    """Where compiled flows are kept, by version. Both may raise Gone."""

    async def keep(self, version: str, raw: bytes) -> None:
        """Keep the canonical bytes of a version; nothing happens when they are there."""

    async def kept(self, version: str) -> bytes | None:
        """The bytes of a version, as they were kept."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Why a file, or one flow of it, is not there. For the author and the owner."""

    file: str
    line: int = 0
    flow: str = ""
    says: str
    at_ms: int

    @property
    def sentence(self) -> str:
        """With the place in front."""
        return f"{self.file}:{self.line}: {self.says}" if self.line else f"{self.file}: {self.says}"


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose flows came in; for the audit and the log."""

    file: str
    sha256: str
    flows: tuple[str, ...]


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """The last good reading of one source."""

    source: files.Source
    flows: tuple[form.Flow, ...]


class FlowBook:
    """All flows of this bot. `by_version` and `current` are the engine's `Flows`.

    `folders` hold plugin files, `package` the built-in flows ("" for none), `kept` is DIR/flows.
    """

    def __init__(
        self,
        store: KeptFlows,
        *,
        kept: Path,
        folders: Sequence[Path] = (),
        package: str = "bot.chatflows",
        on_loaded: Callable[[Loaded], None] | None = None,
    ) -> None:
        self.hooks = Hooks(kept)
        self._store, self._folders, self._package = store, tuple(folders), package
        self._on_loaded = on_loaded
        self._built_in: list[_Held] = []
        self._built_in_troubles: list[Trouble] = []
        self._marks: dict[Path, files.Mark] = {}
        self._held: dict[Path, _Held] = {}
        self._file_troubles: dict[Path, list[Trouble]] = {}
        self._name_troubles: list[Trouble] = []
        self._ready: dict[str, Ready] = {}
        self._current: dict[str, str] = {}
        self._unpublished = (
            False  # something was loaded or is gone, and the flows are not what they should be
        )
        self._looked = asyncio.Event()
        self._at_once = asyncio.Semaphore(limits.LOADS_AT_ONCE)
        self._turn = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None

    async def open(self, *, watch: bool = True) -> None:
        """Load everything; with `watch`, look for changed files each second until `close`.

        A file that takes its time holds nobody up: with `watch`, what is late comes while the bot serves.
        """
        if self._package:
            for one in await asyncio.to_thread(builtin.built_in, self._package):
                if one.says:
                    self._built_in_troubles.append(_trouble(one.source.name, one.says))
                    log.error("flow.built_in_bad", file=one.source.name, says=one.says)
                else:
                    self._built_in.append(_Held(source=one.source, flows=one.flows))
        await self._publish()
        if not watch:
            await self.reload()
            return
        self._polling = asyncio.create_task(self._poll(), name="flow files")
        try:
            async with asyncio.timeout(limits.START_S):
                await self._looked.wait()
        except TimeoutError:
            log.info("flow.still_loading", files=[files.name_of(path) for path in self._marks])

    async def close(self) -> None:
        """End the workers and the watching."""
        if self._polling:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await self.hooks.close()

    async def reload(self) -> bool:
        """Load what changed on the disk; whether anything did. Raises Gone when the store keeps nothing."""
        async with self._turn:
            marks = await asyncio.to_thread(files.marks, self._folders)
            changed = [path for path, mark in marks.items() if self._marks.get(path) != mark]
            for path in [path for path in self._marks if path not in marks]:
                self._forget(path)
                self._unpublished = True
            self._marks = {path: self._marks.get(path, ()) for path in marks}
            if not changed and not self._unpublished:
                return False
            self._unpublished = True
            loads = [asyncio.create_task(self._load(path, marks[path])) for path in changed]
            try:
                for load in asyncio.as_completed(loads):  # the quick ones need not wait for the slow one
                    await load
                    await self._publish()
                if not loads:
                    await self._publish()
            finally:
                for task in loads:
                    task.cancel()
                await asyncio.gather(*loads, return_exceptions=True)
            self._unpublished = False
            return True

    def by_version(self, version: str) -> Ready:
        """That very version. Raises NoSuchFlow; `bring` gets it from the store first."""
        try:
            return self._ready[version]
        except KeyError:
            raise NoSuchFlow(flow=version[:12]) from None

    def current(self, name: str) -> Ready:
        """The version that a new session runs. Raises NoSuchFlow."""
        try:
            return self._ready[self._current[name]]
        except KeyError:
            raise NoSuchFlow(flow=name) from None

    async def bring(self, versions: Iterable[str]) -> None:
        """Have these versions, and those that they call, ready for `by_version`. Raises NoSuchFlow, Gone."""
        wanted = [version for version in versions if version and version not in self._ready]
        while wanted:
            version = wanted.pop()
            raw = await self._store.kept(version)
            if raw is None:
                raise NoSuchFlow(flow=version[:12])
            ready = Ready(compile.decode(raw))
            if ready.version != version:
                raise NoSuchFlow(flow=version[:12])
            self._ready[version] = ready
            wanted += [v for v in _pinned(ready.flow) if v not in self._ready]

    def flows(self) -> list[Ready]:
        """The current flows, by name."""
        return [self._ready[version] for _, version in sorted(self._current.items())]

    def troubles(self) -> list[Trouble]:
        """What is wrong with the files, in their order."""
        of_files = [trouble for path in self._marks for trouble in self._file_troubles.get(path, [])]
        return [*self._built_in_troubles, *of_files, *self._name_troubles]

    async def call_hook(self, version: str, hook: str, names: Mapping[str, Any]) -> Any:
        """What the function of that version's file returns for the names. Raises HookFailed, Gone."""
        try:
            await self.bring([version])
            flow = self.by_version(version).flow
        except NoSuchFlow as e:
            raise HookFailed("The version of the chatflow that this session runs on is gone.") from e
        return await self.hooks.call(flow.hooks, hook, dict(names), source=flow.source)

    async def _poll(self) -> None:
        while True:
            try:
                await self.reload()
            except Gone as gone:
                log.info("flow.not_published", why=gone.sentence)
            except Exception:  # one odd file must not end the watching
                log.exception("flow.reload_failed")
            self._looked.set()
            await asyncio.sleep(limits.POLL_S)

    def _forget(self, path: Path) -> None:
        self._held.pop(path, None)
        self._file_troubles.pop(path, None)

    async def _load(self, path: Path, mark: files.Mark) -> None:
        async with self._at_once:
            await self._read_and_compile(path)
        self._marks[path] = mark

    async def _read_and_compile(self, path: Path) -> None:
        name = files.name_of(path)
        try:
            source = await asyncio.to_thread(files.read, path)
        except files.Unfit as unfit:  # not even the last good flows: somebody else may have had a hand in it
            self._forget(path)
            self._note(path, [_trouble(name, str(unfit))])
            return
        answer = await process.compiled(source.name, source.text, source.sha256)
        if isinstance(answer, Fault):
            stays = " The version before stays in use." if path in self._held else ""
            self._note(path, [_trouble(name, answer.says + stays, line=answer.line)])
            return
        flows, troubles = [], []
        for raw in answer.flows:
            try:
                flows.append(_accepted(raw, source))
            except compile.FlowRefused as refused:
                troubles.append(_trouble(name, builtin.told(refused), flow=refused.flow))
        if any(flow.hooks for flow in flows):
            await self.hooks.keep(source.sha256, source.text)
        self._held[path] = _Held(source=source, flows=tuple(flows))
        self._note(path, troubles)
        log.info("plugin.loaded", file=name, sha256=source.sha256, flows=[flow.name for flow in flows])
        if self._on_loaded:
            loaded = Loaded(file=name, sha256=source.sha256, flows=tuple(flow.name for flow in flows))
            self._on_loaded(loaded)

    def _note(self, path: Path, troubles: list[Trouble]) -> None:
        self._file_troubles[path] = troubles
        for trouble in troubles:
            log.warning("plugin.not_loaded", file=trouble.file, line=trouble.line, says=trouble.says)

    async def _publish(self) -> None:
        """Choose whose names count, pin, keep, and only then switch."""
        plugins = [self._held[path] for path in self._marks if path in self._held]
        chosen: dict[str, form.Flow] = {}
        owner: dict[str, str] = {}
        troubles: list[Trouble] = []
        for held in [*self._built_in, *plugins]:
            for flow in held.flows:
                if flow.name in owner:
                    says = f"{owner[flow.name]} has a chatflow {flow.name!r} already; choose another name."
                    troubles.append(_trouble(held.source.name, says, flow=flow.name))
                    continue
                chosen[flow.name], owner[flow.name] = flow, held.source.name
        for held in self._built_in:
            if any(flow.hooks for flow in held.flows):
                await self.hooks.keep(held.source.sha256, held.source.text)
        pinned, refused = pinned_all(chosen)
        troubles += [_trouble(flow.source, says, flow=flow.name) for flow, says in refused]
        current: dict[str, str] = {}
        for flow in pinned:
            version = compile.version_of(flow)
            ready = self._ready.get(version)
            if ready is None:
                ready = Ready(flow)
                await self._store.keep(version, compile.encode(flow))
                self._ready[version] = ready
            current[flow.name] = ready.version
        for trouble in troubles:
            if trouble.says not in {known.says for known in self._name_troubles}:
                log.warning("plugin.not_loaded", file=trouble.file, flow=trouble.flow, says=trouble.says)
        self._current, self._name_troubles = current, troubles


def pinned_all(flows: Mapping[str, form.Flow]) -> tuple[list[form.Flow], list[tuple[form.Flow, str]]]:
    """Every flow with the versions of those it calls fixed; and those that call what is not there."""
    done: dict[str, str] = {}  # name -> version, "" on a circle
    out: dict[str, form.Flow] = {}
    refused: list[tuple[form.Flow, str]] = []
    bad: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in done or name in bad or name not in flows:
            return
        flow = flows[name]
        for called in sorted(compile.calls_of(flow)):
            if called not in (*above, name):
                visit(called, (*above, name))
        there = compile.calls_of(flow) & flows.keys() - bad
        try:
            out[name] = compile.pin(flow, {called: done.get(called, "") for called in there})
        except compile.FlowRefused as e:
            bad.add(name)
            refused.append((flow, builtin.told(e)))
        else:
            done[name] = compile.version_of(out[name])

    for name in flows:
        visit(name, ())
    return list(out.values()), refused


def _pinned(flow: form.Flow) -> list[str]:
    return [state.version for state in flow.states.values() if isinstance(state, form.Call) and state.version]


def _accepted(raw: str, source: files.Source) -> form.Flow:
    """What a worker says is a flow, looked at as if somebody else had said it. Raises FlowRefused."""
    if len(raw) > limits.FLOW_BYTES:
        raise _refused(source, f"It is larger than {limits.FLOW_BYTES // 1024} KiB when compiled.")
    flow = compile.decode(raw.encode())
    if flow.source != source.name or flow.hooks not in ("", source.sha256):
        raise _refused(source, "It does not say truly which file it comes from.")
    if _pinned(flow):
        raise _refused(source, "It names versions of flows that it calls; those are fixed here.")
    return flow


def _refused(source: files.Source, says: str) -> compile.FlowRefused:
    return compile.FlowRefused(source.name, [checks.Problem("", "plugin", says)], source.name)


def _trouble(file: str, says: str, *, line: int = 0, flow: str = "") -> Trouble:
    return Trouble(file=file, line=line, flow=flow, says=says, at_ms=time.time_ns() // 1_000_000)
