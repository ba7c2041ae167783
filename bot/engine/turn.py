"""One advance under way: the session so far, what was said and what is wished. Thrown away when refused.

Rule 1: nothing outside sees a turn; what leaves is the `Step` at its end.
Rule 2: ids are derived from session, version and a count, so the same event gives the same ids.
Rule 3: every move is a row of the flow's machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from bot.engine import form, markdown, template, text
from bot.engine.effects import AnyEffect, Audit, CallHook, DropApproval, DropTimer
from bot.engine.events import Event
from bot.engine.filters import Unfit, as_text
from bot.engine.ids import derived
from bot.engine.ready import Flows, Ready
from bot.engine.session import Crumb, Entry, Frame, Session, Shown, Waiting
from bot.engine.step import Step

ENTRIES_MAX: Final = 10_000
ENTRIES_BYTES: Final = 4_000_000
TRAIL_MAX: Final = 60  # prompts that one can go back over
SUBJECT_CHARS: Final = 40  # of what a session is about, in its title
STACK_MAX: Final = 10  # flows that call each other
_encode: Final = msgspec.json.Encoder().encode


@lru_cache(maxsize=1024)
def _deployment(session_id: str) -> str:
    """The id under which a session may make a deployment."""
    return derived("d", session_id)


class Fault(Exception):
    """The author's mistake that shows only now. The person gets a way on, the log gets the place."""

    def __init__(self, flow: str, state: str, says: str) -> None:
        super().__init__(f"chatflow {flow!r}, state {state!r}: {says}")
        self.flow, self.state, self.says = flow, state, says


class Turn:
    """The session being advanced by one event. Modules of this room change it by these calls only."""

    def __init__(self, flows: Flows, session: Session, event: Event) -> None:
        self.flows = flows
        self.event = event
        self.session = msgspec.structs.replace(session, version=session.version + 1, changed_ms=event.at_ms)
        self.asked_for = ""  # the name of an Ask to be shown even if it is quiet or could be skipped
        self.asked_why = ""  # the problem that it is shown with
        self.facts_ms = 0  # when the facts came that the answer now taken is picked from
        self._entries: list[Entry] = []
        self._effects: list[AnyEffect] = []
        self._ids = 0
        self._ready: Ready | None = None
        self._count, self._bytes = session.entries, session.bytes  # put into the session at the end
        self._scope: tuple[Frame, dict[str, Any]] | None = None

    def step(self) -> Step:
        """What comes of it."""
        if self.session.alarms or self.session.approval is not None:
            self._let_go()
        session = msgspec.structs.replace(self.session, entries=self._count, bytes=self._bytes)
        return Step(session, tuple(self._entries), tuple(self._effects))

    def _let_go(self) -> None:
        """Alarms and questions to others end with the prompt or the wait that they belong to."""
        session = self.session
        shown, waiting = session.shown, session.waiting
        here = f"q{shown.seq}" if shown is not None else waiting.id if waiting is not None else ""
        for alarm in session.alarms:
            if alarm.of != here:
                self.want(DropTimer(id=self.new_id("f"), session=session.id, timer_id=alarm.id))
        self.set(alarms=tuple(alarm for alarm in session.alarms if alarm.of == here))
        if session.approval is not None and session.approval.id != here:
            self.want(DropApproval(id=self.new_id("f"), session=session.id, approval=session.approval.id))
            self.set(approval=None)

    # where it stands

    @property
    def frame(self) -> Frame:
        """The flow on top of the stack."""
        return self.session.stack[-1]

    @property
    def depth(self) -> int:
        """How many flows lie below it."""
        return len(self.session.stack) - 1

    @property
    def ready(self) -> Ready:
        """Its compiled version."""
        if self._ready is None or self._ready.version != self.frame.version:
            self._ready = self.flows.by_version(self.frame.version)
        return self._ready

    @property
    def state(self) -> form.State:
        """The state it is in."""
        return self.ready.flow.states[self.frame.state]

    @property
    def scope(self) -> Mapping[str, Any]:
        """The names that templates may read."""
        session, frame = self.session, self.session.stack[-1]
        if self._scope is not None and self._scope[0] is frame:
            return self._scope[1]
        known = {
            "id": session.id,
            "person": session.person,
            "node": session.node,
            "deployment": _deployment(session.id),
            "at_ms": self.event.at_ms,
            "zone": session.zone or "UTC",
        }
        scope = {**frame.names, "session": known}
        self._scope = (frame, scope)
        return scope

    @property
    def own_deployment(self) -> str:
        """The id of the deployment that this session may make."""
        return _deployment(self.session.id)

    @property
    def going(self) -> bool:
        """Whether it goes on by itself."""
        session = self.session
        return session.status == "open" and session.shown is None and session.waiting is None

    def fault(self, says: str) -> Fault:
        """The author's mistake at this place, as an exception to raise."""
        return Fault(self.frame.flow, self.frame.state, says[:1].upper() + says[1:])

    def render(self, source: str) -> text.Tree:
        """A message of the flow with its values. Raises Fault."""
        if not source:
            return ()
        try:
            return markdown.message(source).render(self.scope)
        except Unfit as e:
            raise self.fault(f"{e}.") from e

    def value_of(self, expression: str) -> Any:
        """What an expression of the flow comes to. Raises Fault."""
        try:
            return template.expression(expression)(self.scope)
        except Unfit as e:
            raise self.fault(f"{e}.") from e

    def filled(self, value: Any) -> Any:
        """A JSON value of the flow with its templates filled in. Raises Fault."""
        try:
            return template.evaluate(value, self.scope)
        except Unfit as e:
            raise self.fault(f"{e}.") from e

    # how it changes

    def set(self, **fields: Any) -> None:
        """Put other values into the session."""
        self.session = msgspec.structs.replace(self.session, **fields)

    def go(self, trigger: str, dest: str) -> None:
        """Move along a row of the machine."""
        if not self.ready.may_go(trigger, self.frame.state, dest):
            raise self.fault(f"there is no way from {self.frame.state!r} to {dest!r}.")
        self.put_frame(msgspec.structs.replace(self.frame, state=dest))
        self.set(shown=None, waiting=None, lookup="")

    def take(self, *, name: str, value: Any, given: Any, seq: int, quiet: bool, dest: str) -> None:
        """An answer counts: note it for going back, give its name the value, go on to `dest`. All in one,
        since every answer of every person comes through here. The trigger is `answered`.
        """
        session, frame = self.session, self.session.stack[-1]
        if not self.ready.may_go("answered", frame.state, dest):
            raise self.fault(f"there is no way from {frame.state!r} to {dest!r}.")
        depth = len(session.stack) - 1
        crumb = Crumb(
            seq=seq,
            name=name,
            depth=depth,
            stack=tuple([Frame(flow=f.flow, version=f.version, state=f.state) for f in session.stack]),
            value=given,
            undos=len(session.undos),
            quiet=quiet,
            before={f"{depth}.{name}": [frame.names[name]] if name in frame.names else []},
        )
        moved = Frame(flow=frame.flow, version=frame.version, state=dest, names={**frame.names, name: value})
        self.session = msgspec.structs.replace(
            session,
            stack=(*session.stack[:-1], moved),
            trail=(*session.trail, crumb)[-TRAIL_MAX:],
            shown=None,
            waiting=None,
            lookup="",
        )
        if not depth and name == self.ready.subject:
            self._entitle(value)

    def _entitle(self, value: Any) -> None:
        """Say in the title what the session is about, so that two of one flow can be told apart."""
        words = " ".join(as_text(value).split())[:SUBJECT_CHARS]
        flow = self.ready.flow.title
        self.set(title=f"{flow} · {words}" if words else flow)

    def put_frame(self, frame: Frame) -> None:
        """Replace the flow on top."""
        self.set(stack=(*self.session.stack[:-1], frame))

    def assign(self, name: str, value: Any) -> None:
        """Give a name a value, and note what it was for going back."""
        self._remember(self.depth, name)
        self.put_frame(msgspec.structs.replace(self.frame, names={**self.frame.names, name: value}))

    def push(self, frame: Frame) -> None:
        """Begin another flow on top."""
        if len(self.session.stack) >= STACK_MAX:
            raise self.fault(f"more than {STACK_MAX} chatflows call each other.")
        for name in frame.names:
            self._remember(len(self.session.stack), name)
        self.set(stack=(*self.session.stack, frame), shown=None, waiting=None, lookup="")

    def pop(self) -> None:
        """End the flow on top."""
        for name in self.frame.names:
            self._remember(self.depth, name)
        self.set(stack=self.session.stack[:-1], shown=None, waiting=None, lookup="")

    def begin_trail(self) -> None:
        """Nothing before this place can be gone back to."""
        self.set(trail=(self._crumb(name="", value=None, seq=0, quiet=True),))

    def _crumb(self, *, name: str, value: Any, seq: int, quiet: bool) -> Crumb:
        session = self.session
        skeleton = tuple(msgspec.structs.replace(frame, names={}) for frame in session.stack)
        undos = len(session.undos)
        return Crumb(
            seq=seq, name=name, depth=self.depth, stack=skeleton, value=value, undos=undos, quiet=quiet
        )

    def restore(self, index: int) -> None:
        """Return to where crumb `index` was left: its stack, and the names as they were then."""
        session = self.session
        names = {depth: dict(frame.names) for depth, frame in enumerate(session.stack)}
        for crumb in reversed(session.trail[index:]):
            for place, old in crumb.before.items():
                depth, _, name = place.partition(".")
                known = names.setdefault(int(depth), {})
                if old:
                    known[name] = old[0]
                else:
                    known.pop(name, None)
        stack = tuple(
            msgspec.structs.replace(frame, names=names.get(depth, {}))
            for depth, frame in enumerate(session.trail[index].stack)
        )
        self.set(stack=stack, trail=session.trail[:index], shown=None, waiting=None, lookup="")
        if index == 0:
            self.begin_trail()

    def _remember(self, depth: int, name: str) -> None:
        trail = self.session.trail
        place = f"{depth}.{name}"
        if not trail or place in trail[-1].before:
            return
        stack = self.session.stack
        known = stack[depth].names if depth < len(stack) else {}
        old = [known[name]] if name in known else []
        last = msgspec.structs.replace(trail[-1], before={**trail[-1].before, place: old})
        self.set(trail=(*trail[:-1], last))

    # what it says and wishes

    def new_id(self, kind: str) -> str:
        """The next derived id of this turn."""
        self._ids += 1
        return derived(kind, self.session.id, self.session.version, self._ids)

    def want(self, effect: AnyEffect) -> None:
        """Wish for an effect."""
        self._effects.append(effect)

    def audit(self, what: str, **details: Any) -> None:
        """Wish for an entry in the audit."""
        self.want(
            Audit(
                id=self.new_id("u"),
                session=self.session.id,
                at_ms=self.event.at_ms,
                actor=self.session.person,
                what=what,
                details=details,
            )
        )

    def enter(self, kind: str, words: text.Tree = (), *, person: bool = False, **fields: Any) -> None:
        """Add an entry to the transcript."""
        self._count += 1
        who = (self.event.by or self.session.person) if person else "bot"
        if "state" not in fields:
            fields["state"] = self.session.stack[-1].state
        entry = Entry(n=self._count, at_ms=self.event.at_ms, kind=kind, who=who, text=words, **fields)
        self._entries.append(entry)
        self._bytes += len(_encode(entry))

    def call_hook(self, hook: str, names: dict[str, Any]) -> None:
        """Have a plugin's function run, and wait for it."""
        hook_id = self.new_id("h")
        self.want(
            CallHook(
                id=hook_id, session=self.session.id, flow_version=self.frame.version, hook=hook, names=names
            )
        )
        self.wait(Waiting(kind="hook", id=hook_id, since_ms=self.event.at_ms))

    @property
    def is_full(self) -> bool:
        """Whether the transcript has reached its end."""
        return self._count >= ENTRIES_MAX or self._bytes >= ENTRIES_BYTES

    def show(self, shown: Shown) -> None:
        """Put a prompt before the person."""
        self.set(shown=shown, seq=shown.seq, waiting=None)

    def wait(self, waiting: Waiting) -> None:
        """Wait for something that is no answer."""
        self.set(waiting=waiting, shown=None, lookup="")
