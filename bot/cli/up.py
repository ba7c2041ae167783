"""`hercules up`: everything that is needed on this machine, in one command."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from bot.cli.common import data_option, errors_told, say_error, settings_of


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The port of the page (default: next free from 8088)."
)
@click.option(
    "--redis", metavar="URL", help="Use your own Redis (7 or newer) or Valkey instead of the built-in one."
)
@click.option("--no-agent", is_flag=True, help="Start no agent for this machine.")
@click.option("--agent-elsewhere", is_flag=True, hidden=True, help="A service of its own runs the agent.")
@click.option("--no-link", is_flag=True, help="Print no sign-in link (for services).")
@click.option("--public", metavar="NAME", help="Serve under a public name; comes with a later release.")
@data_option
@click.pass_context
def up(
    ctx: click.Context,
    port: int | None,
    redis: str | None,
    no_agent: bool,
    agent_elsewhere: bool,
    no_link: bool,
    public: str | None,
) -> None:
    """Start Hercules here: store, bot and an agent for this machine.

    Prints a one-time sign-in link. Ctrl-C stops all of it; the Docker Engine and what you deployed go on.
    Example: hercules up --port 8090
    """
    from bot.cli import place
    from bot.cli.supervisor import Supervisor

    if public:
        say_error(
            "Serving other machines needs HTTPS, which comes with a later release.",
            "Until then reach this one through SSH: ssh -L 8088:localhost:8088 HOST",
        )
        sys.exit(2)
    settings = settings_of(ctx, port=port, redis=redis, agent=False if no_agent else None)
    log = settings.logs / "up.log"
    with errors_told(), place.held(settings), _logged(log), contextlib.suppress(KeyboardInterrupt):
        supervisor = Supervisor(settings, say=_say, show_link=not no_link, agent_elsewhere=agent_elsewhere)
        asyncio.run(supervisor.run())


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What the supervisor's parts log goes to a file; the terminal is for sentences."""
    import structlog

    with path.open("a") as file:
        path.chmod(0o600)
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
            logger_factory=structlog.WriteLoggerFactory(file=file),
        )
        yield


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()
