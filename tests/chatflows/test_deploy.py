"""Deploy a container: how few answers it takes, what it orders, and the ways on when something is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from bot.engine.ids import derived
from bot.engine.refusals import InvalidAnswer
from bot.engine.text import plain
from tests.chatflows.play import Play

DEPLOYMENT = derived("d", "s-0000000000000000")
DEMO = {
    "reference": "hercules/welcome:2.11.7-1",
    "blob": "a" * 64,
    "blob_bytes": 52_000_000,
    "port": 8080,
}
FACTS: dict[str, Any] = {
    "demos": {"options": [{"value": "welcome", "label": "Welcome demo", "data": DEMO}]},
    "free_port": {"value": 20_001},
}
IMAGE: dict[str, Any] = {
    "engine_id": "sha256:" + "e" * 64,
    "reference": DEMO["reference"],
    "digest": "",
    "has_health_check": True,
    "pin": {"reference": DEMO["reference"], "blob": DEMO["blob"], "blob_bytes": DEMO["blob_bytes"]},
    "suggested_profile": "strict",
    "suggested_port": 8080,
}
PULLED: dict[str, Any] = {
    **IMAGE,
    "reference": "nginx:1.27",
    "digest": "sha256:" + "d" * 64,
    "pin": {
        "reference": "nginx:1.27",
        "repository": "docker.io/library/nginx",
        "digest": "sha256:" + "d" * 64,
    },
    "suggested_profile": "standard",
    "suggested_port": 80,
}
HERE: dict[str, Any] = {
    "deployments": [],
    "used_ports": [22, 20_000],
    "profiles": ["strict", "standard", "legacy"],
    "exposures": ["local"],
}
RUNNING = {
    "deployment": "d-aaaaaaaaaaaaaaaa",
    "name": "welcome",
    "image": DEMO["reference"],
    "state": "running",
    "ports": [{"container_port": 8080, "protocol": "tcp", "node_port": 20_005}],
}


def demo(here: dict[str, Any] = HERE, image: dict[str, Any] = IMAGE, **answers: Any) -> Play:
    """As far as the name."""
    play = Play("deploy", FACTS, **answers)
    if not answers.get("what"):
        play.answer("demo")
    return play.done("image.import", **image).done("node.facts", **here)


def test_the_demo_takes_four_answers_and_orders_exactly_what_was_shown() -> None:
    play = demo()
    assert (play.asked, play.shown.default) == ("name", "welcome")
    play.answer("welcome")
    assert (play.asked, play.shown.default) == ("port", 20_001)
    play.answer(20_001)
    rows = {row.label: row.value for row in play.shown.rows}
    assert rows["Name"] == "welcome"
    assert rows["Port"] == "20001"
    assert rows["Digest"] == IMAGE["engine_id"]
    assert "not root" in rows["It may"]
    play.answer(True)
    assert play.order.order == {
        "verb": "deployment.apply",
        "deployment": DEPLOYMENT,
        "name": "welcome",
        "revision": {
            "number": 1,
            "part": "main",
            "image": {**IMAGE["pin"], "repository": None, "digest": None},
            "profile": "strict",
            "memory_mib": 256,
            "settings": [],
            "ports": [
                {"container_port": 8080, "node_port": 20_001, "protocol": "tcp", "exposure": "local"},
            ],
            "volumes": [],
            "user": None,
        },
        "gate": {"kind": "auto", "path": "/", "within_s": 60, "passes": 2, "settle_s": 3},
        "deadline_s": 900,
        "on_failure": "roll_back",
    }
    play.done("deployment.apply", open="http://localhost:20001/")
    assert play.session.outcome == "done"
    assert "http://localhost:20001/" in play.said()
    assert [o.flow for o in play.entries[-1].offers] == ["running", "remove", "running"]
    assert sum(e.kind == "answered" for e in play.entries) == 4


def test_a_script_with_every_answer_is_asked_for_its_yes_only() -> None:
    play = demo(what="demo", name="hello", port="20080")
    assert (play.asked, play.shown.kind) == ("sure", "confirm")


def test_an_image_from_a_registry_is_resolved_first_and_pulled_by_its_digest() -> None:
    play = Play("deploy", FACTS).answers("registry", "nginx:1.27")
    play.done(
        "image.resolve", repository="docker.io/library/nginx", digest="sha256:" + "d" * 64, platforms=[]
    )
    assert play.order.order["image"]["digest"] == "sha256:" + "d" * 64
    play.done("image.pull", **PULLED).done("node.facts", **HERE)
    assert play.shown.default == "nginx"
    play.answers("web", 20_001)
    assert "sha256:" + "d" * 64 in [row.value for row in play.shown.rows]
    play.answer(True)
    assert play.order.order["revision"]["profile"] == "standard"
    assert play.order.order["revision"]["ports"][0]["container_port"] == 80


def test_an_image_from_a_file_is_named_after_it() -> None:
    play = Play("deploy", FACTS).answers("upload", {"blob": "b" * 64, "bytes": 10, "name": "My App.tar"})
    assert (play.order.order["blob"], play.order.order["blob_bytes"]) == ("b" * 64, 10)
    pin = {"reference": "My App.tar", "blob": "b" * 64, "blob_bytes": 10}
    play.done("image.import", **{**IMAGE, "reference": "My App.tar", "pin": pin}).done("node.facts", **HERE)
    assert play.shown.default == "my-app-tar"


@pytest.mark.parametrize("reference", ["", "http://x/y", "nginx:1.27 --privileged", "@x", "a b"])
def test_what_is_no_name_of_an_image_is_refused_with_a_sentence(reference: str) -> None:
    play = Play("deploy", FACTS).answer("registry")
    with pytest.raises(InvalidAnswer):
        play.answer(reference)


@pytest.mark.parametrize(
    ("name", "value", "where", "becomes"),
    [
        ("memory", 512, "memory_mib", 512),
        ("profile", "standard", "profile", "standard"),
        (
            "settings",
            [{"name": "A", "value": "b", "secret": False}],
            "settings",
            [{"name": "A", "value": "b", "sealed": None}],
        ),
    ],
)
def test_what_was_not_asked_can_be_changed_in_the_summary(
    name: str, value: Any, where: str, becomes: Any
) -> None:
    play = demo().answers("welcome", 20_001).change(name)
    assert play.asked == name
    play.answer(value)
    assert play.asked == "sure"
    play.answer(True)
    assert play.order.order["revision"][where] == becomes


def test_without_a_port_nothing_is_published() -> None:
    play = demo(image={**IMAGE, "suggested_port": None}).answer("worker")
    assert play.asked == "sure"
    play.answer(True)
    assert play.order.order["revision"]["ports"] == []
    play.done("deployment.apply", open="")
    assert play.session.outcome == "done"
    assert "Open it" not in play.said()


def test_a_program_without_a_declared_port_can_be_given_one() -> None:
    play = demo(image={**IMAGE, "suggested_port": None}).answer("worker").change("reach").answer("local")
    assert play.asked == "inside"
    play.answers(9000, 20_001, True)
    assert play.order.order["revision"]["ports"][0]["container_port"] == 9000


@pytest.mark.parametrize("port", [None, 20_005])
def test_the_same_again_is_there_already_and_nothing_is_ordered(port: int | None) -> None:
    given: dict[str, Any] = {} if port is None else {"port": port}
    play = demo({**HERE, "deployments": [RUNNING]}, what="demo", name="welcome", **given)
    assert play.session.outcome == "unchanged"
    assert "there already" in play.said()
    assert play.session.result["deployment"] == RUNNING["deployment"]


@pytest.mark.parametrize("other", [{"image": "other:1"}, {"ports": [{"node_port": 1}]}])
def test_a_name_that_something_else_has_offers_another_name(other: dict[str, Any]) -> None:
    play = demo({**HERE, "deployments": [{**RUNNING, **other}]}, what="demo", name="welcome", port=20_005)
    assert "is here already" in play.label
    play.answer("other")
    assert play.asked == "name"
    play.answer("welcome2")
    assert play.asked == "sure" or play.answer(20_007).asked == "sure"


def test_a_port_in_use_is_said_and_asked_again() -> None:
    play = demo().answers("welcome", 20_000)
    assert "in use" in play.said()
    assert play.asked == "port"
    assert play.answer(20_002).asked == "sure"


def test_an_image_that_cannot_be_had_says_what_happened_and_that_nothing_is_left() -> None:
    play = Play("deploy", FACTS).answers("registry", "nginx:nope")
    play.failed(
        "image.resolve", "image_not_found", "The registry has no image nginx:nope.", do="Check the name."
    )
    assert "The registry has no image nginx:nope." in play.label
    assert "Nothing of it was left behind." in plain(play.shown.help)
    assert [o.value for o in play.shown.options] == ["other", "retry", "leave"]
    assert play.answer("retry").order.order["verb"] == "image.resolve"
    play.failed("image.resolve", "image_not_found", "No.").answer("leave")
    assert play.session.outcome == "failed"


def test_a_container_that_does_not_come_up_shows_its_last_words_and_every_way_on() -> None:
    play = demo().answers("welcome", 20_001, True)
    play.failed(
        "deployment.apply",
        "exited",
        "It ended by itself with code 3.",
        do="Look at what it said.",
        evidence=("cannot start: no database",),
    )
    assert "It ended by itself with code 3." in play.label
    assert "cannot start: no database" in plain(play.shown.help)
    ways = [o.value for o in play.shown.options]
    assert ways == ["retry", "port", "name", "profile", "image", "leave"]


@pytest.mark.parametrize(
    ("way", "then", "changed"),
    [
        ("retry", [], {}),
        ("port", [20_009, True], {"port": 20_009}),
        ("profile", ["standard", True], {"profile": "standard"}),
    ],
)
def test_each_way_on_after_a_failure_leads_to_another_try(
    way: str, then: list[Any], changed: dict[str, Any]
) -> None:
    play = demo().answers("welcome", 20_001, True)
    first = play.order.id
    play.failed("deployment.apply", "port_taken", "Port 20001 is in use.").answer(way).answers(*then)
    assert play.order.order["verb"] == "deployment.apply"
    assert play.order.id != first
    revision = play.order.order["revision"]
    assert revision["ports"][0]["node_port"] == changed.get("port", 20_001)
    assert revision["profile"] == changed.get("profile", "strict")
    assert play.done("deployment.apply", open="").session.outcome == "done"


def test_cancel_takes_the_image_off_again_unless_it_was_there_before() -> None:
    play = demo().answer("welcome").cancel()
    assert play.order.order["verb"] == "image.remove"
    assert play.order.order["image"]["blob"] == DEMO["blob"]
    assert play.done("image.remove").session.outcome == "cancelled"
    there = Play("deploy", FACTS).answer("demo").done("image.import", already=True, **IMAGE)
    assert there.done("node.facts", **HERE).cancel().session.outcome == "cancelled"


def test_back_from_the_port_offers_the_name_again_with_what_was_said() -> None:
    play = demo().answer("mine").back()
    assert (play.asked, play.shown.kept) == ("name", "mine")


def test_a_secret_brings_the_recovery_key_to_mind() -> None:
    sealed = {"node": "n-1", "for_node": "x", "for_recovery": "y"}
    play = demo().answers("welcome", 20_001).change("settings")
    play.answers([{"name": "PASSWORD", "sealed": sealed}], True)
    assert play.order.order["revision"]["settings"][0]["sealed"] == sealed
    play.done("deployment.apply", open="")
    assert "hercules keys recovery" in play.said()
    assert "Take your recovery key" in play.said()


def test_rights_that_the_image_or_machine_does_not_allow_cannot_be_chosen() -> None:
    here = {**HERE, "profiles": ["strict", "standard"]}
    play = demo(here, {**IMAGE, "suggested_profile": "standard"}).answers("welcome", 20_001).change("profile")
    disabled = {o.value: o.disabled for o in play.shown.options}
    assert "root" in disabled["strict"]
    assert disabled["standard"] == ""
    assert "does not allow" in disabled["legacy"]
