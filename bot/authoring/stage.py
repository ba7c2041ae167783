"""One simulated conversation: a session, the fleet, a person, and a clock that stands until somebody moves.

`moves` are all things that may happen next, as words, the straight one first; `do` makes one happen. So a
run is a list of words, that can be written down, cut shorter and played again. Raises `rules.Broken`.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from typing import Any, Final

from bot.authoring import answers
from bot.authoring.faults import FAULTS
from bot.authoring.fleet import Said, SimFleet
from bot.authoring.library import Library
from bot.authoring.rules import Broken, Watch, reread
from bot.engine import form, text
from bot.engine.advance import advance, open_session
from bot.engine.answers import LOOK_AGAIN
from bot.engine.effects import (
    AnyEffect,
    AskApproval,
    AskFacts,
    AwaitTarget,
    BeginSession,
    CallHook,
    DropTimer,
    SendOrder,
    SetTimer,
)
from bot.engine.events import (
    Answered,
    Approved,
    CancelAsked,
    ChangeAsked,
    ChildEnded,
    Event,
    EventCame,
    FactsCame,
    HookReturned,
    Migrated,
    Opened,
    OrderFinished,
    Taken,
    TargetFree,
    TimerDue,
    UndoAsked,
    WentBack,
)
from bot.engine.refusals import InvalidAnswer, Refused, Stale
from bot.engine.session import Entry, Session
from bot.engine.step import Step

PERSON: Final = "p-author"
THINKS_MS: Final = 4_000  # a person's time for an answer: long enough that facts are looked up again
_WISHES: Final = (SendOrder, AskFacts, CallHook, BeginSession, AskApproval, AwaitTarget)


class Stage:
    """A session of `flow` under way."""

    def __init__(
        self,
        library: Library,
        flow: str,
        *,
        fleet: SimFleet | None = None,
        given: dict[str, Any] | None = None,
        node: str = "",
        hooks: Callable[[str, str, dict[str, Any]], Any] | None = None,
    ) -> None:
        self.library, self.fleet = library, fleet or SimFleet()
        self.now_ms = 1_700_000_000_000
        self.entries: list[Entry] = []
        self.orders: list[SendOrder] = []
        self.outbox: list[AnyEffect] = []
        self.done: list[str] = []  # the moves so far
        self.refused: Refused | None = None  # of the newest move
        self._hooks = hooks
        self._queue: list[tuple[int, int, Event]] = []
        self._count = 0
        self._events: list[Event] = []  # all that were taken
        self.watch = Watch(self.fleet.world)
        opened = Opened(at_ms=self.now_ms, by=PERSON, answers=given or {}, node=node or self.fleet.first)
        step = open_session(library, flow, "s-simulated", PERSON, opened)
        self.session: Session = step.session
        self._took(opened, None, step)

    # what may happen

    def moves(self, *, rough: bool = False) -> list[str]:
        """What may happen now. `rough` adds crashes, duplicates, reordering, old answers and new versions."""
        if self.session.status != "open":
            return []
        found = self._wish_moves() if self.outbox else self._other_moves()
        if rough:
            found += ["crash", "again", "version", "migrate", "nonsense", "old"]
            found += ["overtake"] if len(self._queue) > 1 else []
            found += ["next"] if self._queue and "next" not in found else []
            found += ["undeliver"] if self.orders else []
            found += [] if "cancel" in found or self.session.stopping else ["cancel"]
        return found

    def _wish_moves(self) -> list[str]:
        match self.outbox[0]:
            case SendOrder() as wish:
                verb = str(wish.order["verb"])
                met = [one.name for one in FAULTS.values() if one.befalls(verb)]
                if not wish.claim:
                    met = [name for name in met if name != "target-busy"]
                return ["do", *(f"do {name}" for name in met)]
            case AskFacts():
                return ["facts", "facts facts-away", "facts facts-empty"]
            case CallHook() as wish:
                return [f"hook {json.dumps(value)}" for value in self._hook_values(wish)]
            case BeginSession():
                return ["child done", "child failed"]
            case AskApproval():
                return ["approve", "refuse", "leave"]
            case _:
                return ["do"]

    def _other_moves(self) -> list[str]:
        session, shown = self.session, self.session.shown
        found: list[str] = []
        if shown is None or shown.loading:
            state = self._state()
            if (
                session.waiting is not None
                and session.waiting.kind == "event"
                and isinstance(state, form.Wait)
            ):
                found.append(f"event {state.event}")
            if session.waiting is not None and session.waiting.kind == "approval":
                found += ["approve", "refuse"]
            found += ["next"] if self._queue else []
            found += [] if session.stopping or session.unwinding is not None else ["cancel"]
            return found
        found += [f"answer {json.dumps(value)}" for value in answers.candidates(shown)]
        found += ["back"] if shown.can_back else []
        found += ["undo"] if shown.can_undo else []
        found += [f"change {row.change}" for row in shown.rows if row.change]
        found += ["cancel"] if shown.can_cancel else []
        found += ["next"] if self._queue else []
        return found

    def _hook_values(self, wish: CallHook) -> list[Any]:
        state = self._state()
        if isinstance(state, form.Choose):
            return list(state.targets)
        return [None, "The check says no."]

    def _state(self) -> form.State:
        frame = self.session.stack[-1]
        return self.library.by_version(frame.version).flow.states[frame.state]

    # what happens

    def do(self, move: str) -> bool:
        """Make it happen; False when it cannot, or was refused, and nothing changed. Raises Broken."""
        self.refused = None
        word, _, rest = move.partition(" ")
        act = getattr(self, f"_do_{word}", None)
        if act is None or self.session.status != "open":
            return False
        self.done.append(move)
        try:
            return bool(act(rest))
        except Broken:
            raise
        except Exception as e:
            raise Broken("crash", f"{type(e).__name__}: {e} (at {move!r})") from e

    def answer(self, value: Any) -> bool:
        """The person answers what is shown."""
        return self.do(f"answer {json.dumps(value)}")

    def _do_do(self, fault: str) -> bool:
        if not self.outbox or isinstance(self.outbox[0], AskFacts | CallHook | AskApproval | BeginSession):
            return False
        wish = self.outbox.pop(0)
        if isinstance(wish, AwaitTarget):
            self._put(Said(self.now_ms + 30_000, TargetFree(at_ms=self.now_ms + 30_000, wait_id=wish.id)))
            return True
        assert isinstance(wish, SendOrder)  # noqa: S101  (nothing else is left)
        if fault:
            self.fleet.break_(fault, 1)
            self.watch.meddled |= FAULTS[fault].kind == "world"
        for said in self.fleet.carry_out(wish, self.now_ms):
            self._put(said)
        if fault:
            self.fleet.mend(fault)
        return True

    def _do_facts(self, fault: str) -> bool:
        if not self.outbox or not isinstance(self.outbox[0], AskFacts):
            return False
        wish = self.outbox.pop(0)
        assert isinstance(wish, AskFacts)  # noqa: S101
        if fault:
            self.fleet.break_(fault, 1)
        for said in self.fleet.facts(wish, self.now_ms):
            self._put(said)
        if fault:
            self.fleet.mend(fault)
        self._do_next("")
        return True  # also when nobody waits for them any more

    def _do_hook(self, value: str) -> bool:
        wish = self.outbox[0] if self.outbox else None
        if not isinstance(wish, CallHook):
            return False
        self.outbox.pop(0)
        return self._take(HookReturned(at_ms=self._tick(5), hook_id=wish.id, value=json.loads(value)))

    def run_hook(self) -> bool:
        """Call the flow's own function, where it is at hand, instead of choosing what it returns."""
        wish = self.outbox[0] if self.outbox else None
        if not isinstance(wish, CallHook):
            return False
        flow = self.library.by_version(wish.flow_version).flow.name
        hook = self.library.hook(flow, wish.hook)
        if hook is None and self._hooks is None:
            return False
        value = hook(wish.names) if hook is not None else self._hooks(flow, wish.hook, wish.names)  # type: ignore[misc]
        return self.do(f"hook {json.dumps(value)}")

    def _do_child(self, outcome: str) -> bool:
        wish = self.outbox[0] if self.outbox else None
        if not isinstance(wish, BeginSession):
            return False
        self.outbox.pop(0)
        at_ms = self.now_ms + 10_000
        self._put(Said(at_ms, ChildEnded(at_ms=at_ms, session=wish.child, outcome=outcome, result=None)))
        return True

    def _do_leave(self, _: str) -> bool:
        if not self.outbox or not isinstance(self.outbox[0], AskApproval):
            return False
        self.outbox.pop(0)
        return True

    def _do_approve(self, _: str) -> bool:
        return self._vote(yes=True)

    def _do_refuse(self, _: str) -> bool:
        return self._vote(yes=False)

    def _vote(self, *, yes: bool) -> bool:
        if self.outbox and isinstance(self.outbox[0], AskApproval):
            self.outbox.pop(0)
        asked = self.session.approval
        if asked is None:
            return False
        number = len(asked.votes)
        vote = Approved(
            at_ms=self._tick(60_000),
            by=f"p-approver-{number}",
            approval=asked.id,
            answer_id=f"v-{number}",
            yes=yes,
            reason="" if yes else "Not today.",
            name=f"approver-{number}",
            role=asked.of[0],
        )
        return self._take(vote)

    def _do_event(self, name: str) -> bool:
        state = self._state()
        if not isinstance(state, form.Wait) or state.event != name:
            return False
        sample = {"text": "text", "number": 1, "yes-no": True, "any": "anything"}
        data = {field: sample[kind] for field, kind in state.fields.items()}
        at_ms = self._tick(1_000)
        return self._take(EventCame(at_ms=at_ms, by="p-robot", name=name, event_id=f"e-{at_ms}", data=data))

    def _do_next(self, _: str) -> bool:
        while self._queue:
            at_ms, _n, event = heapq.heappop(self._queue)
            self.now_ms = max(self.now_ms, at_ms)
            if self._take(event):
                return True
        return False

    def _do_overtake(self, _: str) -> bool:
        if len(self._queue) < 2:
            return False
        last = self._queue.pop(self._queue.index(max(self._queue)))
        heapq.heapify(self._queue)
        if isinstance(last[2], TimerDue):  # clocks don't overtake
            self.now_ms = max(self.now_ms, last[0])
        return self._take(last[2])

    def _do_answer(self, value: str) -> bool:
        shown = self.session.shown
        if shown is None:
            return False
        at_ms = self._tick(THINKS_MS)
        took = self._take(
            Answered(at_ms=at_ms, by=PERSON, seq=shown.seq, answer_id=f"a-{at_ms}", value=json.loads(value))
        )
        if not took and not isinstance(self.refused, InvalidAnswer):
            raise Broken("offered", f"an answer to what is shown was refused: {self.refused}")
        return took

    def _do_back(self, _: str) -> bool:
        return self._offered(lambda at, seq: WentBack(at_ms=at, by=PERSON, seq=seq, answer_id=f"b-{at}"))

    def _do_undo(self, _: str) -> bool:
        return self._offered(lambda at, seq: UndoAsked(at_ms=at, by=PERSON, seq=seq, answer_id=f"u-{at}"))

    def _do_change(self, to: str) -> bool:
        return self._offered(
            lambda at, seq: ChangeAsked(at_ms=at, by=PERSON, seq=seq, answer_id=f"c-{at}", to=to)
        )

    def _do_cancel(self, _: str) -> bool:
        shown, session = self.session.shown, self.session
        at_ms = self._tick(THINKS_MS)
        took = self._take(CancelAsked(at_ms=at_ms, by=PERSON, seq=session.seq, answer_id=f"x-{at_ms}"))
        busy = (
            session.stopping or session.unwinding is not None or (shown is not None and not shown.can_cancel)
        )
        if not took and not busy:
            raise Broken("cancel", f"it was refused: {self.refused}")
        return took

    def _offered(self, make: Callable[[int, int], Event]) -> bool:
        if self.session.shown is None:
            return False
        if not self._take(make(self._tick(THINKS_MS), self.session.seq)):
            raise Broken("offered", f"{self.done[-1]!r} was offered and refused: {self.refused}")
        return True

    # rough things

    def _do_crash(self, _: str) -> bool:
        self.session = reread(self.session)
        return True

    def _do_again(self, _: str) -> bool:
        """The newest event comes once more; it may change nothing."""
        if not self._events or isinstance(self._events[-1], Opened | EventCame | Migrated):
            return False
        event, before = self._events[-1], self.session
        if isinstance(event, Answered) and event.value == LOOK_AGAIN:
            return False  # the same question stays; that the same answer counts once is the store's part
        if self._try(event) is not None:
            raise Broken("doubled", f"the same {type(event).__name__} was taken twice.")
        return self.session is not before

    def _do_undeliver(self, _: str) -> bool:
        """The newest order is handed over once more, as after a crash of the bot; the node answers again."""
        if not self.orders:
            return False
        wish = self.orders[-1]
        if wish in self.outbox or wish.id not in {id for id, _, _ in self.fleet.log}:
            return False
        carried = len(self.fleet.log)
        for said in self.fleet.carry_out(wish, self.now_ms):
            self._put(said)
        if len(self.fleet.log) != carried:
            raise Broken("doubled", f"{wish.order['verb']} was carried out twice.")
        return True

    def _do_version(self, _: str) -> bool:
        self.library.change(self.session.flow)
        return True

    def _do_migrate(self, _: str) -> bool:
        to = self.library.change(self.session.flow)
        return self._take(Migrated(at_ms=self._tick(1), to=to))

    def _do_nonsense(self, _: str) -> bool:
        shown, at_ms = self.session.shown, self._tick(1)
        for number, value in enumerate(answers.nonsense(shown) if shown is not None else [None]):
            answered = Answered(
                at_ms=at_ms, by=PERSON, seq=self.session.seq, answer_id=f"n-{at_ms}-{number}", value=value
            )
            if self._take(answered):
                return True
        return False

    def _do_old(self, _: str) -> bool:
        """Things that nobody waits for: none may be taken."""
        at_ms = self._tick(1)
        seq = self.session.seq - 1
        for event in (
            Answered(at_ms=at_ms, by=PERSON, seq=seq, answer_id=f"o-{at_ms}", value=True),
            TimerDue(at_ms=at_ms, timer_id="t-old"),
            FactsCame(at_ms=at_ms, lookup_id="l-old", facts={}),
            HookReturned(at_ms=at_ms, hook_id="h-old"),
            CancelAsked(at_ms=at_ms, by=PERSON, seq=seq, answer_id=f"p-{at_ms}"),
        ):
            if self._try(event) is not None:
                raise Broken("doubled", f"an old {type(event).__name__} was taken.")
        return False

    # how

    def _tick(self, ms: int) -> int:
        self.now_ms += ms
        return self.now_ms

    def _put(self, said: Said) -> None:
        self._count += 1
        heapq.heappush(self._queue, (said.at_ms, self._count, said.event))

    def _try(self, event: Event) -> Step | None:
        try:
            return advance(self.library, self.session, event)
        except Refused as e:
            self.refused = e
            return None

    def _take(self, event: Event) -> bool:
        step = self._try(event)
        if step is None:
            late = isinstance(event, OrderFinished | TimerDue | FactsCame | TargetFree | Taken)
            if late and not isinstance(self.refused, Stale):
                raise Broken("offered", f"{type(event).__name__} was refused: {self.refused}")
            return False
        before, self.session = self.session, step.session
        self._events.append(event)
        if isinstance(event, Taken):
            self.watch.not_handed_over(event.order_id)
        self._took(event, before, step)
        return True

    def _took(self, event: Event, before: Session | None, step: Step) -> None:
        self.entries += step.entries
        for effect in step.effects:
            if isinstance(effect, SetTimer):
                due = TimerDue(at_ms=effect.due_ms, timer_id=effect.id)
                self._put(Said(effect.due_ms, due))
            elif isinstance(effect, DropTimer):
                self._queue = [
                    one
                    for one in self._queue
                    if not (isinstance(one[2], TimerDue) and one[2].timer_id == effect.timer_id)
                ]
                heapq.heapify(self._queue)
            elif isinstance(effect, _WISHES):
                self.outbox.append(effect)
            if isinstance(effect, SendOrder):
                self.orders.append(effect)
        if step.session.status == "ended":
            self.outbox.clear()
        self.watch.step(event, before, step, self.fleet.world)
        if step.session.status == "open" and not self.moves():
            raise Broken("dead-end", "nothing can happen any more, and it has not ended.")

    def hear_on(self) -> None:
        """After the end: results that come late are told. Raises Broken."""
        while self._queue:
            self._do_next("")

    # to look at

    @property
    def verbs(self) -> list[str]:
        """The orders that went out, by their verbs."""
        return [str(one.order["verb"]) for one in self.orders]

    def said(self) -> list[str]:
        """Every sentence of the transcript."""
        return [text.plain(entry.text) for entry in self.entries]
