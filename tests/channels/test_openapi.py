"""openapi.json and the routes are one table; every error has a page in words."""

from __future__ import annotations

import inspect
import re
from typing import Any

import jsonschema
from aiohttp import ClientSession

from bot.channels import problems, schemas
from bot.channels.api import CALLS
from bot.channels.api_routes import openapi
from bot.channels.problems import problem_of
from bot.engine import refusals
from bot.engine.refusals import Spoken
from bot.engine.session import Session
from tests.channels.house import House


async def test_description_names_exactly_the_routes_that_are_served(house: House, api: ClientSession) -> None:
    async with api.get("/api/v1/openapi.json") as answer:
        described = await answer.json()
    paths = {(path, method.upper()) for path, ways in described["paths"].items() for method in ways}
    served = {
        (route.resource.canonical, route.method)
        for route in house.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/")
    }
    assert served - paths == {("/api/v1/openapi.json", "GET")}
    assert paths - served == set()


async def test_description_is_proper_and_refers_only_to_what_it_holds(api: ClientSession) -> None:
    async with api.get("/api/v1/openapi.json") as answer:
        text = await answer.text()
        described = await answer.json()
    assert described["openapi"] == "3.1.0"
    names = set(described["components"]["schemas"])
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= names
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    operations = [way["operationId"] for ways in described["paths"].values() for way in ways.values()]
    assert len(operations) == len(set(operations))


def test_every_body_that_is_returned_holds_what_its_description_says() -> None:
    described = openapi(CALLS, version="0")
    for call in CALLS:
        if call.returns is None:
            continue
        schema = described["components"]["schemas"][call.returns.__name__]
        assert set(schema["properties"]) == set(call.returns.__struct_fields__)


def test_session_body_tells_nothing_that_only_the_engine_needs() -> None:
    kept_back = set(Session.__struct_fields__) - set(schemas.SessionBody.__struct_fields__)
    assert {"stack", "trail", "undos", "kept", "prefill", "person", "lookup"} <= kept_back


def spoken() -> list[type[Spoken]]:
    modules: tuple[Any, ...] = (problems, refusals)
    found = [c for m in modules for _, c in inspect.getmembers(m, inspect.isclass) if issubclass(c, Spoken)]
    return sorted(set(found), key=lambda c: (c.http, c.code))


def test_every_error_says_what_happened_and_what_to_do(capsys: Any) -> None:
    for kind in spoken():
        if kind in (Spoken, refusals.Refused, refusals.Gone):
            continue
        make: Any = kind
        takes_errors = "errors" in inspect.signature(kind).parameters
        problem = problem_of(make([{"field": "f", "says": "S."}]) if takes_errors else make())
        print(problem.status, problem.code, "|", problem.detail, "|", problem.do)
        assert problem.detail.endswith((".", "?"))
        assert problem.do
        assert 400 <= problem.status < 600
    assert capsys.readouterr().out
