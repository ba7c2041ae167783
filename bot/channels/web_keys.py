"""The recovery key, handed to the owner once: look, keep it elsewhere, have it deleted here.

Rule 1: a GET shows no key and changes nothing. Rule 2: only the owner, signed in with a browser; a token that
a script holds is not enough. Rule 3: the key stands in the one answer to the POST, in no address, log or record.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from bot.channels.problems import NotAllowed, NotSignedIn
from bot.channels.web_guard import Speaker, require_speaker
from bot.channels.web_parts import PARTS
from bot.channels.web_render import TEXTS, page
from bot.channels.web_sign_in import signed_out_page

HERE = "/keys/recovery"


async def offer(request: web.Request) -> web.StreamResponse:
    """Say what the key is for, and offer to show it."""
    try:
        speaker = await _owner(request)
    except NotSignedIn:
        return signed_out_page(request)
    if not request.app[PARTS].recovery.is_here():
        return _gone()
    return _page(
        speaker, "recovery_title", ["recovery_for", "recovery_once"], "recovery_show", f"{HERE}/show"
    )


async def show(request: web.Request) -> web.StreamResponse:
    """Show the key, and offer to delete it here."""
    speaker = await _owner(request)
    key = await request.app[PARTS].recovery.show(speaker.id)
    if key is None:
        return _gone()
    says = ["recovery_key", "recovery_keep", "recovery_then"]
    return _page(speaker, "recovery_title", says, "recovery_forget", f"{HERE}/forget", key=key)


async def forget(request: web.Request) -> web.StreamResponse:
    """Delete it here, once the owner says that it is kept elsewhere."""
    speaker = await _owner(request)
    if not await request.app[PARTS].recovery.forget(speaker.id):
        return _gone()
    return _page(speaker, "recovery_deleted_title", ["recovery_deleted"])


async def _owner(request: web.Request) -> Speaker:
    """The owner at a browser. Raises NotSignedIn, NotAllowed."""
    speaker = await require_speaker(request)
    speaker.must("keys.recover")
    if speaker.sign_in is None:
        raise NotAllowed(role="an API token")
    return speaker


def _gone() -> web.Response:
    return page(
        "plain.html",
        status=410,
        title=TEXTS("recovery_gone_title"),
        lines=[{"says": TEXTS("recovery_gone")}],
        button="",
        link=("/", TEXTS("recovery_back")),
    )


def _page(
    speaker: Speaker, title: str, says: Sequence[str], button: str = "", action: str = "", key: str = ""
) -> web.Response:
    lines = [{"says": TEXTS(words)} for words in says]
    if key:
        lines.insert(1, {"code": key})
    return page(
        "plain.html",
        title=TEXTS(title),
        lines=lines,
        button=TEXTS(button) if button else "",
        action=action,
        fields=[("csrf", speaker.sign_in.csrf if speaker.sign_in else "")],
        link=("/", TEXTS("recovery_back" if not button else "recovery_later")),
    )


def add_keys(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get(HERE, offer, allow_head=False)
    app.router.add_post(f"{HERE}/show", show)
    app.router.add_post(f"{HERE}/forget", forget)
