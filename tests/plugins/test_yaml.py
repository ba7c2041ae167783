"""Chatflows in YAML: the words of the Python spelling, the same versions, and every mistake with its line."""

from __future__ import annotations

import collections.abc
import json
import typing
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from bot.engine import (
    Ask,
    Chatflow,
    Choose,
    Confirm,
    Do,
    End,
    Pick,
    Say,
    Text,
    Wait,
    facts,
    form,
    orders,
    vocabulary,
)
from bot.engine import compile as compiling
from bot.plugins import limits, yaml_schema, yaml_words
from bot.plugins.yaml_flow import read
from bot.plugins.yaml_nodes import Map, YamlRefused, parse, plain
from bot.plugins.yaml_read import Reading

ROOT = Path(__file__).parents[2]
GOOD = """\
title: Restart a container
says: ["restart {container}", "{container} hangs"]
risk: disturbs
description: Restart a container, when it is least in the way.
states:
  which:
    ask:
      pick: Which one?
      options: {facts: containers, state: running}
      as: container
  why:
    ask: {text: Why?, help: "It stands in the log.", min_length: 0, default: 1.10}
  when:
    ask:
      pick: "**{{ container.name }}** is away for a moment then. When?"
      options: {now: Now, night: "At 03:00"}
    then: {now: sure, night: sleeping}
  sleeping:
    wait: {until: "03:00"}
    says: |
      Waiting for 03:00.

      You may close this page.
  sure:
    ask: {confirm: "Restart **{{ container.name }}**?", summary: [container, why]}
    then: {yes: restarting, no: nothing}
  restarting:
    do: {restart-target: {target: "{{ container.target }}"}}
    failed: sorry
  many:
    choose: {restarting.seconds > 60: slow}
    otherwise: done
  slow: {say: That took long.}
  done: {end: "It runs again."}
  sorry: {end: It did not work., outcome: failed, result: {why: "{{ why }}", tries: 1}}
  nothing: {end: Left as it is., outcome: unchanged}
"""


class RestartContainer(Chatflow):
    title = "Restart a container"
    says = ("restart {container}", "{container} hangs")
    risk = "disturbs"
    description = "Restart a container, when it is least in the way."
    name = "restart"
    which = Ask(Pick("Which one?", options=facts.containers(state="running"), as_="container"))
    why = Ask(Text("Why?", help="It stands in the log.", min_length=0, default=1.10))
    when = Ask(
        Pick(
            "**{{ container.name }}** is away for a moment then. When?",
            options={"now": "Now", "night": "At 03:00"},
        ),
        then={"now": "sure", "night": "sleeping"},
    )
    sleeping = Wait(until="03:00", says="Waiting for 03:00.\n\nYou may close this page.\n")
    sure = Ask(
        Confirm("Restart **{{ container.name }}**?", summary=["container", "why"]),
        then={"yes": "restarting", "no": "nothing"},
    )
    restarting = Do(orders.RestartTarget(target="{{ container.target }}"), failed="sorry")
    many = Choose({"restarting.seconds > 60": "slow"}, otherwise="done")
    slow = Say("That took long.")
    done = End("It runs again.")
    sorry = End("It did not work.", outcome="failed", result={"why": "{{ why }}", "tries": 1})
    nothing = End("Left as it is.", outcome="unchanged")


def flow(text: str) -> form.Flow:
    return read(text, source="chatflows.d/restart.yaml", name="restart").flow


def wrongs(text: str) -> list[tuple[int, str]]:
    with pytest.raises(YamlRefused) as refused:
        flow(text)
    return [(wrong.line, wrong.says) for wrong in refused.value.wrongs]


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_both_spellings_of_a_flow_are_one_version() -> None:
    python = compiling.compile_class(RestartContainer, source="chatflows.d/restart.yaml")
    assert compiling.version_of(flow(GOOD)) == compiling.version_of(python)


def test_the_lines_of_its_states_are_known() -> None:
    lines = read(GOOD, source="x", name="restart").lines
    assert {name: line_of(GOOD, f"  {name}:") for name in lines} == lines


def sample(kind: Any, param: str = "") -> tuple[str, Any]:
    """A value of a type: as YAML, and as Python has it."""
    kinds = [one for one in yaml_words.members(kind) if one is not type(None)]
    one = kinds[0]
    origin, inner = typing.get_origin(one), typing.get_args(one)
    if one is vocabulary.Prompt:
        return "{text: Why?}", Text("Why?")
    if one is form.OrderForm:
        return '{restart-target: {target: "{{ x }}"}}', orders.RestartTarget(target="{{ x }}")
    if one is form.FactQuery:
        return "{facts: containers, state: running}", facts.containers(state="running")
    if origin is typing.Literal:
        return str(inner[-1]), inner[-1]
    if origin in (dict, collections.abc.Mapping):
        text, value = sample(inner[1])
        return f"{{one: {text}}}", {"one": value}
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        items = [sample(part) for part in inner]
        return f"[{', '.join(text for text, _ in items)}]", tuple(value for _, value in items)
    if origin in (tuple, list, collections.abc.Sequence):
        text, value = sample(inner[0])
        return f"[{text}]", [value] if origin is not tuple else (value,)
    if isinstance(one, type) and issubclass(one, msgspec.Struct):
        thing = yaml_words.part(one)
        given = {word.name: sample(word.type) for word in thing.words.values()}
        made = thing.make(**{word.param: given[word.name][1] for word in thing.words.values()})
        return "{" + ", ".join(f"{name}: {text}" for name, (text, _) in given.items()) + "}", made
    basic = {
        str: ('"yes, {{ x }}"', "yes, {{ x }}"),
        int: ("7", 7),
        float: ("0.5", 0.5),
        bool: ("true", True),
    }
    return basic.get(one, ("{a: [1, 2.5, null, no]}", {"a": [1, 2.5, None, "no"]}))


@pytest.mark.parametrize("key", yaml_words.prompts())
@pytest.mark.parametrize("inside", [False, True])
def test_every_prompt_with_all_its_words_is_the_same_as_in_python(key: str, inside: bool) -> None:
    thing = yaml_words.prompts()[key]
    assert thing.first is not None
    given = {name: sample(word.type) for name, word in thing.words.items()}
    label, label_value = sample(thing.first.type)
    rest = [f"{name}: {text}" for name, (text, _) in given.items()]
    text = f"{{{key}: {label}, {', '.join(rest)}}}"
    if inside:
        text = f"{{{key}: {{{thing.first.name}: {label}, {', '.join(rest)}}}}}"
    reading = Reading()
    node = parse(text)
    made = reading.prompt(node, "the prompt")
    assert not reading.wrongs
    python = thing.make(label_value, **{w.param: given[name][1] for name, w in thing.words.items()})
    assert (made.compiled, made.as_) == (python.compiled, python.as_)
    validator = jsonschema.Draft202012Validator(
        {"$ref": "#/$defs/prompt", "$defs": yaml_schema.schema()["$defs"]}
    )
    assert not [error.message for error in validator.iter_errors(plain(node))]


@pytest.mark.parametrize("key", [key for key in yaml_words.states() if key != "choose"])
def test_every_state_with_all_its_words_is_the_same_as_in_python(key: str) -> None:
    thing = yaml_words.states()[key]
    given = {name: sample(word.type) for name, word in thing.words.items()}
    rest = {name: text for name, (text, _) in given.items()}
    head = "{" + f"{next(iter(rest))}: {rest.pop(next(iter(rest)))}" + "}"
    args: tuple[Any, ...] = ()
    if thing.first is not None:
        rest = {name: text for name, (text, _) in given.items()}
        head, value = sample(thing.first.type)
        args = (value,)
    node = parse(f"{{{key}: {head}, {', '.join(f'{n}: {t}' for n, t in rest.items())}}}")
    assert isinstance(node, Map)
    reading = Reading()
    made = reading.kinded(node, key, thing)
    assert not reading.wrongs
    more = given.pop("with", ("", {}))[1]
    python = thing.make(*args, **{thing.words[n].param: v for n, (_, v) in given.items()}, **more)
    assert made.compiled("here", "there") == python.compiled("here", "there")
    validator = jsonschema.Draft202012Validator(
        {"$ref": "#/$defs/state", "$defs": yaml_schema.schema()["$defs"]}
    )
    assert not [error.message for error in validator.iter_errors(plain(node))]


def test_a_choose_may_list_its_cases() -> None:
    listed = GOOD.replace(
        "choose: {restarting.seconds > 60: slow}",
        "choose:\n      - {when: restarting.seconds > 60, then: slow}",
    )
    assert compiling.version_of(flow(listed)) == compiling.version_of(flow(GOOD))


def test_words_of_yaml_1_1_are_words() -> None:
    options = "{yes: Yes, no: No, on: On, off: Off}"
    then = "{yes: done, no: done, on: done, off: done}"
    text = f"title: no\nstates:\n  a:\n    ask: {{pick: 1.10, options: {options}}}\n    then: {then}\n"
    text += "  done: {end: yes}\n"
    made = flow(text)
    first = made.states["a"]
    assert isinstance(first, form.Ask)
    assert list(first.then) == ["yes", "no", "on", "off"]
    assert (made.title, first.prompt.label) == ("no", "1.10")
    assert made.states["done"] == form.End(text="yes")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    assert compiling.version_of(flow("\ufeff" + GOOD.replace("\n", "\r\n"))) == compiling.version_of(
        flow(GOOD)
    )


MISTAKES: dict[str, tuple[str, str, str]] = {
    # what: (in GOOD, instead, what the message says); the line is that of the change, or of a "<-" in it
    "a key twice": ("  slow: {", "  many: {", "'many' is there twice (first in line"),
    "a tab": ("    failed: sorry", "\tfailed: sorry", "tab: use spaces"),
    "an anchor": ("risk: d", "risk: &x d", "`&x` is not taken"),
    "an alias": ("risk: disturbs", "risk: *x", "`*x` is not taken"),
    "a merge key": ("risk: d", "<<: {}\nrisk: d", "`<<` is not taken"),
    "a tag": ("title: R", "title: !!python/object/apply:os.system [echo]", "nothing in this file"),
    "a tag of its own": ("title: R", "title: !secret R", "`!secret` is not taken"),
    "a second document": ("states:\n", "states: {}\n---\n", "one chatflow"),
    "a directive": ("title:", "%YAML 1.1\n---\ntitle:", "begin with %"),
    "an unclosed list": ('says: ["restart', 'says: [["restart', "not closed"),
    "an unclosed quote": ('done: {end: "It runs again."}', 'done: {end: "It runs again.}', "quote"),
    "braces without quotes": (
        'target: "{{ container.target }}"',
        "target: {{ container.target }}",
        "quotes around it",
    ),
    "a colon in a text": ("say: That took", "say: That: took", "not closed"),
    "a bad indentation": ("    failed: sorry", "   failed: sorry", "align"),
    "an invisible character": ("Left as", "Left\x1bas", "U+001B"),
    "an unknown key of the flow": ("risk:", "rsk:", "Did you mean `risk`?"),
    "an unknown state": ("{say: That", "{sya: That", "Did you mean `say`?"),
    "no state at all": ("{say: That took long.}", "{then: done}", "what it does"),
    "two states in one": ("{say: That took long.}", "{say: That, end: That}", "two states"),
    "a prompt without ask": ("slow: {say: That took long.}", "slow: {text: Why?}", "write `ask: {text: …}`"),
    "an unknown prompt": ("pick: Which", "pik: Which", "Did you mean `pick`?"),
    "an unknown key of a prompt": ("min_length: 0", "minlength: 0", "Did you mean `min_length`?"),
    "a key of the prompt beside it": (
        ', help: "It stands in the log.", min_length: 0, default: 1.10}',
        "}\n    help: x",
        "write it inside `ask`",
    ),
    "a wrong type": ("min_length: 0", "min_length: short", "needs a whole number, not 'short'"),
    "a word for true": ("min_length: 0", "lines: yes", "`yes` and `no` are words"),
    "a list for a text": ("title: Restart a container", "title: [Restart]", "needs text, not a list"),
    "a text for a list": ("summary: [container, why]", "summary: why", "needs a list, not 'why'"),
    "a wrong choice": ("outcome: unchanged", "outcome: unchange", "Did you mean `unchanged`?"),
    "a value left out": ("    failed: sorry", "    says:", "has no value"),
    "an unknown fact": ("facts: containers", "facts: container", "Did you mean `containers`?"),
    "an unknown argument of a fact": ("state: running}", "sate: running}", "Did you mean `state`?"),
    "an unknown order": ("restart-target:", "restart-targets:", "Did you mean `restart-target`?"),
    "an unknown argument of an order": ("{target:", "{tarqet:", "Did you mean 'target'?"),
    "a successor that is not there": ("failed: sorry", "failed: sory", "Did you mean 'sorry'?"),
    "an answer without a way": (
        "{yes: restarting, no",
        "{yes: restarting, maybe",
        "one state for each answer",
    ),
    "a name that nothing sets": (
        "It runs again.",
        "{{ contaner.name }} runs again.",
        "Did you mean 'container'?",
    ),
    "a name that nothing sets, in a block": ("You may close", "{{ cotainer }} You may close", "Did you mean"),
    "an expression that is none": ("restarting.seconds > 60", "restarting.seconds >", "many"),
    "a filter that is not there": ("It runs again.", "{{ why | rm }} runs.", "filter 'rm'"),
    "a time that is none": ('until: "03:00"', 'until: "3 o\'clock"', "03:00"),
    "a hook": ("    failed: sorry", "    failed: sorry\n    check: nice", "only a chatflow in Python"),
    "a state's name that is none": ("  slow: {", "  too slow: {", "letters, digits and _"),
    "a name of the engine": ("  slow: {", "  title: {", "meaning of its own"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_said_with_its_line_and_a_remedy(what: str) -> None:
    old, new, says = MISTAKES[what]
    assert GOOD.count(old) >= 1
    text = GOOD.replace(old, new, 1)
    found = wrongs(text)
    lines = zip(text.split("\n"), [*GOOD.split("\n"), "", ""], strict=False)
    changed = next(n for n, (one, before) in enumerate(lines, 1) if one != before)
    near = range(changed, changed + new.count("\n") + (2 if what == "an unclosed quote" else 1))
    assert any(says in told and line in near for line, told in found), (near, found)


def test_every_mistake_of_a_file_is_said_at_once() -> None:
    text = (
        GOOD.replace("pick: Which", "pik: Which").replace("say: That", "sya: That").replace("rest", "rest", 1)
    )
    assert [line for line, _ in wrongs(text)] == [line_of(text, "pik:"), line_of(text, "sya:")]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "just text", "- a\n- b\n", "title: x\n", "title: x\nstates: [a]\n"]
)
def test_what_is_no_chatflow_at_all_is_said(text: str) -> None:
    assert wrongs(text)


def test_a_last_state_that_must_go_on_is_told_so() -> None:
    assert any("`then`" in says for _, says in wrongs("title: x\nstates:\n  a: {say: Hi.}\n"))


def test_bombs_are_refused_before_they_grow() -> None:
    laughs = "a: &a [x]\n" + "".join(
        f"{b}: &{b} [*{a},*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert wrongs(laughs)[0][0] == 1
    deep = wrongs("x: " + "[" * 10_000)
    assert f"{limits.YAML_DEPTH} levels" in deep[0][1]
    wide = wrongs("x: [" + "a," * (limits.FILE_BYTES // 2 - 10) + "]")
    assert "split it" in wide[0][1]


def test_the_published_schema_is_the_one_of_these_words() -> None:
    published = (ROOT / "docs" / "chatflow.schema.json").read_text()
    assert published == yaml_schema.text(), "renew it: hercules flow schema > docs/chatflow.schema.json"
    jsonschema.Draft202012Validator.check_schema(json.loads(published))


@pytest.mark.parametrize("file", ["GOOD", *sorted(p.name for p in (ROOT / "chatflows.d").rglob("*.yaml"))])
def test_flows_in_yaml_are_valid_by_the_schema(file: str) -> None:
    paths = [path for path in (ROOT / "chatflows.d").rglob(file) if "tests" not in path.parts]
    texts = [GOOD] if file == "GOOD" else [path.read_text() for path in paths]
    validator = jsonschema.Draft202012Validator(yaml_schema.schema())
    for text in texts:
        assert not [error.message for error in validator.iter_errors(plain(parse(text)))]


@pytest.mark.parametrize(
    "what", ["an unknown state", "an unknown prompt", "a wrong type", "an unknown order"]
)
def test_the_schema_finds_what_an_editor_can_find(what: str) -> None:
    old, new, _ = MISTAKES[what]
    validator = jsonschema.Draft202012Validator(yaml_schema.schema())
    assert list(validator.iter_errors(plain(parse(GOOD.replace(old, new, 1)))))
