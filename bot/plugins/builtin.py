"""The flows that Hercules brings along: imported in the bot, compiled like any other."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import msgspec

from bot.engine import compile, form
from bot.engine.vocabulary import Chatflow
from bot.plugins.files import Source


class BuiltIn(msgspec.Struct, frozen=True):
    """What one module of the package declares. `source` is its file, for its functions."""

    source: Source
    flows: tuple[form.Flow, ...]
    says: str = ""  # why it has none


def built_in(package: str) -> list[BuiltIn]:
    """Every module of the package that declares a flow. One that fails is said, the others stand."""
    found = []
    root = importlib.import_module(package)
    for name in sorted(_modules(root)):
        source = Source(name.replace(".", "/"), "", "")
        try:
            module = importlib.import_module(name)
            classes = [
                value
                for value in vars(module).values()
                if isinstance(value, type) and issubclass(value, Chatflow) and value.__module__ == name
            ]
            if not classes:
                continue
            source = _source(module, source.name)
            flows = tuple(compiled(cls, source=source.name, sha256=source.sha256) for cls in classes)
        except Exception as e:  # ours, found by our own tests; here the rest of the bot goes on
            found.append(BuiltIn(source, (), f"{type(e).__name__}: {e}"))
        else:
            found.append(BuiltIn(source, flows))
    return found


def _modules(root: ModuleType) -> list[str]:
    below = pkgutil.walk_packages(getattr(root, "__path__", ()), root.__name__ + ".", onerror=lambda _: None)
    return [root.__name__, *(found.name for found in below)]


def _source(module: ModuleType, name: str) -> Source:
    raw = Path(module.__file__ or "").read_bytes()
    return Source(name, raw.decode("utf-8"), hashlib.sha256(raw).hexdigest())


def compiled(cls: type[Chatflow], *, source: str, sha256: str) -> form.Flow:
    """The flow of a class; it names its file's hash only if it needs functions of it. Raises FlowRefused."""
    flow = compile.compile_class(cls, source=source, hooks=sha256)
    return flow if hooks_of(flow) else msgspec.structs.replace(flow, hooks="")


def told(refused: compile.FlowRefused) -> str:
    """What is wrong, without the place: that is told beside it."""
    return "{flow}: {summary}".format_map(refused.fields)


def hooks_of(flow: form.Flow) -> set[str]:
    """The names of the functions that a flow needs."""
    named = (
        state.check if isinstance(state, form.Ask) else state.hook if isinstance(state, form.Choose) else None
        for state in flow.states.values()
    )
    return {name for name in named if name}
