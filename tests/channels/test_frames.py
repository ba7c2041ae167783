"""docs/api.md: every frame has an example there; a client's are sent, the bot's have the right shape."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from aiohttp import ClientSession

from bot.channels import frames
from tests.channels.house import House
from tests.channels.test_ws import following, until

API_MD = Path(__file__).parents[2] / "docs" / "api.md"


def examples() -> dict[str, dict[str, Any]]:
    """The examples, by the name of their frame."""
    found = re.findall(r"^#### (\w+)\n(?:.*?)```json\n(.*?)```", API_MD.read_text(), re.S | re.M)
    return {name: json.loads(text) for name, text in found}


EXAMPLES = examples()


def names_of(union: Any) -> list[str]:
    return [str(frame.__struct_config__.tag) for frame in get_args(union)]


def test_every_frame_has_an_example_and_no_other() -> None:
    assert list(EXAMPLES) == names_of(frames.ClientFrame) + names_of(frames.ServerFrame)


@pytest.mark.parametrize("name", names_of(frames.ClientFrame))
def test_example_of_a_client_is_a_frame_that_the_bot_reads(name: str) -> None:
    frame: Any = msgspec.convert(EXAMPLES[name], frames.ClientFrame)
    assert frame.__struct_config__.tag == name


@pytest.mark.parametrize("name", names_of(frames.ServerFrame))
def test_example_of_the_bot_has_the_shape_that_it_sends(name: str) -> None:
    frame: Any = msgspec.convert(EXAMPLES[name], frames.ServerFrame)
    known = set(frame.__struct_fields__) | {"type"}
    assert set(EXAMPLES[name]) == known, "the example shows each field, and only those"


async def test_examples_of_a_client_are_sent_and_taken(house: House, api: ClientSession) -> None:
    """One walk that uses all of them; only `seq` is what the session says."""
    view = await house.runtime.open(person=house.owner, id="1", flow="fetch")
    async with following(api, view.session.id, EXAMPLES["hello"]["after"]) as ws:
        seq = (await until(ws, "prompt"))[-1]["seq"]

        async def send(name: str, **more: Any) -> dict[str, Any]:
            """Send an example; the next question, or the end."""
            nonlocal seq
            await ws.send_json(EXAMPLES[name] | {"seq": seq} | more)
            assert (await until(ws, "accepted"))[-1]["id"] == (EXAMPLES[name] | more)["id"]
            frame = (await until(ws, "prompt"))[-1]
            while frame["prompt"] is None and frame["status"] == "open":
                frame = (await until(ws, "prompt"))[-1]
            seq = frame["seq"]
            return frame

        assert (await send("answer"))["prompt"]["kind"] == "confirm"
        assert (await send("back"))["prompt"]["name"] == "ref"
        await send("answer", id="again")
        assert (await send("change"))["prompt"]["name"] == "ref"
        await send("answer", id="third")
        assert (await send("answer", id="yes", value=True))["prompt"]["can_undo"]
        assert (await send("undo"))["prompt"] is not None
        assert (await send("cancel"))["outcome"] == "cancelled"


async def test_frames_that_are_sent_are_the_documented_ones(house: House, api: ClientSession) -> None:
    view = await house.runtime.open(person=house.owner, id="1", flow="greet")
    async with following(api, view.session.id) as ws:
        sent = await until(ws, "prompt")
        await ws.send_json({"type": "answer", "seq": 1, "id": "a", "value": ""})
        sent += await until(ws, "refused")
        await ws.send_json({"type": "answer", "seq": 1, "id": "b", "value": "Ada"})
        sent += await until(ws, "accepted")
        await ws.send_json({"type": "hello"})
        sent += await until(ws, "bye")
    for frame in sent:
        assert set(frame) >= set(EXAMPLES[frame["type"]]) - {"do"}, frame["type"]
        msgspec.convert(frame, frames.ServerFrame)
