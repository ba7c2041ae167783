"""`hercules flow new`: a working chatflow with its test, in either spelling, to be changed into one's own."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bot.cli.common import data_option, json_option, print_json, say_error, settings_of

PYTHON = '''\
"""{title}: say here what it is for."""

from bot.engine import Ask, Chatflow, Confirm, Do, End, Pick, facts, orders


class {cls}(Chatflow):
    title = "{title}"
    says = ["{words}"]  # what people type to get here
    risk = "disturbs"  # reads, changes, disturbs or destroys: the most that it does

    which = Ask(Pick("Which container?", options=facts.containers(state="running")), as_="container")
    sure = Ask(
        Confirm("Restart **{{{{ container.name }}}}**?", facts={{"Image": "{{{{ container.image }}}}"}}),
        then={{"yes": "restarting", "no": "nothing"}},
    )
    restarting = Do(orders.RestartTarget(target="{{{{ container.target }}}}"), says="Restarting it.")
    done = End("**{{{{ container.name }}}}** runs again, after {{{{ restarting.seconds | seconds }}}}.")
    nothing = End("Left as it is.", outcome="unchanged")
'''
PYTHON_TEST = '''\
"""Tests of {name}. Run them and a walk on every way: hercules flow test {file}"""

from bot.authoring import play


def test_it_restarts_what_was_chosen():
    play("{name}", container="web", sure="yes").ends("done").ordered("container.restart")


def test_no_means_no():
    play("{name}", container="web", sure="no").ends("unchanged").ordered_nothing()


def test_what_goes_wrong_is_said():
    play("{name}", container="web", sure="yes", fault="unhealthy").said("did not become healthy")
'''
YAML = """\
# yaml-language-server: $schema=.chatflow.schema.json
# {title}: say here what it is for.
name: {name}
title: {title}
says: ["{words}"]  # what people type to get here
risk: disturbs  # reads, changes, disturbs or destroys: the most that it does
states:
  which:
    ask: {{pick: "Which container?", options: {{facts: containers, state: running}}, as: container}}
  sure:
    ask: {{confirm: "Restart **{{{{ container.name }}}}**?", facts: {{Image: "{{{{ container.image }}}}"}}}}
    then: {{yes: restarting, no: nothing}}
  restarting:
    do: {{restart-target: {{target: "{{{{ container.target }}}}"}}}}
    says: Restarting it.
  done:
    end: "**{{{{ container.name }}}}** runs again, after {{{{ restarting.seconds | seconds }}}}."
  nothing:
    end: Left as it is.
    outcome: unchanged
"""
YAML_TEST = """\
# Tests of {name}. Run them and a walk on every way: hercules flow test {file}
- name: it restarts what was chosen
  answers: {{container: web, sure: "yes"}}
  ends: done
  ordered: [container.restart]
- name: no means no
  answers: {{container: web, sure: "no"}}
  ends: unchanged
  not_ordered: [container.restart]
- name: what goes wrong is said
  answers: {{container: web, sure: "yes"}}
  fault: unhealthy
  says: did not become healthy
"""


@click.command()
@click.argument("name")
@click.option("--yaml", "as_yaml", is_flag=True, help="Write it in YAML instead of Python.")
@click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for it (DIR/chatflows.d).",
)
@json_option
@data_option
@click.pass_context
def new(ctx: click.Context, name: str, as_yaml: bool, folder: Path | None, as_json: bool) -> None:
    """Begin a chatflow: a working example with its test, in DIR/chatflows.d.

    Example: hercules flow new restart-politely --yaml
    """
    folder = folder or settings_of(ctx).data / "chatflows.d"
    words = name.replace("_", "-").lower()
    if not words.replace("-", "").isalnum() or not words[0].isalpha() or not words.isascii():
        say_error(f"{name} cannot be the name of a chatflow.", "Use letters, digits and hyphens.")
        sys.exit(2)
    stem = words.replace("-", "_")
    file = folder / (f"{stem}.yaml" if as_yaml else f"{stem}.py")
    test = folder / "tests" / (f"{stem}.yaml" if as_yaml else f"test_{stem}.py")
    for one in (folder / f"{stem}.py", folder / f"{stem}.yaml", test):
        if one.exists():
            say_error(f"{one} is there already.", "Choose another name, or edit that file.")
            sys.exit(1)
    test.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    title = words.replace("-", " ").capitalize()
    cls = "".join(word.capitalize() for word in words.split("-"))
    fields = {"title": title, "cls": cls, "words": title.lower(), "name": words, "file": file}
    test.write_text((YAML_TEST if as_yaml else PYTHON_TEST).format_map(fields))
    file.write_text((YAML if as_yaml else PYTHON).format_map(fields))
    if as_yaml:  # for editors; a file that begins with a dot is no plugin
        from bot.plugins import yaml_schema

        (folder / ".chatflow.schema.json").write_text(yaml_schema.text())
    if as_json:
        print_json({"flow": words, "file": str(file), "test": str(test)})
        return
    click.echo(f"{file}\n{test}\n")
    click.echo(f"Check it:  hercules flow check {file}")
    click.echo(f"Test it:   hercules flow test {file}")
    click.echo(f"Try it:    hercules flow run {file} --simulated")
    click.echo("It appears in the running bot by itself, and anew each time you save it.")
