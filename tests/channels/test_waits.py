"""Events from outside and approvals over the API, on a real server."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession

from tests.channels.house import House
from tests.channels.test_api import opened, post
from tests.runtime.lab import until


async def asked(client: ClientSession) -> list[dict[str, Any]]:
    async with client.get("/api/v1/approvals") as answer:
        assert answer.status == 200, await answer.text()
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return items


async def test_an_event_from_outside_ends_the_wait_once(api: ClientSession) -> None:
    session = await opened(api, flow="outside")
    assert session["waiting"]["kind"] == "event"
    event = {"id": "b-1", "name": "build.done", "data": {"ok": True}}
    status, first = await post(api, session, "events", **event)
    assert (status, first["status"], first["outcome"]) == (200, "ended", "done")
    assert await post(api, session, "events", **event) == (200, first)
    status, problem = await post(api, session, "events", **event | {"data": {"ok": False}})
    assert (status, problem["code"]) == (409, "id_reused")
    status, problem = await post(api, session, "events", **event | {"id": "b-2"})
    assert (status, problem["code"]) == (409, "not_now")


async def test_what_does_not_fit_is_refused_with_the_field(api: ClientSession, house: House) -> None:
    session = await opened(api, flow="outside")
    for body, status, code in (
        ({"name": "other"}, 422, "no_such_event"),
        ({"name": "build.done", "data": {"ok": 1}}, 422, "invalid_answer"),
        ({"name": "build.done", "data": {"ok": True, "x": 1}}, 422, "invalid_answer"),
        ({"name": "a b"}, 422, "wrong_fields"),
        ({"name": "build.done", "more": 1}, 422, "wrong_fields"),
        ({"name": "build.done", "data": "x" * 20_000}, 422, "invalid_answer"),
    ):
        got, problem = await post(api, session, "events", id="e", **body)
        assert (got, problem["code"]) == (status, code), body
    await house.people.add("Ben", "operator")
    async with house.client(await house.token("Ben")) as ben:
        status, problem = await post(ben, session, "events", id="e", name="build.done", data={"ok": True})
        assert (status, problem["code"]) == (404, "no_such_session")
    async with house.client() as nobody:
        status, problem = await post(nobody, session, "events", id="e", name="build.done")
        assert (status, problem["code"]) == (401, "not_signed_in")


async def test_those_who_are_asked_find_it_in_their_list_and_decide(api: ClientSession, house: House) -> None:
    await house.people.add("Ben", "operator")
    await house.people.add("Olga", "viewer")
    await house.people.add("Vic", "viewer")
    session = await opened(api, flow="approved", answers={"what": "v2"})
    assert session["waiting"]["kind"] == "approval"
    async with (
        house.client(await house.token("Ben")) as ben,
        house.client(await house.token("Olga")) as olga,
        house.client(await house.token("Vic")) as vic,
    ):

        async def is_listed() -> bool:
            return bool(await asked(ben))

        await until(is_listed)
        one = (await asked(ben))[0]
        assert (one["session"], one["need"], one["agreed"]) == (session["id"], 2, [])
        assert one["rows"] == [{"label": "What?", "value": "v2"}]
        assert await asked(vic) == [] and await asked(api) == []
        assert (await post(vic, session, "approvals", id="v", yes=True))[0] == 404
        status, problem = await post(api, session, "approvals", id="v", yes=True)
        assert (status, problem["code"]) == (403, "not_asked"), "nobody approves what they ask for"
        assert await post(ben, session, "approvals", id="v", yes=True) == (
            200,
            {"session": session["id"], "outcome": "waiting"},
        )
        assert (await asked(olga))[0]["agreed"] == ["Ben"]
        status, problem = await post(olga, session, "approvals", id="v", yes=False)
        assert (status, problem["errors"][0]["field"]) == (422, "reason")
        status, given = await post(olga, session, "approvals", id="w", yes=False, reason="Not on Friday.")
        assert (status, given["outcome"]) == (200, "refused")
        assert await asked(olga) == []
        async with olga.get(f"/api/v1/sessions/{session['id']}") as answer:
            assert answer.status == 404, "whoever approves sees the question, and not the conversation"
    async with api.get(f"/api/v1/sessions/{session['id']}/entries") as answer:
        said = (await answer.json())["items"][-1]["text"]
    assert "Not on Friday." in str(said)


async def test_the_zone_of_a_wait_is_that_of_who_opened_it(api: ClientSession) -> None:
    session = await opened(api, flow="at-night", zone="Asia/Tokyo")
    assert "03:00 Asia/Tokyo" in str(session["prompt"]["label"])
    async with api.post("/api/v1/sessions", json={"id": "z", "flow": "greet", "zone": "Mars"}) as answer:
        problem = await answer.json()
    assert (answer.status, problem["errors"][0]["field"]) == (422, "zone")
