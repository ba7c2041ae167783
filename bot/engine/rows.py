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
    trigger = TRIGGERS.get(type(state), "")
    ways: list[tuple[str, str]]
    match state:
        case form.Ask(then=dict(by_answer)):
            ways = [(dest, answer) for answer, dest in by_answer.items()]
        case form.Ask(then=str(dest)) | form.Say(then=dest) | form.Call(then=dest):
            ways = [(dest, "")]
        case form.Wait(then=dest):
            ways = [(dest, "in time")]
        case form.Do(then=dest, failed=failed):
            ways = [(dest, "done")] + ([(failed, "failed")] if failed is not None else [])
        case form.Choose(hook=None):
            ways = [(case.then, case.when) for case in state.cases]
            ways += [(state.otherwise, "otherwise")] if state.otherwise is not None else []
        case form.Choose():
            ways = [(target, "") for target in state.targets]
        case _:
            ways = []
    return [Row(trigger, name, dest, label) for dest, label in ways]
