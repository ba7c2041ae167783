"""What publishing a version would do, over the API: open conversations, and those of the last weeks."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession

from bot.engine import Ask, Chatflow, End, Number, Text, compile
from tests.channels.flows import Greet
from tests.channels.house import House
from tests.channels.test_api import opened, post


class Asking(Chatflow):
    """Asks one thing more."""

    title = "Greet"
    name = "greet"
    migrates = {"from": "*"}  # noqa: RUF012
    who = Ask(Text("Who are you?"))
    age = Ask(Number("How old?"))
    often = Ask(Number("How often?", minimum=1, maximum=9))
    done = End("Greeted {{ often }} times at {{ age }}.")


async def preview(api: ClientSession, cls: type[Chatflow], status: int = 200) -> Any:
    compiled = compile.encode(compile.compile_class(cls)).decode()
    async with api.post("/api/v1/flows/preview", json={"compiled": [compiled]}) as answer:
        assert answer.status == status, await answer.text()
        body = await answer.json()
        return body["items"][0] if status == 200 else body


async def test_a_preview_tells_what_becomes_of_open_and_recorded_conversations(api: ClientSession) -> None:
    first = await opened(api, id="first")
    second = await opened(api, id="second", answers={"who": "Ada"})
    ended = await opened(api, id="ended", answers={"who": "Ada"})
    assert (await post(api, ended, "answers", seq=ended["seq"], id="x", value=3))[1]["status"] == "ended"
    seen = await preview(api, Asking)
    assert (seen["flow"], seen["now"], seen["counts"]) == (
        "greet",
        first["flow_version"],
        {"moves": 1, "stays": 1},
    )
    becomes = {one["session"]: (one["becomes"], one["why"]) for one in seen["sessions"]}
    assert becomes[first["id"]] == ("moves", "")
    assert becomes[second["id"]][0] == "stays" and "'age'" in becomes[second["id"]][1]
    assert (seen["replayed"], seen["same"]) == (1, 0)
    assert seen["changed"][0]["session"] == ended["id"]
    assert seen["changed"][0]["differences"] == ["now asks “How old?”"]
    async with api.get(f"/api/v1/sessions/{first['id']}") as answer:
        assert (await answer.json())["flow_version"] == first["flow_version"], "nothing was published"


async def test_a_preview_of_the_same_changes_nothing(api: ClientSession) -> None:
    await opened(api)
    seen = await preview(api, Greet)
    assert seen["counts"] == {"finishes": 1} or seen["counts"] == {"same": 1}
    assert seen["changed"] == []


async def test_history_and_back_are_the_owners(api: ClientSession, house: House) -> None:
    async with api.get("/api/v1/flows/greet/history") as answer:
        items = (await answer.json())["items"]
    assert [one["how"] for one in items] == ["file"]
    async with api.post("/api/v1/flows/greet/back", json={"version": items[0]["version"][:12]}) as answer:
        assert (await answer.json())["items"][0]["version"] == items[0]["version"]
    async with api.post("/api/v1/flows/greet/back", json={"version": "ffff"}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "no_such_version")
    async with api.get("/api/v1/flows/nothing/history") as answer:
        assert answer.status == 404
    await house.people.add("Ben", "operator")
    async with house.client(await house.token("Ben")) as ben:
        await preview(ben, Asking, status=403)
    async with api.post("/api/v1/flows/preview", json={"compiled": ["{}"]}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (422, "flow_refused")
