"""A chatflow in YAML: from its text to the compiled form, by the same classes and checks as the Python one.

Rule 1: the same flow in both spellings compiles to the same data. Rule 2: a mistake that the engine finds is
said in the line that it speaks of, not only at its state.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from bot.engine import compile, form, vocabulary
from bot.engine.checks import Problem
from bot.plugins import yaml_words as words
from bot.plugins.yaml_nodes import Many, Map, Node, Scalar, Wrong, YamlRefused, parse, refused, scalars
from bot.plugins.yaml_read import Reading

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"|`([^`]*)`")


class YamlFlow(msgspec.Struct, frozen=True):
    """A chatflow as read. `lines`: where each state stands. `nodes`: for the places of later advice."""

    flow: form.Flow
    lines: dict[str, int]
    nodes: dict[str, Node]

    def line_of(self, problem: Problem) -> int:
        """The line that a problem of this flow speaks of."""
        return place(problem, self.nodes, self.lines)


def read(text: str, *, source: str, name: str = "", messages: Mapping[str, str] | None = None) -> YamlFlow:
    """The chatflow of a YAML text; `name` is for one that says none itself, `messages` are its long texts.

    Raises YamlRefused.
    """
    root = parse(text)
    if not isinstance(root, Map):
        raise refused(root, "A chatflow is a map: it begins with `title: …` and has `states:`.")
    reading = Reading(messages or {})
    known = words.flow_words()
    about = Map(
        {key: item for key, item in root.items.items() if key != "states"}, root.keys, root.line, root.column
    )
    given = reading.given(about, known, "a chatflow", skip=frozenset())
    written = _states(reading, root)
    if reading.wrongs:
        raise YamlRefused(reading.wrongs)
    given.setdefault("name", name)
    if isinstance(given.get("migrates"), form.Migration):
        given["migrates"] = [given["migrates"]]
    if "migrates" in given:
        given["migrates"] = [msgspec.to_builtins(rule) for rule in given["migrates"]]
    states = root.items["states"]
    nodes: dict[str, Node] = {"": root, **(states.items if isinstance(states, Map) else {})}
    lines = {key: state.line for key, state in written.items()}
    cls = type("Written", (vocabulary.Chatflow,), {**given, **written})
    try:
        flow = compile.compile_class(cls, source=source)
    except compile.FlowRefused as e:
        told = [Wrong(place(p, nodes, lines), _sentence(p)) for p in e.problems]
        raise YamlRefused(told) from None
    return YamlFlow(flow, lines, nodes)


def place(problem: Problem, nodes: dict[str, Node], lines: dict[str, int]) -> int:
    """The line that a problem speaks of: where the words that it quotes stand, else its state's."""
    node = nodes.get(problem.state)
    if node is None:
        return 0
    there = [one for one in scalars(node)] if problem.state else _outside_states(node)
    quoted = ["".join(found) for found in _QUOTED.findall(problem.says)]
    quoted += [one[2:-2].strip() for one in quoted if one.startswith("{{") and one.endswith("}}")]
    for words_ in quoted:
        for scalar in there:
            if scalar.text == words_:
                return scalar.line
    for words_ in quoted:
        if not words_:
            continue
        pattern = re.compile(rf"(?<![\w]){re.escape(words_)}(?![\w])")
        for scalar in there:
            if found := pattern.search(scalar.text):
                below = scalar.text.count("\n", 0, found.start()) + 1 if scalar.block else 0
                return scalar.line + below
    if problem.code == "template":
        bad = next((s for s in there if "{{" in s.text or "{%" in s.text), None)
        return bad.line if bad else lines.get(problem.state, 0)
    return lines.get(problem.state, 0)


def _outside_states(root: Node) -> list[Scalar]:
    if not isinstance(root, Map):
        return []
    return [
        s for key, item in root.items.items() if key != "states" for s in (root.keys[key], *scalars(item))
    ]


def _sentence(problem: Problem) -> str:
    return f"State {problem.state!r}: {problem.says}" if problem.state else problem.says


def _states(reading: Reading, root: Map) -> dict[str, vocabulary.State]:
    if "states" not in root.items:
        reading.wrong(root, "It needs `states`: a map of its states, of which the first is where it starts.")
        return {}
    states = root.items["states"]
    if not isinstance(states, Map) or not states.items:
        what = " Not a list: each state has a name of its own." if isinstance(states, Many) else ""
        reading.wrong(
            root.keys["states"], f"`states` needs a map of states, like {{done: {{end: Done.}}}}.{what}"
        )
        return {}
    written = {}
    for name, node in states.items.items():
        key = states.keys[name]
        if not _NAME.fullmatch(name):
            reading.wrong(key, f"{name!r} cannot be the name of a state: use letters, digits and _.")
            continue
        made = _state(reading, name, node)
        if isinstance(made, vocabulary.State):
            made.line = key.line
            written[name] = made
    return written


def _state(reading: Reading, name: str, node: Node) -> Any:
    known = words.states()
    if not isinstance(node, Map):
        says = f"The state {name!r} needs a map that says what it does: one of {', '.join(known)}."
        return reading.wrong(node, says)
    kinds = [key for key in node.items if key in known]
    if len(kinds) > 1:
        says = f"`{kinds[0]}` and `{kinds[1]}` are two states: give each a name of its own."
        return reading.wrong(node.keys[kinds[1]], says)
    if not kinds:
        return _no_kind(reading, name, node, list(known))
    [kind] = kinds
    for key in node.items:
        if key in words.ONLY_PYTHON and key not in known[kind].words:
            says = f"`{key}` names a function, which only a chatflow in Python can have (a file NAME.py)."
            return reading.wrong(node.keys[key], says)
    if kind == "ask" and (misplaced := _of_prompt(node)):
        where = f"`{misplaced}` is about the prompt: write it inside `ask`."
        return reading.wrong(node.keys[misplaced], where)
    return reading.kinded(node, kind, known[kind])


def _of_prompt(node: Map) -> str | None:
    """A key beside `ask` that belongs into it."""
    asks, prompt = words.states()["ask"].words, node.items["ask"]
    if not isinstance(prompt, Map):
        return None
    kind = next((key for key in prompt.items if key in words.prompts()), None)
    if kind is None:
        return None
    own = words.prompts()[kind].words
    return next((key for key in node.items if key != "ask" and key in own and key not in asks), None)


def _no_kind(reading: Reading, name: str, node: Map, known: list[str]) -> Any:
    for key in node.items:
        if key in words.prompts():
            says = f"`{key}` is a prompt: write `ask: {{{key}: …}}`."
            return reading.wrong(node.keys[key], says)
    for key in node.items:
        if near := difflib.get_close_matches(key, known, 1, 0.6):
            return reading.wrong(node.keys[key], f"There is no state `{key}`. Did you mean `{near[0]}`?")
    return reading.wrong(node, f"The state {name!r} needs one of {', '.join(known)}: what it does.")
