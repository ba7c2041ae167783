"""Deadlines and reminders of an Ask: alarms that belong to its prompt.

A prompt that is shown again (a check refused the answer, a lookup had to be repeated) keeps its deadline.
"""

from __future__ import annotations

from typing import Final

from bot.engine import alarms, form, markdown, text, times
from bot.engine.effects import Notify
from bot.engine.session import Alarm
from bot.engine.turn import Turn

REMINDERS_MAX: Final = 20  # of one prompt


def begin(turn: Turn, ask: form.Ask, seq: int) -> None:
    """A prompt is shown: set its alarms, or go on with those of the same prompt shown before."""
    kept = {alarm.kind: alarm for alarm in turn.session.alarms if alarm.kind in ("late", "remind")}
    for alarm in kept.values():
        alarms.take_off(turn, alarm, drop=True)
    now_ms, of = turn.event.at_ms, f"q{seq}"
    if ask.deadline_s:
        due_ms = kept["late"].due_ms if "late" in kept else now_ms + ask.deadline_s * 1000
        alarms.put(turn, "late", of, due_ms)
    if ask.remind_s:
        before = kept.get("remind")
        due_ms = before.due_ms if before is not None else now_ms + ask.remind_s * 1000
        alarms.put(turn, "remind", of, due_ms, before.count if before is not None else 0)


def late(turn: Turn, ask: form.Ask) -> None:
    """Nobody answered in time: go on without."""
    turn.enter("said", markdown.tree(f"Nobody answered within {times.span(ask.deadline_s)}, so it goes on."))
    turn.assign(ask.as_, None)
    turn.go("timer_due", str(ask.late))


def remind(turn: Turn, ask: form.Ask, alarm: Alarm) -> None:
    """Remind the person, and again after the same while."""
    session = turn.session
    shown = session.shown
    if shown is None:
        return
    question = text.plain(shown.label)
    turn.want(
        Notify(
            id=turn.new_id("f"),
            session=session.id,
            person=session.person,
            text=f"{session.title}: {question}",
        )
    )
    last = next((one for one in session.alarms if one.kind == "late"), None)
    left = ""
    if last is not None:
        left = f" It goes on without in {times.span((last.due_ms - turn.event.at_ms) / 1000)}."
    turn.enter("reminded", markdown.tree(f"This question waits for an answer.{left}"), seq=shown.seq)
    if alarm.count + 1 < REMINDERS_MAX:
        due_ms = turn.event.at_ms + ask.remind_s * 1000
        alarms.put(turn, "remind", alarm.of, due_ms, alarm.count + 1)
