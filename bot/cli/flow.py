"""`hercules flow`: what authors need. `list` and `run` speak to the running bot, the others read files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.common import (
    data_option,
    errors_told,
    json_option,
    print_json,
    print_rows,
    say_error,
    settings_of,
)
from bot.cli.flow_check import check
from bot.cli.flow_new import new
from bot.cli.flow_play import run
from bot.cli.flow_test import replay, test_flows
from bot.cli.flow_versions import back, history, publish, since

if TYPE_CHECKING:
    from bot.engine.form import Flow


@click.group()
def flow() -> None:
    """Begin, list, check, draw, test and run chatflows.

    Example: hercules flow check chatflows.d/restart_politely.py
    """


for _command in (new, check, run, test_flows, replay, publish, history, back):
    flow.add_command(_command)


@flow.command("list")
@json_option
@data_option
@click.pass_context
def list_flows(ctx: click.Context, as_json: bool) -> None:
    """List the chatflows of the running bot, and the files that could not be loaded.

    Example: hercules flow list
    """
    from bot.cli import owner

    with errors_told():
        seen = owner.call(settings_of(ctx), "GET", "/owner/flows")
    if as_json:
        print_json(seen)
        return
    rows = [
        (f["name"], f["title"], f["risk"], f["source"], f["version"][:12], since(f)) for f in seen["items"]
    ]
    heads = ("name", "title", "risk", "from", "version", "since it was published")
    print_rows(heads, rows, empty="There is no chatflow.")
    for fault in seen["faults"]:
        place = f"{fault['file']}:{fault['line']}" if fault.get("line") else fault["file"]
        say_error(f"{place}: {fault['says']}", "Correct the file; it is loaded again when you save it.")


@flow.command()
def schema() -> None:
    """Print the JSON Schema of chatflows in YAML, with which editors complete and check them.

    Example: hercules flow schema > chatflow.schema.json
    """
    from bot.plugins import yaml_schema

    click.echo(yaml_schema.text(), nl=False)


@flow.command()
@click.argument("what")
@click.option("--text", "as_text", is_flag=True, help="Draw it with letters, for the terminal.")
@json_option
@data_option
@click.pass_context
def draw(ctx: click.Context, what: str, as_text: bool, as_json: bool) -> None:
    """Draw a chatflow (a file, or the name of one in the running bot) as a Mermaid diagram.

    Example: hercules flow draw deploy --text
    """
    from bot.cli import owner
    from bot.engine import diagram

    flows = _flows(what)
    if not flows:
        with errors_told():
            found = owner.call(settings_of(ctx), "GET", f"/owner/flows/{what}")["mermaid"]
        print_json([{"flow": what, "mermaid": found}]) if as_json else click.echo(found)
        return
    if as_json:
        print_json([_drawn(one) for one in flows])
        return
    for one in flows:
        click.echo(_letters(one) if as_text else diagram.mermaid(one))


def _flows(what: str) -> list[Flow]:
    """The flows of a file, or the built-in one of that name; [] for neither."""
    from bot.authoring import library

    if Path(what).exists():
        found, fault = _flows_of(Path(what))
        if fault:
            say_error(fault, "Correct it and draw again.")
            sys.exit(1)
        return found
    return [one for one in library.built_in() if one.name == what]


def _flows_of(file: Path) -> tuple[list[Flow], str]:
    """The flows of a file or folder, read as the bot reads it; or why there is none."""
    from bot.authoring import loading

    read = loading.read(file)
    return list(read.flows), "\n".join(mistake.told for mistake in read.mistakes)


def _drawn(one: Flow) -> dict[str, Any]:
    from bot.engine import diagram, rows

    ways = [row._asdict() for row in rows.rows_of(one)]
    return {"flow": one.name, "start": one.start, "ways": ways, "mermaid": diagram.mermaid(one)}


def _letters(one: Flow) -> str:
    """Each state with its ways, the first one first."""
    from bot.engine import rows

    lines = [f"{one.title} ({one.name})", ""]
    for name, state in one.states.items():
        kind = str(state.__struct_config__.tag)
        lines.append(f"{'●' if name == one.start else '■' if kind == 'end' else '○'} {name} ({kind})")
        ways = rows.ways_of(name, state)
        for index, row in enumerate(ways):
            corner = "└" if index == len(ways) - 1 else "├"
            lines.append(f"  {corner}─{f' {row.label} ' if row.label else ''}─▶ {row.dest}")
    return "\n".join(lines)
