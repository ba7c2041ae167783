"""What a text says besides which flow is meant: the things of the fleet that it names, and other answers.

An answer that asks for a container (node, deployment, image) is filled only with one that the fleet has by
that name, or one that is like it but for a typo; what is like nothing stays as it was typed and is asked
about by the flow itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from rapidfuzz import process
from rapidfuzz.distance import OSA

from bot.engine import form

_NOISE_WORDS: Final = """
a an the my our me i we it its is are was be to of in on at for with and or please pls can could would you
want wants need needs like this that just now hey hello hi thanks thank some from
"""
NOISE: Final = frozenset(_NOISE_WORDS.split())  # words that say nothing of what is meant
KINDS: Final = {"containers": "container", "deployments": "deployment", "nodes": "node", "images": "image"}
LIKE: Final = 0.75
TYPO_LENGTH: Final = 4  # a shorter name with another letter is another name
_TEXT_WORDS: Final = 4  # that an answer of text takes


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the fleet has by name. `value` is what the answer gets; `on` the name of its node, ""
    where that does not matter; `slot` which answer it fills.
    """

    kind: str  # container, deployment, node, image
    label: str
    value: str
    on: str = ""
    slot: str = ""


class Names:
    """What the fleet has by name, to be looked up. Immutable; made anew when the fleet has changed."""

    def __init__(self, named: Iterable[Named] = ()) -> None:
        self._known: dict[str, dict[str, list[Named]]] = {}
        for one in named:
            self._known.setdefault(one.kind, {}).setdefault(one.label.casefold(), []).append(one)
        self._labels = {kind: list(known) for kind, known in self._known.items()}

    def on(self, words: Iterable[str]) -> frozenset[str]:
        """The nodes that stand in a text, by their names as the fleet writes them."""
        nodes = self._known.get("node", {})
        return frozenset(one.label for word in words for one in nodes.get(word.casefold(), ()))

    def find(self, words: str, kind: str, nodes: frozenset[str]) -> tuple[Named | None, float]:
        """What has that name, on one of `nodes` if any are given, and how like the name is."""
        folded = words.casefold()
        known = self._known.get(kind)
        if known is None:
            return None, 0.0
        like = 1.0
        if folded not in known:
            if len(folded) < TYPO_LENGTH:
                return None, 0.0
            near = process.extractOne(
                folded, self._labels[kind], scorer=OSA.normalized_similarity, score_cutoff=LIKE
            )
            if near is None:
                return None, 0.0
            folded, like = near[0], near[1]
        here = [one for one in known[folded] if not (nodes and one.on) or one.on in nodes]
        return (here[0], like) if len(here) == 1 else (None, 0.0)  # of two of one name a person chooses


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """Answers from a text. `used` are the places of the words that went into them."""

    answers: dict[str, Any] = {}
    named: tuple[Named, ...] = ()
    used: frozenset[int] = frozenset()
    unknown: tuple[str, ...] = ()  # answers that should be of the fleet and are like nothing that it has
    corrected: bool = False


NOTHING: Final = Filled()


def fill(
    flow: form.Flow,
    given: Mapping[str, str],
    rest: Sequence[tuple[int, str]],
    names: Names,
    nodes: frozenset[str] = frozenset(),
    wanted: Iterable[str] = (),
) -> Filled | None:
    """The answers that a text gives: `given` by its place in a phrase, else found among the words `rest`.

    `nodes` are those that the text names; `wanted` the slots of the phrase that fits best. None when a given
    name is no answer of the flow.
    """
    asked = kinds_asked(flow)
    if any(name not in asked for name in given):
        return None
    answers: dict[str, Any] = {}
    things: list[Named] = []
    used: set[int] = set()
    unknown: list[str] = []
    corrected = False

    def take(name: str, found: Named, like: float) -> None:
        nonlocal corrected
        things.append(msgspec.structs.replace(found, slot=name))
        answers[name] = found.value
        corrected = corrected or like < 1

    for name, words in given.items():
        if asked[name] not in KINDS.values():
            answers[name] = _bare(words)
            continue
        found, like = _in_words(words, asked[name], names, nodes)
        if found is not None:
            take(name, found, like)
        else:
            unknown.append(name)
            answers[name] = words
    for name, kind in asked.items():
        if name in answers or kind not in KINDS.values():
            continue
        near = [(*names.find(word, kind, nodes), at) for at, word in rest if at not in used]
        best, like, at = max(near, key=lambda one: one[1], default=(None, 0.0, -1))
        if best is not None:
            take(name, best, like)
            used.add(at)
    used |= {at for at, word in rest if names.on([word])}
    _fill_text(asked, wanted, rest, answers, used)
    return Filled(
        answers=answers,
        named=tuple(things),
        used=frozenset(used),
        unknown=tuple(unknown),
        corrected=corrected,
    )


def _bare(words: str) -> str:
    """Words without the noise around them: "wiki please" -> "wiki"."""
    parts = words.split()
    while len(parts) > 1 and parts[0].casefold() in NOISE:
        del parts[0]
    while len(parts) > 1 and parts[-1].casefold() in NOISE:
        del parts[-1]
    return " ".join(parts)


def _in_words(words: str, kind: str, names: Names, nodes: frozenset[str]) -> tuple[Named | None, float]:
    """The thing that some words name: as a whole, or by one of them when the others are noise or a node."""
    found = names.find(words, kind, nodes)
    if found[0] is not None:
        return found
    parts = [word for word in words.split() if word.casefold() not in NOISE and not names.on([word])]
    return names.find(parts[0], kind, nodes) if len(parts) == 1 else (None, 0.0)


def _fill_text(
    asked: Mapping[str, str],
    wanted: Iterable[str],
    rest: Sequence[tuple[int, str]],
    answers: dict[str, Any],
    used: set[int],
) -> None:
    """Numbers and texts of the phrase's own slots, from the words that are left."""
    for name in sorted(wanted, key=lambda name: asked.get(name) != "number"):
        if name in answers:
            continue
        left = [(at, word) for at, word in rest if at not in used]
        if asked.get(name) == "number":
            taken = [(at, word) for at, word in left if re.fullmatch(r"[0-9]{1,12}", word)][:1]
        elif asked.get(name) == "text" and 0 < len(left) <= _TEXT_WORDS:
            taken = left
        else:
            continue
        if taken:
            answers[name] = " ".join(word for _, word in taken)
            used.update(at for at, _ in taken)


def kinds_asked(flow: form.Flow) -> dict[str, str]:
    """The answers that a flow itself asks for: name -> container, node …, number, text or other."""
    asked: dict[str, str] = {}
    for state in flow.states.values():
        if isinstance(state, form.Ask) and not isinstance(state.prompt, form.Confirm | form.Secret):
            asked.setdefault(state.as_, _kind_of(state.prompt))
    for name in flow.takes:
        asked.setdefault(name, "text")
    return asked


def asks_first(flow: form.Flow, answers: Mapping[str, Any]) -> bool:
    """Whether the flow begins with a question that is still open, so that nothing happens before it."""
    seen: set[str] = set()
    name = flow.start
    while name not in seen:
        seen.add(name)
        match flow.states[name]:
            case form.Say(then=then):
                name = then
            case form.Ask(as_=asked, quiet=False, only_if=None):
                return asked not in answers
            case _:
                return False
    return False


def title_of(flow: form.Flow, name: str) -> str:
    """What people call an answer: its short title when that is plain words, else its name."""
    for state in flow.states.values():
        if isinstance(state, form.Ask) and state.as_ == name and state.title and "{" not in state.title:
            return state.title
    return name.replace("_", " ")


def _kind_of(prompt: form.Prompt) -> str:
    if isinstance(prompt, form.Pick) and isinstance(prompt.options, form.FactQuery):
        return KINDS.get(prompt.options.fact, "other")
    if isinstance(prompt, form.Number):
        return "number"
    return "text" if isinstance(prompt, form.Text) else "other"
