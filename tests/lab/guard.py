"""No test touches the machine's own Docker Engine, not even by a default that somebody forgot.

In this process, opening its socket raises, and the test fails also where the code under test swallowed that.
Child processes inherit a DOCKER_HOST where nothing can answer; a test that wants an engine says which.
"""

from __future__ import annotations

import os
import sys
from typing import Any

NOWHERE = "unix:///nonexistent/no-engine-named-by-this-test"
_FORBIDDEN = {"/var/run/docker.sock", "/run/docker.sock"}
touched: list[str] = []


def install() -> None:
    """Begin to watch, for the life of this process; audit hooks cannot be taken away again."""
    os.environ["DOCKER_HOST"] = NOWHERE
    for name in [name for name in os.environ if name.startswith("HERCULES_")]:
        del os.environ[name]  # a developer's own settings are none of the tests' business
    sys.addaudithook(_watch)


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event != "socket.connect" or not isinstance(args[1], str | bytes):
        return
    path = os.path.realpath(os.fsdecode(args[1]))
    if os.fsdecode(args[1]) in _FORBIDDEN or path in _FORBIDDEN:
        touched.append(path)
        raise PermissionError(f"a test opened {path}, the machine's own engine; use the fixture 'engine'")
