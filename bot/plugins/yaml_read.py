"""YAML nodes become the values of the Python spelling, by the types that its signatures name.

Every mistake is noted at its node, and reading goes on: an author sees all of them at once.
"""

from __future__ import annotations

import collections.abc
import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from bot.engine import facts, form, messages, orders, vocabulary
from bot.plugins import yaml_words as words
from bot.plugins.yaml_nodes import Many, Map, Node, Scalar, Wrong, is_null, plain
from bot.plugins.yaml_words import Thing, Word

BAD: Final[Any] = object()  # in place of a value that was refused
_WORDY_BOOLS: Final = frozenset({"yes", "no", "on", "off", "y", "n"})


class Reading:
    """Reads one file's nodes. `wrongs` are the mistakes found."""

    def __init__(self, messages: Mapping[str, str] | None = None) -> None:
        self.wrongs: list[Wrong] = []
        self._messages = messages or {}

    def wrong(self, node: Node, says: str) -> Any:
        """Note a mistake."""
        self.wrongs.append(Wrong(node.line, says, node.column))
        return BAD

    def unknown(self, key: Scalar, known: Iterable[str], what: str) -> None:
        """A key that is not there, with the nearest one that is."""
        names = list(known)
        near = difflib.get_close_matches(key.text, names, 1, 0.55)
        hint = f"Did you mean `{near[0]}`?" if near else f"It takes: {', '.join(names)}."
        self.wrong(key, f"{_upper(what)} takes no `{key.text}`. {hint}")

    def value(self, node: Node, kind: Any, where: str) -> Any:
        """What a node is as `kind`; BAD where it is not."""
        kinds = words.members(kind)
        if Any in kinds:
            return plain(node)
        if is_null(node) and type(None) in kinds:
            return None
        if isinstance(node, Map):
            return self._of_map(node, kinds, where)
        if isinstance(node, Many):
            return self._of_list(node, kinds, where)
        return self._of_scalar(node, kinds, where)

    def thing(self, node: Map, thing: Thing, where: str, *, skip: frozenset[str] = frozenset()) -> Any:
        """A part, from the keys of a map."""
        given = self.given(node, thing.words, where, skip=skip)
        return BAD if given is BAD else self.made(node, thing, (), given)

    def given(self, node: Map, known: Mapping[str, Word], where: str, *, skip: frozenset[str]) -> Any:
        """The keywords that a map gives; BAD when one is not right."""
        before = len(self.wrongs)
        out: dict[str, Any] = {}
        for key, item in node.items.items():
            if key in skip:
                continue
            word = known.get(key)
            if word is None:
                self.unknown(node.keys[key], known, where)
                continue
            if is_null(item) and type(None) not in words.members(word.type) and word.type is not Any:
                self.wrong(node.keys[key], f"`{key}` of {where} has no value: write one, or leave it out.")
                continue
            out[word.param] = self.value(item, word.type, f"`{key}` of {where}")
        for key, word in known.items():
            if word.required and key not in node.items:
                self.wrong(node, f"{_upper(where)} needs `{key}`.")
        return BAD if len(self.wrongs) > before else out

    def made(self, node: Node, thing: Thing, first: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """Call what makes the thing; what it says against its arguments is the author's mistake."""
        more = given.pop("**", {})
        if twice := sorted(set(more) & (set(given) | {"flow", "then", "as_", "alongside", "self"})):
            return self.wrong(node, f"`with` cannot name {twice[0]!r}: it has a meaning of its own.")
        try:
            return thing.make(*first, **given, **more)
        except (TypeError, ValueError, msgspec.MsgspecError) as e:
            return self.wrong(node, f"`{thing.key}` cannot be made of this: {e}.")

    def prompt(self, node: Node, where: str) -> Any:
        """A prompt: {pick: "Which one?", options: …}."""
        known = words.prompts()
        if not isinstance(node, Map):
            example = "`text`, `pick` or `yes-no`"
            return self.wrong(node, f"{_upper(where)} needs a map with a kind of prompt, like {example}.")
        kinds = [key for key in node.items if key in known]
        if len(kinds) > 1:  # one may have a field that is called as another is: a form's `text`
            owners = [key for key in kinds if all(k == key or k in known[key].words for k in kinds)]
            kinds = owners if len(owners) == 1 else kinds
        if not kinds:
            return self._no_kind(node, known, where, "prompt")
        if len(kinds) > 1:
            says = f"`{kinds[0]}` and `{kinds[1]}` are two prompts: {where} has one."
            return self.wrong(node.keys[kinds[1]], says)
        return self.kinded(node, kinds[0], known[kinds[0]])

    def kinded(self, node: Map, key: str, thing: Thing) -> Any:
        """What has its kind as a key; the value is its first word, or a map of all its words."""
        own, first = node.items[key], thing.first
        merged, where = node, f"`{key}`"
        if first is None or (isinstance(own, Map) and first.name in own.items and not _takes_map(first.type)):
            if not isinstance(own, Map):
                return self.wrong(own, f"{where} needs a map: {', '.join(thing.words)}.")
            for twice in own.items.keys() & (node.items.keys() - {key}):
                self.wrong(own.keys[twice], f"`{twice}` is inside `{key}` and beside it: remove one.")
            merged = Map({**node.items, **own.items}, {**node.keys, **own.keys}, node.line, node.column)
        args: tuple[Any, ...] = ()
        skip = frozenset({key})
        if first is not None:
            if merged is not node and isinstance(own, Map):
                value = self._first(node, key, own.items[first.name], first, f"`{first.name}` of {where}")
                skip |= {first.name}
            else:
                value = self._first(node, key, own, first, where)
            args = tuple(value) if first.param == "*" and value is not BAD else (value,)
        given = self.given(merged, thing.words, where, skip=skip)
        if given is BAD or any(one is BAD for one in args):
            return BAD
        return self.made(node.keys[key], thing, args, given)

    def _first(self, node: Map, key: str, own: Node, first: Word, where: str) -> Any:
        if is_null(own) and type(None) not in words.members(first.type):
            return self.wrong(node.keys[key], f"{_upper(where)} has no value: write one.")
        if first.param == "*":
            found = self.value(own, first.type, where)
            return [found] if isinstance(found, dict) else found
        return self.value(own, first.type, where)

    def _no_kind(self, node: Map, known: Iterable[str], where: str, what: str) -> Any:
        names = list(known)
        for key in node.items:
            if near := difflib.get_close_matches(key, names, 1, 0.6):
                return self.wrong(node.keys[key], f"There is no {what} `{key}`. Did you mean `{near[0]}`?")
        return self.wrong(node, f"{_upper(where)} needs a kind of {what}: one of {', '.join(names)}.")

    def _of_map(self, node: Map, kinds: tuple[Any, ...], where: str) -> Any:
        if form.FactQuery in kinds and words.FACTS_KEY in node.items:
            return self._facts(node)
        if vocabulary.Prompt in kinds:
            return self.prompt(node, where)
        if form.OrderForm in kinds:
            return self._order(node, where)
        if str in kinds and list(node.items) == [words.MESSAGE_KEY]:
            return self._message(node.items[words.MESSAGE_KEY])
        maps = [kind for kind in kinds if typing.get_origin(kind) in (dict, collections.abc.Mapping)]
        if maps:
            inner = typing.get_args(maps[0])[1]
            found = {key: self.value(item, inner, f"`{key}` of {where}") for key, item in node.items.items()}
            return BAD if any(item is BAD for item in found.values()) else found
        structs = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
        if form.FactQuery in structs and len(structs) == 1:
            return self.wrong(node, f"{_upper(where)} needs `facts`, like {{facts: containers}}.")
        if structs:
            kind = next(kind for kind in structs if kind is not form.FactQuery)
            return self.thing(node, words.part(kind), where)
        return self.wrong(node, f"{_upper(where)} needs {_wanted(kinds)}, not a map.{_braces(node)}")

    def _of_list(self, node: Many, kinds: tuple[Any, ...], where: str) -> Any:
        for kind in kinds:
            origin, inner = typing.get_origin(kind), typing.get_args(kind)
            if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
                if len(node.items) != len(inner):
                    return self.wrong(
                        node, f"{_upper(where)} needs a list of {len(inner)}: {_wanted(inner)}."
                    )
                pairs = list(zip(node.items, inner, strict=True))
            elif origin in (tuple, list, collections.abc.Sequence):
                pairs = [(item, inner[0]) for item in node.items]
            else:
                continue
            found = [self.value(item, one, f"an item of {where}") for item, one in pairs]
            return BAD if any(item is BAD for item in found) else tuple(found) if origin is tuple else found
        return self.wrong(node, f"{_upper(where)} needs {_wanted(kinds)}, not a list.")

    def _of_scalar(self, node: Scalar, kinds: tuple[Any, ...], where: str) -> Any:
        means = plain(node)
        literals = [
            v for kind in kinds if typing.get_origin(kind) is typing.Literal for v in typing.get_args(kind)
        ]
        if node.text in literals:
            return node.text
        if str in kinds:
            return node.text  # as written: 1.10 and yes are words here
        if isinstance(means, bool):
            if bool in kinds:
                return means
        elif isinstance(means, float | int) and (float in kinds or (int in kinds and isinstance(means, int))):
            return means
        if form.OrderForm in kinds:
            return self._order(
                Map(
                    {node.text: Map({}, {}, node.line, node.column)},
                    {node.text: node},
                    node.line,
                    node.column,
                ),
                where,
            )
        if vocabulary.Prompt in kinds:
            return self.prompt(node, where)
        if literals:
            near = difflib.get_close_matches(node.text, literals, 1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            return self.wrong(
                node, f"{_upper(where)} is one of {', '.join(literals)}, not {node.text!r}.{hint}"
            )
        hint = (
            ": `yes` and `no` are words in YAML 1.2"
            if bool in kinds and node.text.lower() in _WORDY_BOOLS
            else ""
        )
        return self.wrong(node, f"{_upper(where)} needs {_wanted(kinds)}, not {_shown(node)}{hint}.")

    def _message(self, node: Node) -> Any:
        try:
            return messages.found(str(plain(node)), self._messages)
        except LookupError as e:
            return self.wrong(node, str(e.args[0]))

    def _facts(self, node: Map) -> Any:
        name = node.items[words.FACTS_KEY]
        if not isinstance(name, Scalar):
            return self.wrong(name, "`facts` needs the name of a fact, like containers.")
        fact = facts.FACTS.get(name.text)
        if fact is None:
            near = difflib.get_close_matches(name.text, facts.FACTS, 1)
            hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(facts.FACTS)}."
            return self.wrong(name, f"There is no fact {name.text!r}. {hint}")
        args = {}
        for key, item in node.items.items():
            if key == words.FACTS_KEY:
                continue
            if key not in fact.args:
                self.unknown(node.keys[key], fact.args, f"The fact {name.text!r}")
                return BAD
            args[key] = plain(item)
        ask = getattr(facts, name.text, None)
        return ask(**args) if ask is not None else form.FactQuery(fact=name.text, args=args)

    def _order(self, node: Map, where: str) -> Any:
        if len(node.items) != 1:
            return self.wrong(
                node, f"{_upper(where)} needs one order, like {{restart-target: {{target: …}}}}."
            )
        [(said, given)] = node.items.items()
        key, verb = node.keys[said], words.verbs().get(said, said)
        if verb not in orders.KINDS:
            near = difflib.get_close_matches(said, words.verbs(), 1)
            hint = f" Did you mean `{near[0]}`?" if near else f" There are: {', '.join(orders.KINDS)}."
            return self.wrong(key, f"There is no order {verb!r}.{hint}")
        if not isinstance(given, Map) and not is_null(given):
            return self.wrong(given, f"`{said}` needs a map of its arguments.")
        made = form.OrderForm(verb=verb, args=plain(given) if isinstance(given, Map) else {})
        before = len(self.wrongs)
        for says in orders.problems(made):
            self.wrong(_named(given, says) or key, says)
        return BAD if len(self.wrongs) > before else made


def _named(node: Node, says: str) -> Scalar | None:
    """The key of an order's arguments that a sentence speaks of: the deepest one whose path is in it."""
    if isinstance(node, Many):
        return next((found for item in node.items if (found := _named(item, says))), None)
    if not isinstance(node, Map):
        return None
    for key, item in node.items.items():
        if f"no {key!r}" in says:
            return node.keys[key]
        if f".{key}" in says:
            return _named(item, says) or node.keys[key]
    return None


def _takes_map(kind: Any) -> bool:
    kinds = words.members(kind)
    return (
        kind is Any
        or vocabulary.Prompt in kinds
        or form.OrderForm in kinds
        or any(typing.get_origin(one) in (dict, collections.abc.Mapping) for one in kinds)
    )


def _wanted(kinds: Iterable[Any]) -> str:
    said: list[str] = []
    for kind in kinds:
        origin = typing.get_origin(kind)
        if kind in _NAMES:
            name = _NAMES[kind]
        elif origin in (dict, collections.abc.Mapping):
            name = "a map"
        elif origin in (tuple, list, collections.abc.Sequence):
            name = "a list"
        elif origin is typing.Literal:
            name = "one of " + ", ".join(map(str, typing.get_args(kind)))
        else:
            name = "a map"
        if name and name not in said:
            said.append(name)
    return " or ".join(said)


_NAMES: Final[dict[Any, str]] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "",
    form.FactQuery: "{facts: …}",
}


def _shown(node: Scalar) -> str:
    return repr(node.text if len(node.text) < 40 else node.text[:37] + "…")


def _braces(node: Map) -> str:
    return ' For {{ … }} put quotes around it: "{{ … }}".' if not node.items else ""


def _upper(where: str) -> str:
    return where[:1].upper() + where[1:]
