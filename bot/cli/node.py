"""`hercules node`: the machines whose agents are pinned here."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from bot.cli import owner
from bot.cli.common import data_option, errors_told, json_option, print_json, print_rows, settings_of


@click.group()
def node() -> None:
    """The machines whose agents are pinned here.

    Example: hercules node list
    """


@node.command("list")
@json_option
@data_option
@click.pass_context
def list_nodes(ctx: click.Context, as_json: bool) -> None:
    """List the nodes, and whether their agents are connected.

    Example: hercules node list --json
    """
    with errors_told():
        nodes = owner.call(settings_of(ctx), "GET", "/owner/nodes")["items"]
    if as_json:
        print_json(nodes)
        return
    rows = [(n["id"], n["name"], "connected" if n["online"] else "not connected", n["agent"]) for n in nodes]
    print_rows(("node", "name", "state", "agent"), rows, empty="No node is pinned here.")


@node.command()
@click.argument("name")
@json_option
@data_option
@click.pass_context
def show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show what a node (by id or name) says about itself.

    Example: hercules node show n-0123456789abcdef
    """
    with errors_told():
        seen = owner.call(settings_of(ctx), "GET", f"/owner/nodes/{quote(name, safe='')}")
    if as_json:
        print_json(seen)
    else:
        for label, value in _rows(seen):
            click.echo(f"{label:<12} {value}")


def _rows(seen: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("node", seen["id"]),
        ("name", seen["name"]),
        ("state", "connected" if seen["online"] else "not connected"),
        ("agent", seen["agent"] or "unknown"),
    ]
    facts = seen.get("facts") or {}
    if not facts:
        return rows
    engine = facts.get("engine") or {}
    docker = f"Docker {engine.get('version')}" if engine.get("answers") else engine.get("problem", "unknown")
    disk = facts.get("disk") or {}
    rows += [
        ("machine", f"{facts['hostname']}, {facts['architecture']}, {facts['cpus']} CPUs"),
        ("memory", _gib(facts["memory_bytes"])),
        ("engine", docker),
        (
            "disk",
            f"{_gib(disk['free'])} of {_gib(disk['total'])} free at {disk['path']}" if disk else "unknown",
        ),
        ("running", ", ".join(d["name"] for d in facts.get("deployments") or ()) or "nothing of Hercules"),
    ]
    return rows


def _gib(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"
