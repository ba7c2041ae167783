"""`hercules serve`: the bot alone. `hercules up` runs this as one of its processes."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import click

from bot.cli.common import data_option, errors_told, settings_of
from bot.settings import Settings


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), help="The port of the page (default: next free from 8088)."
)
@click.option("--redis", metavar="URL", help="Use your own Redis (7 or newer) or Valkey.")
@data_option
@click.pass_context
def serve(ctx: click.Context, port: int | None, redis: str | None) -> None:
    """Run the bot alone: chat page and API, for a store that runs already.

    SIGTERM ends it cleanly. Example: hercules serve --port 8088
    """
    from bot.cli import place

    settings = settings_of(ctx, port=port, redis=redis)
    _log_to_stderr(settings)
    place.make_directories(settings)
    with errors_told():
        chosen = place.choose_port(settings.port)
        _run(settings, chosen)


def _run(settings: Settings, port: int) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, port))


async def _serve(settings: Settings, port: int) -> None:
    from bot.app import make_bot

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bot = await make_bot(settings, port)
    try:
        await bot.start()
        await stop.wait()
    finally:
        await bot.stop()


def _log_to_stderr(settings: Settings) -> None:
    """One JSON object per line: structlog's own events, and what libraries say from warnings on."""
    import structlog
    import structlog.tracebacks

    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # no local variables: answers and secrets on their way stand in them
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
            ),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
