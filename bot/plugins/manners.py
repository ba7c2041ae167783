"""What a plugin's own code is not meant to do, told to its author in the line where it tries.

These are manners, no walls: who means harm gets around them, and meets the walls then.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Final

_PROCESSES: Final = frozenset({
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pty.spawn",
    "subprocess.Popen",
})  # fmt: skip


def keep() -> None:
    """Tell it from now on, in this process."""
    sys.addaudithook(_told)


def _told(event: str, args: tuple[Any, ...]) -> None:
    if event in _PROCESSES:
        raise PermissionError("A plugin starts no processes; let an order do the work (Do(orders.…))")
    if event in ("os.kill", "os.killpg") and args[0] not in (os.getpid(), 0):
        raise PermissionError("A plugin sends no signals to other processes; leave it out")
