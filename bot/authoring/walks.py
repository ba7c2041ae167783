"""Walks through a flow by itself: every state, every way out of it, and everything that may go wrong there.

A walk is a list of moves. The first goes straight; each later one repeats the beginning of one before and
then does something that nobody did at that place after the same thing. So all ways and all pairs of them are
gone,
without trying all their combinations. What is found comes with its moves, to be played again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bot.authoring.faults import FAULTS
from bot.authoring.fleet import SimFleet
from bot.authoring.library import Library
from bot.authoring.rules import Broken
from bot.authoring.stage import Stage
from bot.engine import rows

STEPS_MAX: Final = 120  # of one walk, then the person cancels
WALKS_MAX: Final = 400  # of one flow
_TRAVEL: Final = ("unknown-then-done", "unknown-then-failed", "target-busy")
_MOST_ANSWERS: Final = 6  # of a prompt that is no pick


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a flow breaks, and how."""

    flow: str
    rule: str
    says: str
    moves: tuple[str, ...]
    seed: int = 0


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What the walks of a flow went through, of how much there is."""

    flow: str
    walks: int
    states: int
    states_seen: int
    ways: int
    ways_gone: int
    failures: int  # ways by which it goes on when something fails
    failures_gone: int
    not_seen: tuple[str, ...] = ()  # states
    not_gone: tuple[str, ...] = ()  # "from -> to (why)"
    stuck: tuple[str, ...] = ()  # prompts to which no answer was found

    @property
    def whole(self) -> bool:
        """Whether nothing is left."""
        return not self.not_seen and not self.not_gone


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """All walks of one flow."""

    coverage: Coverage
    found: tuple[Found, ...] = ()
    ends: dict[str, int] = {}  # outcome -> how often


def walk(library: Library, flow: str, *, walks: int = WALKS_MAX, seed: int = 0) -> Walked:
    """Walk through a flow. Whatever it needs is simulated; functions of its file are not called."""
    return _Walker(library, flow, walks, seed).all()


def play_moves(library: Library, flow: str, moves: tuple[str, ...] | list[str], *, seed: int = 0) -> Stage:
    """Play a list of moves. Raises Broken."""
    stage = Stage(library, flow, fleet=SimFleet(seed))
    for move in moves:
        stage.do(move)
    return stage


def finish(stage: Stage, steps: int = 200) -> None:
    """Cancel and go on until it has ended. Raises Broken."""
    for _ in range(steps):
        if stage.session.status != "open":
            return
        moves = stage.moves()
        last = next((m for m in moves if m in ('answer "leave"', 'answer "cancel"')), "")
        if not last and "cancel" in moves:
            last = "cancel"
        if not stage.do(last or moves[0]) and not any(stage.do(move) for move in moves):
            break
    if stage.session.status == "open":
        raise Broken("never-ends", f"it stands at {stage.session.stack[-1].state!r}.")


class _Walker:
    def __init__(self, library: Library, flow: str, walks: int, seed: int) -> None:
        self._library, self._flow, self._most, self._seed = library, flow, walks, seed
        self._known: set[tuple[str, str, str]] = set()  # the move before, the place, the move
        self._todo: deque[tuple[str, ...]] = deque([()])
        self._later: deque[tuple[str, ...]] = deque()  # the same at that place, after something else
        self._found: list[Found] = []
        self._ends: dict[str, int] = {}
        self._stuck: set[str] = set()
        self._states: set[str] = set()
        self._refused: set[tuple[str, str]] = set()

    def all(self) -> Walked:
        count = 0
        while (self._todo or self._later) and count < self._most:
            self._one((self._todo or self._later).popleft())
            count += 1
        return Walked(coverage=self._coverage(count), found=tuple(self._found), ends=dict(self._ends))

    def _one(self, beginning: tuple[str, ...]) -> None:
        stage: Stage | None = None
        try:
            stage = Stage(self._library, self._flow, fleet=SimFleet(self._seed))
            for move in beginning:
                stage.do(move)
            visits: dict[str, int] = {}
            while stage.session.status == "open" and len(stage.done) < STEPS_MAX:
                if not self._step(stage, visits):
                    break
            finish(stage)
            self._ends[stage.session.outcome] = self._ends.get(stage.session.outcome, 0) + 1
        except Broken as e:
            self._note(e, tuple(stage.done) if stage is not None else beginning)
        except Exception as e:
            broken = Broken("crash", f"{type(e).__name__}: {e}")
            self._note(broken, tuple(stage.done) if stage is not None else beginning)

    def _note(self, broken: Broken, moves: tuple[str, ...]) -> None:
        if any((one.rule, one.says) == (broken.rule, broken.says) for one in self._found):
            return
        moves = shorter(moves, lambda some: breaks(self._library, self._flow, some, broken.rule, self._seed))
        self._found.append(
            Found(flow=self._flow, rule=broken.rule, says=broken.says, moves=moves, seed=self._seed)
        )

    def _step(self, stage: Stage, visits: dict[str, int]) -> bool:
        """One move; the ways not taken are kept for later walks."""
        frame = stage.session.stack[-1]
        self._states |= {f.state for f in stage.session.stack if f.flow == self._flow}
        place = _place(stage)
        moves = [m for m in _worth(stage) if (place, m) not in self._refused]
        before = stage.done[-1].partition(" ")[0] if stage.done else ""
        visits[place] = visits.get(place, 0) + 1
        onward = [m for m in moves if m not in ("back", "cancel", "undo") and not m.startswith("change ")]
        if not onward:
            shown = stage.session.shown
            if shown is not None and not shown.loading:
                self._stuck.add(f"{frame.flow}, {shown.name}")
            return False
        taken = onward[(visits[place] - 1) % len(onward)]
        for move in moves:
            first, pair = ("", place, move), (before, place, move)
            if pair in self._known:
                continue
            if move != taken:
                (self._later if first in self._known else self._todo).append((*stage.done, move))
            self._known |= {first, pair}
        did = stage.do(taken)
        if not did:
            self._refused.add((place, taken))
            visits[place] -= 1
        return True

    def _coverage(self, count: int) -> Coverage:
        ready = self._library.current(self._flow)
        gone, flow = ready.gone, ready.flow
        seen = {flow.start} | self._states | {source for _, source, _ in gone} | {dest for *_, dest in gone}
        every = rows.rows_of(flow)
        failing = [row for row in every if _is_failure(row)]
        left = [row for row in every if row[:3] not in gone]
        return Coverage(
            flow=self._flow,
            walks=count,
            states=len(flow.states),
            states_seen=len(seen & set(flow.states)),
            ways=len(every),
            ways_gone=len(every) - len(left),
            failures=len(failing),
            failures_gone=sum(row[:3] in gone for row in failing),
            not_seen=tuple(name for name in flow.states if name not in seen),
            not_gone=tuple(
                f"{row.source} -> {row.dest}" + (f" ({row.label})" if row.label else "") for row in left
            ),
            stuck=tuple(sorted(self._stuck)),
        )


def _is_failure(row: rows.Row) -> bool:
    return row.label in ("failed", "refused", "too late", "not answered in time")


def _place(stage: Stage) -> str:
    """Where a session stands, as far as its ways on depend on it."""
    session = stage.session
    frame = session.stack[-1]
    what = "wish" if stage.outbox else session.shown.name if session.shown is not None else "wait"
    return f"{frame.flow}.{frame.state}.{what}.{len(session.undos)}"


def _worth(stage: Stage) -> list[str]:
    """The moves worth trying: of those that lead the same way, some."""
    moves, shown = stage.moves(), stage.session.shown
    if stage.outbox and moves and moves[0] == "do" and len(moves) > 1:
        codes = [m for m in moves[1:] if FAULTS[m[3:]].code]
        specific = [m for m in codes if FAULTS[m[3:]].verbs is not None] or codes
        return ["do", *specific[:2], *(f"do {name}" for name in _TRAVEL if f"do {name}" in moves)]
    if shown is not None and not shown.loading and not shown.options:
        answers = [m for m in moves if m.startswith("answer ")]
        return [m for m in moves if m not in answers[_MOST_ANSWERS:]]
    return moves


def breaks(library: Library, flow: str, moves: tuple[str, ...], rule: str, seed: int = 0) -> bool:
    """Whether these moves break that rule."""
    try:
        stage = play_moves(library, flow, moves, seed=seed)
        finish(stage)
    except Broken as e:
        return e.rule == rule
    except Exception:  # a crash outside of a move
        return rule == "crash"
    return False


def shorter(
    moves: tuple[str, ...], still: Callable[[tuple[str, ...]], Any], tries: int = 400
) -> tuple[str, ...]:
    """The moves without those that don't matter: ever smaller pieces are left out as long as it breaks."""
    size = max(1, len(moves) // 2)
    while size and tries > 0:
        at = 0
        while at < len(moves) and tries > 0:
            some = moves[:at] + moves[at + size :]
            tries -= 1
            if still(some):
                moves = some
            else:
                at += size
        size //= 2
    return moves
