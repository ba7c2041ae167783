"""The bodies of the API, one struct each; the frames of the WebSocket stand in `frames`.

`openapi.json` is made from these and from the frames. What comes in is strict (an unknown field is refused),
what goes out may grow.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bot.channels.drawn import with_drawing
from bot.channels.web_clean import clean_json
from bot.engine.session import Entry, Session, Shown
from bot.engine.text import Tree

CallId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="Chosen by the caller; the same id with the same body happens once",
    ),
]
Seq = Annotated[int, Meta(ge=1, description="The number of the prompt that this is about")]
ShortText = Annotated[str, Meta(max_length=2_000)]


class In(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body that comes in."""


class OpenSession(In, frozen=True):
    """Open a session of a chatflow; `answers` are given beforehand, by name."""

    id: CallId
    flow: Annotated[str, Meta(min_length=1, max_length=100)]
    answers: dict[str, Any] = {}
    typed: ShortText = ""
    zone: Annotated[str, Meta(max_length=60, description="IANA time zone of waits that name none")] = ""


class SendEvent(In, frozen=True):
    """Something happened outside. `data` fits what the chatflow declares, and has at most 16 KiB."""

    id: CallId
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,60}$")]
    data: Any = None


class PreviewFlows(In, frozen=True):
    """Compiled chatflows (their canonical JSON), and an earlier version of one that is there."""

    compiled: Annotated[list[Annotated[str, Meta(max_length=512_000)]], Meta(max_length=20)]
    flow: Annotated[str, Meta(max_length=100)] = ""
    version: Annotated[str, Meta(max_length=64)] = ""


class GoBackTo(In, frozen=True):
    """An earlier version, or the beginning of one."""

    version: Annotated[str, Meta(pattern=r"^[0-9a-f]{4,64}$")]


class GiveApproval(In, frozen=True):
    """Agree to what waits, or refuse; a refusal needs a reason."""

    id: CallId
    yes: bool
    reason: Annotated[str, Meta(max_length=1_000)] = ""


class GiveAnswer(In, frozen=True):
    """Answer prompt `seq`. `value` fits the prompt's schema."""

    seq: Seq
    id: CallId
    value: Any


class GoBack(In, frozen=True):
    """Leave prompt `seq` for an earlier one: prompt `to`, or the one before."""

    seq: Seq
    id: CallId
    to: Seq | None = None


class ChangeOne(In, frozen=True):
    """Leave the summary `seq` to change the answer named `to`."""

    seq: Seq
    id: CallId
    to: Annotated[str, Meta(min_length=1, max_length=200)]


class Undo(In, frozen=True):
    """Take back what was done, in reverse."""

    seq: Seq
    id: CallId


class Cancel(In, frozen=True):
    """End the session; what it did is undone where it can be."""

    seq: Seq
    id: CallId


class MatchText(In, frozen=True):
    """Which chatflow fits what a person typed?"""

    text: Annotated[str, Meta(min_length=1, max_length=2_000)]


class NewBlob(In, frozen=True):
    """Begin an upload of `bytes` bytes. With `sha256` the end is checked against it."""

    id: CallId
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    bytes: Annotated[int, Meta(ge=0)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None


class WaitingFor(msgspec.Struct, frozen=True, kw_only=True):
    """What the session waits for while it asks nothing."""

    kind: str
    id: str
    says: Tree = ()
    since_ms: int = 0


class TargetRow(msgspec.Struct, frozen=True, kw_only=True):
    """One target of a change to many. `state`: to_do, under_way, done, failed, unknown, left (not begun).

    `order` is what progress frames call it; `says` is why it failed.
    """

    label: str
    node: str
    state: str
    order: str = ""
    says: str = ""


class SessionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A session. `prompt` is the question that is open; `entries` the last `n` of the transcript;
    `undoes` what cancel would take back, last first; `targets` how far a change to many is."""

    id: str
    flow: str
    flow_version: str
    title: str
    status: str
    outcome: str
    opened_ms: int
    changed_ms: int
    node: str
    seq: int
    entries: int
    prompt: Shown | None
    waiting: WaitingFor | None
    targets: tuple[TargetRow, ...] = ()
    undoes: tuple[str, ...] = ()
    result: Any = None
    parked: str = ""


class ApprovalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of what is to be approved."""

    label: str
    value: str


class ApprovalBody(msgspec.Struct, frozen=True, kw_only=True):
    """A question that waits for my approval: whose it is, what it is about, and who agreed so far."""

    id: str
    session: str
    title: str
    asker: str
    question: Tree
    rows: list[ApprovalRow]
    need: int
    agreed: list[str]
    at_ms: int


class ApprovalsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that waits for my approval, oldest first."""

    items: list[ApprovalBody]


class ApprovalGiven(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: approved, refused, or waiting (for others)."""

    session: str
    outcome: str


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A session in a list. `asks` is the question that it waits with, `waits` what it does just now."""

    id: str
    flow: str
    title: str
    status: str
    outcome: str
    opened_ms: int
    changed_ms: int
    asks: str
    waits: str


class SessionsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions, newest first. `next` is the `after` of the next page, "" at the end."""

    items: list[SessionSummary]
    next: str = ""


class EntriesPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries after the number asked for, in order."""

    items: list[Entry]


class AskedHere(msgspec.Struct, frozen=True, kw_only=True):
    """One question that a chatflow may ask: the name its answer gets, its kind, the schema of a value."""

    name: str
    kind: str
    label: str
    schema: dict[str, Any]
    optional: bool = False


class FlowBody(msgspec.Struct, frozen=True, kw_only=True):
    """A chatflow."""

    name: str
    title: str
    description: str
    risk: str
    version: str
    says: list[str]
    prompts: list[AskedHere]


class FlowsBody(msgspec.Struct, frozen=True, kw_only=True):
    """All chatflows."""

    items: list[FlowBody]


class MatchedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A chatflow that fits, with the answers that the text gives; `understood` says so in words."""

    flow: str
    title: str
    description: str
    answers: dict[str, Any]
    understood: str


class MatchesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Chatflows that fit: one when it is clear, else at most three, best first; empty when none does.

    `needs_yes`: show `understood` and have the person say yes before opening it.
    """

    items: list[MatchedFlow]
    clear: bool
    needs_yes: bool


class UploadBody(msgspec.Struct, frozen=True, kw_only=True):
    """An upload. Go on at `offset`; `sha256` is the blob's name once all is there."""

    id: str
    offset: int
    bytes: int
    sha256: str = ""


class ListPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of things. `next` is the `after` of the next page, "" at the end."""

    items: list[Any]
    next: str = ""


class CheckBody(msgspec.Struct, frozen=True, kw_only=True):
    """One line of /readyz."""

    name: str
    ok: bool
    says: str = ""


class ReadyBody(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this bot can serve."""

    ready: bool
    checks: list[CheckBody]


def shown_of(session: Session) -> Shown | None:
    """The open prompt, drawn, and without what only the flow needs (the data behind the options)."""
    shown = session.shown
    if shown is None:
        return None
    shown = with_drawing(shown)
    if all(option.data is None for option in shown.options):
        return shown
    options = tuple(msgspec.structs.replace(option, data=None) for option in shown.options)
    return msgspec.structs.replace(shown, options=options)


def waiting_of(session: Session) -> WaitingFor | None:
    """What is waited for."""
    waiting = session.waiting
    if waiting is None:
        return None
    return WaitingFor(kind=waiting.kind, id=waiting.id, says=waiting.says, since_ms=waiting.since_ms)


def targets_of(session: Session) -> tuple[TargetRow, ...]:
    """The targets of a change to many, while it is under way or its outcome is looked at."""
    if session.batch is None:
        return ()
    return tuple(
        TargetRow(label=t.label, node=t.node, state=t.state, order=t.order, says=t.says)
        for t in session.batch.targets
    )


def undoes_of(session: Session) -> tuple[str, ...]:
    """What ending the session now would take back, last first."""
    return tuple(undo.says for undo in reversed(session.undos))


def session_body(session: Session) -> SessionBody:
    """The session as callers see it: nothing sealed, no names, no stack."""
    return SessionBody(
        id=session.id,
        flow=session.flow,
        flow_version=session.flow_version,
        title=session.title,
        status=session.status,
        outcome=session.outcome,
        opened_ms=session.opened_ms,
        changed_ms=session.changed_ms,
        node=session.node,
        seq=session.seq,
        entries=session.entries,
        prompt=shown_of(session),
        waiting=waiting_of(session),
        targets=targets_of(session),
        undoes=undoes_of(session),
        result=session.result,
        parked=session.parked,
    )


def encoded(struct: Any) -> bytes:
    """The JSON that leaves: every string cleaned of controls."""
    return clean_json(struct)


def summary_of(session: Any) -> SessionSummary:
    """A session in a list, whatever it is listed as."""
    return SessionSummary(**{name: getattr(session, name) for name in SessionSummary.__struct_fields__})
