"""Where secrets stand in an answer, so that the runtime can seal them before the engine or store sees them.

The order of things: `secrets_in` checks the plain answer and names each secret with its place; the runtime
seals; `with_sealed` puts the sealed values in; only then is `Answered` made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bot.engine import answers, form, schema
from bot.engine.refusals import InvalidAnswer
from bot.engine.session import Session

Path = tuple[str | int, ...]


class Found(msgspec.Struct, frozen=True):
    """One secret: where it stands in the value, and what it is. Never stored, never logged."""

    path: Path
    plain: str

    def __repr__(self) -> str:
        return f"Found(path={self.path!r})"


def secrets_in(session: Session, value: Any) -> tuple[Found, ...]:
    """The secrets in an answer to the prompt shown. Raises InvalidAnswer when one does not fit."""
    shown = session.shown
    if shown is None:
        return ()
    if shown.kind == "secret":
        limits = shown.schema
        return _secret(value, int(limits.get("minLength", 1)), int(limits["maxLength"]))
    if shown.kind == "form":
        return _of_fields(value, shown.details["fields"])
    return _settings(value) if shown.kind == "key-values" else ()


def secrets_in_answers(asked: Mapping[str, form.Prompt], given: Mapping[str, Any]) -> tuple[Found, ...]:
    """The secrets in answers given beforehand, by name; `asked` as `bot.engine.prefill.asked_by` says.

    Raises InvalidAnswer, with the name as the field.
    """
    found: list[Found] = []
    for name, value in given.items():
        prompt = asked.get(name)
        try:
            if isinstance(prompt, form.Secret):
                least = 0 if prompt.optional else prompt.min_length
                inside = _secret(value, least, prompt.max_length)
            elif isinstance(prompt, form.Form):
                inside = _of_fields(value, [_field(field) for field in prompt.fields])
            elif isinstance(prompt, form.KeyValues):
                inside = _settings(value)
            else:
                continue
        except InvalidAnswer as e:
            raise InvalidAnswer(
                [{"field": f"{name}.{x['field']}".rstrip("."), "says": x["says"]} for x in e.errors]
            ) from e
        found += [Found((name, *one.path), one.plain) for one in inside]
    return tuple(found)


def with_sealed(value: Any, sealed: Mapping[Path, dict[str, Any]]) -> Any:
    """The answer with every secret replaced by its sealed form (builtins of SealedValue)."""
    return _replaced(value, (), sealed)


def _replaced(value: Any, path: Path, sealed: Mapping[Path, dict[str, Any]]) -> Any:
    if path in sealed:
        return {"sealed": sealed[path]}
    if isinstance(value, dict):
        own = (*path, "value")
        if own in sealed and path and isinstance(path[-1], int):  # a row of settings
            return {"name": value.get("name"), "sealed": sealed[own]}
        return {key: _replaced(item, (*path, key), sealed) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, (*path, index), sealed) for index, item in enumerate(value)]
    return value


def _secret(value: Any, least: int, most: int) -> tuple[Found, ...]:
    if isinstance(value, dict) or (least == 0 and value in (None, "")):
        return ()  # kept or sealed already: the engine decides
    prompt = form.Secret(label="", min_length=least, max_length=most)
    return (Found((), answers.check_text(prompt, value, lines=True)),)


def _field(field: form.Field) -> dict[str, Any]:
    prompt = field.prompt
    return {
        "name": field.name,
        "kind": str(prompt.__struct_config__.tag),
        "only_when": field.only_when,
        "schema": schema.schema_of(prompt, ()),
    }


def _of_fields(value: Any, fields: list[dict[str, Any]]) -> tuple[Found, ...]:
    """The secrets of a form. What was sent for a field that is not asked is sealed all the same."""
    if not isinstance(value, dict):
        return ()
    found: list[Found] = []
    errors: list[dict[str, str]] = []
    for field in fields:
        own = value.get(field["name"])
        if field["kind"] != "secret" or own is None:
            continue
        if isinstance(own, str) and own and not answers.is_needed(field, value):
            found.append(Found((field["name"],), own))
            continue
        try:
            inside = _secret(own, int(field["schema"]["minLength"]), int(field["schema"]["maxLength"]))
        except InvalidAnswer as e:
            errors += [{"field": field["name"], "says": error["says"]} for error in e.errors]
            continue
        found += [Found((field["name"],), one.plain) for one in inside]
    if errors:
        raise InvalidAnswer(errors)
    return tuple(found)


def _settings(value: Any) -> tuple[Found, ...]:
    found: list[Found] = []
    errors: list[dict[str, str]] = []
    for index, item in enumerate(value if isinstance(value, list | tuple) else ()):
        if isinstance(item, dict) and item.get("secret") and item.get("kept") is not True:
            says = answers.check_setting_value(item.get("value")) or (
                "" if item["value"] else "Give a value."
            )
            if says:
                errors.append({"field": f"{index}.value", "says": says})
            else:
                found.append(Found((index, "value"), item["value"]))
    if errors:
        raise InvalidAnswer(errors)
    return tuple(found)
