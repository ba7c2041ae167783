"""Who may see the list of chatflows, and what editors take from the bot."""

from __future__ import annotations

import json

import jsonschema

from tests.channels.house import House


async def test_who_may_not_see_files_sees_no_list(house: House) -> None:
    await house.people.add("vera", role="viewer")
    async with house.client(await house.token("vera")) as http, http.get("/flows") as answer:
        assert answer.status == 403
    async with house.client() as http, http.get("/schemas/chatflow.json") as answer:
        assert answer.status == 200
        jsonschema.Draft202012Validator.check_schema(json.loads(await answer.text()))
