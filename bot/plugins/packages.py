"""Chatflows that installed packages bring: entry points of the group `hercules.chatflows`.

    [project.entry-points."hercules.chatflows"]
    restart = "acme_flows.restart"     # acme_flows/restart.py or .yaml, or a folder with such a flow.* in it

Nothing of a package is imported here: its file is found by the name of its module and read like any other.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

from bot.plugins.files import KINDS, Place

GROUP = "hercules.chatflows"


class Packages:
    """The entry points that there are, looked for again when something was installed or removed."""

    def __init__(self) -> None:
        self._seen: tuple[tuple[str, int], ...] | None = None
        self._places: list[Place] = []
        self.missing: dict[str, str] = {}  # by what people see: why it cannot be found

    def places(self) -> list[Place]:
        """Where their files are, in the order of their names."""
        seen = tuple((folder, _changed(folder)) for folder in sys.path)
        if seen != self._seen:
            self._seen = seen
            self._find()
        return self._places

    def _find(self) -> None:
        self._places, self.missing = [], {}
        importlib.invalidate_caches()
        for point in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
            dist = point.dist
            of = f"{dist.name} {dist.version}" if dist else "?"
            path = _file(point.module)
            if path is None:
                name = f"package {of}"
                says = f"Its entry point {point.name!r} names {point.module!r}, which has no file"
                self.missing[name] = f"{says} {' or '.join(KINDS)}: name a module of the package."
            else:
                own = f"{path.parent.name}/{path.name}" if path.stem == "flow" else path.name
                name = f"{dist.name if dist else '?'}/{own}"
                self._places.append(Place(path, path.parent, name, of))


def _file(module: str) -> Path | None:
    """The file of a module, found without importing anything."""
    top, _, rest = module.partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not spec.submodule_search_locations:
        return Path(spec.origin) if spec.origin and not rest else None
    for root in spec.submodule_search_locations:
        base = Path(root, *rest.split(".")) if rest else Path(root)
        inside = [base / f"flow{kind}" for kind in KINDS] if base.is_dir() else []
        beside = [base.parent / f"{base.name}{kind}" for kind in KINDS] if rest else [base / "__init__.py"]
        for path in (*inside, *beside):
            if path.is_file():
                return path
    return None


def _changed(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0
