"""The recovery key, handed to the owner once: look, keep it elsewhere, have it deleted here.

Rule 1: a GET shows no key and changes nothing. Rule 2: only the owner, who signed in with a browser a moment
ago; a token that a script holds is not enough. Rule 3: the key stands in the one answer to the POST, in no
address, log or record. Rule 4: it is deleted only once the owner says that it is kept elsewhere.
"""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from bot.channels.problems import NotAllowed, NotSignedIn, WrongFields
from bot.channels.web_guard import Speaker, require_speaker
from bot.channels.web_parts import PARTS
from bot.channels.web_render import TEXTS, page
from bot.channels.web_sign_in import signed_out_page

HERE = "/keys/recovery"
FRESH_S = 15 * 60  # a browser that somebody left open is not enough


async def offer(request: web.Request) -> web.StreamResponse:
    """Say what the key is for, and offer to show it."""
    try:
        speaker = await _owner(request)
    except NotSignedIn:
        return signed_out_page(request)
    if not request.app[PARTS].recovery.is_here():
        return _gone(request)
    if not _is_fresh(speaker):
        return _stale(200)
    return _page(speaker, "recovery_title", ["recovery_for", "recovery_once"], step="show")


async def show(request: web.Request) -> web.StreamResponse:
    """Show the key, and offer to delete it here."""
    speaker = await _owner(request)
    if not _is_fresh(speaker):
        return _stale(403)
    key = await request.app[PARTS].recovery.show(speaker.id)
    return _gone(request) if key is None else _shown(request, speaker, key)


async def forget(request: web.Request) -> web.StreamResponse:
    """Delete it here, once the owner says that it is kept elsewhere. Raises WrongFields."""
    speaker = await _owner(request)
    if not _is_fresh(speaker):
        return _stale(403)
    if (await request.post()).get("kept") != "yes":
        raise WrongFields([{"field": "kept", "says": TEXTS("recovery_kept_first")}])
    if not await request.app[PARTS].recovery.forget(speaker.id):
        return _gone(request)
    return _page(speaker, "recovery_deleted_title", ["recovery_deleted"])


async def _owner(request: web.Request) -> Speaker:
    """The owner at a browser. Raises NotSignedIn, NotAllowed."""
    speaker = await require_speaker(request)
    speaker.must("keys.recover")
    if speaker.sign_in is None:
        raise NotAllowed(role="an API token")
    return speaker


def _is_fresh(speaker: Speaker) -> bool:
    return speaker.sign_in is not None and time.time() - speaker.sign_in.made_ms / 1000 < FRESH_S


def _stale(status: int) -> web.Response:
    return page(
        "plain.html",
        status=status,
        title=TEXTS("recovery_stale_title"),
        lines=[
            {"says": TEXTS("recovery_stale", minutes=FRESH_S // 60)},
            {"code": TEXTS("sign_in_command")},
            {"says": TEXTS("recovery_stale_then")},
        ],
        button="",
        link=("/", TEXTS("recovery_back")),
    )


def _gone(request: web.Request) -> web.Response:
    return page(
        "key.html",
        status=410,
        title=TEXTS("recovery_gone_title"),
        says=[TEXTS("recovery_gone")],
        taken_ms=request.app[PARTS].recovery.taken_ms(),
        key="",
        step="",
    )


def _shown(request: web.Request, speaker: Speaker, key: str) -> web.Response:
    installation = request.app[PARTS].settings.installation
    return _page(
        speaker,
        "recovery_title",
        ["recovery_keep"],
        step="forget",
        key=key,
        file=f"hercules-recovery-key-{installation}.txt",
        text=TEXTS("recovery_file", installation=installation, private=key),
    )


def _page(speaker: Speaker, title: str, says: list[str], *, step: str = "", **more: Any) -> web.Response:
    return page(
        "key.html",
        title=TEXTS(title),
        says=[TEXTS(words) for words in says],
        step=step,
        action=f"{HERE}/{step}",
        csrf=speaker.sign_in.csrf if speaker.sign_in else "",
        **{"key": "", "taken_ms": 0, **more},
    )


def add_keys(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get(HERE, offer, allow_head=False)
    app.router.add_post(f"{HERE}/show", show)
    app.router.add_post(f"{HERE}/forget", forget)
