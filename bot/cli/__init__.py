"""The command line `hercules`: a group whose commands are imported only when they are used.

Exit codes: 0 done (or already so), 1 not done, 2 wrong use. Errors go to stderr and say what to do.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import click

COMMANDS = {  # name: (module, attribute, short help shown by `hercules --help`)
    "up": ("up", "up", "Start Hercules here: store, bot and an agent for this machine."),
    "serve": ("serve", "serve", "Run the bot alone."),
    "chat": ("chat", "chat", "Chat in the terminal, or run a chatflow as a script."),
    "flow": ("flow", "flow", "List, check, draw, run and begin chatflows."),
    "node": ("node", "node", "The machines whose agents are pinned here."),
    "user": ("user", "user", "People, sign-in links and API tokens."),
    "engine": ("engine_commands", "engine", "The Docker Engine that Hercules had to start."),
    "service": ("service", "service", "Start Hercules when this machine starts."),
    "doctor": ("doctor", "doctor", "Check this installation and say what to do."),
    "keys": ("keys", "keys", "The keys of this installation."),
    "audit": ("audit", "audit", "The audit log."),
}


class _Lazy(click.Group):
    """Looks up commands in COMMANDS, so that `hercules up` does not wait for the terminal chat's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"bot.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, _, says) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="hercules", message="%(version)s")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data directory (default: HERCULES_DATA, /var/lib/hercules for root, else ~/.local/share/hercules).",
)
@click.pass_context
def main(ctx: click.Context, data: Path | None) -> None:
    """A chat that guides you through running containers on your own machines.

    Example: hercules up
    """
    ctx.obj = data
