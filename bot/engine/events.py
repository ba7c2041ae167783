"""Events: facts in the past tense that may advance a session. Frozen, tagged, closed.

Every event carries `at_ms`, the time of the channel or runtime that made it; the engine has no clock.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agent.orders.results import Result


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="event", kw_only=True):
    """Common to all. `at_ms`: Unix milliseconds. `by`: the person, "" for the system."""

    at_ms: int
    by: str = ""


class Opened(Event, tag="opened", frozen=True):
    """A person began the flow. `answers` are given beforehand, by name; `node` is where orders go."""

    answers: dict[str, Any] = {}
    node: str = ""
    opened_for: str = ""  # what the person typed
    zone: str = ""  # of waits that name none
    parent: str = ""  # the session that began it alongside
    generation: int = 0


class Answered(Event, tag="answered", frozen=True):
    """A person answered prompt `seq`. The same `answer_id` twice is the same answer.

    Secrets in `value` are sealed already. `refusal` is what the flow's check hook said, "" = nothing.
    """

    seq: int
    answer_id: str
    value: Any
    refusal: str = ""


class WentBack(Event, tag="went_back", frozen=True):
    """A person left prompt `seq` for an earlier one: `to` (its seq), or the one before."""

    seq: int
    answer_id: str
    to: int | None = None


class ChangeAsked(Event, tag="change_asked", frozen=True):
    """A person left prompt `seq` (a confirm) to change the answer named `to`."""

    seq: int
    answer_id: str
    to: str


class UndoAsked(Event, tag="undo_asked", frozen=True):
    """A person asked to take back what was done since the last answers, in reverse."""

    seq: int
    answer_id: str


class CancelAsked(Event, tag="cancel_asked", frozen=True):
    """A person ended the session early; what it did is undone in reverse where it can be."""

    seq: int
    answer_id: str


class OrderFinished(Event, tag="order_finished", frozen=True):
    """A node answered an order (or the fleet gave it up: outcome failed, problem expired)."""

    order_id: str
    result: Result


class Taken(Event, tag="taken", frozen=True):
    """An order was not handed over: its target is claimed by another session, of `name`, since `since_ms`."""

    order_id: str
    claim: str
    session: str
    name: str
    title: str
    says: str = ""
    since_ms: int = 0


class TakenOver(Event, tag="taken_over", frozen=True):
    """Another person (`name`) took over what this session had claimed."""

    order_id: str  # of the order that took it
    claim: str
    name: str
    reason: str


class TargetFree(Event, tag="target_free", frozen=True):
    """No other session claims a target any more."""

    wait_id: str


class FactsCame(Event, tag="facts_came", frozen=True):
    """A lookup ended. Exactly one of `facts` and `problem` says something.

    `facts` is {"options": [{value,label,description,disabled,data}]} for a pick, {"value": …} else.
    """

    lookup_id: str
    facts: dict[str, Any] | None = None
    problem: str = ""


class TimerDue(Event, tag="timer_due", frozen=True):
    """A timer set by this session is due."""

    timer_id: str


class HookReturned(Event, tag="hook_returned", frozen=True):
    """A plugin's hook returned `value`, or failed with `problem`."""

    hook_id: str
    value: Any = None
    problem: str = ""


class EventCame(Event, tag="event_came", frozen=True):
    """Somebody outside (`by`) said that `name` happened. `data` is a stranger's."""

    name: str
    event_id: str
    data: Any = None


class Approved(Event, tag="approved", frozen=True):
    """Somebody agreed to what waits for approval, or refused. `name` and `role` are theirs."""

    approval: str
    answer_id: str
    yes: bool
    reason: str = ""
    name: str = ""
    role: str = ""


class ChildEnded(Event, tag="child_ended", frozen=True):
    """A session alongside has ended, or could not begin (outcome "failed")."""

    session: str
    outcome: str
    result: Any = None


class ParentCancelled(Event, tag="parent_cancelled", frozen=True):
    """The session that began this one was cancelled."""

    parent: str


class Migrated(Event, tag="migrated", frozen=True):
    """The flow has a newer version (`to`), with a rule for sessions of this one."""

    to: str


AnyEvent = (
    Opened
    | Answered
    | WentBack
    | ChangeAsked
    | UndoAsked
    | CancelAsked
    | OrderFinished
    | Taken
    | TakenOver
    | TargetFree
    | FactsCame
    | TimerDue
    | HookReturned
    | EventCame
    | Approved
    | ChildEnded
    | ParentCancelled
    | Migrated
)
