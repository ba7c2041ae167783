"""What only the owner's command line may ask of a running bot, on DIR/run/bot.sock beside the API.

The file's mode (0600) says who speaks. Nothing here is reachable from the page's port.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from agent.orders import GetFacts, NodeFacts
from bot.channels.schemas import encoded
from bot.channels.web_guard import body_of
from bot.engine import diagram
from bot.engine.refusals import Gone, Spoken
from bot.fleet.refusals import NoSuchNode
from bot.people.rights import Role
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.app import Bot

Name = Annotated[str, Meta(min_length=1, max_length=80)]


class NewPerson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to add."""

    name: Name
    role: Role


class NewRole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another role."""

    role: Role


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make; `label` says what for."""

    label: Annotated[str, Meta(max_length=80)] = ""


def add_owner_calls(app: web.Application, bot: Bot) -> None:
    """Add the owner's calls to the application of the owner's socket."""

    async def status(_: web.Request) -> web.Response:
        checks = [
            {"name": c.name, "ok": c.ok, "says": c.says, "do": bot.what_to_do(c.name)}
            for c in await bot.ready()
        ]
        return _json(
            {
                "version": bot.version,
                "pid": os.getpid(),
                "url": bot.url,
                "installation": bot.installation.id,
                "warnings": list(bot.warnings),
                "checks": checks,
            }
        )

    async def list_people(_: web.Request) -> web.Response:
        return _json({"items": await bot.people.people()})

    async def add_person(request: web.Request) -> web.Response:
        wanted = await body_of(request, NewPerson)
        return _json(await bot.people.add(wanted.name, wanted.role), 201)

    async def set_role(request: web.Request) -> web.Response:
        wanted = await body_of(request, NewRole)
        person = await bot.people.named(request.match_info["name"])
        return _json(await bot.people.set_role(person.id, wanted.role))

    async def make_link(request: web.Request) -> web.Response:
        person = await bot.people.named(request.match_info["name"])
        secret = await bot.people.make_link(person.id)
        return _json({"person": person.name, "url": f"{bot.url}in/{secret}"}, 201)

    async def make_token(request: web.Request) -> web.Response:
        wanted = await body_of(request, NewToken)
        person = await bot.people.named(request.match_info["name"])
        made = await bot.people.make_token(person.id, name=wanted.label)
        return _json({"person": person.name, "id": made.token.id, "token": made.secret}, 201)

    async def list_tokens(request: web.Request) -> web.Response:
        person = await bot.people.named(request.match_info["name"])
        return _json({"items": await bot.people.tokens(person.id)})

    async def revoke_token(request: web.Request) -> web.Response:
        await bot.people.revoke_token(request.match_info["token"])
        return _json({})

    async def sign_out(request: web.Request) -> web.Response:
        person = await bot.people.named(request.match_info["name"])
        await bot.people.sign_out_everywhere(person.id)
        return _json({})

    async def remove_person(request: web.Request) -> web.Response:
        person = await bot.people.named(request.match_info["name"])
        await bot.people.remove(person.id)
        return _json({})

    async def list_nodes(_: web.Request) -> web.Response:
        return _json({"items": await bot.fleet.nodes()})

    async def show_node(request: web.Request) -> web.Response:
        wanted = request.match_info["node"]
        for node in await bot.fleet.nodes():
            if wanted in (node.id, node.name):
                return _json({**msgspec.to_builtins(node), "facts": await _facts(bot, node.id)})
        raise NoSuchNode(node=wanted)

    async def list_flows(_: web.Request) -> web.Response:
        flows = [
            {
                "name": ready.flow.name,
                "title": ready.flow.title,
                "risk": ready.flow.risk,
                "source": ready.flow.source,
                "version": ready.version,
                "gone_back": any(p.how == "back" for p in bot.book.histories.of(ready.flow.name)[-1:]),
                "touched": bot.runtime.touched(ready.flow.name),
            }
            for ready in bot.book.flows()
        ]
        faults = [msgspec.to_builtins(trouble) for trouble in bot.book.troubles()]
        return _json({"items": flows, "faults": faults})

    async def show_flow(request: web.Request) -> web.Response:
        flow = bot.book.current(request.match_info["name"]).flow
        return _json({"name": flow.name, "mermaid": diagram.mermaid(flow)})

    for method, path, handler in (
        ("GET", "/owner/status", status),
        ("GET", "/owner/people", list_people),
        ("POST", "/owner/people", add_person),
        ("POST", "/owner/people/{name}/role", set_role),
        ("POST", "/owner/people/{name}/link", make_link),
        ("POST", "/owner/people/{name}/token", make_token),
        ("GET", "/owner/people/{name}/tokens", list_tokens),
        ("DELETE", "/owner/tokens/{token}", revoke_token),
        ("POST", "/owner/people/{name}/sign-out", sign_out),
        ("DELETE", "/owner/people/{name}", remove_person),
        ("GET", "/owner/nodes", list_nodes),
        ("GET", "/owner/nodes/{node}", show_node),
        ("GET", "/owner/flows", list_flows),
        ("GET", "/owner/flows/{name}", show_flow),
    ):
        app.router.add_route(method, path, _spoken(handler))


async def listen(runner: web.AppRunner, settings: Settings) -> None:
    """Open the socket, closed to everybody else from its first moment on."""
    path = settings.owner_socket
    _clear(path)
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(before)


def _clear(path: Path) -> None:
    """Remove what a killed bot left; the data directory's lock says that none runs."""
    if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
        path.unlink()


def _spoken(
    handler: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Errors of the store speak, but are of no family that the guards know."""

    async def guarded(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except Spoken:
            raise
        except Exception as e:
            says = getattr(e, "sentence", None)
            if not isinstance(says, str):
                raise
            raise _StoreSays(what=says, way=getattr(e, "next_step", "")) from e

    return guarded


class _StoreSays(Gone):
    code = "store"
    says, do = "{what}", "{way}"


async def _facts(bot: Bot, node: str) -> dict[str, Any] | None:
    try:
        said = await bot.fleet.lookup(node, GetFacts(want=("engine", "disk", "deployments")))
    except Spoken:
        return None  # not connected, or silent: the list says so already
    facts: dict[str, Any] = msgspec.to_builtins(msgspec.convert(said.facts, NodeFacts))
    return facts


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=encoded(value), status=status, content_type="application/json")
