"""A session: one run of one version of a chatflow. A plain, immutable record.

Public to other rooms: everything here is readable; only `bot.engine` makes a new one. Unknown fields of
a newer release are refused by the store's schema version, not here.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from bot.engine.text import Tree

Status = Literal["open", "ended", "parked"]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One option as shown. `data` is what the flow's name gets; `disabled` is the reason."""

    value: str
    label: str
    description: str = ""
    disabled: str = ""
    data: Any = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a summary. `change` is the name to change, "" when it cannot be."""

    label: str
    value: str
    change: str = ""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The current prompt as every channel shows it.

    `schema` is the JSON Schema of the value an answer may have. `loading`: a lookup has yet to fill
    options or default in; answers that don't need it are taken meanwhile. `problem` says why a lookup or
    the last prefilled answer did not work. `kept` is a former answer to this prompt, offered again.
    """

    seq: int
    state: str
    name: str
    kind: str  # the tag of a prompt in `bot.engine.form_prompts`
    label: Tree
    help: Tree = ()
    schema: dict[str, Any]
    default: Any = None
    kept: Any = None
    placeholder: str = ""
    unit: str = ""
    lines: bool = False
    options: tuple[Choice, ...] = ()
    rows: tuple[Row, ...] = ()
    yes: str = ""
    no: str = ""
    accept: tuple[str, ...] = ()
    loading: bool = False
    facts_ms: int = 0  # when the facts in it came
    problem: str = ""
    risk: str = ""  # of the flow, on a confirm
    can_back: bool = False
    can_undo: bool = False
    can_cancel: bool = True
    no_back: str = ""  # why there is no way back, where something bars it
    no_return: str = ""  # said before a point of no return
    details: dict[str, Any] = {}  # what its kind needs besides, see `bot.engine.details`


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What a session waits for when no person is asked: an order, lookup, timer or hook, by id.

    A batch waits under an id of its own; its orders stand in `session.batch`.
    """

    kind: Literal["order", "timer", "hook", "undo", "lookup", "batch", "claim", "event", "approval", "child"]
    id: str
    says: Tree = ()
    since_ms: int = 0
    due_ms: int = 0  # of a timer
    verb: str = ""  # of an order
    unknown: bool = False  # the node does not know yet whether it was done
    about: str = ""  # of a lookup before a Do: "depth.name#index" in `session.dated`


UNDER_WAY: Final = frozenset({"order", "undo", "batch"})  # kinds of waiting that nobody goes back over
TargetState = Literal["to_do", "under_way", "done", "failed", "unknown", "left"]


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One target of a batch: what it is, how far it is, and the order of its newest attempt.

    `result` is what its name gets, cut small. `says` is why it failed. `passed`: the person went on without
    knowing. `left` ones were not begun.
    """

    label: str
    node: str
    value: Any = None
    state: TargetState = "to_do"
    order: str = ""
    attempt: int = 0
    says: str = ""
    result: dict[str, Any] = {}
    passed: bool = False


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A Do over many targets. The list is frozen when the Do is entered; `place` is "depth.state"."""

    id: str
    place: str
    targets: tuple[Target, ...]
    barred: bool = False  # something was done that has no undo


class Unsettled(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order that nobody waits for any more, though it is not known whether it was done."""

    order: str
    node: str
    verb: str
    says: str
    at_ms: int


class Dated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something chosen from facts: when they came, what was asked, and what mattered of it then."""

    at_ms: int
    seq: int  # of the prompt that asked for `name`
    name: str
    value: str  # the option's
    label: str
    fact: str
    args: dict[str, Any] = {}
    node: str = ""
    was: dict[str, Any] = {}


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """Another session that is at the target of the order to be sent."""

    claim: str
    session: str
    name: str
    title: str


class Breaking(msgspec.Struct, frozen=True, kw_only=True):
    """A claim of another session that the next order takes over, and why."""

    claim: str
    session: str
    reason: str


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Something done that is not taken back, and why."""

    says: str
    why: str
    cancelled: bool = False  # told only when the session was cancelled: else it was meant to stay


class Frame(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One flow on the stack of calls: which version, where it stands, what it knows by name."""

    flow: str
    version: str
    state: str
    names: dict[str, Any] = {}


class Crumb(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt that was answered, and what back needs to return to it.

    `stack` is the stack as it stood, without names; `before` is what the names that changed since were
    then, by "depth.name": [value], or [] for none. `quiet` ones were not shown: back passes them by.
    The first crumb of a trail may have no name: where the session began, or what cannot be undone.
    """

    seq: int
    name: str
    depth: int
    stack: tuple[Frame, ...]
    value: Any = None  # the answer as it was given, not what the name got
    undos: int = 0  # how many undos stood on the list then
    quiet: bool = False
    before: dict[str, list[Any]] = {}


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer left behind by back or change: offered again, and taken again after a change."""

    value: Any
    seq: int
    quiet: bool = False


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that nobody is asked for just now, while a check hook looks at it."""

    given: Any
    named: Any
    words: str
    branch: str
    how: str  # prefilled, kept, default
    seq: int = 0
    facts_ms: int = 0


class Alarm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A timer beside a prompt (`of` is "q" and its seq) or beside what is waited for (its id)."""

    kind: Literal["pause", "timeout", "late", "remind"]
    id: str
    of: str
    due_ms: int
    count: int = 0  # how often it rang before


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """An event from outside that nobody has waited for yet."""

    name: str
    data: Any
    at_ms: int


class Child(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session that this one began alongside. `outcome` is "" while it goes on."""

    session: str
    title: str
    outcome: str = ""
    result: Any = None


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """What one person said to an approval."""

    by: str
    name: str
    yes: bool
    reason: str
    at_ms: int


class Approving(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that is waited for: roles, names or ids that may give it, and what they said so far."""

    id: str
    of: tuple[str, ...]
    need: int
    votes: tuple[Vote, ...] = ()


class Unwinding(msgspec.Struct, frozen=True, kw_only=True):
    """Undoing under way: `down_to` undos are to be left, then cancel, go back to trail[`to`], or ask."""

    goal: Literal["cancel", "back", "ask"]
    down_to: int
    to: int = 0
    says: str = ""  # goal "ask": what went wrong


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """How to take back one Do: the order (builtins) for which node, and what to say."""

    node: str
    order: dict[str, Any]
    says: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of it. `version` counts commits; `seq` prompts; `entries` transcript entries."""

    id: str
    version: int
    person: str
    flow: str
    flow_version: str
    title: str
    status: Status = "open"
    outcome: str = ""  # done, failed, unchanged, cancelled; "" while open
    opened_ms: int
    changed_ms: int
    node: str = ""
    stack: tuple[Frame, ...]
    seq: int = 0
    entries: int = 0
    shown: Shown | None = None
    waiting: Waiting | None = None
    lookup: str = ""  # id of the lookup that the shown prompt waits for
    prefill: dict[str, Any] = {}
    kept: dict[str, Kept] = {}  # by name
    trail: tuple[Crumb, ...] = ()
    undos: tuple[Undo, ...] = ()
    returning: str = ""  # "depth.state" to come back to after a change from a summary
    pending: Pending | None = None
    unwinding: Unwinding | None = None
    stopping: bool = False  # cancelled while an order was under way: it is awaited first
    restarts: bool = False  # a built-in prompt's retry goes on from the last crumb, not from this state
    batch: Batch | None = None
    unsure: Waiting | None = None  # set aside while a person is asked what to do about not knowing
    unsettled: tuple[Unsettled, ...] = ()
    left: tuple[Left, ...] = ()  # to be told at the end
    dated: dict[str, tuple[Dated, ...]] = {}  # by "depth.name": what it came from, see `recheck`
    claims: tuple[str, ...] = ()  # targets that its orders claimed, to be given back
    rival: Rival | None = None
    breaking: Breaking | None = None
    barred: str = ""  # why nobody can go back to what was before
    considered: str = ""  # the newest version of its flow that it was asked to come over to
    zone: str = ""  # the time zone of waits that name none; "" is UTC
    alarms: tuple[Alarm, ...] = ()
    mail: tuple[Mail, ...] = ()
    children: tuple[Child, ...] = ()
    parent: str = ""  # the session that began this one alongside
    generation: int = 0  # how many sessions above it
    approval: Approving | None = None
    bytes: int = 0  # of all entries so far
    result: Any = None
    parked: str = ""  # the sentence, when status is parked


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the transcript. `kind`: said, asked, answered, ordered, finished, went_back, changed,
    undone, cancelled, corrected, came, approved, reminded, migrated, problem, ended. `who`: "bot" or the
    person. `label` of an answer is the question, that of a result the target in a batch. `offered` is what
    there was to pick from; `outcome` of an answer is "prefilled" when it was given beforehand. A new kind
    also needs a row in docs/engine.md.
    """

    n: int
    at_ms: int
    kind: str
    who: str = "bot"
    state: str = ""
    seq: int = 0
    text: Tree = ()
    label: str = ""
    order: str = ""
    verb: str = ""
    node: str = ""
    outcome: str = ""
    offered: tuple[str, ...] = ()
    offered_ms: int = 0  # when the facts came that were offered
    offers: tuple[Offer, ...] = ()


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A button at the end of a session that opens another flow, filled in."""

    label: str
    flow: str
    answers: dict[str, Any] = {}
