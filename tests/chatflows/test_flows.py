"""What holds for every built-in flow: nothing to say against it, drawn, its example loads too."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from bot.chatflows import FLOWS
from bot.engine import diagram, lint
from bot.engine.compile import compile_class, decode, encode
from bot.engine.vocabulary import Chatflow

EXAMPLES = sorted((Path(__file__).parents[2] / "chatflows.d").glob("*.py"))


def _example(path: Path) -> list[type[Chatflow]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = (v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Chatflow))
    return [cls for cls in found if cls is not Chatflow]


ALL = [*FLOWS, *(cls for path in EXAMPLES for cls in _example(path))]


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_nothing_can_be_said_against_it_and_it_survives_as_data(cls: type[Chatflow]) -> None:
    flow = compile_class(cls)
    assert [p.says for p in lint.check(flow) if not p.advice] == []
    assert decode(encode(flow)) == flow
    assert diagram.mermaid(flow).startswith("stateDiagram-v2")


def test_there_is_an_example_of_about_twenty_lines() -> None:
    assert EXAMPLES
    lines = [line for line in EXAMPLES[0].read_text().splitlines() if line.strip()]
    assert len(lines) < 35
