"""`hercules flow run --simulated`: a chatflow in the terminal, against machines that are only imagined."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.common import data_option, json_option, print_json, say_error

if TYPE_CHECKING:
    from bot.authoring.stage import Stage

_HELP = (
    "/back  /undo  /change NAME  /cancel  /break FAULT  /mend  /world  /faults;"
    " an empty line takes what is proposed."
)


@click.command()
@click.argument("flow", required=False)
@click.option("--simulated", is_flag=True, help="Against a simulated fleet; FLOW may be a file.")
@click.option("--fault", "faults", multiple=True, help="With --simulated: what goes wrong from the start.")
@click.option("--set", "words", multiple=True, metavar="NAME=VALUE", help="Answer a question beforehand.")
@click.option("--yes", is_flag=True, help="Say yes to what changes or disturbs, and take what is proposed.")
@click.option("--yes-destroy", is_flag=True, help="Say yes to what destroys, too.")
@json_option
@data_option
@click.pass_context
def run(
    ctx: click.Context,
    flow: str | None,
    simulated: bool,
    faults: tuple[str, ...],
    words: tuple[str, ...],
    yes: bool,
    yes_destroy: bool,
    as_json: bool,
) -> None:
    """Run a chatflow in the terminal: on the running bot, or with --simulated on machines made up for it.

    Example: hercules flow run chatflows.d/restart_politely.py --simulated --fault unhealthy
    """
    if not simulated:
        from bot.cli.chat import chat

        ctx.invoke(chat, flow=flow, words=words, yes=yes, yes_destroy=yes_destroy, as_json=as_json)
        return
    stage = _stage(flow or "", faults)
    given = dict(word.partition("=")[::2] for word in words)
    code = _play(stage, given, yes or yes_destroy, lively=sys.stdin.isatty() and not as_json, quiet=as_json)
    if as_json:
        from bot.engine import text

        print_json(
            {
                "flow": stage.session.flow,
                "outcome": stage.session.outcome,
                "orders": stage.verbs,
                "transcript": [{"kind": e.kind, "says": text.plain(e.text)} for e in stage.entries],
            }
        )
    sys.exit(code)


def _stage(what: str, faults: tuple[str, ...]) -> Stage:
    from bot.authoring import library as libraries
    from bot.authoring import loading
    from bot.authoring.faults import NoSuchFault
    from bot.authoring.stage import Stage

    path = Path(what)
    read = loading.read(path) if what and path.exists() else None
    for m in read.mistakes if read is not None else ():
        say_error(m.told)
    if read is not None and not read.flows:
        sys.exit(1)
    folder = libraries.near(path.absolute().parent if read is not None else None)
    beside = loading.flows_below(folder) if folder is not None else []
    own = read.flows if read is not None else ()
    library = libraries.Library([*libraries.built_in(), *beside, *own])
    name = own[0].name if own else what
    if name not in library.names():
        say_error(f"There is no chatflow {name!r}.", f"There are: {', '.join(library.names())}.")
        sys.exit(2)
    stage = Stage(library, name)
    for fault in faults:
        try:
            stage.fleet.break_(fault)
        except NoSuchFault as e:
            say_error(str(e))
            sys.exit(2)
    return stage


def _play(stage: Stage, given: dict[str, str], yes: bool, *, lively: bool, quiet: bool) -> int:
    from bot.authoring import answers
    from bot.engine.effects import AskApproval, AskFacts, CallHook

    told = 0
    if lively:
        click.echo(click.style("A simulated fleet; nothing real is touched. ", dim=True) + _HELP)
    for _ in range(1_000):
        told = told if quiet else _tell(stage, told)
        if stage.session.status != "open":
            return 0 if stage.session.outcome in ("done", "unchanged") else 1
        shown = stage.session.shown
        if shown is None or shown.loading:
            wish = stage.outbox[0] if stage.outbox else None
            if isinstance(wish, CallHook) and stage.run_hook():
                continue
            first = "facts" if isinstance(wish, AskFacts) else ""
            first = "approve" if isinstance(wish, AskApproval) else first
            moves = [m for m in stage.moves() if m != "cancel"]
            if not stage.do(first or moves[0]) and not any(stage.do(move) for move in moves):
                break
            continue
        key = shown.name if shown.name in given else shown.state
        if key in given:
            typed: Any = given.pop(key)
        elif lively:
            typed = _ask(stage)
            if typed is None:
                continue
        elif yes and answers.candidates(shown):
            typed = answers.candidates(shown)[0]
            if shown.name == "way_on":
                typed = next((o.value for o in shown.options if o.value in ("cancel", "leave")), typed)
        else:
            say_error(f"{shown.name} has no answer.", f"Give it: --set {shown.name}=…")
            return 2
        value = answers.fit(shown, _value(shown.schema, typed))
        if not stage.answer(value):
            click.echo(click.style(str(stage.refused), fg="red"), err=True)
            if not lively:
                return 2
    say_error("Nothing can happen any more.")
    return 1


def _tell(stage: Stage, told: int) -> int:
    from bot.engine import text

    style: dict[str, dict[str, Any]] = {
        "ordered": {"dim": True},
        "finished": {"dim": True},
        "problem": {"fg": "yellow"},
    }
    for entry in stage.entries[told:]:
        words = text.plain(entry.text)
        if words and entry.kind not in ("asked", "answered"):
            click.echo(click.style(words, **style.get(entry.kind, {})))
    return len(stage.entries)


def _ask(stage: Stage) -> Any:
    from bot.engine import text

    shown = stage.session.shown
    assert shown is not None  # noqa: S101  (its caller looked)
    click.echo("")
    click.echo(click.style(text.plain(shown.label), bold=True))
    for words in (text.plain(shown.help), shown.problem, shown.no_return):
        if words:
            click.echo(words)
    for row in shown.rows:
        click.echo(f"  {row.label}: {row.value}")
    for number, option in enumerate(shown.options, 1):
        why = f" ({option.disabled or option.description})" if option.disabled or option.description else ""
        click.echo(f"  {number}  {option.label}{why}")
    proposed = "" if shown.default is None else f" [{shown.default}]"
    typed = click.prompt(shown.name + proposed, default="", show_default=False, prompt_suffix="> ").strip()
    if typed.startswith("/"):
        _command(stage, typed[1:])
        return None
    if not typed and shown.default is not None:
        return shown.default
    if typed.isdigit() and shown.options and 1 <= int(typed) <= len(shown.options):
        return shown.options[int(typed) - 1].value
    return typed


def _command(stage: Stage, line: str) -> None:
    from bot.authoring.faults import FAULTS, NoSuchFault
    from bot.authoring.world import picture

    word, _, rest = line.partition(" ")
    if word == "break":
        try:
            stage.fleet.break_(rest)
        except NoSuchFault as e:
            click.echo(str(e))
    elif word == "mend":
        stage.fleet.mend(rest)
    elif word == "faults":
        for fault in FAULTS.values():
            click.echo(f"  {fault.name:<20} {fault.says}")
    elif word == "world":
        print_json(picture(stage.fleet.world))
    elif word in ("back", "undo", "cancel", "change"):
        move = f"{word} {rest}".strip()
        if move not in stage.moves() or not stage.do(move):
            click.echo(f"{word} cannot be done here.")
    else:
        click.echo(_HELP)


def _value(schema: dict[str, Any], typed: Any) -> Any:
    """What is typed, as the kind of value that the prompt takes."""
    kind = schema.get("type")
    if isinstance(typed, str) and kind in ("integer", "number", "array", "object"):
        try:
            return json.loads(typed)
        except ValueError:
            return typed.split(",") if kind == "array" else typed
    return typed
