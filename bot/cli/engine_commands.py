"""`hercules engine`: the Docker Engine of this machine, as far as it is ours."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec

from bot.cli.common import data_option, errors_told, json_option, print_json


@click.group()
def engine() -> None:
    """The Docker Engine that Hercules had to start.

    Example: hercules engine status
    """


@engine.command()
@json_option
@data_option
def status(as_json: bool) -> None:
    """Say whether an engine answers, and who started it.

    Exit code 0 when one answers, else 1. Example: hercules engine status --json
    """
    from bot.cli import engine as docker_engine

    with errors_told():
        seen = docker_engine.status()
    if as_json:
        print_json(msgspec.to_builtins(seen))
    else:
        click.echo(_sentence(seen))
    raise SystemExit(0 if seen.state == "answers" else 1)


@engine.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
def stop(yes: bool) -> None:
    """Stop the engine that Hercules started, and with it every container on it.

    Example: hercules engine stop
    """
    from bot.cli import engine as docker_engine

    with errors_told():
        seen = docker_engine.status()
        if seen.started is not None and not yes:
            running = ", ".join(seen.containers) or "no container"
            click.echo(f"With the engine stop: {running}.")
            if not click.confirm("Stop it?", default=False):
                raise SystemExit(1)
        stopped = docker_engine.stop()
    click.echo(f"The Docker Engine (pid {stopped.pid}) has stopped, and {_counted(stopped.containers)}.")


def _sentence(seen: object) -> str:
    from bot.cli.engine import EngineStatus

    assert isinstance(seen, EngineStatus)  # noqa: S101  (status() returns nothing else)
    says = {
        "answers": f"Docker Engine {seen.version} answers at {seen.host}; {_counted(seen.containers)}.",
        "denied": f"A Docker Engine is at {seen.host}, and this account may not use it.",
        "silent": f"Something is at {seen.host} and does not answer.",
        "absent": f"No Docker Engine is at {seen.host}.",
    }[seen.state]
    ours = f" Hercules started it (pid {seen.started.pid}, log {seen.started.log})." if seen.started else ""
    return says + ours


def _counted(containers: Sequence[str]) -> str:
    return f"{len(containers)} container{'' if len(containers) == 1 else 's'}"
