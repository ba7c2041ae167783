"""The JSON Schema (draft 2020-12) of a chatflow in YAML, for editors: made of the reader's own words.

docs/chatflow.schema.json is this, as text (a test compares them); a running bot serves it, too. It knows less
than the reader: whether a state exists, or a name in a message, only `hercules flow check` says.
"""

from __future__ import annotations

import collections.abc
import functools
import json
import typing
from typing import Any, Final

import msgspec

from bot.engine import facts, form, orders, vocabulary
from bot.plugins import yaml_words as words
from bot.plugins.yaml_words import Thing, Word

ID: Final = "https://hercules.invalid/schemas/chatflow.json"  # a name, not a place; a bot serves it itself
_TEMPLATE: Final = {"type": "string", "pattern": r"\{[{%]"}
_BASIC: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}


@functools.cache
def text() -> str:
    """The schema as JSON text."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """The schema as data."""
    return _Maker().flow()


class _Maker:
    """Collects the parts that are named in `$defs`."""

    def __init__(self) -> None:
        self.defs: dict[str, Any] = {}

    def flow(self) -> dict[str, Any]:
        about = {name: self.of(word.type) for name, word in words.flow_words().items()}
        states = self._named("state", lambda: self._kinds(words.states()))
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": ID,
            "title": "Chatflow of Hercules",
            "description": "A state machine that leads people through a task. The first state is its start.",
            "type": "object",
            "properties": {
                **about,
                "states": {
                    "description": "The states by name; one without `then` leads to the one below it.",
                    "type": "object",
                    "minProperties": 1,
                    "propertyNames": {"pattern": "^[A-Za-z][A-Za-z0-9_]*$"},
                    "additionalProperties": states,
                },
            },
            "required": ["title", "states"],
            "additionalProperties": False,
            "$defs": self.defs,
        }

    def of(self, kind: Any) -> dict[str, Any]:
        """What a value of a type may be."""
        if kind is Any:
            return {}
        found = [self._one(one) for one in words.members(kind)]
        if {} in found:
            return {}
        if len(found) == 1:
            return found[0]
        simple = [one["type"] for one in found if one.keys() == {"type"}]
        rest = [one for one in found if one.keys() != {"type"}]
        if len(simple) > 1 or (simple and not rest):
            rest.insert(0, {"type": simple})
        elif simple:
            rest.insert(0, {"type": simple[0]})
        return rest[0] if len(rest) == 1 else {"anyOf": rest}

    def _one(self, kind: Any) -> dict[str, Any]:
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if kind is Any:
            return {}
        if kind in _BASIC:
            return dict(_BASIC[kind])
        if origin is typing.Literal:
            return {"enum": list(inner)}
        if origin in (dict, collections.abc.Mapping):
            return {"type": "object", "additionalProperties": self.of(inner[1])}
        if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
            return {"type": "array", "prefixItems": [self.of(one) for one in inner], "items": False,
                    "minItems": len(inner)}  # fmt: skip
        if origin in (tuple, list, collections.abc.Sequence):
            return {"type": "array", "items": self.of(inner[0])}
        if kind is vocabulary.Prompt:
            return self._named("prompt", lambda: self._kinds(words.prompts()))
        if kind is form.FactQuery:
            return self._named("facts", _facts)
        if kind is form.OrderForm:
            return self._named("order", _orders)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            thing = words.part(kind)
            return self._named(thing.key, lambda: self._object(thing.words, thing.says))
        raise TypeError(f"no schema for {kind!r}")

    def _named(self, name: str, make: collections.abc.Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name not in self.defs:
            self.defs[name] = {}  # a part may hold itself
            self.defs[name] = make()
        return {"$ref": f"#/$defs/{name}"}

    def _kinds(self, things: dict[str, Thing]) -> dict[str, Any]:
        return {"type": "object", "anyOf": [one for thing in things.values() for one in self._kind(thing)]}

    def _kind(self, thing: Thing) -> list[dict[str, Any]]:
        """`pick: "Which?", options: …`, and the same with all its words inside `pick`."""
        known = {key: word for key, word in thing.words.items() if key != thing.key}
        optional = {key: msgspec.structs.replace(word, required=False) for key, word in known.items()}
        out = []
        if thing.first is not None:
            first = {thing.key: self.of(thing.first.type)}
            out.append(self._object(known, thing.says, first, thing.key))
            if typing.get_origin(thing.first.type) is None and thing.first.type is str:
                inside = self._object({thing.first.name: thing.first, **thing.words}, thing.says)
                out.append(self._object(optional, thing.says, {thing.key: inside}, thing.key))
        else:
            inside = self._object(thing.words, thing.says)
            out.append(self._object(optional, thing.says, {thing.key: inside}, thing.key))
        return out

    def _object(
        self, known: dict[str, Word], says: str, more: dict[str, Any] | None = None, key: str = ""
    ) -> dict[str, Any]:
        more = more or {}
        required = [key] if key else []
        required += [name for name, word in known.items() if word.required and name not in more]
        made: dict[str, Any] = {"type": "object", "description": says} if says else {"type": "object"}
        made["properties"] = {**more, **{name: self.of(word.type) for name, word in known.items()}}
        if required:
            made["required"] = required
        made["additionalProperties"] = False
        return made


def _facts() -> dict[str, Any]:
    one_of = []
    for name, fact in facts.FACTS.items():
        args: dict[str, Any] = {arg: {} for arg in fact.args}
        one_of.append({
            "type": "object",
            "description": f"{fact.gives[:1].upper()}{fact.gives[1:]}.",
            "properties": {words.FACTS_KEY: {"const": name}, **args},
            "required": [words.FACTS_KEY],
            "additionalProperties": False,
        })  # fmt: skip
    return {"anyOf": one_of}


def _orders() -> dict[str, Any]:
    verbs = {name: _order(orders.KINDS[verb]) for name, verb in words.verbs().items()}
    one = {
        "type": "object",
        "description": "One order, by its name, with its arguments.",
        "properties": verbs,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return {"anyOf": [one, {"enum": [name for name, made in verbs.items() if not made.get("required")]}]}


def _order(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Its arguments by name; what they may hold is said when the flow is checked: they may be templates."""
    fields = msgspec.structs.fields(kind)
    required = [field.encode_name for field in fields if field.required]
    doc = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    made: dict[str, Any] = {
        "type": "object" if required else ["object", "null"],
        "description": doc,
        "properties": {field.encode_name: _value(field.type) for field in fields},
        "additionalProperties": False,
    }
    return {**made, "required": required} if required else made


def _value(kind: Any) -> dict[str, Any]:
    bare = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    found = _BASIC.get(bare)
    if typing.get_origin(bare) is typing.Literal:
        found = {"enum": list(typing.get_args(bare))}
    if found is None:
        return {}
    return dict(found) if bare is str else {"anyOf": [found, _TEMPLATE]}
