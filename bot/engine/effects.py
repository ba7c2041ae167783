"""Effects: wishes in the imperative that a step hands out. Frozen, tagged, closed.

Carried out from the store at least once; idempotent by `id`, which is derived from session, version
and index (`bot.engine.ids.derived`) and never drawn.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bot.engine.text import Tree


class Effect(msgspec.Struct, frozen=True, tag_field="effect", kw_only=True):
    """Common to all. `session` is where the answer goes."""

    id: str
    session: str


class SendOrder(Effect, tag="send_order", frozen=True):
    """Have a node carry out an order. `id` is the order's id; `order` the builtins form, with "verb".

    `installation`, `epoch` and signature are added by the fleet; everything else is fixed here, so that
    the payload is the same bytes whenever it is built. `says` is for people.
    `claim` is what has to be this session's before the order is handed over, "" for none; when another has it
    the answer is `Taken`. `breaks` is the session whose claim is taken over, `because` why; `title` the
    flow's.
    """

    node: str
    order: dict[str, Any]
    actor: str
    not_before_ms: int
    expires_ms: int
    says: str = ""
    title: str = ""
    claim: str = ""
    breaks: str = ""
    because: str = ""


class AskFacts(Effect, tag="ask_facts", frozen=True):
    """Ask the fleet for facts that prompt `seq` needs. Answered by `FactsCame`; times out to a sentence."""

    seq: int
    fact: str
    args: dict[str, Any]
    node: str
    due_ms: int


class SetTimer(Effect, tag="set_timer", frozen=True):
    """Deliver `TimerDue(id)` at `due_ms`."""

    due_ms: int


class DropTimer(Effect, tag="drop_timer", frozen=True):
    """Forget a timer set earlier (`timer_id`)."""

    timer_id: str


class CallHook(Effect, tag="call_hook", frozen=True):
    """Run a plugin's hook on plain data. Answered by `HookReturned`."""

    flow_version: str
    hook: str
    names: dict[str, Any]


class Notify(Effect, tag="notify", frozen=True):
    """Tell a person outside the session."""

    person: str
    text: str


class BeginSession(Effect, tag="begin_session", frozen=True):
    """Begin the session `child` alongside. Answered by `ChildEnded`, at its end or when it cannot begin."""

    child: str
    flow: str
    version: str
    answers: dict[str, Any]
    person: str
    node: str
    zone: str
    generation: int


class TellParent(Effect, tag="tell_parent", frozen=True):
    """Deliver `ChildEnded` to the session `parent`."""

    parent: str
    outcome: str
    result: Any = None


class CancelSession(Effect, tag="cancel_session", frozen=True):
    """Deliver `ParentCancelled` to the session `child`."""

    child: str


class AskApproval(Effect, tag="ask_approval", frozen=True):
    """List this question for those who may answer it. `id` is the approval's."""

    asker: str
    of: tuple[str, ...]
    need: int
    title: str
    question: Tree
    rows: tuple[tuple[str, str], ...]
    at_ms: int


class DropApproval(Effect, tag="drop_approval", frozen=True):
    """Take a question off that list (`approval`)."""

    approval: str


class AwaitTarget(Effect, tag="await_target", frozen=True):
    """Deliver `TargetFree(id)` once no other session claims that target."""

    claim: str


class ReleaseTargets(Effect, tag="release_targets", frozen=True):
    """Give back what the session claimed."""

    claims: tuple[str, ...]


class Audit(Effect, tag="audit", frozen=True):
    """Append to the audit. No secrets, no free chat text."""

    at_ms: int
    actor: str
    what: str  # stable name: session.opened, order.sent, order.finished, session.ended …
    details: dict[str, Any]


AnyEffect = (
    SendOrder
    | AskFacts
    | SetTimer
    | DropTimer
    | CallHook
    | Notify
    | BeginSession
    | TellParent
    | CancelSession
    | AskApproval
    | DropApproval
    | Audit
    | AwaitTarget
    | ReleaseTargets
)
