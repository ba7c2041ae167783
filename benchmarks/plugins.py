"""How long 500 plugins take to load, a saved one to be there, and a broken folder to disturb nobody.

`python -m benchmarks.plugins [--quick]`. Half of the plugins are Python, half YAML, each with five states.
The flows are kept in memory: the store has benchmarks of its own. "As they were" is a start with the cache of
the start before; "for the first time" is one without, where each Python file has a process of its own.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.report import Table, quick
from bot.plugins.book import FlowBook
from tests.plugins import test_broken
from tests.plugins.lab import Memory

PLUGINS = 500
WITHIN_S = 2.0
PYTHON = '''"""Restart number {n}."""
from bot.engine import Ask, Chatflow, Confirm, Do, End, Pick, facts, orders


class Restart{n}(Chatflow):
    title = "Restart {n}"
    says = ("restart {n} {{container}}",)
    risk = "disturbs"
    which = Ask(Pick("Which one of {n}?", options=facts.containers(state="running")), as_="container")
    sure = Ask(
        Confirm("Restart **{{{{ container.name }}}}**?"), then={{"yes": "restarting", "no": "nothing"}}
    )
    restarting = Do(orders.RestartTarget(target="{{{{ container.target }}}}"), says="Restarting it.")
    done = End("**{{{{ container.name }}}}** runs again, after {{{{ restarting.seconds | seconds }}}}.")
    nothing = End("Left as it is.", outcome="unchanged")
'''
YAML = """title: Restart {n}
says: ["restart {n} {{container}}"]
risk: disturbs
states:
  which: {{ask: {{pick: "Which one of {n}?", options: {{facts: containers, state: running}}}}, as: container}}
  sure:
    ask: {{confirm: "Restart **{{{{ container.name }}}}**?"}}
    then: {{yes: restarting, no: nothing}}
  restarting: {{do: {{restart-target: {{target: "{{{{ container.target }}}}"}}}}, says: Restarting it.}}
  done: {{end: "**{{{{ container.name }}}}** runs again, after {{{{ restarting.seconds | seconds }}}}."}}
  nothing: {{end: Left as it is., outcome: unchanged}}
"""


def write(folder: Path, count: int) -> None:
    """So many plugins, mixed."""
    folder.mkdir()
    for n in range(count):
        kind, text = (".py", PYTHON) if n % 2 else (".yaml", YAML)
        (folder / f"restart_{n}{kind}").write_text(text.format(n=n))


async def load(folder: Path, count: int) -> float:
    """Seconds until all are in use, in a book that has just been made."""
    book = FlowBook(Memory(), kept=folder / "flows", folders=[folder / "chatflows.d"], package="")
    began = time.perf_counter()
    await book.open(watch=False)
    spent = time.perf_counter() - began
    assert len(book.flows()) == count, book.troubles()[:3]
    await book.close()
    return spent


async def save(folder: Path, kind: str, times: int) -> list[float]:
    """Seconds from saving a file until what it says is in use, by a book that watches its folder."""
    (folder / "chatflows.d").mkdir()
    path, text = folder / "chatflows.d" / f"restart_1{kind}", PYTHON if kind == ".py" else YAML
    path.write_text(text.format(n=1))
    book = FlowBook(Memory(), kept=folder / "flows", folders=[folder / "chatflows.d"], package="")
    await book.open()
    spent = []
    try:
        for n in range(times):
            before = book.current("restart-1" if kind == ".yaml" else "restart1").version
            await asyncio.sleep(0.11 * (n % 4))  # not always at the same point of the watching
            path.write_text(text.format(n=1).replace("Left as it is", f"Left {n}"))
            began = time.perf_counter()
            while book.current("restart-1" if kind == ".yaml" else "restart1").version == before:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            spent.append(time.perf_counter() - began)
    finally:
        await book.close()
    return spent


def measure(rounds: int) -> Table:
    """The table."""
    table = Table("Plugins", ("what", "promised", "measured"))
    with tempfile.TemporaryDirectory() as name:
        count = PLUGINS if rounds > 3 else 40
        folder = Path(tempfile.mkdtemp(dir=name))
        write(folder / "chatflows.d", count)
        first = asyncio.run(load(folder, count))
        again = statistics.median(asyncio.run(load(folder, count)) for _ in range(rounds))
        table.row(f"{count} plugins, half of them YAML, as they were", f"{WITHIN_S:g} s", f"{again:.2f} s")
        yaml_only = Path(tempfile.mkdtemp(dir=name))
        write(yaml_only / "chatflows.d", PLUGINS * 2)
        for path in (yaml_only / "chatflows.d").glob("*.py"):
            path.unlink()
        yaml = asyncio.run(load(yaml_only, PLUGINS))
        table.row(f"{PLUGINS} in YAML for the first time", f"{WITHIN_S:g} s", f"{yaml:.2f} s")
        table.row(f"{count} plugins for the first time ({count // 2} processes)", "", f"{first:.1f} s")
        for kind in (".yaml", ".py"):
            saved = asyncio.run(save(Path(tempfile.mkdtemp(dir=name)), kind, rounds * 2))
            said = f"{statistics.median(saved):.2f} s, at most {max(saved):.2f} s"
            table.row(f"from saving a file ({kind}) until it is in use", "1 s", said)
        broken = Path(tempfile.mkdtemp(dir=name))
        lags = asyncio.run(test_broken.meet(broken)).lags
        late = sorted(lags)[int(len(lags) * 0.99)]
        said = f"half within {statistics.median(lags) * 1000:.0f} ms, 99 of 100 {late * 1000:.0f} ms, "
        table.row(
            f"an answer while {len(test_broken.ALL)} kinds of broken plugin load", "100 ms",
            f"{said}all {max(lags) * 1000:.0f} ms",
        )  # fmt: skip
    return table


if __name__ == "__main__":
    print(measure(3 if quick() else 7))
