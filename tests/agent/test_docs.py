"""What is registered is documented by that fact, and the other way round."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

from agent import problems, table
from agent.link import messages
from agent.nodefile import NodeFile
from agent.orders import SIMULATED
from agent.orders.envelope import OrderBody, encode_order
from agent.orders.results import Result
from bot.engine.ids import derived
from tests.agent.place import body, prepare
from tests.agent.test_checks import STOP

ROOT = Path(__file__).parents[2]
ORDERS = (ROOT / "docs/orders.md").read_text()
PROTOCOL = (ROOT / "docs/protocol.md").read_text()


@pytest.mark.parametrize("verb", table.names())
def test_every_verb_is_in_the_guide(verb: str) -> None:
    assert f"### `{verb}`" in ORDERS


def test_the_guide_names_no_verb_that_does_not_exist() -> None:
    assert set(re.findall(r"^### `([a-z.]+)`$", ORDERS, re.M)) == set(table.names()) | SIMULATED


@pytest.mark.parametrize("setting", NodeFile.__struct_fields__)
def test_every_setting_of_the_node_file_is_in_the_guide(setting: str) -> None:
    assert f"`{setting}`" in ORDERS


@pytest.mark.parametrize("code", sorted(problems.WHAT_TO_DO))
def test_every_problem_is_in_the_guide_and_says_what_to_do(code: str) -> None:
    assert re.search(rf"[` ]{re.escape(code.removeprefix('refused.'))}[` ]", ORDERS)
    assert problems.WHAT_TO_DO[code].endswith(".")


def test_every_event_of_the_log_is_in_the_guide() -> None:
    source = "\n".join(file.read_text() for file in (ROOT / "agent").glob("*.py"))
    events = set(re.findall(r"log\.(?:info|warning|error|exception)\(\s*\"([a-z_.]+)\"", source))
    events |= {"engine.up", "engine.down"}
    for event in events:
        assert re.search(rf"[` ]{re.escape(event)}[` ]", ORDERS), event


@pytest.mark.parametrize("message", typing.get_args(messages.Message))
def test_every_message_and_field_of_the_link_is_described(message: type) -> None:
    tag = message.__struct_config__.tag  # type: ignore[attr-defined]
    row = next(line for line in PROTOCOL.splitlines() if line.startswith(f"| `{tag}` |"))
    for field in message.__struct_fields__:  # type: ignore[attr-defined]
        assert f"`{field}`" in row, (tag, field)


def test_fields_of_orders_and_results_are_described_in_their_order() -> None:
    for kind in (OrderBody, Result):
        assert re.search(r"[^`]*".join(f"`{field}`" for field in kind.__struct_fields__), PROTOCOL)


def test_example_of_an_order_is_canonical() -> None:
    from agent.orders.envelope import decode_order

    example = re.search(r"```json\n(\{\"v\":1.*?)\n```", PROTOCOL, re.S)
    assert example is not None
    raw = example[1].replace("\n", "").encode()
    assert encode_order(decode_order(raw)) == raw
    assert encode_order(body("n-0123456789abcdef", STOP)).startswith(raw[:14])


def test_node_is_named_as_the_bot_would_name_it(tmp_path: Path) -> None:
    own = prepare(tmp_path, "unix:///nowhere")
    assert own.node == derived("n", own.identity)
