"""Advice: each piece is given where it is due, with its place, and not elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bot.authoring import advice
from bot.authoring.library import built_in
from bot.engine import Ask, Call, Chatflow, Confirm, Do, End, Pick, Text, YesNo, form, orders
from bot.engine import compile as compiling
from tests.authoring.flows import Good

TARGET = {"type": "part", "deployment": "d-0000000000000001"}
PIN = {"reference": "a:1", "repository": "docker.io/a", "digest": f"sha256:{'0' * 64}"}
GUIDE = Path(__file__).parents[2] / "docs/authoring/testing.md"


def flow(*, risk: str = "disturbs", name: str = "flow", **states: Any) -> form.Flow:
    kind = type("Flow", (Chatflow,), {"title": "A flow", "risk": risk, "name": name, **states})
    return compiling.compile_class(kind)


def codes(one: form.Flow, others: dict[str, form.Flow] | None = None) -> list[tuple[str, str]]:
    return [(p.state, p.code) for p in advice.check(one, others)]


def test_a_good_flow_and_the_built_in_ones_have_nothing_said_against_them() -> None:
    known = {one.name: one for one in built_in()}
    assert codes(compiling.compile_class(Good)) == []
    assert {name: codes(one, known) for name, one in known.items()} == {name: [] for name in known}


ASKED = Ask(Confirm("Sure?"), then={"yes": "stop", "no": "stop"})
STOP = Do(orders.StopTarget(target=TARGET))
PULL = Do(orders.PullImage(image=PIN))
END = End("Done.")
NAMED = Ask(Text("What?"), as_="n")


@pytest.mark.parametrize(
    ("states", "state", "code"),
    [
        ({"sure": ASKED, "stop": STOP, "end": END}, "stop", "no-way-out"),
        ({"sure": ASKED, "stop": STOP, "end": END}, "sure", "same-way"),
        ({"a": Ask(YesNo("Go on?"), then={"yes": "end", "no": "a"}), "end": END}, "a", "leads-nowhere"),
        ({"a": PULL, "end": END, "risk": "changes"}, "a", "no-undo"),
        ({"a": Do(orders.CheckCertificate(host="a.example")), "end": END}, "a", "simulated"),
        ({"a": Ask(Text("…!")), "end": END}, "a", "no-words"),
        ({"a": Ask(Pick("Which?", options={"x": "👍", "y": "No"})), "end": END}, "a", "no-words"),
        ({"a": Ask(Text("Click here")), "end": END}, "a", "no-sense"),
        (
            {"a": Ask(Text("What?"), as_="n"), "b": Ask(Text("Stop{% if n %} it{% endif %}?")), "end": END},
            "b",
            "pieces",
        ),
        (
            {
                "a": Ask(Text("What?"), as_="n"),
                "b": Ask(Text("Is it {{ 'old' if n else 'new' }}?")),
                "end": END,
            },
            "b",
            "pieces",
        ),
        ({"a": Call("nobody"), "end": END}, "a", "no-such-flow"),
    ],
)
def test_advice_is_given_where_it_is_due(states: dict[str, Any], state: str, code: str) -> None:
    assert (state, code) in codes(flow(**states), {})


@pytest.mark.parametrize(
    "more",
    [
        {"ports": [{"container_port": 80, "node_port": 8080, "exposure": "lan"}]},
        {"profile": "legacy"},
        {"settings": [{"name": "LD_PRELOAD", "value": "x"}]},
        {"ports": [{"container_port": 80, "node_port": 80}]},
    ],
)
def test_what_a_node_refuses_as_it_is_set_up_at_first_is_said(more: dict[str, Any]) -> None:
    revision = {"number": 1, "image": PIN, **more}
    put = Do(
        orders.ApplyDeployment(deployment="d-0000000000000001", name="a", revision=revision), no_return=True
    )
    assert ("a", "refused") in codes(flow(a=put, end=END))


def test_flows_that_call_each_other_in_a_circle_are_named() -> None:
    one, two = flow(name="one", a=Call("two"), end=END), flow(name="two", a=Call("one"), end=END)
    (found,) = [p for p in advice.check(one, {"two": two}) if p.code == "recursion"]
    assert "one → two → one" in found.says


def test_each_piece_of_advice_is_in_the_guide() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", GUIDE.read_text(), re.MULTILINE)) == set(advice.CODES)
