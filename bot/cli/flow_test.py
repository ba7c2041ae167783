"""`hercules flow test` and `replay`: an author's tests, a walk on every way, random walks, the museum."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bot.cli.common import json_option, print_json, say_error

if TYPE_CHECKING:
    from bot.authoring.walks import Found
    from bot.engine.form import Flow


@click.command("test")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--museum", is_flag=True, help="Also play what went wrong in systems like this one.")
@click.option("--random", "walks", type=click.IntRange(0), default=0, help="Also so many random walks.")
@click.option("--seed", type=int, default=1, help="Of the random walks.")
@click.option("--faults", is_flag=True, help="List the faults that a test can switch on, and end.")
@click.option("--built-in", is_flag=True, help="Also the flows that Hercules brings along.")
@json_option
def test_flows(
    files: tuple[Path, ...],
    museum: bool,
    walks: int,
    seed: int,
    faults: bool,
    built_in: bool,
    as_json: bool,
) -> None:
    """Test chatflows on a simulated fleet: your tests, and a walk on every way through them.

    Without FILES: all of the folder chatflows.d in or above this one. Example:
    hercules flow test chatflows.d/restart_politely.py --museum
    """
    if faults:
        _list_faults(as_json)
        return
    from bot.authoring import library as libraries
    from bot.authoring import loading, running

    folder = libraries.near(files[0].absolute().parent if files else None)
    if not files and folder is None and not built_in:
        say_error("There is no folder chatflows.d here.", "Name a file, or say --built-in.")
        sys.exit(2)
    chosen = [loading.read(file) for file in (files or running.files_of(folder))]
    wrong = [m for one in chosen for m in one.mistakes]
    for m in wrong:
        say_error(m.told)
    own: list[Flow] = [flow for one in chosen for flow in one.flows]
    beside = loading.flows_below(folder) if folder is not None else []
    library = libraries.Library([*libraries.built_in(), *beside, *own])
    names = [flow.name for flow in own]
    if built_in:
        names += [flow.name for flow in libraries.built_in() if flow.name not in names]
    tests = [done for one in chosen for done in running.author_tests(one.path, library)]
    walked = running.walk_all(library, names)
    visits = running.museum_all(library, names) if museum else []
    wandered = running.wander_all(library, names, walks, seed) if walks else None
    found = [f for w in walked for f in w.found] + [f for v in visits for f in v.found]
    found += wandered.found if wandered is not None else ()
    good = not wrong and not found and all(not one.says for one in tests)
    if as_json:
        from bot.authoring.scripts import told

        print_json(
            {
                "good": good,
                "tests": msgspec.to_builtins(tests),
                "coverage": [msgspec.to_builtins(w.coverage) for w in walked],
                "museum": [{**msgspec.to_builtins(v), "found": len(v.found)} for v in visits],
                "random": msgspec.to_builtins(wandered) if wandered is not None else None,
                "found": [told(f) for f in found],
            }
        )
    else:
        _show(tests, walked, visits, wandered)
        _show_found(found)
        _closing(good, names)
    sys.exit(0 if good else 1)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
def replay(file: Path, as_json: bool) -> None:
    """Play a script again that a test printed. Exit code 1 when the same rule still breaks.

    Example: hercules flow replay found.json
    """
    from bot.authoring import library as libraries
    from bot.authoring import loading, scripts
    from bot.engine import text

    try:
        script = scripts.read(file)
    except ValueError as e:
        say_error(str(e), "Give a file that hercules flow test wrote.")
        sys.exit(2)
    folder = libraries.near()
    flows = loading.flows_below(folder) if folder is not None else []
    library = libraries.Library([*libraries.built_in(), *flows])
    if script.flow not in library.names():
        say_error(f"There is no chatflow {script.flow!r} here.", "Go to the folder that has its chatflows.d.")
        sys.exit(2)
    done = scripts.replay(library, script)
    entries = done.stage.entries if done.stage is not None else []
    if as_json:
        lines = [{"kind": e.kind, "says": text.plain(e.text)} for e in entries]
        print_json({"rule": done.rule, "says": done.says, "entries": lines})
    else:
        for entry in entries:
            words = text.plain(entry.text).replace("\n", " ")
            click.echo(f"{click.style(f'{entry.kind:>9}', dim=True)}  {words}")
        mark = click.style("✗ ", fg="red") if done.rule else click.style("✓ ", fg="green")
        click.echo(mark + (done.says or "No rule is broken by it any more."))
    sys.exit(1 if done.rule else 0)


def _list_faults(as_json: bool) -> None:
    from bot.authoring.faults import FAULTS

    if as_json:
        print_json({one.name: one.says for one in FAULTS.values()})
        return
    _table(("fault", "what it means"), [(one.name, one.says) for one in FAULTS.values()])


def _show(tests: Any, walked: Any, visits: Any, wandered: Any) -> None:
    for one in tests:
        mark = click.style("✗", fg="red") if one.says else click.style("✓", fg="green")
        click.echo(f"{mark} {one.file}: {one.name}")
        if one.says:
            click.echo("\n".join(f"    {line}" for line in one.says.splitlines()))
    rows = []
    for w in walked:
        c = w.coverage
        ends = ", ".join(f"{n} {outcome or 'open'}" for outcome, n in sorted(w.ends.items()))
        rows.append(
            (
                c.flow,
                str(c.walks),
                f"{c.states_seen}/{c.states}",
                f"{c.ways_gone}/{c.ways}",
                f"{c.failures_gone}/{c.failures}" if c.failures else "-",
                ends,
            )
        )
    _table(("chatflow", "walks", "states", "ways", "failure ways", "ended"), rows)
    for w in walked:
        for way in w.coverage.not_gone:
            click.echo(click.style("  not gone: ", fg="yellow") + f"{w.coverage.flow}: {way}")
        for prompt in w.coverage.stuck:
            click.echo(click.style("  no answer: ", fg="yellow") + prompt)
    if visits:
        by_scene: dict[str, list[Any]] = {}
        for v in visits:
            by_scene.setdefault(v.scene, []).append(v)
        scenes = [
            (
                name,
                str(sum(v.runs for v in some)),
                str(sum(bool(v.runs) for v in some)),
                "holds" if not any(v.found for v in some) else "BROKEN",
            )
            for name, some in by_scene.items()
        ]
        _table(("museum", "runs", "flows", ""), scenes)
    if wandered is not None:
        rough = sum(wandered.rough.values())
        click.echo(
            f"Random walks: {wandered.walks:,}, with {wandered.moves:,} moves, {wandered.orders:,} orders"
            f" and {rough:,} rough things; nothing found."
            if not wandered.found
            else f"Random walks: ended after {wandered.walks:,}."
        )


def _show_found(found: list[Found]) -> None:
    from bot.authoring.rules import RULES
    from bot.authoring.scripts import script_of, written

    for number, one in enumerate(found, 1):
        click.echo("")
        click.echo(click.style(f"✗ {one.flow}: {RULES[one.rule]}", fg="red"))
        click.echo(f"  But {one.says}")
        click.echo(
            f"  To see it again, save this as found-{number}.json: hercules flow replay found-{number}.json"
        )
        click.echo(written(script_of(one)))


def _closing(good: bool, names: list[str]) -> None:
    what = f"{len(names)} chatflow{'' if len(names) == 1 else 's'}"
    if good:
        click.echo(click.style(f"✓ {what}: all is well.", fg="green"))
    else:
        click.echo(click.style(f"✗ {what}: see above.", fg="red"))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(file=sys.stdout, highlight=False).print(table)
