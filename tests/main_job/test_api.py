"""The main job over the API, by a program that repeats itself and makes mistakes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.main_job.machine import Machine


def test_a_deploy_answer_by_answer(running: Machine) -> None:
    opened = running.api("POST", "/sessions", {"id": "mine", "flow": "deploy", "answers": {}})
    again = running.api("POST", "/sessions", {"id": "mine", "flow": "deploy", "answers": {}})
    assert (opened[0], again[0]) == (201, 201)
    session = opened[1]["id"]
    assert again[1]["id"] == session

    asked = running.until_asked(session, "what")
    seq = asked["prompt"]["seq"]
    status, problem = running.answer(session, seq, "nonsense")
    assert (status, bool(problem["errors"][0]["says"])) == (422, True)
    first = running.answer(session, seq, "demo", id="a1")
    assert first[0] == 200
    assert running.answer(session, seq, "demo", id="a1") == first
    status, problem = running.answer(session, seq, "upload", id="a2")
    assert (status, problem["code"]) == (409, "already_answered")

    for name, value in (("name", "hello"), ("port", 20_080), ("sure", True)):
        asked = running.until_asked(session, name)
        assert running.answer(session, asked["prompt"]["seq"], value)[0] == 200
    ended = running.until_asked(session)
    assert ended["outcome"] == "done", running.all_logs()
    assert ended["result"]["open"] == "http://localhost:20080/"
    assert running.engine.get(20_080)[0] == 200

    status, page = running.api("GET", "/deployments")
    assert (status, [item["name"] for item in page["items"]]) == (200, ["hello"])
    status, page = running.api("GET", "/audit")
    assert status == 200
    assert {"session.opened", "order.sent", "order.finished", "session.ended"} <= {
        item["what"] for item in page["items"]
    }
    assert running.cli("audit", "verify").returncode == 0


def test_a_hundred_yeses_at_once_deploy_once(running: Machine) -> None:
    session = running.begin("deploy", what="demo", name="hello", port=20_080)
    seq = running.until_asked(session, "sure")["prompt"]["seq"]
    with ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(lambda n: running.answer(session, seq, True, id=f"y{n}")[0], range(100)))
    assert sorted(set(codes)) == [200, 409]
    assert codes.count(200) == 1
    assert running.until_asked(session)["outcome"] == "done"
    assert len(running.containers()) == 1


def test_without_a_token_nothing_is_said(running: Machine) -> None:
    assert running.api("GET", "/sessions/s-0123456789abcdef")[0] == 404
    running.forget_token("hct_wrong")
    assert running.api("GET", "/sessions")[0] == 401
