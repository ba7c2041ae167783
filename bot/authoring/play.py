"""An author's tests: ``play("restart-container", container="web", sure="yes").ends("done")``.

Answers are given by the name of a prompt or of its state; what is not given takes its default, else the first
option. The run begins at the first question that is asked of it, and each assertion returns it again.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bot.authoring import answers as answering
from bot.authoring.fleet import SimFleet
from bot.authoring.library import Library, built_in, near
from bot.authoring.loading import flows_below, yaml_value
from bot.authoring.stage import Stage
from bot.authoring.world import difference, picture
from bot.engine import form, text
from bot.engine.effects import AskApproval, AskFacts, CallHook
from bot.engine.vocabulary import Chatflow

STEPS = 500
_flows: contextvars.ContextVar[Library | None] = contextvars.ContextVar("flows", default=None)


class NotSo(AssertionError):
    """An assertion about a run that does not hold; the message ends with the conversation so far."""


@contextmanager
def using(library: Library) -> Iterator[Library]:
    """Names in `play` mean these flows."""
    token = _flows.set(library)
    try:
        yield library
    finally:
        _flows.reset(token)


def play(
    flow: str | form.Flow | type[Chatflow],
    *others: form.Flow | type[Chatflow],
    fault: str | tuple[str, ...] = (),
    fleet: SimFleet | None = None,
    node: str = "",
    approve: bool = True,
    **given: Any,
) -> Played:
    """A run of a flow on the simulated fleet. `others` are flows that it calls.

    `fault` names what goes wrong (hercules flow test --faults lists them); `fleet` is one that you prepared.
    A list, given to a question that takes one answer, is used one by one, each time it is asked.
    """
    if isinstance(flow, str):
        library, name = _library(flow), flow
    else:
        library = Library(others)
        name = library.add(flow).flow.name
    for one in others:
        library.add(one)
    played = Played(library, name, fleet or SimFleet(), given, node, approve)
    for one_fault in (fault,) if isinstance(fault, str) else fault:
        played.fleet.break_(one_fault)
    return played


def _library(name: str) -> Library:
    known = _flows.get()
    if known is not None and name in known.names():
        return known
    folder = near()
    return Library([*built_in(), *(flows_below(folder) if folder is not None else ())])


class Played:
    """A run under way, or at its end. Every method but `state_of` returns it again."""

    def __init__(
        self,
        library: Library,
        flow: str,
        fleet: SimFleet,
        given: dict[str, Any],
        node: str,
        approve: bool,
    ) -> None:
        self.fleet = fleet
        self._before = picture(fleet.world)
        self._given = {name: value for name, value in given.items()}
        self._used: dict[str, int] = {}
        self._approve = approve
        self._asked: list[str] = []
        self.stage = Stage(library, flow, fleet=fleet, node=node)

    # how it goes on

    def until(self, name: str) -> Played:
        """Go on until that is asked (the name of a prompt or of its state)."""
        self._run(name)
        shown = self.stage.session.shown
        if shown is None or name not in (shown.name, shown.state):
            raise self._not(f"{name!r} was never asked")
        return self

    def answer(self, value: Any) -> Played:
        """Answer what is asked now."""
        self._run_to_prompt()
        shown = self.stage.session.shown
        if shown is None:
            raise self._not("nothing is asked")
        self._asked.append(shown.name)
        if not self.stage.answer(answering.fit(shown, value)):
            raise self._not(f"the answer {value!r} to {shown.name!r} was refused: {self.stage.refused}")
        return self

    def refuses(self, value: Any, says: str = "") -> Played:
        """This answer is not taken, with a sentence that has these words."""
        self._run_to_prompt()
        shown = self.stage.session.shown
        if shown is None or self.stage.answer(answering.fit(shown, value)):
            raise self._not(f"the answer {value!r} was taken")
        if says and says not in str(self.stage.refused):
            raise self._not(f"it was refused in other words: {self.stage.refused}")
        return self

    def back(self) -> Played:
        """Go back to the question before."""
        return self._move("back")

    def change(self, name: str) -> Played:
        """Change one answer from the summary."""
        return self._move(f"change {name}")

    def undo(self) -> Played:
        """Take back what was done since the last answers."""
        return self._move("undo")

    def cancel(self) -> Played:
        """End it early."""
        self._move("cancel")
        return self.go()

    def break_(self, fault: str, times: int = -1) -> Played:
        """From now on this goes wrong."""
        self.fleet.break_(fault, times)
        return self

    def mend(self, fault: str = "") -> Played:
        """It goes well again."""
        self.fleet.mend(fault)
        return self

    def go(self) -> Played:
        """Go on to the end."""
        self._run("")
        return self

    # what is true of it

    def ends(self, outcome: str = "done", says: str = "") -> Played:
        """It ends like this: done, failed, unchanged or cancelled; its last message has these words."""
        self.go()
        session = self.stage.session
        if session.outcome != outcome:
            raise self._not(f"it ended {session.outcome or 'not at all'}, not {outcome}")
        last = text.plain(self.stage.entries[-1].text)
        if says and says not in last:
            raise self._not(f"its last message has no {says!r}: {last!r}")
        return self

    def ordered(self, *verbs: str) -> Played:
        """These orders went out, in this sequence (others may stand between them)."""
        self.go()
        left = iter(self.stage.verbs)
        for verb in verbs:
            if verb not in left:
                there = ", ".join(self.stage.verbs) or "none"
                raise self._not(f"there was no order {verb} (there were: {there})")
        return self

    def ordered_nothing(self, *verbs: str) -> Played:
        """No order went out that changes anything (or none of these)."""
        from agent.orders import READING

        self.go()
        wrong = [v for v in self.stage.verbs if (v in verbs if verbs else v not in READING)]
        if wrong:
            raise self._not(f"there was an order {wrong[0]}")
        return self

    def said(self, words: str) -> Played:
        """The conversation has these words."""
        self.go()
        if not any(words in sentence for sentence in self.stage.said()):
            raise self._not(f"nobody said {words!r}")
        return self

    def asked(self, *names: str) -> Played:
        """These were asked, in this sequence."""
        self.go()
        left = iter(self._asked)
        for name in names:
            if name not in left:
                raise self._not(f"{name!r} was not asked (there were: {', '.join(self._asked) or 'none'})")
        return self

    def restored(self) -> Played:
        """The fleet is as it was before."""
        self.go()
        if found := difference(self._before, picture(self.fleet.world)):
            raise self._not("it is not as it was before: " + "; ".join(found))
        return self

    def gives(self, result: Any) -> Played:
        """Its result, for a flow that calls it."""
        self.go()
        if self.stage.session.result != result:
            raise self._not(f"its result is {self.stage.session.result!r}")
        return self

    def transcript(self) -> str:
        """The conversation, a line each."""
        lines = []
        for entry in self.stage.entries:
            words = text.plain(entry.text).replace("\n", " ")
            mark = {"answered": "> ", "ordered": "… ", "finished": "= ", "asked": "? "}.get(entry.kind, "  ")
            if words:
                lines.append(mark + words)
        return "\n".join(lines)

    def state_of(self, container: str) -> str:
        """How a container of the fleet is now: running, exited, or "" when it is not there."""
        self.go()
        for machine in self.fleet.world.machines.values():
            for box in machine.boxes.values():
                app = machine.apps.get(box.deployment)
                if container in (box.name, app.name if app is not None else ""):
                    return box.state
        return ""

    # how it is run

    def _run_to_prompt(self) -> None:
        for _ in range(STEPS):
            shown = self.stage.session.shown
            if self.stage.session.status != "open" or (shown is not None and not shown.loading):
                return
            self._by_itself()
        raise self._not(f"nothing was asked in {STEPS} steps")

    def _run(self, until: str) -> None:
        for _ in range(STEPS):
            self._run_to_prompt()
            shown = self.stage.session.shown
            if shown is None or (until and until in (shown.name, shown.state)):
                return
            self._answer()
        raise self._not(f"it did not end in {STEPS} answers")

    def _answer(self) -> None:
        shown = self.stage.session.shown
        assert shown is not None  # noqa: S101  (asked by its callers)
        self._asked.append(shown.name)
        key = shown.name if shown.name in self._given else shown.state
        if key in self._given and (shown.name != "way_on" or shown.name in self._given):
            given = self._given[key]
            several = shown.schema.get("type") == "array"
            if isinstance(given, list) and not several:
                used = self._used.get(key, 0)
                self._used[key] = used + 1
                given = given[min(used, len(given) - 1)]
            value = answering.fit(shown, given)
            if not self.stage.answer(value):
                raise self._not(f"the answer {given!r} to {key!r} was refused: {self.stage.refused}")
            return
        for value in self._unasked(shown):
            if self.stage.answer(value):
                return
        raise self._not(f"no answer to {shown.name!r} was found: give {shown.name}=… to play()")

    def _unasked(self, shown: Any) -> list[Any]:
        """Answers to what the author gave none for: its default, and at a dead end out of it."""
        found = answering.candidates(shown)
        if shown.name == "way_on":
            found.sort(key=lambda value: value not in ("cancel", "leave", "now"))
        return found

    def _by_itself(self) -> None:
        stage = self.stage
        wish = stage.outbox[0] if stage.outbox else None
        if isinstance(wish, CallHook):
            if stage.run_hook():
                return
        elif isinstance(wish, AskFacts):
            stage.do("facts")
            return
        elif isinstance(wish, AskApproval):
            stage.do("approve" if self._approve else "refuse")
            return
        moves = stage.moves()
        if not any(stage.do(move) for move in moves[:2]):
            raise self._not("nothing can happen any more")

    def _move(self, move: str) -> Played:
        self._run_to_prompt()
        if not self.stage.do(move):
            raise self._not(f"{move!r} cannot be done here: {self.stage.refused or 'it is not offered'}")
        return self

    def _not(self, says: str) -> NotSo:
        return NotSo(f"{says[:1].upper()}{says[1:]}.\n\n{self.transcript()}")


class Scene(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A test as data, for authors of YAML: answers, what goes wrong, and what has to come of it."""

    name: str
    answers: dict[str, Any] = {}
    fault: str | tuple[str, ...] = ()
    cancel_at: str = ""
    ends: str = ""
    says: str = ""
    ordered: tuple[str, ...] = ()
    not_ordered: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    restored: bool = False

    def on(self, flow: str) -> Callable[[], Played]:
        """The test of that flow, to be called."""
        return lambda: self.check(flow)

    def check(self, flow: str) -> Played:
        """Play it. Raises NotSo."""
        played = play(flow, fault=self.fault, **self.answers)
        if self.cancel_at:
            played.until(self.cancel_at).cancel()
        if self.ends:
            played.ends(self.ends)
        if self.says:
            played.said(self.says)
        if self.ordered:
            played.ordered(*self.ordered)
        if self.not_ordered:
            played.ordered_nothing(*self.not_ordered)
        if self.asked:
            played.asked(*self.asked)
        return played.restored() if self.restored else played.go()


def scenes(path: Path) -> list[Scene]:
    """The tests beside a YAML flow: `restart.tests.yaml` beside `restart.yaml`. Raises ValueError."""
    return msgspec.convert(yaml_value(path), list[Scene])
