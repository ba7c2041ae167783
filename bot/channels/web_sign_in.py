"""Signing in by a one-time link, and out.

Opening the link shows a button and uses nothing up (mail scanners and previews open links); the POST does.
Unknown, used and expired links look alike.
"""

from __future__ import annotations

from aiohttp import web

from bot.channels.problems import WrongOrigin
from bot.channels.web_guard import cookie_name, origin_of, require_speaker, source_of
from bot.channels.web_parts import PARTS
from bot.channels.web_render import TEXTS, page

COOKIE_S = 30 * 24 * 3600  # the record behind it may end sooner


async def show_link(request: web.Request) -> web.Response:
    """Show the button."""
    return page(
        "plain.html",
        title=TEXTS("sign_in_title"),
        lines=[{"says": TEXTS("sign_in_says")}],
        button=TEXTS("sign_in_button"),
        action=f"/in/{request.match_info['link']}",
        fields=[],
        link=None,
    )


async def use_link(request: web.Request) -> web.StreamResponse:
    """Use the link up and sign in, always under a new cookie."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != origin_of(request):
        raise WrongOrigin()
    parts = request.app[PARTS]
    sign_in = await parts.people.sign_in(request.match_info["link"], source=source_of(request))
    if sign_in is None:
        return page(
            "plain.html",
            status=403,
            title=TEXTS("sign_in_bad_title"),
            lines=[
                {"says": TEXTS("sign_in_bad")},
                {"says": TEXTS("sign_in_how")},
                {"code": TEXTS("sign_in_command")},
            ],
            button="",
            link=None,
        )
    response = web.HTTPSeeOther("/")
    response.set_cookie(
        cookie_name(parts),
        sign_in.cookie,
        path="/",
        max_age=COOKIE_S,
        secure=True,
        httponly=True,
        samesite="Lax",
    )
    raise response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """End this sign-in; open sockets of it end within half a minute."""
    await require_speaker(request)
    parts = request.app[PARTS]
    cookie = request.cookies.get(cookie_name(parts))
    if cookie:
        await parts.people.sign_out(cookie)
    response = web.HTTPSeeOther("/")
    response.del_cookie(cookie_name(parts), path="/", secure=True, httponly=True, samesite="Lax")
    raise response


def signed_out_page(request: web.Request) -> web.Response:
    """Say how to get in."""
    settings = request.app[PARTS].settings
    return page(
        "plain.html",
        status=401,
        title=TEXTS("signed_out_title"),
        lines=[
            {"says": TEXTS("signed_out_says")},
            {"code": TEXTS("sign_in_command")},
            {"says": TEXTS("signed_out_then")},
            {"says": TEXTS("signed_out_ssh")},
            {"code": f"ssh -L {settings.port}:localhost:{settings.port} MACHINE"},
        ],
        button="",
        link=None,
    )


def add_sign_in(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get("/in/{link}", show_link, allow_head=False)
    app.router.add_post("/in/{link}", use_link)
    app.router.add_post("/sign-out", sign_out)
