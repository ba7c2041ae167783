"""A picture of a flow in Mermaid, drawn from the rows of its machine."""

from __future__ import annotations

import re
from typing import Final

from bot.engine import form, orders, rows

LABEL_CHARS: Final = 60
_PLAIN = re.compile(r"[^\w .,;?!'()/+=<>|*&%-]", re.ASCII)


def mermaid(flow: form.Flow) -> str:
    """The state diagram, ready to be pasted. Ends with a newline."""
    lines = ["stateDiagram-v2", f"    [*] --> {flow.start}"]
    for name, state in flow.states.items():
        lines.append(f"    {name} : {label_of(name, state)}")
    seen: set[tuple[str, str, str]] = set()
    for row in rows.rows_of(flow):
        if (row.source, row.dest, row.label) not in seen:
            seen.add((row.source, row.dest, row.label))
            lines.append(
                f"    {row.source} --> {row.dest}" + (f" : {_plain(row.label)}" if row.label else "")
            )
    lines += [f"    {name} --> [*]" for name, state in flow.states.items() if isinstance(state, form.End)]
    for risk in ("disturbs", "destroys"):
        named = [
            name
            for name, state in flow.states.items()
            if isinstance(state, form.Do) and orders.RISKS[state.order.verb] == risk
        ]
        if named:
            colour = "#b45309" if risk == "disturbs" else "#b91c1c"
            lines += [
                f"    classDef {risk} stroke:{colour},stroke-width:3px",
                f"    class {','.join(named)} {risk}",
            ]
    final = [name for name, state in flow.states.items() if isinstance(state, form.Do) and state.no_return]
    if final:
        lines += [
            "    classDef no_return stroke:#111827,stroke-width:5px,stroke-dasharray:8 3",
            f"    class {','.join(final)} no_return",
        ]
        lines += [f"    note right of {name} : No way back from here" for name in final]
    return "\n".join(lines) + "\n"


def label_of(name: str, state: form.State) -> str:
    """What a state does, in a few words."""
    match state:
        case form.Ask():
            how = " (only if needed)" if state.quiet else ""
            return f"Ask{how}. {_plain(state.title or state.prompt.label)}"
        case form.Say(text=words):
            return f"Say. {_plain(words)}"
        case form.Do():
            undo = f", undone by {state.undo.verb}" if state.undo is not None else ""
            many = ", for each target" if state.targets else ""
            many += f", {state.at_once} at a time" if state.at_once else ""
            point = " POINT OF NO RETURN" if state.no_return else ""
            return f"Do. {state.order.verb}{many}{undo}{point}"
        case form.Choose(hook=hook):
            return f"Choose by {hook}" if hook else "Choose"
        case form.Call(flow=called, alongside=alongside):
            return f"Call. {called}" + (", alongside" if alongside else "")
        case form.Wait():
            return f"Wait {_waits_for(state)}"
        case form.End(text=words, outcome=outcome):
            return f"End, {outcome}. {_plain(words)}"
    raise AssertionError(name)


def _waits_for(wait: form.Wait) -> str:
    if wait.event:
        return f"for {_plain(wait.event)}"
    if wait.approval is not None:
        who = _plain(", ".join(wait.approval.of))
        return f"for approval by {who}" + (f" ({wait.approval.need})" if wait.approval.need > 1 else "")
    if wait.child:
        return f"for {_plain(wait.child)}"
    if wait.for_s is not None:
        return f"{_plain(str(wait.for_s))} s"
    return f"until {_plain(wait.until or wait.at or '')}{' ' + _plain(wait.zone) if wait.zone else ''}"


def _plain(words: str) -> str:
    """Words that Mermaid reads as words: its own signs are left out, long ones cut."""
    words = " ".join(_PLAIN.sub(" ", words.replace("{{", "<").replace("}}", ">")).split())
    words = words.replace("-->", "to").replace("<|", "")
    return words if len(words) <= LABEL_CHARS else words[: LABEL_CHARS - 3].rstrip() + "..."
