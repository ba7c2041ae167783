"""Recorded conversations, played again: would they have gone another way with the new version of a flow?

A transcript holds what people said and how each step ended, not the machines of that day. So both versions
are played on the same simulated fleet, with the answers, the outcomes and the decisions of the record; only
where the two go different ways is there something to tell.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bot.authoring import answers
from bot.authoring.library import Library
from bot.authoring.rules import Broken
from bot.authoring.stage import Stage
from bot.engine import form, text
from bot.engine.effects import AskApproval, CallHook, SendOrder
from bot.engine.refusals import Refused
from bot.engine.session import Entry, Shown

STEPS_MAX: Final = 400
TOLD_MAX: Final = 12
_FAILED: Final = frozenset({"failed", "refused"})


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """How a recorded conversation goes. `steps` are what it asks, orders and ends with, in words."""

    steps: tuple[str, ...]
    ended: bool


class _Record:
    """What a transcript says, by the state it was said in, in its order."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.answers: dict[str, list[str]] = {}
        self.results: dict[str, list[str]] = {}
        self.refused = {e.state for e in entries if e.kind == "approved" and e.outcome == "no"}
        self.came = {e.state for e in entries if e.kind == "came"}
        self.states = [e.state for e in entries]
        for entry in entries:
            if entry.kind == "answered":
                self.answers.setdefault(entry.state, []).append(text.plain(entry.text))
            elif entry.kind == "finished":
                self.results.setdefault(entry.state, []).append(entry.outcome)

    def renamed(self, rule: form.Migration | None) -> _Record:
        """The same record, with the names that states have in a new version."""
        for old, new in (rule.states if rule is not None else {}).items():
            for said in (self.answers, self.results):
                if old in said and new not in said:
                    said[new] = list(said[old])
        return self


def replay(
    flows: Sequence[form.Flow], entries: Sequence[Entry], rule: form.Migration | None = None
) -> Replayed:
    """Play a record with the last of `flows`; the others are those that it calls."""
    library = Library(flows)
    record = _Record(entries).renamed(rule)
    try:
        stage = Stage(library, flows[-1].name)
    except Refused as e:
        return Replayed(steps=(f"does not begin: {e.sentence}",), ended=False)
    except Broken as broken:
        return Replayed(steps=(f"breaks off: {broken}",), ended=False)
    try:
        for _ in range(STEPS_MAX):
            if stage.session.status != "open" or not _go_on(stage, record):
                break
    except Broken as broken:
        return Replayed(steps=(*_steps(stage), f"breaks off: {broken}"), ended=False)
    return Replayed(steps=_steps(stage), ended=stage.session.status != "open")


def differences(before: Replayed, after: Replayed) -> list[str]:
    """What the second does otherwise, in words."""
    told: list[str] = []
    matcher = difflib.SequenceMatcher(None, before.steps, after.steps, autojunk=False)
    for _, i1, i2, j1, j2 in (code for code in matcher.get_opcodes() if code[0] != "equal"):
        told += [f"no longer {step}" for step in before.steps[i1:i2]]
        told += [f"now {step}" for step in after.steps[j1:j2]]
    return [*told[:TOLD_MAX], f"… and {len(told) - TOLD_MAX} more"] if len(told) > TOLD_MAX else told


def _go_on(stage: Stage, record: _Record) -> bool:
    """Have the next thing happen as it did then; False when nothing can."""
    state = stage.session.stack[-1].state
    moves = stage.moves()
    if not moves:
        return False
    if stage.outbox:
        return stage.do(_of_outbox(stage, record, state, moves))
    shown = stage.session.shown
    if shown is not None and not shown.loading:
        return _answer(stage, shown, record.answers.get(shown.state, []))
    if "refuse" in moves and state in record.refused:
        return stage.do("refuse")
    if moves[0].startswith("event ") and state not in record.came and "next" in moves:
        return stage.do("next")  # it did not come in time, then
    return stage.do(moves[0])


def _of_outbox(stage: Stage, record: _Record, state: str, moves: list[str]) -> str:
    wish = stage.outbox[0]
    if isinstance(wish, SendOrder):
        results = record.results.get(state, [])
        outcome = results.pop(0) if results else "done"
        return moves[1] if outcome in _FAILED and len(moves) > 1 else "do"
    if isinstance(wish, AskApproval) and state in record.refused:
        return "refuse"
    if isinstance(wish, CallHook):
        after = record.states[record.states.index(state) :] if state in record.states else []
        led = next((f"hook {json.dumps(one)}" for one in after if f"hook {json.dumps(one)}" in moves), "")
        return led or moves[0]
    return moves[0]


def _answer(stage: Stage, shown: Shown, said: list[str]) -> bool:
    """Answer as it was answered; what cannot be said again (a secret, an old machine) gets a stand-in."""
    tried = [_value(shown, said.pop(0))] if said else []
    return any(stage.answer(value) for value in [*tried, *answers.candidates(shown)][:40])


def _value(shown: Shown, words: str) -> Any:
    if shown.schema.get("type") in ("integer", "number"):
        number = words.replace(",", "").split(" ")[0]
        try:
            return int(number) if number.lstrip("-").isdigit() else float(number)
        except ValueError:
            return words
    return answers.fit(shown, words)


def _steps(stage: Stage) -> tuple[str, ...]:
    steps = []
    for entry in stage.entries:
        match entry.kind:
            case "asked":
                steps.append(f"asks “{text.plain(entry.text)[:120]}”")
            case "ordered":
                steps.append(f"orders {entry.verb}")
            case "ended":
                steps.append(f"ends {entry.outcome}")
            case _:
                pass
    return tuple(steps)
