"""Answers given beforehand: by a script, by a button of another session, by what a person typed."""

from __future__ import annotations

from typing import Any

from bot.engine import answers, form
from bot.engine.ready import Flows, Ready
from bot.engine.refusals import InvalidAnswer, NoSuchFlow

VALUES_MAX = 200


def asked_by(flows: Flows, ready: Ready) -> dict[str, form.Prompt]:
    """Every name that a flow or a flow it calls asks for, with its prompt."""
    asked: dict[str, form.Prompt] = {}
    seen: set[str] = set()
    todo = [ready]
    while todo:
        one = todo.pop()
        if one.version in seen:
            continue
        seen.add(one.version)
        for state in one.flow.states.values():
            if isinstance(state, form.Ask):
                asked.setdefault(state.as_, state.prompt)
            elif isinstance(state, form.Call) and not state.alongside:  # a child is given its own
                try:
                    called = flows.by_version(state.version) if state.version else flows.current(state.flow)
                except NoSuchFlow:
                    continue  # said when the session comes to that Call
                todo.append(called)
    return asked


def sort_out(flows: Flows, ready: Ready, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was given, as names that the flow takes, and as answers to come. Raises InvalidAnswer."""
    asked = asked_by(flows, ready)
    takes = ready.flow.takes
    errors = [
        {"field": name, "says": says}
        for name, value in given.items()
        if (says := _wrong(asked.get(name), value, name, name in takes))
    ]
    if len(given) > VALUES_MAX:
        errors.append({"field": "", "says": f"At most {VALUES_MAX} answers can be given beforehand."})
    if errors:
        raise InvalidAnswer(errors)
    names = {name: given.get(name) for name in takes}
    return names, {name: value for name, value in given.items() if name not in names and value is not None}


def _wrong(prompt: form.Prompt | None, value: Any, name: str, taken: bool) -> str:
    if taken:
        return ""
    match prompt:
        case None:
            return f"This chatflow asks nothing called {name!r}."
        case form.Confirm():
            return f"{name!r} is confirmed when it is shown, not beforehand."
        case form.Secret() if value not in (None, "") and not answers.is_sealed(value):
            return f"{name!r} is a secret and has to be sealed first."
        case form.Form() if not isinstance(value, dict):
            return f"{name!r} is a form: give a record with its fields."
        case form.Form() if any(
            isinstance(field.prompt, form.Secret)
            and value.get(field.name) not in (None, "")
            and not answers.is_sealed(value[field.name])
            for field in prompt.fields
        ):
            return f"{name!r} holds a secret that has to be sealed first."
        case form.KeyValues() if isinstance(value, list | tuple) and any(
            isinstance(item, dict) and item.get("secret") and "sealed" not in item for item in value
        ):
            return f"{name!r} holds a secret that has to be sealed first."
        case _:
            return ""
