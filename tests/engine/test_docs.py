"""What docs/authoring.md and docs/engine.md say is true, and nothing of the engine is missing in them."""

from __future__ import annotations

import re
import textwrap
import typing
from pathlib import Path
from typing import Any

import pytest

import bot.engine
from bot.engine import answers, diagram, effects, events, form, lint, prompts, refusals, template
from bot.engine import compile as compiling
from bot.engine.facts import FACTS
from bot.engine.filters import FILTERS
from bot.engine.orders import KINDS, RISKS
from bot.engine.session import Entry
from bot.engine.vocabulary import Chatflow
from tests.engine.play import Book, Play
from tests.engine.sample import Sample

DOCS = Path(__file__).parents[2] / "docs"
AUTHORING = (DOCS / "authoring.md").read_text()
ENGINE = (DOCS / "engine.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```", AUTHORING, re.MULTILINE | re.DOTALL)


def flows_of(snippet: str) -> list[type[Chatflow]]:
    """The flows of a file; states alone are put into a class of their own."""
    if "class " not in snippet:
        body = textwrap.indent(snippet, "    ")
        head = 'class Snippet(Chatflow):\n    title = "Snippet"\n    risk = "destroys"\n'
        snippet = f'{head}{body}\n    finish = End("ok")\n'
    names: dict[str, Any] = (
        {} if "import" in snippet else {n: getattr(bot.engine, n) for n in bot.engine.__all__}
    )
    names["__name__"] = "snippet"
    exec(compile(snippet, "authoring.md", "exec", dont_inherit=True), names)
    return [
        value
        for value in names.values()
        if isinstance(value, type) and issubclass(value, Chatflow) and value is not Chatflow
    ]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda s: s.strip().splitlines()[0][:40])
def test_every_snippet_compiles_and_lint_has_nothing_to_say(snippet: str) -> None:
    classes = flows_of(snippet)
    assert classes
    for cls in classes:
        flow = compiling.compile_class(cls)
        advice = [p for p in lint.check(flow) if (p.state, p.code) != ("finish", "unreachable")]
        assert advice == []
        assert diagram.mermaid(flow)


def test_the_first_snippet_runs_as_the_text_says() -> None:
    play = Play(*flows_of(SNIPPETS[0]))
    target = {"type": "part", "deployment": "d-0000000000000000", "part": "main"}
    data = {"name": "wiki", "image": "wiki:1", "target": target}
    play.facts({"options": [{"value": "wiki", "label": "wiki", "data": data}]}).answer("wiki")
    assert play.rows == {"Image": "wiki:1"}
    play.answer(True)
    assert play.orders()[0].order["target"] == target
    assert play.finish().said("ended") == ["wiki was stopped in 2 s."]
    failed = Play(*flows_of(SNIPPETS[0])).facts({"options": [{"value": "wiki", "data": data}]}).answer("wiki")
    failed.answer(True).finish("failed")
    assert [o.value for o in failed.shown.options] == ["retry", "back", "cancel"]


def test_flows_that_call_each_other_do_what_the_text_says() -> None:
    snippet = next(s for s in SNIPPETS if "TwoColours" in s)
    colour, two = flows_of(snippet)
    play = Play(two, colour).answer("red").answer("blue")
    assert play.said("ended") == ["red and blue."]


ROWS = re.findall(r"^\| `(\w+)` \| `(\{\{.*?\}\})` \| `(.*?)` \|$", AUTHORING, re.MULTILINE)
SCOPE = {"rows": [{"name": "web", "port": 80}, {"name": "db", "port": 5432}]}


@pytest.mark.parametrize(("name", "example", "gives"), ROWS, ids=[row[0] for row in ROWS])
def test_every_filter_does_what_its_row_says(name: str, example: str, gives: str) -> None:
    source = example.replace("\\|", "|")
    assert f"| {name}" in source
    assert template.template(source).to_text(SCOPE) == gives


def test_every_filter_has_a_row() -> None:
    assert [row[0] for row in ROWS] == sorted(FILTERS)


def row_of(text: str, first: str) -> bool:
    return re.search(rf"^\| `{re.escape(first)}[`(]", text, re.MULTILINE) is not None


def test_every_fact_order_prompt_and_advice_is_in_the_authors_guide() -> None:
    for fact in FACTS:
        assert row_of(AUTHORING, f"facts.{fact}"), fact
    for verb, kind in KINDS.items():
        found = re.search(rf"^\| `orders\.{kind.__name__}\([^|]*\| (\w+) \|", AUTHORING, re.MULTILINE)
        assert found is not None and found[1] == RISKS[verb], verb
    for prompt in typing.get_args(form.Prompt):
        assert row_of(AUTHORING, prompt.__name__), prompt
    for state in typing.get_args(form.State):
        assert row_of(AUTHORING, state.__name__), state
    for code in lint.ADVICE:
        assert row_of(AUTHORING, code), code


def test_every_event_effect_state_prompt_and_entry_is_in_the_engines_page() -> None:
    for union in (events.AnyEvent, effects.AnyEffect, form.State):
        for kind in typing.get_args(union):
            assert row_of(ENGINE, str(kind.__struct_config__.tag)), kind
    for name in prompts.KINDS.values():
        assert row_of(ENGINE, name), name
    for kind in (
        re.findall(r"`kind`: (.*?)\. `who`", Entry.__doc__ or "", re.DOTALL)[0].replace("\n", " ").split(",")
    ):
        assert row_of(ENGINE, kind.strip()), kind
    assert answers.LOOK_AGAIN in ENGINE


def _all(cls: type[refusals.Spoken]) -> list[type[refusals.Spoken]]:
    return [cls, *(kind for sub in cls.__subclasses__() for kind in _all(sub))]


def test_every_refusal_of_the_engine_reads_as_sentences() -> None:
    own = [cls for cls in _all(refusals.Refused) if cls.__module__.startswith("bot.engine")]
    assert len({cls.code for cls in own}) == len(own)
    for cls in own:
        assert 400 <= cls.http < 500
        if cls is refusals.Refused:
            continue
        fields = {name: "x" for name in re.findall(r"\{(\w+)", cls.says + cls.do)}
        made = cls.__new__(cls)
        refusals.Spoken.__init__(made, **fields)
        assert made.next_step.endswith(".") and "?" not in made.sentence, cls


def test_the_snippet_of_the_engines_page_runs() -> None:
    snippet = re.findall(r"^```python\n(.*?)^```", ENGINE, re.MULTILINE | re.DOTALL)[0]
    from bot.engine.advance import advance, open_session
    from tests.engine.test_ask import Hello

    names: dict[str, Any] = {
        "flows": Book(Hello),
        "session_id": "s-1",
        "person": "p-1",
        "now_ms": 1,
        "open_session": open_session,
        "advance": advance,
        "Opened": events.Opened,
        "Answered": events.Answered,
    }
    exec(compile(snippet, "engine.md", "exec", dont_inherit=True), names)
    assert names["step"].session.shown.name == "loud"


def test_a_deploys_record_is_as_small_as_the_page_says() -> None:
    import msgspec

    from tests.engine.test_back import at_summary

    assert Sample.title
    assert len(msgspec.json.encode(at_summary().session)) < 5_000
