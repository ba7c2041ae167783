"""The chatflows, and which of them fits what a person typed."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot.channels import schemas
from bot.channels.api_routes import Call
from bot.channels.web_guard import Speaker, body_of
from bot.channels.web_parts import PARTS, Offered
from bot.engine import form, prompts
from bot.engine.session import Choice


async def list_flows(request: web.Request, _speaker: Speaker) -> web.Response:
    """List the chatflows and what each may ask."""
    body = schemas.FlowsBody(items=[flow_body(offered) for offered in request.app[PARTS].flows.flows()])
    return web.Response(body=schemas.encoded(body), content_type="application/json")


async def match(request: web.Request, _speaker: Speaker) -> web.Response:
    """Find the chatflows for what was typed, best first."""
    body = await body_of(request, schemas.MatchText)
    understood = await request.app[PARTS].meaning.understand(body.text)
    items = [
        schemas.MatchedFlow(
            flow=guess.flow.name,
            title=guess.flow.title,
            description=guess.flow.description,
            answers=guess.answers,
            understood=guess.sentence,
        )
        for guess in understood.guesses
    ]
    matches = schemas.MatchesBody(items=items, clear=understood.clear, needs_yes=understood.needs_yes)
    return web.Response(body=schemas.encoded(matches), content_type="application/json")


def flow_body(offered: Offered) -> schemas.FlowBody:
    """A chatflow as callers see it: every question it may ask, with its schema as far as it is fixed."""
    flow = offered.flow
    asks = [state for state in flow.states.values() if isinstance(state, form.Ask)]
    return schemas.FlowBody(
        name=flow.name,
        title=flow.title,
        description=flow.description,
        risk=flow.risk,
        version=offered.version,
        says=list(flow.says),
        prompts=[_asked(ask) for ask in asks],
    )


def _asked(ask: form.Ask) -> schemas.AskedHere:
    prompt = ask.prompt
    kind = str(prompt.__struct_config__.tag)
    return schemas.AskedHere(
        name=ask.as_,
        kind=kind,
        label=ask.title or prompt.label,
        schema=schema_of(prompt),
        optional=ask.quiet or ask.only_if is not None,
    )


def schema_of(prompt: form.Prompt) -> dict[str, Any]:
    """The JSON Schema of an answer, as far as it is fixed before the flow runs."""
    if not isinstance(prompt, form.Pick | form.PickMany):
        return prompts.schema_of(prompt, ())
    if isinstance(prompt.options, form.FactQuery):  # which ones is known when it is asked
        one = {"type": "string"}
        return one if isinstance(prompt, form.Pick) else {**prompts.schema_of(prompt, ()), "items": one}
    return prompts.schema_of(prompt, tuple(Choice(value=o.value, label=o.label) for o in prompt.options))


FLOW_CALLS: tuple[Call, ...] = (
    Call("GET", "/flows", "The chatflows and what they ask", list_flows, returns=schemas.FlowsBody),
    Call("POST", "/flows/match", "Which chatflow fits what was typed", match, body=schemas.MatchText,
         returns=schemas.MatchesBody, errors=(403, 413, 415, 422)),
    Call("POST", "/match", "The same under a shorter name", match, body=schemas.MatchText,
         returns=schemas.MatchesBody, errors=(403, 413, 415, 422)),
)  # fmt: skip
