"""`hercules flow check`: mistakes and advice, each with its file and line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bot.cli.common import json_option, print_json

if TYPE_CHECKING:
    from bot.authoring.loading import Read


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--strict", is_flag=True, help="Advice counts as a mistake.")
@json_option
def check(files: tuple[Path, ...], strict: bool, as_json: bool) -> None:
    """Check the chatflows of files: mistakes (exit code 1) and advice.

    Example: hercules flow check chatflows.d/restart_politely.py
    """
    from bot.authoring import advice, loading
    from bot.authoring.library import built_in, near

    read = [loading.read(file) for file in files]
    folder = near(files[0].absolute().parent)
    others = [*built_in(), *(loading.flows_below(folder) if folder is not None else ())]
    known = {flow.name: flow for flow in [*others, *(flow for one in read for flow in one.flows)]}
    bad, told = False, []
    for one in read:
        rows = [("mistake", m.line, "", "", m.says, "") for m in one.mistakes]
        for flow in one.flows:
            for p in advice.check(flow, known, one.lines.get(flow.name)):
                rows.append(("advice" if p.advice else "mistake", p.line, flow.name, p.state, p.says, p.code))
        bad |= any(row[0] == "mistake" or strict for row in rows)
        told.append(_json(one, rows))
        if not as_json:
            _show(one, rows)
    if as_json:
        print_json(told[0] if len(told) == 1 else told)
    sys.exit(1 if bad else 0)


def _json(one: Read, rows: list[Any]) -> dict[str, Any]:
    problems = [
        {"flow": flow, "state": state, "code": code, "says": says, "line": line, "advice": kind == "advice"}
        for kind, line, flow, state, says, code in rows
        if flow
    ]
    mistakes = [msgspec.to_builtins(m) for m in one.mistakes]
    return {
        "file": str(one.path),
        "fault": "\n".join(m.told for m in one.mistakes),
        "mistakes": mistakes,
        "problems": problems,
    }


def _show(one: Read, rows: list[Any]) -> None:
    marks = {"mistake": click.style("mistake", fg="red"), "advice": click.style("advice", fg="yellow")}
    for kind, line, flow, state, says, code in rows:
        place = f"{one.path}:{line}" if line else str(one.path)
        where = f"{flow}, state {state}: " if state else f"{flow}: " if flow else ""
        click.echo(f"{place}: {marks[kind]}: {where}{says}" + (f" [{code}]" if code else ""))
    if not rows:
        names = ", ".join(flow.name for flow in one.flows) or "no chatflow"
        click.echo(click.style("✓ ", fg="green") + f"{names}: nothing to say against it.")
