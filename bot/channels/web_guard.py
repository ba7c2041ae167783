"""What every request passes, outermost first: account, host, size, and an error page or problem at the end.

Rule 1: nothing of a query string, of a body or of a one-time link reaches the log; routes are logged by their
pattern. Rule 2: a browser's changing request needs the exact Origin and the CSRF token of its sign-in; a
bearer token needs neither, as no browser adds it by itself. Rule 3: hosts are answered by name, so that a
foreign name that resolves to this machine (DNS rebinding) gets nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from bot.channels.problems import (
    Broken,
    BrokenBody,
    NotAllowed,
    NotSignedIn,
    TooLarge,
    WrongCsrf,
    WrongFields,
    WrongHost,
    WrongOrigin,
    WrongType,
    fields_of,
    problem_of,
    response_of,
    spoken_of,
)
from bot.channels.web_parts import OWNER, PARTS, Parts, Person, Settings, SignIn
from bot.channels.web_reads import reads_wait
from bot.engine.refusals import Spoken
from bot.people.rights import Right, may, may_open

ErrorPage = Callable[[web.Request, Spoken], web.Response]
ERROR_PAGE: web.AppKey[ErrorPage] = web.AppKey("error_page")
log = structlog.get_logger("hercules.web")

BODY_BYTES = 1024 * 1024  # every body but a blob's: a whole session of answers is far below
HUNG_UP = 499  # as nginx calls it: the client went away before the answer
NESTING = 64  # no answer of any prompt comes near
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
CSRF_HEADER = "X-Hercules-CSRF"
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # not no-referrer: with it browsers send "Origin: null" with forms, and the exact check needs the origin
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(self), microphone=()",
}

Body = TypeVar("Body")


@web.middleware
async def account(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Time and log the request, and turn whatever is raised into words."""
    parts = request.app[PARTS]
    request_id = secrets.token_hex(6)
    began = time.perf_counter()
    status = 500
    try:
        response = await _in_words(request, handler, request_id)
        status = response.status
        return response
    except web.HTTPException as redirect:
        status = redirect.status
        raise
    except (asyncio.CancelledError, ConnectionError):
        status = HUNG_UP
        raise
    finally:
        seconds = time.perf_counter() - began
        route = route_of(request)
        if status != 101:  # how long a socket was open says nothing about speed
            parts.counted.request(request.method, route, status, seconds)
        log.info(
            "http.request",
            method=request.method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            request=request_id,
        )


async def _in_words(request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise  # a redirect
        return told(request, spoken_of(error) or Broken(request=request_id))
    except Spoken as error:
        if error.http >= 500:
            log.warning("http.gone", code=error.code, says=error.sentence, request=request_id)
        return told(request, error)
    except ConnectionResetError:
        raise
    except Exception:
        log.exception("http.failed", route=route_of(request), request=request_id)
        return told(request, Broken(request=request_id))


def told(request: web.Request, error: Spoken) -> web.Response:
    """The error for whoever asked: a page for a browser, problem details for a program."""
    page = request.app.get(ERROR_PAGE)
    if page is not None and wants_page(request):
        return page(request, error)
    return response_of(problem_of(error))


def wants_page(request: web.Request) -> bool:
    """Whether a person looks at the answer."""
    return not request.path.startswith("/api/") and "text/html" in request.headers.get(hdrs.ACCEPT, "")


def route_of(request: web.Request) -> str:
    """The pattern of the route, never the path: paths hold one-time links."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


async def add_security_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Set the headers that every answer has (a signal, so that none escapes)."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if hdrs.CACHE_CONTROL not in response.headers:
        response.headers[hdrs.CACHE_CONTROL] = "no-store"


@web.middleware
async def only_our_hosts(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer loopback names on any port, and the configured names over HTTPS."""
    settings = request.app[PARTS].settings
    name = host_name(request.headers.get(hdrs.HOST, ""))
    if name in LOOPBACK or (name in settings.names and is_https(request, settings)):
        return await handler(request)
    raise WrongHost(address=settings.base_url)


_HOST = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?$")


def host_name(host: str) -> str:
    """The name of a Host header without its port, lower case; "" when it is none."""
    found = _HOST.match(host)
    return found[1].lower() if found else ""


def is_https(request: web.BaseRequest, settings: Settings) -> bool:
    """Whether the person's browser speaks HTTPS with us, as the settings say."""
    return settings.https or request.secure


@web.middleware
async def only_small_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a large body before a byte of it is read; blobs have limits of their own."""
    length = request.content_length
    if length is not None and length > BODY_BYTES and not is_blob_data(request):
        raise TooLarge(limit=BODY_BYTES)
    return await handler(request)


def is_blob_data(request: web.BaseRequest) -> bool:
    """Whether the body is a piece of a file."""
    return request.method == "PATCH" and request.path.startswith("/api/v1/blobs/")


GUARDS: tuple[Middleware, ...] = (account, only_our_hosts, only_small_bodies, reads_wait)


# Who speaks


class Speaker:
    """Who sent a request, and by what: a sign-in, or a token (then `sign_in` is None)."""

    def __init__(self, person: Person, sign_in: SignIn | None) -> None:
        self.person = person
        self.sign_in = sign_in

    @property
    def id(self) -> str:
        """The person's id."""
        return self.person.id

    def must(self, right: Right) -> None:
        """Raise NotAllowed unless the person's role has the right."""
        if not may(self.person.role, right):
            raise NotAllowed(role=self.person.role)

    def must_open(self, risk: str) -> None:
        """Raise NotAllowed unless the person's role may open flows of this risk."""
        if not may_open(self.person.role, risk):
            raise NotAllowed(role=self.person.role)


async def speaker_of(request: web.Request) -> Speaker | None:
    """Who sent this; None when nobody is signed in. A bearer token goes before a cookie."""
    parts = request.app[PARTS]
    owner = request.app.get(OWNER)
    if owner is not None:
        return Speaker(owner, None)  # whoever reaches the control socket (0600) is the owner
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    if authorization is not None:
        kind, _, token = authorization.partition(" ")
        person = (
            await parts.people.by_token(token.strip(), source=source_of(request))
            if kind.lower() == "bearer"
            else None
        )
        return Speaker(person, None) if person is not None else None
    cookie = request.cookies.get(cookie_name(parts))
    sign_in = await parts.people.signed_in(cookie) if cookie else None
    return Speaker(sign_in.person, sign_in) if sign_in is not None else None


def source_of(request: web.BaseRequest) -> str:
    """Where a request comes from, for limits and the security log."""
    return request.remote or "local"


async def require_speaker(request: web.Request) -> Speaker:
    """Who sent this, checked against other sites when it changes something. Raises NotSignedIn."""
    speaker = await speaker_of(request)
    if speaker is None:
        raise NotSignedIn()
    if speaker.sign_in is not None and request.method in CHANGING:
        require_origin(request)
        token = request.headers.get(CSRF_HEADER)
        if token is None and request.content_type in FORM_TYPES:
            token = str((await request.post()).get("csrf", ""))
        require_csrf(speaker.sign_in, token or "")
    return speaker


FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def cookie_name(parts: Parts) -> str:
    """The name of the sign-in cookie: cookies know no ports, so it carries the installation."""
    return f"__Host-h-{parts.settings.installation}"


def origin_of(request: web.BaseRequest) -> str:
    """The origin that our own pages have for this request."""
    settings = request.app[PARTS].settings if isinstance(request, web.Request) else None
    secure = settings is not None and is_https(request, settings)
    return f"{'https' if secure else 'http'}://{request.headers.get(hdrs.HOST, '').lower()}"


def require_origin(request: web.Request) -> None:
    """Raise WrongOrigin unless the request comes from our own page."""
    if request.headers.get(hdrs.ORIGIN, "").lower() != origin_of(request):
        raise WrongOrigin()


def require_csrf(sign_in: SignIn, token: str) -> None:
    """Raise WrongCsrf unless the token belongs to this sign-in."""
    if not hmac.compare_digest(sign_in.csrf.encode(), token.encode(errors="replace")):
        raise WrongCsrf()


# Bodies and queries


async def body_of(request: web.Request, kind: type[Body]) -> Body:
    """The JSON body as `kind`. Raises BrokenBody, WrongType, WrongFields or TooLarge."""
    if request.content_type != "application/json":
        raise WrongType(wanted="application/json")
    raw = await request.read()
    try:
        body = msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise WrongFields(fields_of(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenBody(why=_why(error)) from error
    must_be_plain(body)
    return body


def _why(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".").lower()


def must_be_plain(value: Any, field: str = "", depth: int = 0) -> None:
    """Raise for what no answer holds: NUL (neither files nor engines keep it), and very deep nesting."""
    if depth > NESTING:
        raise BrokenBody(why="it is nested too deeply")
    if isinstance(value, str):
        if "\0" in value:
            raise WrongFields([{"field": field, "says": "There is a NUL character in it."}])
    elif isinstance(value, dict):
        for key, item in value.items():
            must_be_plain(key, field, depth + 1)
            must_be_plain(item, f"{field}.{key}".lstrip("."), depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            must_be_plain(item, f"{field}[{index}]", depth + 1)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            must_be_plain(getattr(value, name), f"{field}.{name}".lstrip("."), depth)


def number_in(request: web.Request, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number of the query. Raises WrongFields."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise WrongFields([{"field": name, "says": f"{name} must be a whole number of 0 or more."}])
    number = int(text)
    if not least <= number <= most:
        raise WrongFields([{"field": name, "says": f"{name} must be between {least} and {most}."}])
    return number


def text_in(request: web.Request, name: str, *, longest: int = 200) -> str:
    """A text of the query, "" when it is not there. Raises WrongFields."""
    text = request.query.get(name, "")
    if len(text) > longest or "\0" in text:
        raise WrongFields([{"field": name, "says": f"{name} is not what is expected here."}])
    return text
