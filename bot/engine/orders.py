"""Orders as authors write them, ``orders.StopTarget(target="{{ it.target }}")``, and what each verb risks.

Rule 1: the verbs and their arguments are those of `agent.orders`, read from its structs, never listed here.
Rule 2: an argument's name is checked at once, its value when it holds no template; the order as a whole when
it is sent. `RISKS` needs a row for every verb (tests/engine/test_orders.py).
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Callable
from types import UnionType
from typing import Any, Final

import msgspec

import agent.orders.verbs
from agent.orders import READING, limits, verb_of
from bot.engine.form import OrderForm, Risk
from bot.engine.template import is_template

KINDS: Final[dict[str, type[msgspec.Struct]]] = {
    str(kind.__struct_config__.tag): kind for kind in typing.get_args(agent.orders.verbs.Order)
}
_BY_NAME: Final = {kind.__name__: verb for verb, kind in KINDS.items()}
RISKS: Final[dict[str, Risk]] = {
    **dict.fromkeys(READING, "reads"),
    "image.pull": "changes",
    "image.import": "changes",
    "image.remove": "changes",
    "deployment.apply": "changes",
    "container.start": "changes",
    "container.stop": "disturbs",
    "container.restart": "disturbs",
    "deployment.remove": "destroys",
    "container.remove": "destroys",
    "volume.backup": "disturbs",
    "volume.restore": "destroys",
    "backup.prune": "destroys",
    "node.drain": "disturbs",
    "node.undrain": "changes",
    "secret.rotate": "disturbs",
    "disk.clean": "destroys",
    "node.enrol": "changes",
    "deployment.clone": "changes",
}
RANK: Final[dict[Risk, int]] = {"reads": 0, "changes": 1, "disturbs": 2, "destroys": 3}
_ENVELOPE_BYTES = 2_000  # what stands around an order in the signed payload


class OrderRefused(Exception):
    """An order that cannot be sent. The message is a sentence for the author."""


def __getattr__(name: str) -> Callable[..., OrderForm]:
    """The author's spelling: one function per order, by the name of its struct."""
    if name.startswith("_"):
        raise AttributeError(name)
    verb = _BY_NAME.get(name)
    if verb is None:
        near = difflib.get_close_matches(name, _BY_NAME, 1)
        hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(_BY_NAME)}."
        raise AttributeError(f"There is no order {name!r}.{hint}")
    return lambda **args: _form(verb, args)


def __dir__() -> list[str]:
    return [*globals(), *_BY_NAME]


def _form(verb: str, args: dict[str, Any]) -> OrderForm:
    form = OrderForm(verb=verb, args=args)
    if found := problems(form):
        raise OrderRefused(" ".join(found))
    return form


def problems(form: OrderForm) -> list[str]:
    """What is wrong with an order's verb or arguments, as sentences; templates are taken on trust."""
    kind = KINDS.get(form.verb)
    if kind is None:
        near = difflib.get_close_matches(form.verb, KINDS, 1)
        return [f"There is no order {form.verb!r}." + (f" Did you mean {near[0]!r}?" if near else "")]
    return list(_wrong_fields(kind, form.args, form.verb))


def build(form: OrderForm, args: dict[str, Any]) -> dict[str, Any]:
    """The order with its arguments filled in, complete and strict, as builtins. Raises OrderRefused."""
    try:
        order = msgspec.convert({"verb": form.verb, **args}, agent.orders.verbs.Order)
    except (msgspec.ValidationError, RecursionError) as e:
        raise OrderRefused(f"The order {form.verb} does not come out right: {e}.") from e
    encoded = msgspec.json.encode(order)
    if len(encoded) > limits.ORDER_BYTES - _ENVELOPE_BYTES:
        raise OrderRefused(f"The order {form.verb} grows larger than {limits.ORDER_BYTES} bytes.")
    assert verb_of(order) == form.verb  # noqa: S101  (the tag decided the type)
    built: dict[str, Any] = msgspec.json.decode(encoded)
    return built


def _wrong_fields(kind: type[msgspec.Struct], given: dict[str, Any], where: str) -> list[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    found = []
    for name in given:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"It takes: {', '.join(fields) or 'nothing'}."
            found.append(f"{where} takes no {name!r}. {hint}")
    for name, field in fields.items():
        if name in given:
            found += _wrong_value(field.type, given[name], f"{where}.{name}")
        elif field.required:
            found.append(f"{where} needs {name!r}.")
    return found


def _wrong_value(kind: Any, value: Any, where: str) -> list[str]:
    if isinstance(value, str) and is_template(value):
        return []
    kind = _bare(kind)
    structs = [k for k in _members(kind) if isinstance(k, type) and issubclass(k, msgspec.Struct)]
    if isinstance(value, dict) and structs:
        chosen = _chosen(structs, value)
        if chosen is None:
            return [f"{where} needs a 'type': {', '.join(str(s.__struct_config__.tag) for s in structs)}."]
        tag_field = chosen.__struct_config__.tag_field
        return _wrong_fields(chosen, {k: v for k, v in value.items() if k != tag_field}, where)
    if isinstance(value, list | tuple) and typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        return [wrong for i, v in enumerate(value) for wrong in _wrong_value(item, v, f"{where}[{i}]")]
    if _holds_template(value):
        return []
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as e:
        return [f"{where}: {e}."]
    return []


def _bare(kind: Any) -> Any:
    """Annotated[…] stays (it carries limits) unless it wraps a tuple or struct."""
    inner = typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
    return inner if typing.get_origin(inner) is tuple else kind


def _members(kind: Any) -> tuple[Any, ...]:
    return (
        typing.get_args(kind)
        if isinstance(kind, UnionType) or typing.get_origin(kind) is typing.Union
        else (kind,)
    )


def _chosen(structs: list[type[msgspec.Struct]], value: dict[str, Any]) -> type[msgspec.Struct] | None:
    tagged = [s for s in structs if s.__struct_config__.tag is not None]
    if not tagged:
        return structs[0]
    return next(
        (s for s in tagged if value.get(s.__struct_config__.tag_field or "") == s.__struct_config__.tag), None
    )


def _holds_template(value: Any) -> bool:
    if isinstance(value, str):
        return is_template(value)
    if isinstance(value, dict):
        return any(_holds_template(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_template(item) for item in value)
    return False
