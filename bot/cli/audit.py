"""`hercules audit`: check the log of who did what. Needs no running bot."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from bot.cli.common import data_option, json_option, print_json, say_error, settings_of


@click.group()
def audit() -> None:
    """The audit log.

    Example: hercules audit verify
    """


@audit.command()
@click.argument("path", required=False, type=click.Path(path_type=Path, exists=True))
@json_option
@data_option
@click.pass_context
def verify(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    """Check every entry of the log (or of PATH, a copy of it) and name the first one that does not hold.

    Example: hercules audit verify
    """
    from bot.audit import BadLine
    from bot.audit import verify as check

    folder = path or settings_of(ctx).data / "audit"
    try:
        seen = check(folder)
    except BadLine as e:
        say_error(str(e), "Compare it with a copy kept elsewhere; entries before this one hold.")
        sys.exit(1)
    except FileNotFoundError:
        say_error(f"There is no audit log at {folder} yet.", "It begins with the first session.")
        sys.exit(1)
    if as_json:
        print_json(msgspec.to_builtins(seen))
    elif seen.last < seen.first or not seen.segments:
        click.echo("The log is empty.")
    else:
        click.echo(f"Entries {seen.first} to {seen.last} hold, in {seen.segments} files. Head: {seen.head}")
