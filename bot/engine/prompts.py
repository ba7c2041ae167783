"""A prompt as every channel shows it, with the JSON Schema of its answer.

One function per kind; facts of the fleet are put in when they come (`with_facts`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from agent.orders import limits
from bot.engine import answers, filters, form, markdown, template
from bot.engine.checks import default_query, options_query
from bot.engine.filters import as_text
from bot.engine.refusals import InvalidAnswer
from bot.engine.session import Choice, Shown
from bot.engine.syntax import Scope

CHOICES: Final = 500  # options of one pick
CHOICES_CHARS: Final = 200_000  # ... and their data together, so that a session stays small
KINDS: Final[dict[type[form.Prompt], str]] = {
    form.Text: "text",
    form.Number: "number",
    form.YesNo: "yes-no",
    form.Pick: "pick",
    form.Secret: "secret",
    form.KeyValues: "key-values",
    form.Upload: "upload",
    form.Confirm: "confirm",
}


class Prepared:
    """An Ask made ready to be shown again and again: what does not depend on any value is there already."""

    __slots__ = ("_default", "_help", "_label", "_options", "ask", "shown")

    def __init__(self, state: str, ask: form.Ask) -> None:
        prompt = ask.prompt
        self.ask = ask
        self._label = markdown.message(prompt.label)
        self._help = markdown.message(prompt.help) if prompt.help else None
        self._options = isinstance(prompt, form.Pick) and _vary(prompt)
        self._default = _may_vary(getattr(prompt, "default", None)) and default_query(prompt) is None
        options = () if self._options else fixed_choices(prompt, {})
        self.shown = Shown(
            seq=0,
            state=state,
            name=ask.as_,
            kind=KINDS[type(prompt)],
            label=self._label.fixed or (),
            help=self._help.fixed or () if self._help is not None else (),
            schema={} if self._options else schema_of(prompt, options),
            default=None if self._default or self._options else default_of(prompt, {}, options),
            placeholder=prompt.placeholder if isinstance(prompt, form.Text) else "",
            unit=prompt.unit if isinstance(prompt, form.Number) else "",
            lines=isinstance(prompt, form.Text) and prompt.lines,
            options=options,
            yes=prompt.yes if isinstance(prompt, form.YesNo | form.Confirm) else "",
            no=prompt.no if isinstance(prompt, form.YesNo | form.Confirm) else "",
            accept=prompt.accept if isinstance(prompt, form.Upload) else (),
        )

    def build(self, scope: Scope, *, kept: Any = None, **more: Any) -> Shown:
        """The prompt for these values, before any facts came. `more` are fields of Shown. Raises Unfit."""
        if self._label.fixed is None:
            more["label"] = self._label.render(scope)
        if self._help is not None and self._help.fixed is None:
            more["help"] = self._help.render(scope)
        if self._options:
            more["options"] = fixed_choices(self.ask.prompt, scope)
            more["schema"] = schema_of(self.ask.prompt, more["options"])
        if self._default or self._options:
            more["default"] = default_of(self.ask.prompt, scope, more.get("options", self.shown.options))
        if kept is not None:
            more["kept"] = offered_again(self.ask.prompt, kept)
        return msgspec.structs.replace(self.shown, **more)


def _may_vary(value: Any) -> bool:
    """Whether templates in a value make it another each time."""
    return bool(template.templates_in(value))


def _vary(prompt: form.Pick) -> bool:
    return not isinstance(prompt.options, form.FactQuery) and any(
        option.when is not None or _may_vary([option.label, option.description, option.disabled])
        for option in prompt.options
    )


def fixed_choices(prompt: form.Prompt, scope: Scope) -> tuple[Choice, ...]:
    """The options that the author wrote, as they are now. Raises Unfit."""
    if not isinstance(prompt, form.Pick) or isinstance(prompt.options, form.FactQuery):
        return ()
    return tuple(
        Choice(
            value=option.value,
            label=_words(option.label, scope),
            description=_words(option.description, scope),
            disabled=_words(option.disabled, scope).strip(),
        )
        for option in prompt.options
        if option.when is None or template.expression(option.when)(scope)
    )


def default_of(prompt: form.Prompt, scope: Scope, options: tuple[Choice, ...] = ()) -> Any:
    """The default as an answer, or None when there is none, or none that fits. Raises Unfit."""
    default = getattr(prompt, "default", None)
    if default is None or default_query(prompt) is not None:
        return None
    return fitting(prompt, template.evaluate(default, scope), options)


def fitting(prompt: form.Prompt, value: Any, options: tuple[Choice, ...] = ()) -> Any:
    """A value as an answer to the prompt, None when it does not fit."""
    if isinstance(prompt, form.Pick) and isinstance(prompt.options, form.FactQuery) and not options:
        return value if isinstance(value, str) else None
    try:
        return answers.accept(prompt, value, options=options, loosely=True).given
    except InvalidAnswer:
        return None


def with_facts(
    shown: Shown, prompt: form.Prompt, facts: dict[str, Any] | None, problem: str
) -> dict[str, Any]:
    """What changes in a shown prompt when its lookup ends: the fields to replace."""
    changes: dict[str, Any] = {"loading": False, "problem": problem or shown.problem}
    if options_query(prompt) is None:
        if facts is not None:
            changes["default"] = fitting(prompt, facts.get("value"))
        return changes
    offered = facts.get("options") if facts is not None else None
    choices, left_out = _choices(offered if isinstance(offered, list | tuple) else [])
    if left_out:
        changes["problem"] = f"Only the first {len(choices)} are shown; {left_out} more are not."
    if not choices:
        choices = (Choice(value=answers.LOOK_AGAIN, label="Look again"),)
    changes["options"] = choices
    changes["schema"] = schema_of(prompt, choices)
    if isinstance(shown.default, str) and not any(
        o.value == shown.default and not o.disabled for o in choices
    ):
        changes["default"] = None
    return changes


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


def offered_again(prompt: form.Prompt, kept: Any) -> Any:
    """A former answer as channels may see it: secrets are named, not carried out again."""
    if isinstance(prompt, form.Secret) and kept is not None:
        return {"kept": True}
    if isinstance(prompt, form.KeyValues) and isinstance(kept, list | tuple):
        return [
            {"name": item["name"], "secret": True, "kept": True} if "sealed" in item else item
            for item in kept
        ]
    return kept


def title_of(ask: form.Ask, scope: Scope) -> str:
    """The short name of an Ask: its title, else its question. Raises Unfit."""
    return _words(ask.title or ask.prompt.label, scope)


def _words(source: str, scope: Scope) -> str:
    return template.template(source).to_words(scope) if template.is_template(source) else source


def _choices(offered: list[Any] | tuple[Any, ...]) -> tuple[tuple[Choice, ...], int]:
    choices: list[Choice] = []
    chars = 0
    for option in offered[:CHOICES]:
        match option:
            case {"value": str(value)} if value and value != answers.LOOK_AGAIN:
                chars += len(filters.as_text(option.get("data"))) + 200
                if chars > CHOICES_CHARS:
                    break
                choices.append(
                    Choice(
                        value=value,
                        label=as_text(option.get("label") or value)[:200],
                        description=as_text(option.get("description"))[:500],
                        disabled=as_text(option.get("disabled"))[:200],
                        data=option.get("data"),
                    )
                )
            case _:
                continue
    return tuple(choices), len(offered) - len(choices)
