"""The rows of a flow's machine: every way from state to state. The only truth about what may follow what.

`bot.engine.ready` builds the `transitions` machine of them, `advance` asks that machine, diagram and lint
read the same rows. Built-in ways (back, change, cancel, retry) lead to places a session has been in and
are no rows.
"""

from __future__ import annotations

from typing import NamedTuple

from bot.engine import form

TRIGGERS: dict[type[form.State], str] = {
    form.Ask: "answered",
    form.Say: "said",
    form.Do: "order_finished",
    form.Choose: "chosen",
    form.Call: "returned",
    form.Wait: "timer_due",
}


class Row(NamedTuple):
    """One way: what happens (as the event is called), from where, to where; `label` for the diagram."""

    trigger: str
    source: str
    dest: str
    label: str = ""


def rows_of(flow: form.Flow) -> list[Row]:
    """All rows, in the order of declaration."""
    return [row for name, state in flow.states.items() for row in ways_of(name, state)]


def ways_of(name: str, state: form.State) -> list[Row]:
    """The rows that leave one state."""
    if isinstance(state, form.Wait):
        return _of_wait(name, state)
    trigger = TRIGGERS.get(type(state), "")
    ways: list[tuple[str, str]]
    match state:
        case form.Ask(then=dict(by_answer)):
            ways = [(dest, answer) for answer, dest in by_answer.items()]
        case form.Ask(then=str(dest)) | form.Say(then=dest) | form.Call(then=dest):
            ways = [(dest, "")]
        case form.Do(then=dest, failed=failed):
            ways = [(dest, "done")] + ([(failed, "failed")] if failed is not None else [])
        case form.Choose(hook=None):
            ways = [(case.then, case.when) for case in state.cases]
            ways += [(state.otherwise, "otherwise")] if state.otherwise is not None else []
        case form.Choose():
            ways = [(target, "") for target in state.targets]
        case _:
            ways = []
    found = [Row(trigger, name, dest, label) for dest, label in ways]
    if isinstance(state, form.Ask) and state.late is not None:
        found.append(Row("timer_due", name, state.late, "not answered in time"))
    return found


def _of_wait(name: str, wait: form.Wait) -> list[Row]:
    trigger, label = "timer_due", "in time"
    if wait.event:
        trigger, label = "event_came", wait.event
    elif wait.approval is not None:
        trigger, label = "approved", "approved"
    elif wait.child:
        trigger, label = "child_ended", "ended"
    found = [Row(trigger, name, wait.then, label)]
    if wait.refused is not None:
        found.append(Row("approved", name, wait.refused, "refused"))
    if wait.timed_out is not None:
        found.append(Row("timer_due", name, wait.timed_out, "too late"))
    return found
