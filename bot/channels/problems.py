"""Every error that leaves over HTTP or WebSocket: one table, problem details as in RFC 9457.

A `Spoken` (bot.engine.refusals) knows its status, code, sentence and what to do next; what aiohttp raises is
given words here; anything else is our bug: logged whole, told as one sentence.
"""

from __future__ import annotations

import re

import msgspec
from aiohttp import web

from bot.channels.web_clean import cleaned
from bot.engine.refusals import InvalidAnswer, Refused, Spoken
from bot.engine.session import Shown

TYPE = "application/problem+json"


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with one field; "" is the whole."""

    field: str
    says: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every error. `do` says what to do next; `prompt` is the question that is open now."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    do: str = ""
    errors: tuple[FieldError, ...] = ()
    prompt: Shown | None = None


class NotSignedIn(Refused):
    """No cookie or token, or one that does not hold (any more)."""

    code, http = "not_signed_in", 401
    says = "You are not signed in here."
    do = "Make a sign-in link with: hercules user link NAME. Programs send Authorization: Bearer and a token."


class NotAllowed(Refused):
    """The person's role does not reach that far."""

    code, http = "not_allowed", 403
    says = "Your role here ({role}) may not do this."
    do = "Ask the owner of this installation."


class WrongOrigin(Refused):
    """A browser sent this from another site."""

    code, http = "wrong_origin", 403
    says = "This request came from another site."
    do = "Open the page of this installation and try again there."


class WrongCsrf(Refused):
    """The request carries no token of this sign-in."""

    code, http = "wrong_csrf", 403
    says = "This page is out of date."
    do = "Load the page again and repeat what you did."


class WrongHost(Refused):
    """The Host header names something that this bot does not answer for."""

    code, http = "wrong_host", 421
    says = "Hercules does not answer under this address."
    do = "Open {address} on the machine itself, or set up HTTPS: hercules up --public NAME."


class BrokenBody(Refused):
    """The body cannot be read as JSON."""

    code, http = "broken_body", 400
    says = "The body cannot be read: {why}."
    do = "Send one JSON object in UTF-8."


class WrongType(Refused):
    """The body is not of the type that is read here."""

    code, http = "wrong_type", 415
    says = "The body must be sent as {wanted}."
    do = "Set the header Content-Type to {wanted}."


class WrongFields(Refused):
    """The body or query is well-formed, but its fields are not what is expected."""

    code, http = "wrong_fields", 422
    says = "{summary}"
    do = "Correct it and send it again."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__(summary=" ".join(e["says"] for e in errors))


class TooLarge(Refused):
    """The body is larger than is read here."""

    code, http = "too_large", 413
    says = "The body is larger than {limit} bytes."
    do = "Send less. Files go to /api/v1/blobs."


class NoSuchPage(Refused):
    """Nothing is found under this path."""

    code, http = "not_found", 404
    says = "There is nothing here."
    do = "Start at / or read /api/v1/openapi.json."


class NotThisWay(Refused):
    """The path exists, the method does not."""

    code, http = "method_not_allowed", 405
    says = "This path does not take {method}."
    do = "It takes {allowed}."


class Malformed(Refused):
    """The request is not proper HTTP, or what aiohttp refuses by itself."""

    code, http = "malformed", 400
    says = "The request cannot be understood."
    do = "Send proper HTTP/1.1."


class TooMany(Refused):
    """A limit per person or address was reached."""

    code, http = "too_many", 429
    says = "That was too often."
    do = "Wait a minute and try again."


class Broken(Spoken):
    """Our bug. The log has all of it."""

    code, http = "internal", 500
    says = "Something went wrong inside Hercules. It is in the log under {request}."
    do = "Try again; if it stays, tell whoever runs this installation."


def problem_of(error: Spoken, prompt: Shown | None = None) -> Problem:
    """The problem details of an error that speaks."""
    errors: list[dict[str, str]] = []
    if isinstance(error, InvalidAnswer | WrongFields):
        errors = error.errors
    return Problem(
        type=f"urn:hercules:problem:{error.code}",
        title=title(error),
        status=error.http,
        code=error.code,
        detail=cleaned(error.sentence),
        do=cleaned(error.next_step),
        errors=tuple(FieldError(field=e.get("field", ""), says=cleaned(e["says"])) for e in errors),
        prompt=prompt,
    )


def title(error: Spoken) -> str:
    """A short name for people: the code in words."""
    return error.code.replace("_", " ").replace(".", " ").capitalize()


def response_of(problem: Problem, headers: dict[str, str] | None = None) -> web.Response:
    """The problem as an HTTP response."""
    extra = dict(headers or {})
    if problem.status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="hercules"'
    return web.Response(
        body=msgspec.json.encode(problem), status=problem.status, content_type=TYPE, headers=extra
    )


def spoken_of(error: Exception) -> Spoken | None:
    """What aiohttp raised, in our words; None when it is our bug."""
    match error:
        case Spoken():
            return error
        case web.HTTPRequestEntityTooLarge():
            return TooLarge(limit=error.headers.get("X-Limit", "1048576"))
        case web.HTTPMethodNotAllowed():
            return NotThisWay(method=error.method, allowed=", ".join(sorted(error.allowed_methods)))
        case web.HTTPNotFound():
            return NoSuchPage()
        case web.HTTPException() if 400 <= error.status < 500:
            return Malformed()
        case _:
            return None


_EXPECTED = re.compile(r"^Expected `([^`]+)`, got `([^`]+)`$")
_MISSING = re.compile(r"^Object missing required field `([^`]+)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `([^`]+)`$")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def fields_of(error: msgspec.ValidationError) -> list[dict[str, str]]:
    """msgspec's sentence in ours: which field, and what is wrong with it."""
    says, _, path = str(error).partition(" - at `$")
    field = path.removesuffix("`").lstrip(".")
    if found := _MISSING.match(says):
        return [{"field": f"{field}.{found[1]}".lstrip("."), "says": f"{found[1]} is missing."}]
    if found := _UNKNOWN.match(says):
        return [{"field": f"{field}.{found[1]}".lstrip("."), "says": f"There is no field called {found[1]}."}]
    name = field or "The body"
    if found := _EXPECTED.match(says):
        wanted, got = (" or ".join(_KINDS.get(k, k) for k in part.split(" | ")) for part in found.groups())
        return [{"field": field, "says": f"{name} must be {wanted}, not {got}."}]
    if "matching regex" in says:
        pattern = says.partition("regex ")[2].strip("'")
        return [{"field": field, "says": f"{name} does not have the form {pattern}."}]
    return [{"field": field, "says": f"{name}: {says}."}]
