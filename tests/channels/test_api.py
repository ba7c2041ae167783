"""What the API promises, on a real server with the real runtime and store behind it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import ClientSession

from bot.engine.session import Session
from tests.channels.house import House

GREET = {"id": "one", "flow": "greet"}


async def opened(api: ClientSession, **body: Any) -> dict[str, Any]:
    """A new session."""
    async with api.post("/api/v1/sessions", json=GREET | body) as answer:
        assert answer.status == 201, await answer.text()
        session: dict[str, Any] = await answer.json()
        return session


async def post(api: ClientSession, session: dict[str, Any], move: str, **body: Any) -> tuple[int, Any]:
    async with api.post(f"/api/v1/sessions/{session['id']}/{move}", json=body) as answer:
        return answer.status, await answer.json()


async def test_session_is_opened_answered_and_read_to_its_end(api: ClientSession) -> None:
    session = await opened(api)
    assert session["prompt"]["kind"] == "text"
    assert session["prompt"]["schema"]["type"] == "string"
    status, session = await post(api, session, "answers", seq=1, id="a", value="Ada")
    assert (status, session["prompt"]["name"]) == (200, "often")
    status, session = await post(api, session, "answers", seq=2, id="b", value=3)
    assert (status, session["status"], session["outcome"]) == (200, "ended", "done")
    async with api.get(f"/api/v1/sessions/{session['id']}/entries?after=0") as answer:
        entries = (await answer.json())["items"]
    assert [e["n"] for e in entries] == list(range(1, len(entries) + 1))
    assert [e["kind"] for e in entries][-1] == "ended"


async def test_retried_start_meets_the_same_session_and_another_body_is_refused(api: ClientSession) -> None:
    first, again = await opened(api), await opened(api)
    assert first == again
    async with api.post("/api/v1/sessions", json=GREET | {"answers": {"who": "Bob"}}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (409, "id_reused")


async def test_session_opened_with_answers_asks_only_the_rest(api: ClientSession) -> None:
    session = await opened(api, answers={"who": "Ada"})
    assert session["prompt"]["name"] == "often"


async def test_wrong_value_is_422_with_a_sentence_per_field(api: ClientSession) -> None:
    session = await opened(api, answers={"who": "Ada"})
    status, problem = await post(api, session, "answers", seq=session["seq"], id="x", value=12)
    assert (status, problem["code"]) == (422, "invalid_answer")
    assert problem["errors"][0]["says"].endswith(".")
    assert problem["do"]


async def test_answered_question_is_409_with_the_open_one(api: ClientSession) -> None:
    session = await opened(api)
    await post(api, session, "answers", seq=1, id="a", value="Ada")
    status, problem = await post(api, session, "answers", seq=1, id="b", value="Bob")
    assert (status, problem["code"]) == (409, "already_answered")
    assert problem["prompt"]["name"] == "often"


async def test_same_answer_id_gives_the_first_result_again(api: ClientSession) -> None:
    session = await opened(api)
    first = await post(api, session, "answers", seq=1, id="a", value="Ada")
    await post(api, session, "answers", seq=2, id="b", value=2)
    assert await post(api, session, "answers", seq=1, id="a", value="Ada") == first
    status, problem = await post(api, session, "answers", seq=1, id="a", value="Bob")
    assert (status, problem["code"]) == (409, "id_reused")


async def test_retried_back_happens_once(api: ClientSession) -> None:
    session = await opened(api)
    await post(api, session, "answers", seq=1, id="a", value="Ada")
    first = await post(api, session, "back", seq=2, id="back")
    assert first[0] == 200
    assert first[1]["prompt"]["name"] == "who"
    assert first[1]["prompt"]["kept"] == "Ada"
    assert await post(api, session, "back", seq=2, id="back") == first


async def test_of_100_answers_at_once_one_wins(api: ClientSession) -> None:
    session = await opened(api)
    answers = [post(api, session, "answers", seq=1, id=f"a{n}", value=f"n{n}") for n in range(100)]
    statuses = sorted(status for status, _ in await asyncio.gather(*answers))
    assert statuses == [200] + [409] * 99


async def test_cancel_ends_the_session(api: ClientSession) -> None:
    session = await opened(api)
    status, ended = await post(api, session, "cancel", seq=1, id="c")
    assert (status, ended["status"], ended["outcome"]) == (200, "ended", "cancelled")


async def test_changing_an_answer_leads_back_to_the_summary(api: ClientSession) -> None:
    session = await opened(api, flow="fetch", answers={"ref": "nginx"})
    assert session["prompt"]["kind"] == "confirm"
    _, asked = await post(api, session, "change", seq=session["seq"], id="c", to="ref")
    assert asked["prompt"]["name"] == "ref"
    _, again = await post(api, session, "answers", seq=asked["seq"], id="d", value="caddy")
    assert again["prompt"]["rows"][0]["value"] == "caddy"


async def test_undo_takes_back_what_was_done(house: House, api: ClientSession) -> None:
    session = await opened(api, flow="fetch", answers={"ref": "nginx"})
    await post(api, session, "answers", seq=session["seq"], id="y", value=True)
    session = await asking(house, api, session)
    assert session["prompt"]["can_undo"]
    assert session["undoes"] == ["Taking back: Getting nginx"]
    status, _ = await post(api, session, "undo", seq=session["seq"], id="u")
    assert status == 200
    await asking(house, api, session)
    assert "image.remove" in [known.effect.order["verb"] for known in house.world.orders.values()]


async def asking(house: House, api: ClientSession, session: dict[str, Any], kind: str = "") -> dict[str, Any]:
    """The session once it asks (something of a kind)."""
    async with asyncio.timeout(60), house.runtime.watch(session["id"]) as updates:
        async for update in updates:
            shown = update.body.shown if isinstance(update.body, Session) else None
            if shown is not None and kind in ("", shown.kind):
                break
    return await get(api, session)


async def get(api: ClientSession, session: dict[str, Any]) -> dict[str, Any]:
    async with api.get(f"/api/v1/sessions/{session['id']}") as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


async def test_entries_are_waited_for(api: ClientSession) -> None:
    session = await opened(api)
    path = f"/api/v1/sessions/{session['id']}/entries?after={session['entries']}&wait=10"
    waiting = asyncio.create_task(_items(api, path))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await post(api, session, "answers", seq=1, id="a", value="Ada")
    async with asyncio.timeout(60):
        entries = await waiting
    assert entries[0]["kind"] == "answered"


async def _items(api: ClientSession, path: str) -> list[dict[str, Any]]:
    async with api.get(path) as answer:
        assert answer.status == 200, await answer.text()
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return items


async def test_sessions_are_listed_newest_first_and_by_state(api: ClientSession) -> None:
    first, second = await opened(api, id="1"), await opened(api, id="2")
    await post(api, first, "cancel", seq=1, id="c")
    assert {s["id"] for s in await _items(api, "/api/v1/sessions?mine=1")} == {first["id"], second["id"]}
    assert [s["id"] for s in await _items(api, "/api/v1/sessions?state=open")] == [second["id"]]
    async with api.get("/api/v1/sessions?state=odd") as answer:
        assert answer.status == 422


async def test_without_a_token_401_and_an_unknown_one_too(house: House) -> None:
    for token in ("", "hct_wrong"):
        async with house.client(token) as nobody, nobody.get("/api/v1/flows") as answer:
            assert answer.status == 401
            assert answer.headers["Content-Type"].startswith("application/problem+json")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_another_persons_session_is_not_found(house: House, api: ClientSession) -> None:
    session = await opened(api)
    await house.people.add("bob", "operator")
    async with house.client(await house.token("bob")) as bob:
        for path in ("", "/entries"):
            async with bob.get(f"/api/v1/sessions/{session['id']}{path}") as answer:
                assert answer.status == 404
        assert (await post(bob, session, "answers", seq=1, id="a", value="x"))[0] == 404


async def test_viewer_opens_what_reads_and_nothing_else(house: House) -> None:
    await house.people.add("vera", "viewer")
    async with house.client(await house.token("vera")) as vera:
        assert (await opened(vera))["status"] == "open"
        async with vera.post("/api/v1/sessions", json={"id": "x", "flow": "fetch"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "not_allowed")
        for path in ("/orders", "/audit"):
            async with vera.get(f"/api/v1{path}") as answer:
                assert answer.status == 403


@pytest.mark.parametrize(
    "session_id", ["s-0000000000000000", "s-x", "..%2F..%2Fetc", "%00", "s-" + "0" * 300]
)
async def test_unknown_session_is_404(api: ClientSession, session_id: str) -> None:
    async with api.get(f"/api/v1/sessions/{session_id}") as answer:
        assert answer.status == 404
    async with api.post(
        f"/api/v1/sessions/{session_id}/answers", json={"seq": 1, "id": "a", "value": 1}
    ) as a:
        assert a.status == 404


BROKEN = {
    "broken json": b'{"id": "a", "flow"',
    "nul byte": b'{"id": "a\x00", "flow": "greet"}',
    "nul escaped": b'{"id": "a", "flow": "greet", "typed": "\\u0000"}',
    "nul in answers": b'{"id": "a", "flow": "greet", "answers": {"who": "\\u0000"}}',
    "100,000 brackets": b"[" * 100_000,
    "100,000 brackets inside": b'{"id":"a","flow":"greet","answers":{"who":' + b"[" * 100_000 + b"}}",
    "closed brackets": b'{"id":"a","flow":"greet","answers":{"who":' + b"[" * 500 + b"]" * 500 + b"}}",
    "not utf-8": b'{"id": "\xff", "flow": "greet"}',
    "lone surrogate": b'{"id": "a", "flow": "greet", "typed": "\\ud800"}',
    "not a number": b'{"id": "a", "flow": "greet", "answers": {"often": NaN}}',
    "too large a number": b'{"id": "a", "flow": "greet", "answers": {"often": 1e999}}',
    "5,000 digits": b'{"id": "a", "flow": "greet", "answers": {"often": ' + b"9" * 5000 + b"}}",
    "an array": b"[1, 2]",
    "nothing": b"",
    "wrong type": b'{"id": 1, "flow": "greet"}',
    "unknown field": b'{"id": "a", "flow": "greet", "admin": true}',
    "missing field": b'{"flow": "greet"}',
    "id with a line": b'{"id": "a\\nb", "flow": "greet"}',
    "10 MB": b'{"id": "a", "flow": "greet", "typed": "' + b"x" * 10_000_000 + b'"}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_broken_body_is_a_4xx_without_a_trace_and_the_next_request_is_served(
    api: ClientSession, body: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    headers = {"Content-Type": "application/json"}
    try:
        async with api.post("/api/v1/sessions", data=body, headers=headers) as answer:
            assert 400 <= answer.status < 500
            problem = await answer.json()
            assert problem["detail"]
            assert problem["status"] == answer.status
    except ConnectionError:  # refused while the large body was still being sent
        assert len(body) > 1024 * 1024
    async with api.get("/api/v1/flows") as answer:
        assert answer.status == 200
    told = caplog.text + "".join(capfd.readouterr())
    assert "Traceback" not in told
    assert "http.failed" not in told


async def test_large_body_without_a_length_is_refused_too(api: ClientSession) -> None:
    async def endless() -> Any:
        for _ in range(40):
            yield b"x" * 65_536

    headers = {"Content-Type": "application/json"}
    async with api.post("/api/v1/sessions", data=endless(), headers=headers) as answer:
        assert answer.status == 413


async def test_what_is_no_http_leaves_no_trace(house: House, caplog: pytest.LogCaptureFixture) -> None:
    for raw in (
        b"\x16\x03\x01\x02\x00",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(raw)
        await writer.drain()
        writer.write_eof()
        assert b" 500 " not in await reader.read()
        writer.close()
    assert not [record for record in caplog.records if record.exc_info and record.levelno > logging.INFO]


async def test_unknown_path_and_method_are_problems(api: ClientSession) -> None:
    async with api.get("/api/v1/nothing") as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found")
    async with api.delete("/api/v1/flows") as answer:
        assert (answer.status, (await answer.json())["code"]) == (405, "method_not_allowed")
    async with api.post("/api/v1/sessions", data=b"id=1") as answer:
        assert (answer.status, (await answer.json())["code"]) == (415, "wrong_type")
    async with api.get("/api/v1/sessions?limit=many") as answer:
        assert (answer.status, (await answer.json())["errors"][0]["field"]) == (422, "limit")


async def test_flows_are_listed_with_the_schemas_of_their_questions(api: ClientSession) -> None:
    flows = {flow["name"]: flow for flow in await _items(api, "/api/v1/flows")}
    prompts = {p["name"]: p for p in flows["every-kind"]["prompts"]}
    kinds = {"text", "number", "yes-no", "pick", "secret", "key-values", "upload", "confirm"}
    assert {p["kind"] for p in prompts.values()} == kinds
    assert prompts["source"]["schema"]["enum"] == ["demo", "registry", "archive"]
    assert prompts["container"]["schema"] == {"type": "string"}
    assert len(flows["every-kind"]["version"]) == 64


async def test_what_was_typed_finds_its_flow(api: ClientSession) -> None:
    for path in ("/api/v1/match", "/api/v1/flows/match"):
        async with api.post(path, json={"text": "greet Ada"}) as answer:
            first = (await answer.json())["items"][0]
        assert (first["flow"], first["answers"]) == ("greet", {"who": "Ada"})


async def test_secret_is_sealed_and_never_comes_back(house: House, api: ClientSession) -> None:
    known = {"called": "web", "notes": "", "port": 8080, "memory": 64, "lan": False, "source": "demo"}
    session = await opened(api, flow="every-kind", answers=known | {"container": "c1"})
    session = await asking(house, api, session, "secret")  # the given container fits once the lookup came
    _, session = await post(api, session, "answers", seq=session["seq"], id="s", value="correct horse")
    pairs = [{"name": "A", "value": "1"}, {"name": "TOKEN", "value": "battery staple", "secret": True}]
    _, session = await post(api, session, "answers", seq=session["seq"], id="k", value=pairs)
    _, session = await post(api, session, "back", seq=session["seq"], id="b")
    assert session["prompt"]["kept"][1] == {"name": "TOKEN", "secret": True, "kept": True}
    async with api.get(f"/api/v1/sessions/{session['id']}/entries") as answer:
        text = str(session) + await answer.text()
    assert "correct horse" not in text
    assert "battery staple" not in text
    assert "for_node" not in text
    assert house.world.secrets == ["correct horse", "battery staple"]


async def test_bidi_and_control_characters_do_not_leave(api: ClientSession) -> None:
    session = await opened(api, answers={"who": "evil\u202egnp.exe\u2066\u200f"})
    _, session = await post(api, session, "answers", seq=session["seq"], id="b", value=2)
    async with api.get(f"/api/v1/sessions/{session['id']}/entries") as answer:
        text = await answer.text()
    assert "evilgnp.exe" in text
    assert not {"\u202e", "\u2066", "\u200f"} & set(text)


async def test_templates_in_answers_stay_text(api: ClientSession) -> None:
    session = await opened(api, answers={"who": "{{7*7}} {{ session }} {% raw %}"})
    await post(api, session, "answers", seq=session["seq"], id="b", value=2)
    async with api.get(f"/api/v1/sessions/{session['id']}/entries") as answer:
        text = await answer.text()
    assert "{{7*7}} {{ session }} {% raw %}" in text


async def test_lists_are_paged_things(api: ClientSession) -> None:
    for path in ("nodes", "deployments", "orders", "audit"):
        async with api.get(f"/api/v1/{path}?limit=10") as answer:
            body = await answer.json()
        assert answer.status == 200
        assert set(body) == {"items", "next"}
        assert "for_node" not in str(body)


async def test_health_readiness_and_metrics(house: House, api: ClientSession) -> None:
    await opened(api)
    async with house.client() as nobody:
        async with nobody.get("/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        async with nobody.get("/readyz") as answer:
            assert (answer.status, await answer.json()) == (200, {"ready": True, "checks": []})
        async with nobody.get("/metrics") as answer:
            text = await answer.text()
    assert (
        'hercules_http_request_seconds_count{method="POST",route="/api/v1/sessions",status="2xx"} 1.0' in text
    )
    assert "hct_" not in text
