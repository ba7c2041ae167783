"""Wait: for a time, an event from outside, an approval, or a session alongside.

Times come from the event that is being taken; the engine has no clock. A wait for a time shows a prompt with
"go on now" unless it is short or the flow forbids it; all others stand in `session.waiting`.
"""

from __future__ import annotations

from typing import Any, Final

from bot.engine import (
    alarms,
    alongside,
    answers,
    approvals,
    form,
    markdown,
    outside,
    prompts,
    template,
    text,
    times,
    trail,
    undo,
)
from bot.engine.checks import WAIT_MAX_S
from bot.engine.effects import SetTimer
from bot.engine.events import Answered
from bot.engine.filters import Unfit
from bot.engine.ready import WAY_ON
from bot.engine.session import Alarm, Choice, Shown, Waiting
from bot.engine.turn import Turn

ASKS_FROM_MS: Final = 60_000  # nobody gets to answer a shorter wait
LATE_MS: Final = 300_000  # being so much later than promised is said
_AT_MAX_MS: Final = 400 * 24 * 3600 * 1000
_PROMPT = form.Pick(label="Wait?", options=())
_OPTIONS: Final = (
    Choice(value="wait", label="Keep waiting", description="It goes on by itself; nobody need stay here."),
    Choice(value="now", label="Go on now", description="Instead of waiting."),
    Choice(value="cancel", label="Cancel", description="Take back what was done, as far as it can be."),
)


def enter(turn: Turn, wait: form.Wait) -> None:
    """Come to a Wait."""
    if wait.event:
        outside.enter(turn, wait)
    elif wait.approval is not None:
        approvals.enter(turn, wait, wait.approval)
    elif wait.child:
        alongside.enter_wait(turn, wait)
    else:
        _enter_time(turn, wait)
    waiting = turn.session.waiting
    if wait.timeout_s is not None and waiting is not None and turn.state is wait:
        alarms.put(
            turn, "timeout", waiting.id, turn.event.at_ms + _ms(turn, wait.timeout_s, "`timeout_s` needs")
        )


def answered(turn: Turn, wait: form.Wait, shown: Shown, alarm: Alarm, event: Answered) -> None:
    """A person chose at the prompt of a wait for a time. Raises InvalidAnswer."""
    accepted = answers.accept(_PROMPT, event.value, options=shown.options)
    label = text.plain(shown.label)
    turn.enter("answered", markdown.tree(accepted.words), person=True, seq=shown.seq, label=label)
    if accepted.given == "now":
        turn.go("timer_due", wait.then)
    elif accepted.given == "cancel":
        undo.unwind(turn, "cancel")
    else:  # the alarm becomes what is waited for
        alarms.take_off(turn, alarm)
        turn.wait(
            Waiting(
                kind="timer", id=alarm.id, says=shown.label, since_ms=turn.event.at_ms, due_ms=alarm.due_ms
            )
        )


def due(turn: Turn, wait: form.Wait, due_ms: int) -> None:
    """The time has come."""
    late_ms = turn.event.at_ms - due_ms
    if late_ms > LATE_MS:
        turn.enter("said", markdown.tree(f"This goes on {times.span(late_ms / 1000)} later than it should."))
    turn.go("timer_due", wait.then)


def timed_out(turn: Turn, wait: form.Wait) -> None:
    """What was waited for did not come in time."""
    turn.enter("said", markdown.tree("It did not come in time."))
    if wait.as_ is not None:
        turn.assign(wait.as_, None)
    turn.go("timer_due", str(wait.timed_out))


def _enter_time(turn: Turn, wait: form.Wait) -> None:
    now_ms = turn.event.at_ms
    try:
        due_ms, words = _due(turn, wait)
    except Unfit as e:
        raise turn.fault(f"{e}.") from e
    if due_ms <= now_ms:
        turn.enter("said", markdown.tree("That time has passed already, so it goes on at once."))
        turn.go("timer_due", wait.then)
        return
    if wait.now and due_ms - now_ms >= ASKS_FROM_MS:
        seq = turn.session.seq + 1
        alarms.put(turn, "pause", f"q{seq}", due_ms)
        turn.enter("asked", words, seq=seq)
        turn.show(_shown(turn, seq, words))
        return
    timer = turn.new_id("t")
    turn.want(SetTimer(id=timer, session=turn.session.id, due_ms=due_ms))
    turn.enter("said", words)
    turn.wait(Waiting(kind="timer", id=timer, says=words, since_ms=now_ms, due_ms=due_ms))


def _shown(turn: Turn, seq: int, words: text.Tree) -> Shown:
    session = turn.session
    return Shown(
        seq=seq,
        state=turn.frame.state,
        name=WAY_ON,
        kind="pick",
        label=words,
        schema=prompts.schema_of(_PROMPT, _OPTIONS),
        options=_OPTIONS,
        default="wait",
        can_back=trail.can_back(session),
        can_undo=bool(session.undos) and trail.undo_target(session) is not None,
        no_back=trail.no_back(session),
    )


def _due(turn: Turn, wait: form.Wait) -> tuple[int, text.Tree]:
    """When, and how to say so. Raises Unfit, Fault."""
    now_ms = turn.event.at_ms
    own = turn.render(wait.says)
    zone = _text(turn, wait.zone) or turn.session.zone
    if wait.for_s is not None:
        due_ms = now_ms + _ms(turn, wait.for_s, "A wait needs")
        return due_ms, own or markdown.tree(f"Waiting until {times.told(due_ms, zone, now_ms)}.")
    if wait.until is not None:
        due_ms = times.next_time(now_ms, _text(turn, wait.until), zone)
    else:
        due_ms = times.moment(turn.filled(wait.at), zone)
        if due_ms > now_ms + _AT_MAX_MS:
            raise turn.fault("it would wait for more than a year.")
    when = times.told(due_ms, zone, now_ms)
    if own:
        return due_ms, (*own, *markdown.tree(f"It goes on at {when}."))
    return due_ms, markdown.tree(f"Waiting until {when}.")


def _text(turn: Turn, source: str) -> str:
    return template.template(source).to_text(turn.scope).strip() if source else ""


def _ms(turn: Turn, value: Any, what: str) -> int:
    seconds = turn.value_of(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= WAIT_MAX_S:
        raise turn.fault(f"{what} between 0 and {WAIT_MAX_S} seconds.")
    return int(seconds * 1000)
