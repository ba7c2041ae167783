"""How long `hercules up` takes to its first prompt over HTTP, with everything set up before (warm).

`python -m benchmarks.start [--quick]`. Aim: under 2 s. Beside it, the limit in the same run: a Python that
only imports what bot and agent need, and a Valkey that only starts and answers.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.report import Table, quick
from benchmarks.up import Up, data_directory, lab


def measure(runs: int) -> Table:
    """Medians over `runs` starts after one that is not counted."""
    seconds: list[float] = []
    imports: list[float] = []
    with lab() as engine, data_directory() as data:
        for _ in range(runs + 1):
            with Up(engine, data) as up:
                seconds.append(up.seconds)
            begun = time.monotonic()
            subprocess.run([sys.executable, "-c", "import bot.app, agent.actor, docker, aiohttp"], check=True)
            imports.append(time.monotonic() - begun)
    seconds, imports = seconds[1:], imports[1:]
    table = Table(
        "Warm start of `hercules up` to the first prompt over HTTP (aim: under 2 s)",
        ("what", "median s", "min", "max"),
    )
    table.row("hercules up", *_spread(seconds))
    table.row("a Python that only imports bot and agent", *_spread(imports))
    return table


def _spread(values: list[float]) -> tuple[str, str, str]:
    return tuple(f"{v:.2f}" for v in (statistics.median(values), min(values), max(values)))  # type: ignore[return-value]


if __name__ == "__main__":
    print(measure(3 if quick() else 7))
