"""The web channel put together: guards, pages, sign-in, API, WebSocket, health.

`make_web(parts)` is the whole application; `make_web(parts, owner=person)` is the same for the owner's
control socket, whose file mode (0600) says who speaks. `runner_for` runs it with logs that hold no traces of
what strangers send.
"""

from __future__ import annotations

import logging
import weakref
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bot.channels import schemas
from bot.channels.api import add_api
from bot.channels.problems import problem_of, title
from bot.channels.web_flows import add_flows
from bot.channels.web_guard import (
    BODY_BYTES,
    ERROR_PAGE,
    GUARDS,
    LOOPBACK,
    add_security_headers,
    host_name,
    require_speaker,
)
from bot.channels.web_inbox import add_inbox
from bot.channels.web_keys import add_keys
from bot.channels.web_pages import add_pages
from bot.channels.web_parts import OWNER, PARTS, Parts, Person, Speaking
from bot.channels.web_reads import AWAY
from bot.channels.web_render import STATIC, TEXTS, page
from bot.channels.web_sign_in import add_sign_in, signed_out_page
from bot.channels.ws import LINES, say_goodbye
from bot.engine.refusals import Spoken

COMES_AGAIN_S = "2"  # a page that says that it reconnects is loaded again after so long
STOP_WITHIN_S = 5.0  # open long polls and sockets are told at once; what is left is cut


def make_web(parts: Parts, *, owner: Person | None = None) -> web.Application:
    """The application for browsers and programs."""
    app = web.Application(middlewares=GUARDS, client_max_size=BODY_BYTES)
    app[PARTS] = parts
    app[ERROR_PAGE] = error_page
    app[LINES] = weakref.WeakSet()
    if owner is not None:
        app[OWNER] = Speaking(owner.id, owner.name, owner.role)
    app.on_response_prepare.append(add_security_headers)
    app.on_shutdown.append(say_goodbye)
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics, allow_head=False)
    app.router.add_get("/texts.js", texts, allow_head=False)
    app.router.add_get("/favicon.ico", favicon, allow_head=False)
    app.router.add_static("/static", STATIC)
    add_api(app)
    add_sign_in(app)
    add_keys(app)
    add_pages(app)
    add_flows(app)
    add_inbox(app)
    return app


def runner_for(app: web.Application) -> web.AppRunner:
    """A runner whose logs are ours: no access log with paths, no trace for what is no HTTP."""
    logger = logging.getLogger("hercules.http")
    if not any(isinstance(f, _NoTraceForStrangers) for f in logger.filters):
        logger.addFilter(_NoTraceForStrangers())
    return web.AppRunner(app, access_log=None, logger=logger, shutdown_timeout=STOP_WITHIN_S)


class _NoTraceForStrangers(logging.Filter):
    """Cuts a record about malformed HTTP down to its sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, HttpProcessingError | ConnectionError):
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


async def health(_request: web.Request) -> web.Response:
    """Say that the process answers."""
    return web.Response(text="ok\n")


async def ready(request: web.Request) -> web.Response:
    """Say whether the bot can serve, and what is missing."""
    checks = await request.app[PARTS].ready()
    good = all(check.ok for check in checks)
    body = schemas.ReadyBody(
        ready=good, checks=[schemas.CheckBody(name=c.name, ok=c.ok, says=c.says) for c in checks]
    )
    return web.Response(
        body=schemas.encoded(body), status=200 if good else 503, content_type="application/json"
    )


async def metrics(request: web.Request) -> web.Response:
    """Show the metrics: to anybody on this machine, with a token from elsewhere."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    local = isinstance(peer, tuple) and str(peer[0]) in ("127.0.0.1", "::1")
    if not (local and host_name(request.headers.get("Host", "")) in LOOPBACK):
        (await require_speaker(request)).must("audit.see")
    body, content_type = request.app[PARTS].counted.exposition()
    return web.Response(body=body, headers={"Content-Type": content_type})


async def texts(_request: web.Request) -> web.Response:
    """The page's texts as a module for its script."""
    body = b"export default " + msgspec.json.encode(TEXTS.all) + b";\n"
    return web.Response(body=body, content_type="text/javascript", headers={"Cache-Control": "no-cache"})


async def favicon(_request: web.Request) -> web.StreamResponse:
    """The icon under its old name."""
    raise web.HTTPMovedPermanently("/static/favicon.svg")


def error_page(request: web.Request, error: Spoken) -> web.Response:
    """An error for a person."""
    problem = problem_of(error)
    if problem.status == 401:
        return signed_out_page(request)
    lines: list[dict[str, Any]] = [{"says": problem.detail}, {"says": problem.do}]
    heading = TEXTS.get(f"error_title_{problem.status}") or title(error)
    if problem.code == "wrong_host":
        settings = request.app[PARTS].settings
        heading = TEXTS("https_title")
        lines = [
            {"says": TEXTS("https_says", address=settings.base_url)},
            {"code": f"ssh -L {settings.port}:localhost:{settings.port} MACHINE"},
            {"says": TEXTS("https_how")},
        ]
    away = problem.code == AWAY
    if away:
        heading, lines = TEXTS("reconnecting"), [{"says": TEXTS("away")}]
    response = page(
        "plain.html",
        status=problem.status,
        title=heading,
        lines=[line for line in lines if any(line.values())],
        button="",
        link=None if away or problem.code == "wrong_host" else ("/", TEXTS("error_back")),
    )
    if away and request.method == "GET":
        response.headers["Refresh"] = COMES_AGAIN_S
    return response
