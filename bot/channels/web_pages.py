"""The chat page: rendered whole on the server, so that it can be read and answered without script.

With script (web/static/js) the same forms go over the WebSocket and the page stays.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from agent.orders import READING
from bot.channels import schemas
from bot.channels.api import may_open_flow
from bot.channels.problems import NotSignedIn, WrongFields
from bot.channels.web_clean import clean_data
from bot.channels.web_flows import count_of_faults
from bot.channels.web_forms import rows_of, typed_of, value_of
from bot.channels.web_guard import Speaker, must_be_plain, number_in, require_speaker
from bot.channels.web_parts import PARTS, Parts
from bot.channels.web_render import TEXTS, flow_card, laid_out, page, shown_data, state_key
from bot.channels.web_sign_in import signed_out_page
from bot.channels.ws import SESSION_ID
from bot.engine import times
from bot.engine.filters import Unfit
from bot.engine.refusals import InvalidAnswer, NoSuchSession, Refused
from bot.engine.session import Entry, Session, Shown
from bot.engine.words import Guess, Understood

RAIL = 30  # sessions listed beside the conversation
AT_ONCE = 250  # entries in one page; what came before is a page of its own
GOING_ON = 3  # open sessions offered on the start page


async def start(request: web.Request) -> web.StreamResponse:
    """Ask what is wanted."""
    try:
        speaker = await require_speaker(request)
    except NotSignedIn:
        return signed_out_page(request)
    return await _start_page(request, speaker, text=request.query.get("text", "")[:2000], understood=None)


async def begin(request: web.Request) -> web.StreamResponse:
    """Open a session of the flow that was chosen or is meant; with several, let the person choose."""
    speaker = await require_speaker(request)
    fields = {name: str(value) for name, value in (await request.post()).items()}
    must_be_plain(fields)
    parts, text, flow = request.app[PARTS], fields.get("text", "").strip()[:2000], fields.get("flow", "")
    answers = _answers(fields.get("answers", ""))
    if not flow:
        understood = await parts.meaning.understand(text) if text else Understood()
        if understood.needs_yes:
            return await _start_page(request, speaker, text=text, understood=understood)
        flow, answers = understood.guesses[0].flow.name, dict(understood.guesses[0].answers)
    may_open_flow(parts, speaker, flow)
    view = await parts.runtime.open(
        person=speaker.person,
        id=fields.get("id", "") or new_id(),
        flow=flow,
        answers=answers,
        typed=fields.get("typed", text),
        zone=_zone_in(fields),
    )
    raise web.HTTPSeeOther(f"/s/{view.session.id}")


def _zone_in(fields: Mapping[str, str]) -> str:
    """The browser's time zone, as the page's script says it; "" for one that is not known here."""
    try:
        times.zone_of(fields.get("zone", "")[:60])
    except Unfit:
        return ""
    return fields.get("zone", "")[:60]


def _answers(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise WrongFields([{"field": "answers", "says": "The answers cannot be read."}]) from error


async def _start_page(
    request: web.Request, speaker: Speaker, *, text: str, understood: Understood | None
) -> web.Response:
    """What is wanted? Or: is this what is wanted? `understood` is what was made of the text."""
    parts = request.app[PARTS]
    sessions = await _rail(parts, speaker)
    meant = understood or Understood()
    offered: Sequence[Guess] = meant.guesses or [Guess(flow=ready.flow) for ready in parts.flows.flows()]
    cards = [
        {
            **flow_card(guess.flow),
            "id": new_id(),
            "answers": msgspec.json.encode(guess.answers).decode(),
            "understood": clean_data(guess.sentence),
        }
        for guess in offered
    ]
    return page(
        "start.html",
        **await frame_of(parts, speaker, current="", sessions=sessions),
        id=new_id(),
        text=clean_data(text),
        clear=meant.clear,
        found=bool(meant.guesses),
        faults=count_of_faults(parts, speaker),
        searched=understood is not None,
        cards=cards,
        going_on=[] if text else [s for s in sessions if s["status"] == "open"][:GOING_ON],
    )


async def show(request: web.Request) -> web.StreamResponse:
    """Show a session."""
    try:
        speaker = await require_speaker(request)
    except NotSignedIn:
        return signed_out_page(request)
    return await _session_page(request, speaker)


async def answer(request: web.Request) -> web.StreamResponse:
    """Take an answer from a form; what does not fit is said beside the field, with what was typed kept."""
    speaker, session_id, fields = await _form(request)
    runtime = request.app[PARTS].runtime
    shown = (await runtime.view(person=speaker.person, session_id=session_id)).session.shown
    seq, call_id = _seq(fields), fields.get("id", "")
    if shown is None or shown.seq != seq:
        raise web.HTTPSeeOther(f"/s/{session_id}#ask")
    value: Any = None
    try:
        value = value_of(shown, fields)
        await runtime.answer(person=speaker.person, session_id=session_id, seq=seq, id=call_id, value=value)
    except InvalidAnswer as refused:
        typed = typed_of(shown, fields, value)
        return await _session_page(request, speaker, error=refused, typed=typed)
    raise web.HTTPSeeOther(f"/s/{session_id}#ask")


async def move(request: web.Request) -> web.StreamResponse:
    """Go back, change, undo or cancel from a form."""
    speaker, session_id, fields = await _form(request)
    runtime, kind = request.app[PARTS].runtime, request.match_info["move"]
    if kind == "cancel" and "sure" not in fields:
        return await _ask_to_cancel(request, speaker, session_id, fields)
    at: dict[str, Any] = {
        "person": speaker.id,
        "session_id": session_id,
        "seq": _seq(fields),
        "id": fields.get("id", ""),
    }
    match kind:
        case "back":
            await runtime.back(**at)
        case "change":
            await runtime.change(**at, to=fields.get("to", ""))
        case "undo":
            await runtime.undo(**at)
        case _:
            await runtime.cancel(**at)
    raise web.HTTPSeeOther(f"/s/{session_id}#ask")


async def _ask_to_cancel(
    request: web.Request, speaker: Speaker, session_id: str, fields: Mapping[str, str]
) -> web.Response:
    view = await request.app[PARTS].runtime.view(person=speaker.person, session_id=session_id)
    undoes = schemas.undoes_of(view.session)
    shown = view.session.shown
    says = [TEXTS("cancel_undoes_some" if shown and shown.can_undo else "cancel_nothing")]
    if undoes:
        says = [TEXTS("cancel_undoes"), *undoes]
    return page(
        "plain.html",
        title=TEXTS("cancel_title"),
        lines=[{"says": clean_data(line)} for line in says],
        button=TEXTS("cancel_yes"),
        action=f"/s/{session_id}/cancel",
        fields=[(n, fields.get(n, "")) for n in ("csrf", "seq", "id")] + [("sure", "yes")],
        link=(f"/s/{session_id}", TEXTS("cancel_no")),
    )


async def _form(request: web.Request) -> tuple[Speaker, str, dict[str, str]]:
    speaker = await require_speaker(request)
    fields = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    must_be_plain(fields)
    return speaker, _session_id(request), fields


def _session_id(request: web.Request) -> str:
    session_id = request.match_info["session"]
    if not SESSION_ID.fullmatch(session_id):
        raise NoSuchSession()
    return session_id


def _seq(fields: Mapping[str, str]) -> int:
    text = fields.get("seq", "")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise WrongFields([{"field": "seq", "says": "This page is out of date. Load it again."}])
    return int(text)


async def _session_page(
    request: web.Request, speaker: Speaker, *, error: Refused | None = None, typed: Any = None
) -> web.Response:
    parts, session_id = request.app[PARTS], _session_id(request)
    session = (await parts.runtime.view(person=speaker.person, session_id=session_id)).session
    until = number_in(request, "until", default=0, least=0, most=10**9)
    first = max(0, (until or session.entries) - AT_ONCE)
    entries = await parts.runtime.entries(
        person=speaker.person,
        session_id=session_id,
        after=first,
        limit=until - first if until else 2 * AT_ONCE,
    )
    shown = None if until else schemas.shown_of(session)
    return page(
        "session.html",
        status=422 if error else 200,
        **await frame_of(parts, speaker, current=session_id),
        session=clean_data(msgspec.to_builtins(schemas.session_body(session))),
        blocks_=laid_out(entries, shown.seq if shown else 0),
        prompt=shown_data(shown, next((e for e in reversed(entries) if e.kind != "asked"), None)),
        first=first,
        past=bool(until),
        after=entries[-1].n if entries else 0,
        reading=" ".join(sorted(READING)),
        now_ms=int(time.time() * 1000),
        ctx=_context(speaker, session, shown, error, typed),
        offers=_offers(entries),
    )


def _context(
    speaker: Speaker, session: Session, shown: Shown | None, error: Refused | None, typed: Any
) -> dict[str, Any]:
    errors = error.errors if isinstance(error, InvalidAnswer) else []
    beside = {e["field"].partition(".")[0]: clean_data(e["says"]) for e in errors if e["field"]}
    if shown is None or shown.kind != "form":
        beside = {}
    says = " ".join(e["says"] for e in errors if e["field"].partition(".")[0] not in beside)
    secret = shown is not None and shown.kind == "secret"
    return {
        "session": session.id,
        "csrf": speaker.sign_in.csrf if speaker.sign_in else "",
        "id": new_id(),
        "error": clean_data(says),
        "errors": beside,
        "typed": None if secret else typed,
        "rows": rows_of(shown, typed) if shown is not None and shown.kind == "key-values" else [],
    }


def _offers(entries: Sequence[Entry]) -> list[dict[str, str]]:
    last = next((e for e in reversed(entries) if e.kind == "ended"), None)
    return [
        {
            "id": new_id(),
            "label": clean_data(offer.label),
            "flow": offer.flow,
            "answers": msgspec.json.encode(offer.answers).decode(),
        }
        for offer in (last.offers if last else ())
    ]


async def _rail(parts: Parts, speaker: Speaker) -> list[dict[str, Any]]:
    found = await parts.runtime.sessions(person=speaker.person, limit=RAIL)
    listed: list[dict[str, Any]] = clean_data(
        [msgspec.to_builtins(schemas.summary_of(s)) for s in found.items]
    )
    return [{**s, "state": state_key(s["status"], s["outcome"], asks=bool(s["asks"]))} for s in listed]


async def frame_of(
    parts: Parts, speaker: Speaker, *, current: str, sessions: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """What stands beside every page: the person, their sessions, and how much waits for them."""
    return {
        "sessions": await _rail(parts, speaker) if sessions is None else sessions,
        "waiting": len(await parts.runtime.asked(speaker.person)),
        "current": current,
        "csrf": speaker.sign_in.csrf if speaker.sign_in else "",
        "person": {"name": clean_data(speaker.person.name), "role": speaker.person.role},
    }


def new_id() -> str:
    """An id for one call to come: a form that is sent twice happens once."""
    return secrets.token_urlsafe(12)


def add_pages(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get("/", start, allow_head=False)
    app.router.add_post("/start", begin)
    app.router.add_get("/s/{session}", show, allow_head=False)
    app.router.add_post("/s/{session}/answer", answer)
    app.router.add_post("/s/{session}/{move:back|change|undo|cancel}", move)
