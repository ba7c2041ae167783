"""Wait: a timer that the runtime keeps. Times come from the event; the engine has no clock."""

from __future__ import annotations

import re

from bot.engine import filters, form, markdown, template
from bot.engine.checks import WAIT_MAX_S
from bot.engine.effects import SetTimer
from bot.engine.filters import Unfit
from bot.engine.session import Waiting
from bot.engine.turn import Turn

_DAY_MS = 24 * 3600 * 1000


def enter(turn: Turn, wait: form.Wait) -> None:
    """Come to a Wait: set its timer."""
    due_ms = _until(turn, wait.until) if wait.until is not None else _after(turn, wait)
    timer = turn.new_id("t")
    words = turn.render(wait.says) or markdown.tree(f"Waiting until {filters.FILTERS['date'].apply(due_ms)}.")
    turn.want(SetTimer(id=timer, session=turn.session.id, due_ms=due_ms))
    turn.enter("said", words)
    turn.wait(Waiting(kind="timer", id=timer, says=words, since_ms=turn.event.at_ms, due_ms=due_ms))


def due(turn: Turn, wait: form.Wait) -> None:
    """The time has come."""
    turn.go("timer_due", wait.then)


def _after(turn: Turn, wait: form.Wait) -> int:
    seconds = turn.value_of(wait.for_s) if isinstance(wait.for_s, str) else wait.for_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= WAIT_MAX_S:
        raise turn.fault(f"A wait needs between 0 and {WAIT_MAX_S} seconds.")
    return turn.event.at_ms + int(seconds * 1000)


def _until(turn: Turn, source: str) -> int:
    try:
        words = template.template(source).to_text(turn.scope).strip()
    except Unfit as e:
        raise turn.fault(f"{e}.") from e
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", words)
    if match is None:
        raise turn.fault(f"{words!r} is no time of day like 03:00.")
    time_ms = (int(match[1]) * 60 + int(match[2])) * 60_000
    now = turn.event.at_ms
    today = now - now % _DAY_MS + time_ms
    return today if today > now else today + _DAY_MS
