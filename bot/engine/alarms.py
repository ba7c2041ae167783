"""Alarms: timers beside a prompt or a wait. What they belong to takes them along when it ends.

| kind | rings |
|---|---|
| pause | at the end of a Wait for a time while its prompt ("go on now?") is shown |
| timeout | when an event, approval or session alongside did not come in time |
| late, remind | when nobody answered an Ask in time; each time somebody is to be reminded |

`Turn.step` drops every alarm whose owner is neither shown nor waited for any more, so nobody else need.
"""

from __future__ import annotations

from typing import Literal

from bot.engine.effects import DropTimer, SetTimer
from bot.engine.session import Alarm, Session
from bot.engine.turn import Turn


def put(
    turn: Turn, kind: Literal["pause", "timeout", "late", "remind"], of: str, due_ms: int, count: int = 0
) -> str:
    """Set an alarm for what `owner` calls `of`. Returns its id."""
    timer = turn.new_id("t")
    turn.want(SetTimer(id=timer, session=turn.session.id, due_ms=due_ms))
    alarm = Alarm(kind=kind, id=timer, of=of, due_ms=due_ms, count=count)
    turn.set(alarms=(*turn.session.alarms, alarm))
    return timer


def found(session: Session, timer_id: str) -> Alarm | None:
    """The alarm of that id."""
    return next((alarm for alarm in session.alarms if alarm.id == timer_id), None)


def take_off(turn: Turn, alarm: Alarm, *, drop: bool = False) -> None:
    """It rang, or (`drop`) is not to ring any more."""
    turn.set(alarms=tuple(other for other in turn.session.alarms if other.id != alarm.id))
    if drop:
        turn.want(DropTimer(id=turn.new_id("f"), session=turn.session.id, timer_id=alarm.id))
