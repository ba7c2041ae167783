"""More advice about a flow than the engine's own: what a person, a screen reader, a translator, a node or
another flow would stumble over. Pure; every piece names its state, and with `lines` its line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from agent.orders import READING, SIMULATED
from bot.engine import form, lint, rows
from bot.engine.answers import check_setting_name
from bot.engine.checks import Problem
from bot.engine.orders import RANK, RISKS
from bot.engine.template import is_template

CODES: Final[dict[str, str]] = {
    "no-way-out": "every way ends in something that disturbs: nobody can decide against it",
    "same-way": "yes and no, or all options, lead to the same state",
    "leads-nowhere": "an option leads back to its own question",
    "no-undo": "a change without `undo` in a flow that says it only changes",
    "simulated": "no agent carries this order out yet",
    "refused": "a node refuses this as it is set up at first",
    "recursion": "flows that call each other in a circle",
    "no-such-flow": "a flow that is called, or offered, is not there",
    "no-words": "a label without a word: a screen reader has nothing to say",
    "no-sense": "a label that says nothing without the page around it",
    "pieces": "a label made of pieces: it cannot be translated",
}
_HERE: Final = re.compile(
    r"^(?:please\s+)?(?:click|press|tap)(?:\s+(?:here|this|below|ok))?[.!]?$|^(?:here|this|link|more)[.!]?$"
    r"|\bclick here\b|\bsee (?:above|below)\b",
    re.IGNORECASE,
)
_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_CHOSEN_WORDS: Final = re.compile(r"""\{\{[^}]*['"][^'"]*[A-Za-z]{2,}[^'"]*['"]\s+if\b""")
_BRANCH: Final = re.compile(r"[A-Za-z,] *\{%\s*if\b")


def check(
    flow: form.Flow,
    others: Mapping[str, form.Flow] | None = None,
    lines: Mapping[str, int] | None = None,
) -> list[Problem]:
    """Mistakes, the engine's advice, and this. `others` are the flows by name that it may call."""
    found = lint.check(flow, lines)
    if any(not one.advice for one in found):
        return found
    more = [*_ways(flow), *_orders(flow), *_texts(flow), *_calls(flow, others)]
    return found + [msgspec.structs.replace(one, line=(lines or {}).get(one.state, 0)) for one in more]


def _say(state: str, code: str, says: str) -> Problem:
    return Problem(state, code, says, advice=True)


def _ways(flow: form.Flow) -> Iterator[Problem]:
    for name, state in flow.states.items():
        if isinstance(state, form.Ask) and isinstance(state.then, dict):
            for answer, dest in state.then.items():
                if dest == name:
                    yield _say(name, "leads-nowhere", f"The option {answer!r} leads back to this question.")
            if len(state.then) > 1 and len(set(state.then.values())) == 1:
                dest = next(iter(state.then.values()))
                yield _say(name, "same-way", f"Every answer leads to {dest!r}: then why ask?")
        disturbs = isinstance(state, form.Do) and RANK[RISKS[state.order.verb]] >= RANK["disturbs"]
        if disturbs and not _ends_without(flow, name):
            says = "Every way leads through this order: offer a way to an End without it."
            yield _say(name, "no-way-out", says)


def _ends_without(flow: form.Flow, without: str) -> bool:
    """Whether an End can be reached from the start and not through that state."""
    if flow.start == without:
        return False
    seen, todo = {flow.start, without}, [flow.start]
    while todo:
        at = todo.pop()
        if isinstance(flow.states[at], form.End):
            return True
        for row in rows.ways_of(at, flow.states[at]):
            if row.dest not in seen:
                seen.add(row.dest)
                todo.append(row.dest)
    return False


def _orders(flow: form.Flow) -> Iterator[Problem]:
    for name, state in flow.states.items():
        if not isinstance(state, form.Do):
            continue
        verb = state.order.verb
        if verb in SIMULATED:
            says = f"No agent carries out {verb} yet: it works in the simulation, a real node refuses it."
            yield _say(name, "simulated", says)
        elif state.undo is None and not state.no_return and verb not in READING and flow.risk == "changes":
            says = f"{verb} has no undo, though the flow says that it only changes things. Name one, or"
            yield _say(name, "no-undo", f"{says} say no_return=True, or a higher risk.")
        for says in _refused(state.order.args):
            yield _say(name, "refused", says)


def _refused(args: Any, key: str = "") -> Iterator[str]:
    """What stands there in plain and a node does not do unless its owner allows it (node.toml)."""
    if isinstance(args, dict):
        for name, value in args.items():
            yield from _refused(value, name)
        setting = args.get("name")
        named = key == "settings" and isinstance(setting, str) and not is_template(setting)
        if named and (says := check_setting_name(setting)):
            yield f"A node refuses the setting: {says}"
    elif isinstance(args, list | tuple):
        for value in args:
            yield from _refused(value, key)
    elif (key, args) == ("exposure", "lan"):
        yield "A node opens ports only to itself until its owner names lan_addresses in node.toml."
    elif (key, args) == ("profile", "legacy"):
        yield "A node refuses the profile legacy unless its owner lists it in node.toml."
    elif key == "node_port" and isinstance(args, int) and args < 1024:
        yield f"Port {args} is below 1024, which most machines have in use or keep from containers."


def _texts(flow: form.Flow) -> Iterator[Problem]:
    if not _has_words(flow.title):
        yield _say("", "no-words", "The title has no word in it.")
    for name, state in flow.states.items():
        if not isinstance(state, form.Ask):
            continue
        prompt = state.prompt
        labels = [("question", str(getattr(prompt, "label", "")))]
        options = getattr(prompt, "options", ())
        if isinstance(options, tuple):
            labels += [(f"option {one.value!r}", one.label) for one in options]
        labels += [(word, str(getattr(prompt, word))) for word in ("yes", "no") if hasattr(prompt, word)]
        for what, label in labels:
            if not _has_words(label):
                yield _say(name, "no-words", f"The {what} has no word in it: {label!r}.")
            elif _HERE.search(_TEMPLATE.sub("x", label)):
                yield _say(name, "no-sense", f"The {what} says nothing by itself: {label!r}. Name the thing.")
            elif _CHOSEN_WORDS.search(label) or _BRANCH.search(label):
                says = f"The {what} is made of pieces: write whole sentences, and choose between them."
                yield _say(name, "pieces", says)


def _has_words(label: str) -> bool:
    return any(unicodedata.category(char)[0] in "LN" for char in _TEMPLATE.sub("x", label))


def _calls(flow: form.Flow, others: Mapping[str, form.Flow] | None) -> Iterator[Problem]:
    if others is None:
        return
    known = {**others, flow.name: flow}
    for name, state in flow.states.items():
        if isinstance(state, form.Call):
            if state.flow not in known:
                yield _say(name, "no-such-flow", f"There is no chatflow {state.flow!r} to call.")
            elif not state.alongside and (circle := _circle(flow.name, state.flow, known)):
                yield _say(name, "recursion", f"It comes back to itself: {' → '.join(circle)}.")
        elif isinstance(state, form.End):
            for label, target, _ in state.offers:
                if target not in known:
                    yield _say(name, "no-such-flow", f"{label!r} offers {target!r}, which is not there.")


def _circle(home: str, first: str, known: Mapping[str, form.Flow]) -> list[str]:
    """The calls by which one comes back home, [] for none."""
    todo = [[home, first]]
    seen: set[str] = set()
    while todo:
        way = todo.pop()
        if way[-1] == home:
            return way
        if way[-1] in seen or way[-1] not in known:
            continue
        seen.add(way[-1])
        for state in known[way[-1]].states.values():
            if isinstance(state, form.Call) and not state.alongside:
                todo.append([*way, state.flow])
    return []
