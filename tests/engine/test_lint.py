"""Lint and diagram."""

from __future__ import annotations

import msgspec
import pytest

from bot.engine import (
    Ask,
    Case,
    Chatflow,
    Choose,
    Confirm,
    Do,
    End,
    Number,
    Pick,
    Say,
    Text,
    YesNo,
    diagram,
    lint,
    orders,
    rows,
)
from bot.engine import compile as compiling
from bot.engine.vocabulary import State
from tests.engine.sample import Sample

STOP = orders.StopTarget(target={"type": "part", "deployment": "d-0000000000000000"})
REMOVE = orders.RemoveDeployment(deployment="d-0000000000000000")
END = End("ok")


def codes(risk: str = "destroys", /, **states: State) -> list[tuple[str, str]]:
    flow = compiling.compile_class(type("Made", (Chatflow,), {"title": "Made", "risk": risk, **states}))
    return [(p.state, p.code) for p in lint.check(flow)]


def test_a_sound_flow_has_nothing_said_about_it() -> None:
    assert lint.check(compiling.compile_class(Sample)) == []


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"a": Say("x", then="done"), "b": Say("y"), "done": END}, ("b", "unreachable")),
        ({"a": Ask(Text("x"), then="a"), "done": END}, ("a", "dead-end")),
        (
            {"a": Say("x", then="b"), "b": Choose(Case("true", "a"), otherwise="done"), "done": END},
            ("a", "circle"),
        ),
        (
            {
                "a": Ask(YesNo("x"), then={"yes": "b", "no": "c"}),
                "b": Ask(Text("x")),
                "c": Say("{{ b }}"),
                "done": END,
            },
            ("c", "maybe-unset"),
        ),
        ({"a": Do(STOP), "done": END}, ("a", "unconfirmed")),
        (
            {"a": Ask(Pick("x", options=["y"]), then={"y": "b"}), "b": Do(REMOVE), "done": END},
            ("b", "unconfirmed"),
        ),
    ],
)
def test_advice(states: dict[str, State], expected: tuple[str, str]) -> None:
    assert expected in codes("destroys", **states)


def test_a_yes_holds_for_one_thing_that_disturbs() -> None:
    sure = Ask(Confirm("x"), then={"yes": "b", "no": "done"})
    assert codes(a=sure, b=Do(REMOVE), done=END) == []
    assert codes(a=sure, b=Do(STOP, then="c"), c=Do(REMOVE), done=END) == [("c", "unconfirmed")]
    pick = Ask(Pick("x", options=["now", "not"]), then={"now": "b", "not": "done"})
    assert codes(a=pick, b=Do(STOP), done=END) == []


def test_a_flow_that_does_more_than_it_says_is_named() -> None:
    sure = Ask(Confirm("x"), then={"yes": "b", "no": "done"})
    assert codes("changes", a=sure, b=Do(REMOVE), done=END) == [("b", "risk")]


def test_ways_are_told_apart_by_what_was_picked() -> None:
    assert (
        codes(
            what=Ask(Pick("x", options=["a", "b"]), then={"a": "one", "b": "two"}),
            one=Ask(Number("x"), then="again"),
            two=Ask(Number("x"), then="again"),
            again=Choose(Case("what == 'a'", "first"), otherwise="second"),
            first=Say("{{ one }}", then="done"),
            second=Say("{{ two }}"),
            done=END,
        )
        == []
    )


def test_mistakes_come_with_their_line() -> None:
    flow = compiling.compile_class(Sample)
    broken = msgspec.structs.replace(flow, start="nowhere")
    (problem,) = lint.check(broken, {"": 7})
    assert (problem.code, problem.line, problem.advice) == ("no-such-state", 7, False)


def test_the_diagram_draws_every_row() -> None:
    flow = compiling.compile_class(Sample)
    drawn = diagram.mermaid(flow)
    assert drawn.startswith("stateDiagram-v2\n    [*] --> source\n")
    for row in rows.rows_of(flow):
        assert f"    {row.source} --> {row.dest}" in drawn
    assert "    source --> use_demo : demo" in drawn
    assert "    done --> [*]" in drawn and drawn.endswith("\n")


def test_words_of_an_author_cannot_break_the_diagram() -> None:
    flow = compiling.compile_class(
        type(
            "Odd",
            (Chatflow,),
            {"title": "Odd", "a": Say('x"; --> y\n[*] : z %% {{ session.id }}'), "done": END},
        )
    )
    assert diagram.mermaid(flow).count("\n") == 6
