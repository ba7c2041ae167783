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
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog

from bot.engine import compile, form
from bot.engine.ready import Ready
from bot.engine.refusals import Gone, NoSuchFlow
from bot.plugins import builtin, limits
from bot.plugins.history import Histories, KeptHistories, Published
from bot.plugins.hooks import HookFailed, Hooks
from bot.plugins.packages import Packages
from bot.plugins.shelf import Held, Shelf, line_of_call, trouble
from bot.plugins.shelf import Loaded as Loaded
from bot.plugins.shelf import Trouble as Trouble

log = structlog.get_logger("plugins")


class KeptFlows(KeptHistories, Protocol):
    """Where compiled flows are kept, by version. Both may raise Gone."""

    async def keep(self, version: str, raw: bytes) -> None:
        """Keep the canonical bytes of a version; nothing happens when they are there."""

    async def kept(self, version: str) -> bytes | None:
        """The bytes of a version, as they were kept."""

    async def versions(self) -> list[str]:
        """All versions that are kept."""

    async def forget(self, version: str) -> None:
        """Keep a version no longer."""


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
        packages: Packages | None = None,
        on_loaded: Callable[[Loaded], None] | None = None,
    ) -> None:
        self.hooks = Hooks(kept)
        self._store, self._package = store, package
        self._shelf = Shelf(folders, kept=kept, hooks=self.hooks, packages=packages, on_loaded=on_loaded)
        self._built_in: list[Held] = []
        self._built_in_troubles: list[Trouble] = []
        self._name_troubles: list[Trouble] = []
        self._ready: dict[str, Ready] = {}
        self._current: dict[str, str] = {}
        self._of_files: dict[str, str] = {}  # flow -> its version as its file has it, calling nothing fixed
        self.published = asyncio.Event()  # another version of some flow became current
        self.histories = Histories(store)
        self._unpublished = (
            False  # something was loaded or is gone, and the flows are not what they should be
        )
        self._looked = asyncio.Event()
        self._turn = asyncio.Lock()
        self._polling: asyncio.Task[None] | None = None

    async def open(self, *, watch: bool = True) -> None:
        """Load everything; with `watch`, look for changed files each second until `close`.

        A file that takes its time holds nobody up: with `watch`, what is late comes while the bot serves.
        """
        await self.histories.open()
        if self._package:
            for one in await asyncio.to_thread(builtin.built_in, self._package):
                if one.says:
                    self._built_in_troubles.append(trouble(one.source.name, one.says))
                    log.error("flow.built_in_bad", file=one.source.name, says=one.says)
                else:
                    self._built_in.append(Held(source=one.source, flows=one.flows))
        await self._publish()
        if not watch:
            await self.reload()
            return
        self._polling = asyncio.create_task(self._poll(), name="flow files")
        try:
            async with asyncio.timeout(limits.START_S):
                await self._looked.wait()
        except TimeoutError:
            log.info("flow.still_loading", files=self._shelf.waiting)

    async def close(self) -> None:
        """End the workers and the watching."""
        if self._polling:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        await self._shelf.close()
        await self.hooks.close()

    async def reload(self, *, wait: bool = True) -> bool:
        """Load what changed on the disk; whether anything did. Raises Gone when the store keeps nothing.

        Without `wait` a file that takes its time is left to a later call.
        """
        changed = False
        async with self._turn:
            async with contextlib.aclosing(self._shelf.look(wait=wait)) as looks:
                async for _ in looks:
                    self._unpublished = True
                    await self._publish()
                    self._unpublished = False
                    changed = True
            if self._unpublished:
                await self._publish()
                self._unpublished, changed = False, True
            return changed

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

    async def back(self, name: str, version: str) -> Ready:
        """Make an earlier version of a flow the current one again: one more publication.

        It holds until the file says something else. Raises NoSuchFlow, NoSuchVersion, Gone.
        """
        async with self._turn:
            current = self.current(name)
            before = self.histories.find(name, version)
            await self.bring([before.version])
            if before.version != current.version:
                again = Published(
                    version=before.version,
                    at_ms=time.time_ns() // 1_000_000,
                    how="back",
                    source=current.flow.source,
                    title=self.by_version(before.version).flow.title,
                    over=self._of_files.get(name, ""),
                )
                await self.histories.add(name, again)
                log.info("flow.went_back", flow=name, version=before.version[:12])
            await self._publish()
            return self.current(name)

    def kept_anyway(self) -> set[str]:
        """The current versions and those of the histories."""
        return {*self._current.values(), *self.histories.versions()}

    async def collect(self, needed: set[str]) -> list[str]:
        """Throw away every version but these, those that they call, and `kept_anyway`. Raises Gone."""
        async with self._turn:
            keep: set[str] = set()
            todo = [*needed, *self.kept_anyway()]
            while todo:
                version = todo.pop()
                if not version or version in keep:
                    continue
                keep.add(version)
                try:
                    await self.bring([version])
                except NoSuchFlow:
                    continue
                todo += _pinned(self.by_version(version).flow)
            gone = [version for version in await self._store.versions() if version not in keep]
            for version in gone:
                self._ready.pop(version, None)
                await self._store.forget(version)
            await self.hooks.keep_only({self.by_version(v).flow.hooks for v in keep if v in self._ready})
            return gone

    def troubles(self) -> list[Trouble]:
        """What is wrong with the files, in their order."""
        return [*self._built_in_troubles, *self._shelf.troubles(), *self._name_troubles]

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
            pause = limits.POLL_S
            began = time.monotonic()
            try:
                changed = await self.reload(wait=False)
                if not changed and not self._shelf.is_loading:  # very many files: look less often
                    pause = min(max(pause, 20 * (time.monotonic() - began)), limits.POLL_MOST_S)
            except Gone as gone:
                log.info("flow.not_published", why=gone.sentence)
            except Exception:  # one odd file must not end the watching
                log.exception("flow.reload_failed")
            if not self._shelf.is_loading:
                self._looked.set()
            await asyncio.sleep(pause)

    async def _publish(self) -> None:
        """Choose whose names count, pin, keep, and only then switch."""
        chosen: dict[str, form.Flow] = {}
        owner: dict[str, str] = {}
        troubles: list[Trouble] = []
        for held in [*self._built_in, *self._shelf.held]:
            for flow in held.flows:
                if flow.name in owner:
                    says = f"{owner[flow.name]} has a chatflow {flow.name!r} already; choose another name."
                    troubles.append(trouble(held.source.name, says, flow=flow.name))
                    continue
                chosen[flow.name], owner[flow.name] = flow, held.source.name
        for held in self._built_in:
            if any(flow.hooks for flow in held.flows):
                await self.hooks.keep(held.source.sha256, held.source.text)
        of_files = {name: compile.version_of(flow) for name, flow in chosen.items()}
        pinned, refused = pinned_all(chosen, await self._gone_back(of_files))
        texts = {held.source.name: held.source.text for held in self._shelf.held}
        for flow, says in refused:
            line = line_of_call(texts.get(flow.source, ""), says)
            troubles.append(trouble(flow.source, f"{says} Load that one, too.", flow=flow.name, line=line))
        current: dict[str, str] = {}
        for flow in pinned:
            version = compile.version_of(flow)
            ready = self._ready.get(version)
            if ready is None:
                ready = Ready(flow)
                await self._store.keep(version, compile.encode(flow))
                self._ready[version] = ready
            current[flow.name] = ready.version
        known = {one.says for one in self._name_troubles}
        for one in troubles:
            if one.says not in known:
                log.warning("plugin.not_loaded", file=one.file, line=one.line, flow=one.flow, says=one.says)
        changed = [name for name, version in current.items() if self._current.get(name) != version]
        gone = self._current.keys() - current.keys()
        self._current, self._name_troubles, self._of_files = current, troubles, of_files
        if changed or gone:
            self.published.set()
        now_ms = time.time_ns() // 1_000_000
        await asyncio.gather(*(self._note_published(name, now_ms) for name in changed))

    async def _gone_back(self, of_files: Mapping[str, str]) -> dict[str, form.Flow]:
        """The flows that were gone back to an older version since their files last changed."""
        found = {}
        for name, published in self.histories.gone_back().items():
            if name not in of_files or published.over != of_files[name]:
                continue
            try:
                await self.bring([published.version])
            except NoSuchFlow:
                log.warning("flow.history_lost", flow=name, version=published.version[:12])
            else:
                found[name] = self.by_version(published.version).flow
        return found

    async def _note_published(self, name: str, now_ms: int) -> None:
        flow = self.current(name).flow
        version = self._current[name]
        if (back := self.histories.gone_back().get(name)) and back.version == version:
            return
        await self.histories.add(
            name, Published(version=version, at_ms=now_ms, source=flow.source, title=flow.title)
        )


def pinned_all(
    flows: Mapping[str, form.Flow], fixed: Mapping[str, form.Flow] | None = None
) -> tuple[list[form.Flow], list[tuple[form.Flow, str]]]:
    """Every flow with the versions of those it calls fixed; and those that call what is not there.

    `fixed` ones count instead of those in `flows` and are what they were when they were published.
    """
    fixed = fixed or {}
    done: dict[str, str] = {}  # name -> version, "" on a circle
    out: dict[str, form.Flow] = {}
    refused: list[tuple[form.Flow, str]] = []
    bad: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in done or name in bad or name not in flows:
            return
        if name in fixed:
            out[name], done[name] = fixed[name], compile.version_of(fixed[name])
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
