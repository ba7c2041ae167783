"""The frames of the WebSocket, one struct each, and how they are made from sessions and entries.

docs/api.md shows an example of every frame, which a test sends. What comes in is strict (an unknown field is
refused), what goes out may grow.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bot.channels.problems import Problem
from bot.channels.schemas import (
    CallId,
    Seq,
    TargetRow,
    WaitingFor,
    shown_of,
    targets_of,
    undoes_of,
    waiting_of,
)
from bot.engine.session import Entry, Session, Shown

# Frames of the WebSocket, in.


class FrameIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """A frame that a client sends."""


class Hello(FrameIn, frozen=True, tag="hello"):
    """The first frame. `after` is the last entry the client has; `csrf` is needed with a cookie."""

    after: Annotated[int, Meta(ge=0)] = 0
    csrf: str = ""


class AnswerFrame(FrameIn, frozen=True, tag="answer"):
    """As POST …/answers."""

    seq: Seq
    id: CallId
    value: Any


class BackFrame(FrameIn, frozen=True, tag="back"):
    """As POST …/back."""

    seq: Seq
    id: CallId
    to: Seq | None = None


class ChangeFrame(FrameIn, frozen=True, tag="change"):
    """As POST …/change."""

    seq: Seq
    id: CallId
    to: Annotated[str, Meta(min_length=1, max_length=200)]


class UndoFrame(FrameIn, frozen=True, tag="undo"):
    """As POST …/undo."""

    seq: Seq
    id: CallId


class CancelFrame(FrameIn, frozen=True, tag="cancel"):
    """As POST …/cancel."""

    seq: Seq
    id: CallId


ClientFrame = Hello | AnswerFrame | BackFrame | ChangeFrame | UndoFrame | CancelFrame


# Frames of the WebSocket, out.


class FrameOut(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A frame that a client receives."""


class EntryFrame(Entry, frozen=True, kw_only=True, tag_field="type", tag="entry"):
    """One entry of the transcript, each exactly once and in order of `n`."""


class PromptFrame(FrameOut, frozen=True, tag="prompt"):
    """Where the session stands: the question that is open (or null), and what is waited for (or null)."""

    seq: int
    schema: dict[str, Any] | None
    status: str
    outcome: str
    title: str
    prompt: Shown | None
    waiting: WaitingFor | None
    undoes: tuple[str, ...] = ()
    targets: tuple[TargetRow, ...] = ()


class OptionsFrame(FrameOut, frozen=True, tag="options"):
    """The open question again, after a lookup filled something in."""

    seq: int
    prompt: Shown


class ProgressFrame(FrameOut, frozen=True, tag="progress"):
    """How far a change is. `total` is 0 where it is not known."""

    order: str
    step: str
    says: str
    done: int = 0
    total: int = 0
    unit: str = ""
    at_ms: int = 0


class AcceptedFrame(FrameOut, frozen=True, tag="accepted"):
    """What was sent with `id` is committed."""

    id: str
    seq: int


class RefusedFrame(FrameOut, frozen=True, tag="refused"):
    """What was sent with `id` changed nothing. `prompt` is the question that is open now."""

    id: str
    problem: Problem
    prompt: Shown | None


class ByeFrame(FrameOut, frozen=True, tag="bye"):
    """The last frame: restarting, signed_out, wrong_csrf, no_hello, broken_frame, too_slow, gone."""

    reason: str


ServerFrame = (
    EntryFrame | PromptFrame | OptionsFrame | ProgressFrame | AcceptedFrame | RefusedFrame | ByeFrame
)


def entry_frame(entry: Entry) -> EntryFrame:
    """The entry as a frame."""
    return EntryFrame(
        n=entry.n,
        at_ms=entry.at_ms,
        kind=entry.kind,
        who=entry.who,
        state=entry.state,
        seq=entry.seq,
        text=entry.text,
        label=entry.label,
        order=entry.order,
        verb=entry.verb,
        node=entry.node,
        outcome=entry.outcome,
        offered=entry.offered,
        offered_ms=entry.offered_ms,
        offers=entry.offers,
    )


def prompt_frame(session: Session) -> PromptFrame:
    """Where the session stands, as a frame."""
    shown = shown_of(session)
    return PromptFrame(
        seq=session.seq,
        schema=shown.schema if shown else None,
        status=session.status,
        outcome=session.outcome,
        title=session.title,
        prompt=shown,
        waiting=waiting_of(session),
        targets=targets_of(session),
        undoes=undoes_of(session),
    )
