"""`hercules flow`: what authors need. `list` and `run` speak to the running bot, the others read files."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from bot.cli.chat import chat
from bot.cli.common import (
    data_option,
    errors_told,
    json_option,
    print_json,
    print_rows,
    say_error,
    settings_of,
)
from bot.cli.flow_versions import back, history, publish, since

if TYPE_CHECKING:
    from bot.engine.form import Flow

NEW = '''\
"""{title}: say here what it is for."""

from bot.engine import Ask, Chatflow, Confirm, Do, End, Pick, facts, orders


class {cls}(Chatflow):
    title = "{title}"
    says = ["{words}"]  # what people type to get here
    risk = "disturbs"  # reads, changes, disturbs or destroys: the most that it does

    which = Ask(Pick("Which container?", options=facts.containers(state="running")), as_="container")
    sure = Ask(
        Confirm("Restart **{{{{ container.name }}}}**?", facts={{"Image": "{{{{ container.image }}}}"}}),
        then={{"yes": "restarting", "no": "nothing"}},
    )
    restarting = Do(orders.RestartTarget(target="{{{{ container.target }}}}"), says="Restarting it.")
    done = End("**{{{{ container.name }}}}** runs again, after {{{{ restarting.seconds | seconds }}}}.")
    nothing = End("Left as it is.", outcome="unchanged")
'''


@click.group()
def flow() -> None:
    """List, check, draw, run and begin chatflows.

    Example: hercules flow check chatflows.d/restart_politely.py
    """


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
        where = f"{fault['file']}:{fault['line']}" if fault["line"] else fault["file"]
        say_error(f"{where}: {fault['says']}", "Correct the file; it is loaded again when you save it.")


@flow.command()
@click.argument("name")
@data_option
@click.pass_context
def new(ctx: click.Context, name: str) -> None:
    """Begin a chatflow: a working example in DIR/chatflows.d.

    Example: hercules flow new restart-politely
    """
    folder = settings_of(ctx).data / "chatflows.d"
    words = name.replace("_", "-").lower()
    if not words.replace("-", "").isalnum() or not words[0].isalpha():
        say_error(f"{name} cannot be the name of a chatflow.", "Use letters, digits and hyphens.")
        sys.exit(2)
    file = folder / f"{words.replace('-', '_')}.py"
    if file.exists():
        say_error(f"{file} is there already.", "Choose another name, or edit that file.")
        sys.exit(1)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    title = words.replace("-", " ").capitalize()
    cls = "".join(word.capitalize() for word in words.split("-"))
    file.write_text(NEW.format(title=title, cls=cls, words=title.lower()))
    click.echo(f"{file}\nCheck it: hercules flow check {file}\nIt appears in the running bot by itself.")


@flow.command()
def schema() -> None:
    """Print the JSON Schema of chatflows in YAML, with which editors complete and check them.

    Example: hercules flow schema > chatflow.schema.json
    """
    from bot.plugins import yaml_schema

    click.echo(yaml_schema.text(), nl=False)


@flow.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@json_option
def check(file: Path, as_json: bool) -> None:
    """Check the chatflows of a file: mistakes (exit code 1) and advice.

    Example: hercules flow check chatflows.d/restart_politely.py
    """
    from bot.engine import lint

    flows, fault = _flows_of(file)
    problems = [(f.name, p) for f in flows for p in lint.check(f)]
    if as_json:
        found = [{"flow": name, **msgspec.to_builtins(p)} for name, p in problems]
        print_json({"file": str(file), "fault": fault, "problems": found})
    else:
        if fault:
            say_error(fault, "Correct it and check again.")
        for name, p in problems:
            line = f"{file}:{p.line}: " if p.line else f"{file}: "
            click.echo(f"{line}{name}, state {p.state}: {p.says}{' (advice)' if p.advice else ''}")
        if not fault and not problems:
            click.echo(f"{', '.join(f.name for f in flows)}: nothing to say against it.")
    sys.exit(1 if fault or any(not p.advice for _, p in problems) else 0)


@flow.command()
@click.argument("what")
@data_option
@click.pass_context
def draw(ctx: click.Context, what: str) -> None:
    """Draw a chatflow (a file, or the name of one in the running bot) as a Mermaid diagram.

    Example: hercules flow draw deploy
    """
    from bot.cli import owner
    from bot.engine import diagram

    if Path(what).exists():
        flows, fault = _flows_of(Path(what))
        if fault:
            say_error(fault, "Correct it and draw again.")
            sys.exit(1)
        for one in flows:
            click.echo(diagram.mermaid(one))
        return
    builtin = {f.name: f for f in _built_in()}
    if what in builtin:
        click.echo(diagram.mermaid(builtin[what]))
        return
    with errors_told():
        click.echo(owner.call(settings_of(ctx), "GET", f"/owner/flows/{what}")["mermaid"])


flow.add_command(chat, "run")


def _built_in() -> list[Flow]:
    from bot.chatflows import FLOWS
    from bot.engine.compile import compile_class

    return [compile_class(cls) for cls in FLOWS]


def _flows_of(file: Path) -> tuple[list[Flow], str]:
    """The flows of a file or folder, read as the bot reads it; or why there is none."""
    from bot.plugins import files, shelf

    found = asyncio.run(shelf.read(files.place_of(file)))
    if isinstance(found, tuple):
        return list(found), ""
    return [], "\n".join(
        f"{file}:{trouble.line}: {trouble.says}" if trouble.line else f"{file}: {trouble.says}"
        for trouble in found
    )


flow.add_command(publish)
flow.add_command(history)
flow.add_command(back)
