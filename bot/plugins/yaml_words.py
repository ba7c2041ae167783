"""Which words a chatflow in YAML has: those of the Python spelling, read from its signatures.

Nothing is listed here that `bot.engine.form` and `bot.engine.vocabulary` say already: a prompt or a field
that is new there is new here, in the reader, in the JSON Schema and in its tests. What is different in YAML:
`as_` is `as`, what a function of Python computes (`check`, `by`) is not there, and the arguments of a called
flow stand in `with`.
"""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from bot.engine import form, orders, vocabulary

ONLY_PYTHON: Final = frozenset({"check", "by", "targets"})  # of states: they need functions
MESSAGE_KEY: Final = "message"  # {message: intro.md}: a long text, from the folder `messages`
FACTS_KEY: Final = "facts"  # {facts: containers, state: running}


class Word(msgspec.Struct, frozen=True):
    """A key of the spelling: its Python parameter, its type, whether it has to be there."""

    name: str
    param: str
    type: Any
    required: bool = False


class Thing(msgspec.Struct, frozen=True):
    """A state, a prompt or a part: how it is made, and its words. `first` is what its own key holds."""

    key: str
    make: Callable[..., Any]
    words: dict[str, Word]
    first: Word | None = None
    says: str = ""  # what it is, for editors


def states() -> dict[str, Thing]:
    """The kinds of states by the key that makes one."""
    return _states()


def prompts() -> dict[str, Thing]:
    """The kinds of prompts by the key that makes one."""
    return _prompts()


@functools.cache
def verbs() -> dict[str, str]:
    """The orders by both of their names: `container.restart`, and `restart-target` as Python calls it."""
    named = {_kebab(kind.__name__): verb for verb, kind in orders.KINDS.items()}
    return {**{verb: verb for verb in orders.KINDS}, **named}


@functools.cache
def _states() -> dict[str, Thing]:
    found = {}
    for kind in typing.get_args(form.State):
        key = str(kind.__struct_config__.tag)
        found[key] = _thing(key, getattr(vocabulary, kind.__name__), hidden=ONLY_PYTHON)
    return found


@functools.cache
def _prompts() -> dict[str, Thing]:
    found = {}
    for kind in typing.get_args(form.Prompt):
        key = str(kind.__struct_config__.tag)
        make = getattr(vocabulary, kind.__name__, None)
        if make is not None:
            found[key] = _thing(key, make)
    return found


@functools.cache
def part(kind: type[msgspec.Struct]) -> Thing:
    """A part that is no state and no prompt (an option, an approval): by its own function, or its fields."""
    make = getattr(vocabulary, kind.__name__, None)
    if inspect.isfunction(make):
        return _thing(kind.__name__.lower(), make, first_too=True)
    words = {
        field.encode_name: Word(field.encode_name, field.name, field.type, field.required)
        for field in msgspec.structs.fields(kind)
    }
    return Thing(kind.__name__.lower(), kind, words, None, _says(kind))


@functools.cache
def flow_words() -> dict[str, Word]:
    """What a chatflow says about itself, besides `states`."""
    own = typing.get_type_hints(vocabulary.Chatflow, vars(vocabulary))
    found = {}
    for name, kind in own.items():
        inner = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.ClassVar else kind
        found[name] = Word(name, name, MIGRATES if name == "migrates" else inner, name == "title")
    return found


MIGRATES: Final[Any] = form.Migration | Sequence[form.Migration]


def _thing(key: str, make: Any, *, hidden: frozenset[str] = frozenset(), first_too: bool = False) -> Thing:
    function = make.__init__ if inspect.isclass(make) else make
    hints = typing.get_type_hints(function, vars(vocabulary))
    words: dict[str, Word] = {}
    first: Word | None = None
    for name, parameter in inspect.signature(make).parameters.items():
        kind = hints.get(name, Any)
        if name in hidden:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:  # Call: arguments of the called flow
            words["with"] = Word("with", "**", Mapping[str, Any])
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:  # Choose: its cases
            first = Word(key, "*", Mapping[str, str] | Sequence[form.Case], True)
            continue
        if is_hook(kind):
            continue
        word = Word(name.rstrip("_"), name, kind, parameter.default is parameter.empty)
        if (
            first is None
            and not words
            and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            and not first_too
        ):
            first = word
        else:
            words[word.name] = word
    return Thing(key, make, words, first, _says(make))


def is_hook(kind: Any) -> bool:
    """A function of Python is wanted."""
    return any(typing.get_origin(one) is typing.get_origin(vocabulary.Hook) for one in members(kind))


def members(kind: Any) -> tuple[Any, ...]:
    """What a type may be, one by one."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(one for member in typing.get_args(kind) for one in members(member))
    return (kind,)


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def _says(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
