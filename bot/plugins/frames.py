"""What goes over the pipes between bot and worker: JSON with its length in front, both ways.

Rule 1: only data; the bot decodes plain JSON into closed structs. Rule 2: the reader says how much it takes
before it reads.
"""

from __future__ import annotations

import asyncio
from typing import Any, BinaryIO

import msgspec

HEAD = 4


class Load(msgspec.Struct, frozen=True, tag="load", tag_field="do", forbid_unknown_fields=True):
    """Import this file and return its compiled flows. `sha256` is of `text`; `messages`: long texts."""

    file: str
    sha256: str
    text: str
    messages: dict[str, str] = {}


class Serve(msgspec.Struct, frozen=True, tag="serve", tag_field="do", forbid_unknown_fields=True):
    """Import this file and wait for calls of its functions."""

    file: str
    text: str


class Run(msgspec.Struct, frozen=True, tag="run", tag_field="do", forbid_unknown_fields=True):
    """Call one function with the names."""

    hook: str
    names: dict[str, Any]


Asked = Load | Serve | Run


class Compiled(msgspec.Struct, frozen=True, tag="compiled", tag_field="it", forbid_unknown_fields=True):
    """The canonical bytes of each flow, as text."""

    flows: tuple[str, ...]


class Serving(msgspec.Struct, frozen=True, tag="serving", tag_field="it", forbid_unknown_fields=True):
    """The file is imported."""


class Returned(msgspec.Struct, frozen=True, tag="returned", tag_field="it", forbid_unknown_fields=True):
    """What a function returned."""

    value: Any


class Fault(msgspec.Struct, frozen=True, tag="fault", tag_field="it", forbid_unknown_fields=True):
    """What went wrong in the plugin, in which of its lines (0: unknown). `more`: lines and sentences."""

    says: str
    line: int = 0
    more: tuple[tuple[int, str], ...] = ()


Answer = Compiled | Serving | Returned | Fault
answers = msgspec.json.Decoder(Answer)
questions = msgspec.json.Decoder(Asked)


class TooMuch(Exception):
    """The other side wants to say more than is taken."""


def framed(message: Asked | Answer) -> bytes:
    """The bytes of a message."""
    body = msgspec.json.encode(message)
    return len(body).to_bytes(HEAD, "big") + body


async def read_answer(stream: asyncio.StreamReader, limit: int) -> Answer:
    """The next answer. Raises TooMuch, asyncio.IncompleteReadError at the end, msgspec.MsgspecError."""
    size = int.from_bytes(await stream.readexactly(HEAD), "big")
    if size > limit:
        raise TooMuch
    answer: Answer = answers.decode(await stream.readexactly(size))
    return answer


def read_question(stream: BinaryIO) -> Asked | None:
    """The next question; None when the bot closed the pipe."""
    head = stream.read(HEAD)
    if len(head) < HEAD:
        return None
    question: Asked = questions.decode(stream.read(int.from_bytes(head, "big")))
    return question
