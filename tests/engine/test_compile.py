"""Compiling: what is refused, with its place; canonical bytes and versions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bot.engine import (
    Ask,
    Call,
    Case,
    Chatflow,
    Choose,
    Confirm,
    Do,
    End,
    KeyValues,
    Number,
    Pick,
    Say,
    Secret,
    Text,
    Upload,
    Wait,
    YesNo,
    facts,
    form,
    orders,
)
from bot.engine import compile as compiling
from bot.engine.compile import FlowRefused
from bot.engine.form import FactQuery, OrderForm
from bot.engine.orders import OrderRefused
from bot.engine.vocabulary import State
from tests.engine.sample import Sample


def flow_of(**states: State) -> form.Flow:
    return compiling.compile_class(type("Made", (Chatflow,), {"title": "Made", **states}))


END = End("ok")


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ({}, "no-states"),
        ({"a": Say("x", then="a")}, "no-end"),
        ({"a": Say("x", then="dnoe"), "done": END}, "no-such-state"),
        ({"done": END, "a": Say("x")}, "no-then"),
        ({"a": Say("{{ x * 2 }}"), "done": END}, "template"),
        ({"a": Ask(Text("x", as_="who")), "b": Say("{{ hwo }}"), "done": END}, "undeclared"),
        ({"a": Ask(Text("x"), as_="session"), "done": END}, "name"),
        ({"a": Ask(Pick("x", options={})), "done": END}, "options"),
        ({"a": Ask(Pick("x", options=["a", "a"])), "done": END}, "options"),
        ({"a": Ask(Pick("x", options=FactQuery(fact="weather"))), "done": END}, "fact"),
        ({"a": Ask(Pick("x", options=facts.free_port())), "done": END}, "fact"),
        ({"a": Ask(Number("x", default=facts.containers())), "done": END}, "fact"),
        (
            {"a": Ask(Pick("x", options=FactQuery(fact="containers", args={"colour": 1}))), "done": END},
            "fact",
        ),
        ({"a": Ask(Pick("x", options={"y": "Y"}), then={"z": "done"}), "done": END}, "then"),
        ({"a": Ask(Text("x"), then={"z": "done"}), "done": END}, "then"),
        ({"a": Ask(Confirm("x")), "done": END}, "confirm"),
        (
            {"a": Ask(Confirm("x", summary=["y"]), then={"yes": "done", "no": "done"}), "done": END},
            "undeclared",
        ),
        ({"a": Ask(YesNo("x"), only_if="true", then={"yes": "done", "no": "done"}), "done": END}, "only-if"),
        ({"a": Ask(Text("x"), quiet=True), "done": END}, "quiet"),
        ({"a": Ask(Secret("x"), quiet=True), "done": END}, "quiet"),
        ({"a": Ask(Text("x", pattern="(a+)+")), "done": END}, "pattern"),
        ({"a": Ask(Text("x", pattern="a*b*c")), "done": END}, "pattern"),
        ({"a": Ask(Text("x", pattern=r"(a)\1")), "done": END}, "pattern"),
        ({"a": Ask(Text("x", pattern="(?=a)")), "done": END}, "pattern"),
        ({"a": Ask(Text("x", pattern="(")), "done": END}, "pattern"),
        ({"a": Ask(Text("x", min_length=5, max_length=2)), "done": END}, "length"),
        ({"a": Ask(Number("x", minimum=5, maximum=2)), "done": END}, "range"),
        ({"a": Do(OrderForm(verb="image.eat")), "done": END}, "order"),
        ({"a": Do(orders.GetFacts(), undo=OrderForm(verb="image.pull")), "done": END}, "order"),
        ({"a": Do(orders.GetFacts(), lifetime_s=0), "done": END}, "lifetime"),
        ({"a": Choose(), "done": END}, "choose"),
        ({"done": END, "a": Choose(Case("true", "done"))}, "choose"),
        ({"a": Wait(), "done": END}, "wait"),
        ({"a": Wait(for_s=1, until="03:00"), "done": END}, "wait"),
        ({"a": Wait(until="25:00"), "done": END}, "wait"),
        ({"a": Wait(for_s=-1), "done": END}, "wait"),
        ({"a": Call("Not A Name"), "done": END}, "call"),
        ({"a": Ask(Text("x"), check=lambda names: ""), "done": END}, "hook"),
        ({"title": Say("x"), "done": END}, "name"),
        ({"a": Ask(Text("x", default=object())), "done": END}, "form"),
    ],
)
def test_a_mistake_is_refused_by_a_stable_code(states: dict[str, State], code: str) -> None:
    with pytest.raises(FlowRefused) as refused:
        flow_of(**states)
    assert [p.code for p in refused.value.problems][:1] == [code]
    assert refused.value.problems[0].says.endswith((".", "?"))


def test_a_mistake_names_flow_state_file_and_line() -> None:
    class Wrong(Chatflow):
        title = "Wrong"
        first = Say("x", then="lsat")
        last = End("ok")

    with pytest.raises(FlowRefused) as refused:
        compiling.compile_class(Wrong, source="chatflows.d/wrong.py")
    (problem,) = refused.value.problems
    line = compiling.lines_of(Wrong)["first"]
    assert problem.line == line > 0
    told = str(refused.value)
    assert told.startswith(f"chatflows.d/wrong.py:{line}: chatflow 'wrong': state 'first': ")
    assert "Did you mean 'last'?" in told


def test_orders_are_checked_where_they_are_written() -> None:
    with pytest.raises(OrderRefused, match="no 'traget'. Did you mean 'target'"):
        orders.StopTarget(traget="{{ it.target }}")
    with pytest.raises(OrderRefused, match="needs 'reference'"):
        orders.ResolveImage()
    with pytest.raises(OrderRefused, match="ports\\[0\\] takes no 'prot'"):
        orders.ApplyDeployment(
            deployment="{{ d }}", name="x", revision={"number": 1, "image": "{{ i }}", "ports": [{"prot": 1}]}
        )
    with pytest.raises(OrderRefused, match="stop_within_s"):
        orders.StopTarget(target="{{ t }}", stop_within_s=5_000)
    with pytest.raises(AttributeError, match="Did you mean PullImage"):
        orders.PullImages()


def test_every_verb_has_a_risk() -> None:
    assert set(orders.RISKS) == set(orders.KINDS)


def test_the_bytes_are_canonical_and_give_the_same_flow() -> None:
    flow = compiling.compile_class(Sample)
    raw = compiling.encode(flow)
    assert compiling.decode(raw) == flow
    assert compiling.encode(compiling.decode(raw)) == raw
    assert compiling.version_of(flow) == compiling.version_of(compiling.compile_class(Sample))
    assert list(flow.states)[:3] == ["source", "use_demo", "reference"]


def test_a_default_written_out_changes_nothing() -> None:
    short = flow_of(a=Ask(Text("x")), done=END)
    long = flow_of(
        a=Ask(Text("x", max_length=int("2000"), help="".join([])), title="", quiet=False), done=END
    )
    assert compiling.version_of(short) == compiling.version_of(long)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw + b" ",
        lambda raw: raw.replace(b'"name"', b' "name"', 1),
        lambda raw: raw[:-1],
        lambda raw: b"[" * 100_000,
    ],
)
def test_other_bytes_are_refused(change: Any) -> None:
    with pytest.raises(FlowRefused):
        compiling.decode(change(compiling.encode(compiling.compile_class(Sample))))


def test_unknown_fields_and_kinds_are_refused() -> None:
    data = msgspec.json.decode(compiling.encode(compiling.compile_class(Sample)))
    assert compiling.from_data(data) == compiling.compile_class(Sample)
    for broken in (
        {**data, "colour": 1},
        {**data, "states": {**data["states"], "x": {"state": "exec"}}},
        {**data, "risk": "none"},
        {**data, "states": {**data["states"], "done": {"state": "end"}}},
    ):
        with pytest.raises(FlowRefused):
            compiling.from_data(broken)


def test_a_decoded_flow_is_checked_like_a_written_one() -> None:
    data = msgspec.json.decode(compiling.encode(compiling.compile_class(Sample)))
    data["states"]["use_demo"]["then"] = "nowhere"
    with pytest.raises(FlowRefused, match="nowhere"):
        compiling.decode(msgspec.json.encode(msgspec.convert(data, form.Flow)))


def test_states_of_a_parent_class_come_first() -> None:
    class Base(Chatflow):
        title = "Base"
        first = Say("x", then="done")
        done = End("ok")

    class Child(Base):
        title = "Child"
        extra = Say("y", then="done")
        first = Say("z", then="extra")

    flow = compiling.compile_class(Child)
    assert list(flow.states) == ["first", "done", "extra"] and flow.name == "child"


def test_every_kind_of_prompt_compiles() -> None:
    flow = flow_of(
        a=Ask(Text("x", lines=True)),
        b=Ask(Number("x", whole=False)),
        c=Ask(YesNo("x")),
        d=Ask(Pick("x", options=["y"])),
        e=Ask(Secret("x", optional=True)),
        f=Ask(KeyValues("x")),
        g=Ask(Upload("x", accept=[".tar"])),
        h=Ask(Confirm("x", summary=["a"]), then={"yes": "done", "no": "done"}),
        done=END,
    )
    kinds = {type(s.prompt).__name__ for s in flow.states.values() if isinstance(s, form.Ask)}
    assert len(kinds) == 8
