"""Choose: branch on data, by expressions or by a plugin's function; and Say, which only goes on."""

from __future__ import annotations

from bot.engine import form
from bot.engine.events import HookReturned
from bot.engine.turn import Turn


def enter_say(turn: Turn, say: form.Say) -> None:
    """Come to a Say: say it and go on."""
    turn.enter("said", turn.render(say.text))
    turn.go("said", say.then)


def enter_choose(turn: Turn, choose: form.Choose) -> None:
    """Come to a Choose: go where the first case that holds leads, or ask the hook."""
    if choose.hook is not None:
        turn.call_hook(choose.hook, dict(turn.frame.names))
        return
    dest = next((case.then for case in choose.cases if turn.value_of(case.when)), choose.otherwise)
    if dest is None:
        raise turn.fault("no case holds, and there is no `otherwise`.")
    turn.go("chosen", dest)


def hook_returned(turn: Turn, choose: form.Choose, event: HookReturned) -> None:
    """The hook named a state, or failed. Raises Fault."""
    turn.set(waiting=None)
    if event.problem:
        raise turn.fault(f"The function {choose.hook} failed: {event.problem}")
    if event.value not in choose.targets:
        raise turn.fault(f"The function {choose.hook} named {event.value!r}, which is none of its targets.")
    turn.go("chosen", str(event.value))
