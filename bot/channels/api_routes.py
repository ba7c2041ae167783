"""The table of the API: one row per call, from which both the routes and openapi.json are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from aiohttp import web

from bot.channels.frames import ClientFrame, ServerFrame
from bot.channels.problems import Problem
from bot.channels.web_guard import Speaker, require_speaker

Handler = Callable[[web.Request, Speaker], Awaitable[web.StreamResponse]]
Method = Literal["GET", "POST", "PATCH", "HEAD"]
BASE = "/api/v1"


@dataclass(frozen=True, slots=True)
class Query:
    """One parameter of a query."""

    name: str
    kind: Literal["integer", "string"]
    says: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API. `body` and `returns` are structs; `errors` the statuses besides 401 and 400."""

    method: Method
    path: str  # below /api/v1
    says: str
    handler: Handler
    body: Any = None
    returns: Any = None
    status: int = 200
    query: tuple[Query, ...] = ()
    errors: tuple[int, ...] = ()
    binary: Literal["", "in", "out"] = ""

    @property
    def full_path(self) -> str:
        """The path as it is served."""
        return BASE + self.path


def add_calls(app: web.Application, calls: tuple[Call, ...]) -> None:
    """Register every call of the table. Who speaks is settled here, so no call can forget it."""
    for call in calls:
        if call.method == "GET":
            app.router.add_get(call.full_path, _checked(call.handler), allow_head=False)
        else:
            app.router.add_route(call.method, call.full_path, _checked(call.handler))


def _checked(handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def checked(request: web.Request) -> web.StreamResponse:
        return await handler(request, await require_speaker(request))

    return checked


def openapi(calls: tuple[Call, ...], *, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 description of the calls."""
    structs = [s for call in calls for s in (call.body, call.returns) if s is not None]
    # the frames of the WebSocket are described too, though no path can refer to them
    _, components = msgspec.json.schema_components(
        [*structs, Problem, ClientFrame, ServerFrame], ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for call in calls:
        paths.setdefault(call.full_path, {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hercules", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-h-INSTALLATION",
                    "description": "Changing calls need X-Hercules-CSRF and the exact Origin too.",
                },
            },
        },
        "security": [{"token": []}, {"cookie": []}],
    }


def _operation(call: Call) -> dict[str, Any]:
    named = [part[1:-1] for part in call.path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in named
    ]
    parameters += [
        {"name": q.name, "in": "query", "description": q.says, "schema": {"type": q.kind}} for q in call.query
    ]
    if call.binary == "in":
        parameters.append(
            {"name": "Upload-Offset", "in": "header", "required": True, "schema": {"type": "integer"}}
        )
    operation: dict[str, Any] = {"summary": call.says, "operationId": _operation_id(call), "responses": {}}
    if parameters:
        operation["parameters"] = parameters
    if call.body is not None:
        content: dict[str, Any] = {"application/json": {"schema": _ref(call.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    elif call.binary == "in":
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    good: dict[str, Any] = {"description": call.says}
    if call.binary == "out":
        good["content"] = {"application/octet-stream": {}}
    elif call.returns is not None:
        good["content"] = {"application/json": {"schema": _ref(call.returns)}}
    operation["responses"][str(call.status)] = good
    for status in sorted({400, 401, *call.errors}):
        operation["responses"][str(status)] = {
            "description": "Problem details (RFC 9457)",
            "content": {"application/problem+json": {"schema": _ref(Problem)}},
        }
    return operation


def _operation_id(call: Call) -> str:
    words = [part.strip("{}") for part in call.path.split("/") if part]
    return "_".join([call.method.lower(), *words]).replace(".", "_")


def _ref(struct: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}
