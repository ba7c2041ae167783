"""Flows held in memory for the simulation: the engine's `Flows`, with a record of each way taken."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from bot.engine import compile, form
from bot.engine.ready import Ready
from bot.engine.refusals import NoSuchFlow
from bot.engine.vocabulary import Chatflow
from bot.plugins import builtin

Way = tuple[str, str, str]  # trigger, source, destination
Hook = Callable[[dict[str, Any]], Any]


class Watched(Ready):
    """A flow that notes which rows were gone along."""

    def __init__(self, flow: form.Flow) -> None:
        super().__init__(flow)
        self.gone: set[Way] = set()

    def may_go(self, trigger: str, source: str, dest: str) -> bool:
        """Whether the machine has that row; if so, it is gone along now."""
        if not super().may_go(trigger, source, dest):
            return False
        self.gone.add((trigger, source, dest))
        return True


class Library:
    """Some flows, each in its current version and those before."""

    def __init__(self, flows: Iterable[form.Flow | type[Chatflow]] = ()) -> None:
        self._current: dict[str, Watched] = {}
        self._versions: dict[str, Watched] = {}
        self._hooks: dict[tuple[str, str], Hook] = {}
        for flow in flows:
            self.add(flow)

    def add(self, flow: form.Flow | type[Chatflow]) -> Watched:
        """Make this the current version of its flow."""
        compiled = flow if isinstance(flow, form.Flow) else compile.compile_class(flow)
        if not isinstance(flow, form.Flow):
            module = vars(sys.modules.get(flow.__module__, object))
            for name in builtin.hooks_of(compiled):
                if callable(module.get(name)):
                    self._hooks[compiled.name, name] = module[name]
        ready = Watched(compiled)
        kept = self._versions.setdefault(ready.version, ready)
        self._current[compiled.name] = kept
        return kept

    def by_version(self, version: str) -> Watched:
        """That very version. Raises NoSuchFlow."""
        if version not in self._versions:
            raise NoSuchFlow(flow=version[:12])
        return self._versions[version]

    def current(self, name: str) -> Watched:
        """The newest version. Raises NoSuchFlow."""
        if name not in self._current:
            raise NoSuchFlow(flow=name)
        return self._current[name]

    def hook(self, flow: str, name: str) -> Hook | None:
        """The function of a flow's file, where the flow is a class of this process."""
        return self._hooks.get((flow, name))

    def names(self) -> list[str]:
        """All flows."""
        return sorted(self._current)

    def change(self, name: str) -> str:
        """Publish another version that does the same, with a rule for open sessions; which it is."""
        flow = self.current(name).flow
        rules = (form.Migration(), *flow.migrates)
        return self.add(
            msgspec.structs.replace(flow, description=f"{flow.description}.", migrates=rules)
        ).version


@functools.cache
def built_in() -> tuple[form.Flow, ...]:
    """The flows that Hercules brings along."""
    return tuple(flow for one in builtin.built_in("bot.chatflows") for flow in one.flows)


def near(folder: Path | None = None) -> Path | None:
    """The folder of plugin files in or above a folder (the present one)."""
    place = (folder or Path.cwd()).absolute()
    for one in (place, *place.parents):
        if one.name == "chatflows.d":
            return one
        if (one / "chatflows.d").is_dir():
            return one / "chatflows.d"
    return None
