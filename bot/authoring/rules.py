"""What has to hold for every flow, whatever happens, checked after each step of the simulation.

A rule that does not hold is `Broken`: its name is stable, its sentence says what was seen.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bot.authoring.world import World, difference, picture
from bot.engine import text
from bot.engine.effects import SendOrder
from bot.engine.events import Answered, Approved, Event, TimerDue
from bot.engine.orders import RANK, RISKS
from bot.engine.session import Entry, Session
from bot.engine.step import Step

RULES: Final = {
    "crash": "No event makes the engine fail.",
    "fault": "No message, order or condition of a flow fails when it is used.",
    "shape": "After each step a session shows a prompt, waits, or has ended; its bytes hold all of it.",
    "dead-end": "There is always a way on.",
    "offered": "What a prompt offers is taken.",
    "cancel": "One can cancel at any time.",
    "undo": "Cancel brings back what was before, or says what stays.",
    "unconfirmed": "What disturbs is asked before, what destroys is confirmed.",
    "doubled": "No order is sent twice.",
    "lost": "Of each order sent the result is told.",
    "never-ends": "Cancel ends it within 200 steps.",
    "museum": "What went wrong elsewhere does not go wrong here.",
}
_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Session)


class Broken(Exception):
    """A rule that does not hold."""

    def __init__(self, rule: str, says: str) -> None:
        super().__init__(f"{RULES[rule]} But: {says}")
        self.rule, self.says = rule, says


def reread(session: Session) -> Session:
    """The session as it comes back from its bytes, as after a crash."""
    return _decoder.decode(_encoder.encode(session))


class Watch:
    """Looks at one session from its beginning."""

    def __init__(self, world: World) -> None:
        self._before = picture(world)
        self.meddled = False  # something else than the session changed the world
        self._sent: set[str] = set()
        self._open: set[str] = set()
        self._asked = self._confirmed = False  # a yes holds for what follows until the next question
        self._used = False
        self._dangerous: set[str] = set()
        self._agreed: set[str] = set()  # states that did so after they were asked about
        self._waited = False  # ... and a time came since: that was agreed to as well

    def step(self, event: Event, before: Session | None, step: Step, world: World) -> None:
        """What holds after every step. Raises Broken."""
        session = step.session
        self._shape(before, step)
        if before is not None and before.shown is not None and isinstance(event, Answered):
            kind = before.shown.kind
            if self._used and before.shown.name != "way_on":
                self._asked = self._confirmed = self._used = False
            self._asked |= kind in ("pick", "yes-no", "confirm", "pick-many") or before.shown.name == "way_on"
            self._confirmed |= kind == "confirm" or before.shown.name == "way_on"
        self._waited |= isinstance(event, TimerDue)
        if isinstance(event, Approved) and event.yes:
            self._asked = self._confirmed = True
        for entry in step.entries:
            if entry.kind == "answered" and entry.outcome == "prefilled":
                self._asked = self._confirmed = True
            if entry.order and entry.kind in ("finished", "corrected"):
                self._open.discard(entry.order)
            if entry.kind == "problem" and entry.outcome == "fault":
                raise Broken("fault", text.plain(entry.text))
            if entry.kind == "corrected" and entry.outcome == "done":
                self.meddled = True  # the transcript says that it was done after all
            if entry.order in self._dangerous and entry.kind == "finished" and entry.outcome == "done":
                self._used = True
        self._orders(before, step)
        if session.status == "ended" and (before is None or before.status != "ended"):
            self._ended(session, world, step.entries)

    def not_handed_over(self, order: str) -> None:
        """Another session was at its target."""
        self._open.discard(order)

    def _shape(self, before: Session | None, step: Step) -> None:
        session = step.session
        if reread(session) != session:
            raise Broken("shape", "the session reads back from its bytes as another one.")
        if session.version != (before.version + 1 if before is not None else 1):
            raise Broken("shape", f"version {session.version} does not follow on the one before.")
        if (session.shown is not None) + (session.waiting is not None) != (session.status == "open"):
            raise Broken("shape", f"it is {session.status}, and neither asks nor waits, or both.")
        numbers = [entry.n for entry in step.entries]
        first = (before.entries if before is not None else 0) + 1
        if numbers != list(range(first, first + len(numbers))):
            raise Broken("shape", f"entries are numbered {numbers}, not from {first} on.")

    def _orders(self, before: Session | None, step: Step) -> None:
        undoing = step.session.unwinding is not None
        place = ".".join(frame.state for frame in step.session.stack)
        for effect in step.effects:
            if not isinstance(effect, SendOrder):
                continue
            if effect.id in self._sent:
                raise Broken(
                    "doubled", f"{effect.order['verb']} has the id of an order before ({effect.id})."
                )
            self._sent.add(effect.id)
            self._open.add(effect.id)
            rank = RANK[RISKS[str(effect.order["verb"])]]
            if undoing or rank < RANK["disturbs"]:
                continue
            in_batch = before is not None and before.batch is not None and step.session.batch is not None
            fine = self._confirmed if rank >= RANK["destroys"] else self._asked
            fine = fine or in_batch or (self._waited and place in self._agreed)
            if not fine:
                raise Broken("unconfirmed", f"{effect.order['verb']} was sent and nobody was asked.")
            self._dangerous.add(effect.id)
            self._agreed.add(place)

    def _ended(self, session: Session, world: World, entries: tuple[Entry, ...]) -> None:
        lost = self._open - {one.order for one in session.unsettled}
        if lost:
            raise Broken("lost", f"nothing was told of {len(lost)} of its orders.")
        stays = any("stays as it is" in text.plain(one.text) for one in entries if one.kind == "ended")
        if session.outcome != "cancelled" or stays or session.unsettled or self.meddled:
            return
        if found := difference(self._before, picture(world)):
            raise Broken(
                "undo", f"it ended cancelled, and nothing was said to stay, but {'; '.join(found[:4])}."
            )
