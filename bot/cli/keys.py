"""`hercules keys`: for now the recovery key, handed to the owner once."""

from __future__ import annotations

import datetime
import sys

import click

from bot.cli.common import data_option, errors_told, json_option, print_json, say_error, settings_of


@click.group()
def keys() -> None:
    """The keys of this installation.

    Example: hercules keys recovery
    """


@keys.command()
@click.option(
    "--forget", is_flag=True, help="Delete it here: you have written it down and kept it elsewhere."
)
@json_option
@data_option
@click.pass_context
def recovery(ctx: click.Context, forget: bool, as_json: bool) -> None:
    """Show the recovery key's private half, which opens every secret if a machine is lost.

    Keep it off this machine, then run this again with --forget: it is deleted here. Example:
    hercules keys recovery
    """
    from bot.fleet import keys as fleet_keys

    settings = settings_of(ctx)
    if not settings.keys.is_dir():
        say_error(f"No Hercules was started on {settings.data} yet.", "Start it: hercules up")
        sys.exit(1)
    with errors_told():
        installation = fleet_keys.ensure(settings.keys)
        private = installation.recovery_private()
        if private is not None and forget:
            installation.forget_recovery_private()
    if private is None:
        taken_ms = installation.recovery_taken_ms()
        at = datetime.datetime.fromtimestamp(taken_ms / 1000).astimezone()
        when = f" on {at:%Y-%m-%d at %H:%M}" if taken_ms else " before"
        say_error(
            f"The recovery key was handed out{when} and is no longer here.",
            "It is where you kept it. Secrets are sealed to its public half as before.",
        )
        sys.exit(1)
    if forget:
        click.echo("The private half of the recovery key is deleted here.")
    elif as_json:
        print_json({"installation": installation.id, "recovery_key": private})
    else:
        click.echo(f"Recovery key of {installation.id}:\n\n  {private}\n", err=False)
        click.echo(
            "Whoever has it can open the secrets of this installation. Keep it elsewhere, on paper or\n"
            "in a password manager, and then delete it here: hercules keys recovery --forget"
        )
