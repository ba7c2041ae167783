"""`hercules flow publish`, `history` and `back`: what a new version touches, and the way back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from bot.cli.common import (
    data_option,
    errors_told,
    json_option,
    print_json,
    print_rows,
    say_error,
    settings_of,
)

BECOMES = {
    "moves": "come over to the new version",
    "stays": "stay on theirs",
    "later": "are in the middle of a step and are looked at after it",
    "finishes": "finish on the version that they began with",
    "same": "run on this version already",
}


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Only say what it would do.")
@json_option
@data_option
@click.pass_context
def publish(ctx: click.Context, file: Path, dry_run: bool, as_json: bool) -> None:
    """Say what publishing a file does: whom it touches, and what would have gone another way lately.

    Without --dry-run the file is then put into DIR/chatflows.d, where the bot loads it.

    Example: hercules flow publish --dry-run restart_politely.py
    """
    from bot.cli import owner
    from bot.cli.flow import _flows_of
    from bot.engine import compile

    flows, fault = _flows_of(file)
    if fault or not flows:
        say_error(fault or f"{file} has no chatflow.", "Correct it first (hercules flow check).")
        sys.exit(1)
    settings = settings_of(ctx)
    source = f"chatflows.d/{file.name}"  # as the bot will call it: it is part of the version
    placed = [msgspec.structs.replace(flow, source=source) for flow in flows]
    compiled = [compile.encode(flow).decode() for flow in placed]
    with errors_told():
        previews = owner.call(settings, "POST", "/api/v1/flows/preview", {"compiled": compiled})["items"]
    if as_json:
        print_json(previews)
    else:
        for one in previews:
            tell(one)
    if dry_run:
        return
    target = settings.data / "chatflows.d" / file.name
    if target.resolve() != file.resolve():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(file.read_bytes())
        part.replace(target)
    if not as_json:
        click.echo(f"Published as {target}.")


@click.command()
@click.argument("name")
@json_option
@data_option
@click.pass_context
def history(ctx: click.Context, name: str, as_json: bool) -> None:
    """List the versions of a chatflow that were published, newest first.

    Example: hercules flow history deploy
    """
    from bot.cli import owner
    from bot.engine.filters import FILTERS

    with errors_told():
        items = owner.call(settings_of(ctx), "GET", f"/api/v1/flows/{name}/history")["items"]
    if as_json:
        print_json(items)
        return
    rows = [
        (
            one["version"][:12],
            str(FILTERS["date"].apply(one["at_ms"])),
            one["how"],
            one["title"],
            one["source"],
        )
        for one in items
    ]
    print_rows(("version", "published", "from", "title", "source"), rows, empty="There is none.")


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--dry-run", is_flag=True, help="Only say what it would do.")
@json_option
@data_option
@click.pass_context
def back(ctx: click.Context, name: str, version: str, dry_run: bool, as_json: bool) -> None:
    """Make an earlier version of a chatflow the current one again, until its file says something else.

    Example: hercules flow back restart-politely 3f2a91c04d7e
    """
    from bot.cli import owner

    settings = settings_of(ctx)
    done: list[dict[str, Any]] = []
    with errors_told():
        asked = {"compiled": [], "flow": name, "version": version}
        previews = owner.call(settings, "POST", "/api/v1/flows/preview", asked)["items"]
        if not dry_run:
            body = {"version": version}
            done = owner.call(settings, "POST", f"/api/v1/flows/{name}/back", body)["items"]
    if as_json:
        print_json(previews)
        return
    for one in previews:
        tell(one)
    for one in done:
        click.echo(f"{name} is now {one['version'][:12]} ({one['title']}).")


def since(flow: dict[str, Any]) -> str:
    """What the version did to open conversations, and whether it is an earlier one again."""
    told = [f"{count} {BECOMES.get(kind, kind)}" for kind, count in sorted(flow["touched"].items())]
    return "; ".join(["gone back to this one"] * flow["gone_back"] + told)


def tell(preview: dict[str, Any]) -> None:
    """A preview in sentences."""
    was = f"replaces {preview['now'][:12]}" if preview["now"] else "is new"
    if preview["now"] == preview["version"]:
        was = "is current already"
    click.echo(f"{preview['flow']} ({preview['title']}) {preview['version'][:12]} {was}.")
    total = sum(preview["counts"].values())
    click.echo(
        f"  {total} open {'conversation' if total == 1 else 'conversations'}" + (":" if total else ".")
    )
    for kind, count in sorted(preview["counts"].items()):
        click.echo(f"    {count} {BECOMES.get(kind, kind)}")
    for one in preview["sessions"]:
        if one["becomes"] == "stays":
            click.echo(f"      {one['session']} in {one['state']}: {one['why']}")
    if not preview["replayed"]:
        click.echo("  No conversation of the last four weeks to play again.")
        return
    click.echo(
        f"  {preview['same']} of {preview['replayed']} conversations of the last four weeks go as before."
    )
    for changed in preview["changed"]:
        click.echo(f"    {changed['session']}:")
        for line in changed["differences"]:
            click.echo(f"      {line}")
