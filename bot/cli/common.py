"""What all commands share: where the data is, how errors are told, how data is printed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from bot.engine.refusals import Gone, Spoken
from bot.settings import Settings, load


class NotRunning(Gone):
    """The command needs the running bot, and none answers."""

    code = "not_running"
    says = "Hercules does not run on {data}."
    do = "Start it: hercules --data {data} up"


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--data` after the command's name too; it stands in the group for the same reason."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        expose_value=False,
        callback=_remember,
        is_eager=True,
        help="Data directory (see hercules --help).",
    )(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: print data for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def settings_of(ctx: click.Context, **flags: Any) -> Settings:
    """The settings of this call. Ends the command with code 2 when one cannot be used."""
    try:
        return load(_data(ctx), flags=flags)
    except Spoken as e:
        give_up(e, code=2)


@contextlib.contextmanager
def errors_told() -> Iterator[None]:
    """Turn what is refused or gone into a sentence on stderr and exit code 1; everything else is our bug."""
    try:
        yield
    except Spoken as e:
        give_up(e)
    except Exception as e:  # the store's errors speak too, and importing them would cost 150 ms
        says, do = getattr(e, "sentence", None), getattr(e, "next_step", "")
        if not isinstance(says, str):
            raise
        say_error(says, do)
        sys.exit(1)


def give_up(error: Spoken, *, code: int = 1) -> NoReturn:
    """Tell the error and end the command."""
    say_error(error.sentence, error.next_step)
    for line in getattr(error, "errors", ())[1:]:
        click.echo(f"  {line['field']}: {line['says']}", err=True)
    sys.exit(code)


def say_error(says: str, do: str = "") -> None:
    """One error: what is so, and what to do."""
    click.echo(click.style("hercules: ", fg="red") + says, err=True)
    if do:
        click.echo(f"  {do}", err=True)


def print_json(value: Any) -> None:
    """Print data for programs, one document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(head: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """Print a plain table: columns as wide as their widest cell."""
    if not rows:
        click.echo(empty)
        return
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 else line)


def _data(ctx: click.Context) -> Path | None:
    root = ctx.find_root()
    return root.obj if isinstance(root.obj, Path) else None


def _remember(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        ctx.find_root().obj = value
