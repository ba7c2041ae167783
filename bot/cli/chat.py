"""`hercules chat`: the terminal channel against the running bot."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

import click

from bot.cli.common import data_option, errors_told, json_option, print_json, settings_of
from bot.engine.refusals import Spoken


@click.command()
@click.argument("flow", required=False)
@click.option(
    "--set",
    "words",
    multiple=True,
    metavar="NAME=VALUE",
    help="Answer a question beforehand; NAME=@FILE reads a file, @env:VAR a variable, @- standard input.",
)
@click.option("--yes", is_flag=True, help="Say yes to what changes or disturbs, and take what is proposed.")
@click.option("--yes-destroy", is_flag=True, help="Say yes to what destroys, too.")
@json_option
@data_option
@click.pass_context
def chat(
    ctx: click.Context, flow: str | None, words: tuple[str, ...], yes: bool, yes_destroy: bool, as_json: bool
) -> None:
    """Chat in the terminal, or run a chatflow as a script.

    Exit code: 0 done or already so, 1 failed or cancelled, 2 wrong use. Example:
    hercules chat deploy --set what=demo --set name=hello --set port=20080 --yes
    """
    from bot.channels.terminal_values import WrongUse, parse_set
    from bot.channels.terminal_wire import Told

    settings = settings_of(ctx)
    code = 1  # Ctrl-C
    with errors_told(), contextlib.suppress(KeyboardInterrupt):
        try:
            given = parse_set(words)
            code = asyncio.run(_chat(settings, flow, given, yes, yes_destroy, as_json))
        except WrongUse as e:
            _wrong_use(e)
        except Told as e:
            if e.problem.get("status") in (404, 422):
                _wrong_use(e)
            raise
    sys.exit(code)


def _wrong_use(error: Spoken) -> None:
    from bot.cli.common import give_up

    give_up(error, code=2)


async def _chat(
    settings: Any, name: str | None, given: Any, yes: bool, yes_destroy: bool, as_json: bool
) -> int:
    from bot.channels.terminal import Conversation
    from bot.channels.terminal_show import Show
    from bot.channels.terminal_values import Given
    from bot.channels.terminal_wire import Wire

    lively = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    show = Show(lively=lively, quiet=as_json)
    asker = None
    if lively:
        from bot.channels.terminal_ask import Asker

        asker = Asker()
        show.says(
            "At any question: /back, /undo, /change NAME, /cancel; an empty line takes what is proposed."
        )
    async with Wire(settings.owner_socket) as wire:
        flow, understood = await _chosen(wire, name, asker, show)
        known = {name: Given.understood(name, str(value)) for name, value in understood.items()}
        talk = Conversation(
            wire, {**known, **given}, show=show, asker=asker, yes=yes, yes_destroy=yes_destroy
        )
        code = await talk.follow(await talk.begin(flow))
    if as_json:
        print_json(talk.session)
    return code


async def _chosen(
    wire: Any, name: str | None, asker: Any, show: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The flow that was named, else what fits what the person types, with the answers that stood in it.

    Raises WrongUse.
    """
    from bot.channels.terminal_values import WrongUse

    flows: list[dict[str, Any]] = await wire.flows()
    by_name = {flow["name"]: flow for flow in flows}
    if name in by_name:
        return by_name[name], {}
    if asker is None:
        what = f"There is no chatflow {name!r}." if name else "A script must name its chatflow."
        raise WrongUse(what=what, way=f"There are: {', '.join(by_name)}.")
    if not name:
        for flow in flows:
            show.out.print(f"  {flow['name']:<16} {flow['title']}")
    typed = name or ""
    while True:
        typed = typed or (await asker.text("What would you like to do? >")).strip()
        if typed in by_name:
            return by_name[typed], {}
        if typed and (meant := await _meant(wire, typed, asker, show)) is not None:
            return by_name[meant["flow"]], meant["answers"]
        typed = ""


async def _meant(wire: Any, typed: str, asker: Any, show: Any) -> dict[str, Any] | None:
    """What a text means; None: something else. A person is asked where it is not clear or could
    change something.
    """
    found = await wire.match(typed)
    items: list[dict[str, Any]] = found["items"]
    if not items:
        show.says("I don't know that yet. Type one of the names above, or say it in other words.")
        return None
    if not found["needs_yes"]:
        return items[0]
    if found["clear"]:
        show.says(f"I understood: {items[0]['understood']}")
        said = (await asker.text("Is that right? [yes] >")).strip().casefold()
        return items[0] if said in ("", "y", "yes") else None
    show.says("That could be one of these:")
    for number, item in enumerate(items, 1):
        show.out.print(f"  {number}  {item['understood']}", markup=False)
    said = (await asker.text("Which one? (a number, or an empty line for something else) >")).strip()
    return items[int(said) - 1] if said.isdecimal() and 0 < int(said) <= len(items) else None
