"""The JSON Schema (2020-12) of an answer, per kind. It may be wider than the check, never narrower."""

from __future__ import annotations

from typing import Any

from agent.orders import limits
from bot.engine import answers, answers_time, form
from bot.engine.session import Choice


def schema_of(prompt: form.Prompt, options: tuple[Choice, ...]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of the value that a person may send."""
    match prompt:
        case form.Text():
            schema: dict[str, Any] = {"type": "string", "maxLength": prompt.max_length}
            if prompt.min_length:
                schema["minLength"] = prompt.min_length
            if prompt.pattern is not None:
                schema["pattern"] = prompt.pattern
            return schema
        case form.Number():
            schema = {"type": "integer" if prompt.whole else "number"}
            if prompt.minimum is not None:
                schema["minimum"] = prompt.minimum
            if prompt.maximum is not None:
                schema["maximum"] = prompt.maximum
            return schema
        case form.YesNo() | form.Confirm():
            return {"type": "boolean"}
        case form.Pick():
            return {"type": "string", "enum": [o.value for o in options if not o.disabled]}
        case form.Secret():
            text = {
                "type": "string",
                "minLength": 0 if prompt.optional else prompt.min_length,
                "maxLength": prompt.max_length,
                "writeOnly": True,
            }
            return {**text, "type": ["string", "null"]} if prompt.optional else text
        case form.KeyValues():
            return {
                "type": "array",
                "maxItems": min(prompt.max_items, limits.SETTINGS_MAX),
                "items": {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string", "pattern": limits.ENV_NAME_PATTERN},
                        "value": {"type": "string", "maxLength": limits.ENV_VALUE_BYTES},
                        "secret": {"type": "boolean", "default": False},
                        "kept": {"const": True},
                    },
                    "required": ["name"],
                    "anyOf": [{"required": ["value"]}, {"required": ["kept"]}],
                    "additionalProperties": False,
                },
            }
        case form.Upload():
            return {
                "type": "object",
                "properties": {
                    "blob": {"type": "string", "pattern": limits.SHA256_PATTERN},
                    "bytes": {"type": "integer", "minimum": 1, "maximum": prompt.max_bytes},
                    "name": {"type": "string", "minLength": 1, "maxLength": answers.FILE_NAME_CHARS},
                },
                "required": ["blob", "bytes", "name"],
                "additionalProperties": False,
            }
        case form.PickMany():
            return {
                "type": "array",
                "items": {"type": "string", "enum": [o.value for o in options if not o.disabled]},
                "uniqueItems": True,
                "minItems": prompt.least,
                **({"maxItems": prompt.most} if prompt.most else {}),
            }
        case form.DateTime():
            pattern = answers_time.MOMENT_PATTERN if prompt.time else answers_time.DATE_PATTERN
            return {"type": "string", "pattern": pattern}
        case form.Duration():
            return {
                "anyOf": [
                    {"type": "integer", "minimum": prompt.minimum_s, "maximum": prompt.maximum_s},
                    {"type": "string", "pattern": answers_time.DURATION_PATTERN},
                ]
            }
        case form.Location():
            return {
                "type": "object",
                "properties": {
                    "lat": {"type": "number", "minimum": -90, "maximum": 90},
                    "lon": {"type": "number", "minimum": -180, "maximum": 180},
                    "label": {"type": "string", "maxLength": answers_time.LABEL_CHARS},
                },
                "required": ["lat", "lon"],
                "additionalProperties": False,
            }
        case form.Form():
            return _form(prompt)
        case _:
            return {"const": True}


def _form(prompt: form.Form) -> dict[str, Any]:
    fields = {field.name: _of_field(field.prompt) for field in prompt.fields}
    needed = [field for field in prompt.fields if not _may_lack(field.prompt)]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            field.name: fields[field.name]
            if field in needed and not field.only_when
            else {"anyOf": [fields[field.name], {"type": "null"}]}
            for field in prompt.fields
        },
        "required": [field.name for field in needed if not field.only_when],
        "additionalProperties": False,
    }
    conditional = [_when(field, fields[field.name]) for field in needed if field.only_when]
    return {**schema, "allOf": conditional} if conditional else schema


def _when(field: form.Field, schema: dict[str, Any]) -> dict[str, Any]:
    holds = {
        name: {"enum": list(wanted)} if isinstance(wanted, list | tuple) else {"const": wanted}
        for name, wanted in field.only_when.items()
    }
    return {
        "if": {"properties": holds, "required": list(holds)},
        "then": {"required": [field.name], "properties": {field.name: schema}},
    }


def _may_lack(prompt: form.FieldPrompt) -> bool:
    match prompt:
        case form.Text(min_length=0) | form.Secret(optional=True) | form.PickMany(least=0):
            return True
        case _:
            return False


def _of_field(prompt: form.FieldPrompt) -> dict[str, Any]:
    """Options that are left out or disabled just now are refused by the check, not here."""
    options: tuple[Choice, ...] = ()
    if isinstance(prompt, form.Pick | form.PickMany) and not isinstance(prompt.options, form.FactQuery):
        options = tuple(Choice(value=o.value, label=o.label) for o in prompt.options)
    own = schema_of(prompt, options)
    if isinstance(prompt, form.Secret):  # one from before is named, not carried out again
        return {
            "anyOf": [own, {"type": "object", "properties": {"kept": {"const": True}}}],
            "writeOnly": True,
        }
    return own
