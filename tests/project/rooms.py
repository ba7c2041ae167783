"""One row of the room table of the architecture, as a contract of import-linter.

A room may import itself, the rooms named, the packages named, and of the standard library everything, or,
where it is pure, everything but `IMPURE`. Only direct imports are looked at: what a room reaches through
another is that room's own row. Imports for type checking count like any other. A row of a room that does not
exist yet holds.
"""

from __future__ import annotations

import sys
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

_WORLD = "it reaches out of the room: the caller brings what is needed, as a value"
_CLOCK = "time comes in with the event"
_CHANCE = "ids and seeds come in with the event"
IMPURE = {
    **dict.fromkeys(("asyncio", "threading", "multiprocessing", "concurrent", "signal", "selectors"), _WORLD),
    **dict.fromkeys(("socket", "ssl", "urllib", "http", "smtplib", "socketserver", "select"), _WORLD),
    **dict.fromkeys(("os", "pathlib", "shutil", "tempfile", "subprocess", "glob", "fcntl", "mmap"), _WORLD),
    **dict.fromkeys(("sqlite3", "dbm", "shelve", "pickle", "logging", "ctypes", "runpy"), _WORLD),
    **dict.fromkeys(("time", "sched", "timeit"), _CLOCK),
    **dict.fromkeys(("random", "secrets", "uuid"), _CHANCE),
}


class RoomContract(Contract):
    """`room` imports nothing outside `rooms`, `packages` and the (pure part of the) standard library."""

    room = fields.StringField()
    rooms = fields.ListField(subfield=fields.StringField())
    packages = fields.ListField(subfield=fields.StringField())
    pure = fields.BooleanField(required=False, default=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find every direct import out of the room that its row does not allow."""
        faults: list[str] = []
        for module in sorted(m for m in graph.modules if _inside(m, str(self.room))):
            for target in sorted(graph.find_modules_directly_imported_by(module)):
                if reason := self._refusal(target):
                    details = graph.get_import_details(importer=module, imported=target)
                    lines = ", ".join(str(d["line_number"]) for d in details) or "?"
                    faults.append(f"{module} imports {target} (line {lines}): {reason}")
        return ContractCheck(kept=not faults, metadata={"faults": faults})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line per import that is not allowed."""
        for fault in check.metadata["faults"]:
            output.print_error(fault)

    def _refusal(self, target: str) -> str | None:
        """Say why `target` may not be imported, None when it may."""
        # import-linter puts the parsed values where the declarations stood
        allowed = [str(self.room), *cast(list[str], self.rooms)]
        if target == "bot" or any(_inside(target, name) for name in allowed):
            return None  # `import bot` itself gives nothing but where it lies
        top = target.partition(".")[0]
        if top in {"bot", "agent", "web"}:
            return f"{self.room} may import of ours only {', '.join(allowed)}"
        if top in sys.stdlib_module_names:
            return IMPURE.get(top) if cast(bool, self.pure) else None
        if top in cast(list[str], self.packages):
            return None
        return f"{top} is no package that {self.room} may use"


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
