"""`hercules user`: people, one-time links and API tokens."""

from __future__ import annotations

from urllib.parse import quote

import click

from bot.cli import owner
from bot.cli.common import data_option, errors_told, json_option, print_json, print_rows, settings_of

ROLES = ("owner", "operator", "support", "viewer")


@click.group()
def user() -> None:
    """People, sign-in links and API tokens.

    Example: hercules user link
    """


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="operator", show_default=True)
@json_option
@data_option
@click.pass_context
def add(ctx: click.Context, name: str, role: str, as_json: bool) -> None:
    """Add a person, and print a link to sign in with.

    Example: hercules user add ada --role operator
    """
    settings = settings_of(ctx)
    with errors_told():
        owner.call(settings, "POST", "/owner/people", {"name": name, "role": role})
        made = owner.call(settings, "POST", f"/owner/people/{quote(name, safe='')}/link")
    if as_json:
        print_json(made)
    else:
        click.echo(f"{name} is here as {role}. A link to sign in, for one use within an hour:\n{made['url']}")


@user.command("list")
@json_option
@data_option
@click.pass_context
def list_people(ctx: click.Context, as_json: bool) -> None:
    """List the people.

    Example: hercules user list --json
    """
    with errors_told():
        people = owner.call(settings_of(ctx), "GET", "/owner/people")["items"]
    if as_json:
        print_json(people)
    else:
        print_rows(("name", "role"), [(p["name"], p["role"]) for p in people], empty="Nobody is here yet.")


@user.command()
@click.argument("name")
@click.argument("role", type=click.Choice(ROLES))
@data_option
@click.pass_context
def role(ctx: click.Context, name: str, role: str) -> None:
    """Give a person another role.

    Example: hercules user role ada viewer
    """
    with errors_told():
        owner.call(settings_of(ctx), "POST", f"/owner/people/{quote(name, safe='')}/role", {"role": role})
    click.echo(f"{name} is now {role}.")


@user.command()
@click.argument("name", required=False, default="owner")
@json_option
@data_option
@click.pass_context
def link(ctx: click.Context, name: str, as_json: bool) -> None:
    """Print a new one-time sign-in link (for the owner, when no NAME is given).

    Example: hercules user link
    """
    with errors_told():
        made = owner.call(settings_of(ctx), "POST", f"/owner/people/{quote(name, safe='')}/link")
    if as_json:
        print_json(made)
    else:
        click.echo(made["url"])


@user.command()
@click.argument("name", required=False, default="owner")
@click.option("--label", default="", help="What the token is for.")
@json_option
@data_option
@click.pass_context
def token(ctx: click.Context, name: str, label: str, as_json: bool) -> None:
    """Make an API token of a person. It is shown this once.

    Example: hercules user token ada --label backup-script
    """
    with errors_told():
        path = f"/owner/people/{quote(name, safe='')}/token"
        made = owner.call(settings_of(ctx), "POST", path, {"label": label})
    if as_json:
        print_json(made)
    else:
        click.echo(made["token"])


@user.command()
@click.argument("name", required=False, default="owner")
@json_option
@data_option
@click.pass_context
def tokens(ctx: click.Context, name: str, as_json: bool) -> None:
    """List the API tokens of a person; what they open is never shown again.

    Example: hercules user tokens ada
    """
    with errors_told():
        held = owner.call(settings_of(ctx), "GET", f"/owner/people/{quote(name, safe='')}/tokens")["items"]
    if as_json:
        print_json(held)
    else:
        print_rows(("token", "for"), [(t["id"], t["name"]) for t in held], empty=f"{name} has no API token.")


@user.command()
@click.argument("token")
@data_option
@click.pass_context
def revoke(ctx: click.Context, token: str) -> None:
    """Revoke an API token by the id that `hercules user tokens` shows. It opens nothing from then on.

    Example: hercules user revoke k-0123456789abcdef
    """
    with errors_told():
        owner.call(settings_of(ctx), "DELETE", f"/owner/tokens/{quote(token, safe='')}")
    click.echo("It is revoked.")


@user.command("sign-out")
@click.argument("name", required=False, default="owner")
@data_option
@click.pass_context
def sign_out(ctx: click.Context, name: str) -> None:
    """Sign a person out in every browser. API tokens stay: see `hercules user revoke`.

    Example: hercules user sign-out ada
    """
    with errors_told():
        owner.call(settings_of(ctx), "POST", f"/owner/people/{quote(name, safe='')}/sign-out")
    click.echo(f"{name} is signed out everywhere.")


@user.command()
@click.argument("name")
@data_option
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Remove a person with their sign-ins and API tokens. What they deployed goes on running.

    Example: hercules user remove ada
    """
    with errors_told():
        owner.call(settings_of(ctx), "DELETE", f"/owner/people/{quote(name, safe='')}")
    click.echo(f"{name} is removed.")
