"""A prompt as every channel shows it, with the JSON Schema of its answer.

One function per kind; facts of the fleet are put in when they come (`with_facts`).
"""

from __future__ import annotations

import typing
from typing import Any, Final

import msgspec

from bot.engine import answers, details, filters, form, markdown, template
from bot.engine.checks import default_query, options_query
from bot.engine.filters import as_text
from bot.engine.refusals import InvalidAnswer
from bot.engine.schema import schema_of as schema_of
from bot.engine.session import Choice, Shown
from bot.engine.syntax import Scope

CHOICES: Final = 500  # options of one pick
CHOICES_CHARS: Final = 200_000  # ... and their data together, so that a session stays small
KINDS: Final[dict[type[form.Prompt], str]] = {
    kind: str(kind.__struct_config__.tag) for kind in typing.get_args(form.Prompt)
}


class Prepared:
    """An Ask made ready to be shown again and again: what does not depend on any value is there already."""

    __slots__ = ("_default", "_details", "_help", "_label", "_options", "ask", "shown")

    def __init__(self, state: str, ask: form.Ask) -> None:
        prompt = ask.prompt
        self.ask = ask
        self._label = markdown.message(prompt.label)
        self._help = markdown.message(prompt.help) if prompt.help else None
        self._options = isinstance(prompt, form.Pick | form.PickMany) and _vary(prompt)
        self._details = details.has(prompt)
        self._default = self._details or (
            _may_vary(getattr(prompt, "default", None)) and default_query(prompt) is None
        )
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
        if self._details:
            more["details"] = details.of(self.ask.prompt, scope, fixed_choices)
        if self._default or self._options:
            offered = more.get("options", self.shown.options)
            more["default"] = default_of(self.ask.prompt, scope, offered, more.get("details"))
        if kept is not None:
            more["kept"] = offered_again(self.ask.prompt, kept)
        return msgspec.structs.replace(self.shown, **more)


def _may_vary(value: Any) -> bool:
    """Whether templates in a value make it another each time."""
    return bool(template.templates_in(value))


def _vary(prompt: form.Pick | form.PickMany) -> bool:
    return not isinstance(prompt.options, form.FactQuery) and any(
        option.when is not None or _may_vary([option.label, option.description, option.disabled])
        for option in prompt.options
    )


def fixed_choices(prompt: form.Prompt, scope: Scope) -> tuple[Choice, ...]:
    """The options that the author wrote, as they are now. Raises Unfit."""
    if not isinstance(prompt, form.Pick | form.PickMany) or isinstance(prompt.options, form.FactQuery):
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


def details_of(prompt: form.Prompt, scope: Scope) -> dict[str, Any]:
    """What the kind of a prompt needs besides, for these values. Raises Unfit."""
    return details.of(prompt, scope, fixed_choices) if details.has(prompt) else {}


def default_of(
    prompt: form.Prompt,
    scope: Scope,
    options: tuple[Choice, ...] = (),
    own: dict[str, Any] | None = None,
) -> Any:
    """The default as an answer, or None when there is none, or none that fits. Raises Unfit.

    `own` are the details. What is only shown has going on as its default; a form the defaults of its fields.
    """
    if isinstance(prompt, form.Shows):
        return True
    if isinstance(prompt, form.Form):
        given = {one["name"]: one["default"] for one in (own or {}).get("fields", ())}
        return fitting(prompt, given, options, own)
    default = getattr(prompt, "default", None)
    if default is None or default_query(prompt) is not None:
        return None
    return fitting(prompt, template.evaluate(default, scope), options, own)


def fitting(
    prompt: form.Prompt, value: Any, options: tuple[Choice, ...] = (), own: dict[str, Any] | None = None
) -> Any:
    """A value as an answer to the prompt, None when it does not fit."""
    if (
        isinstance(prompt, form.Pick | form.PickMany)
        and isinstance(prompt.options, form.FactQuery)
        and not options
    ):
        wanted = str if isinstance(prompt, form.Pick) else list
        return value if isinstance(value, wanted) else None
    try:
        return answers.accept(prompt, value, options=options, loosely=True, details=own).given
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
    if shown.default is not None:
        changes["default"] = fitting(prompt, shown.default, choices)
    return changes


def offered_again(prompt: form.Prompt, kept: Any) -> Any:
    """A former answer as channels may see it: secrets are named, not carried out again."""
    if isinstance(prompt, form.Secret) and kept is not None:
        return {"kept": True}
    if isinstance(prompt, form.Form) and isinstance(kept, dict):
        return {field.name: offered_again(field.prompt, kept.get(field.name)) for field in prompt.fields}
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
