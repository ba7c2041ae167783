"""Flows with one mistake each, for the walks to find; and one without."""

from __future__ import annotations

from bot.engine import Ask, Chatflow, Confirm, Do, End, Pick, Text, YesNo, facts, orders

TARGET = "{{ container.target }}"


class Good(Chatflow):
    title = "Stop something"
    says = ("stop {container}",)
    risk = "disturbs"

    which = Ask(Pick("Which container?", options=facts.containers(state="running")), as_="container")
    sure = Ask(Confirm("Stop **{{ container.name }}**?"), then={"yes": "stopping", "no": "nothing"})
    stopping = Do(orders.StopTarget(target=TARGET), undo=orders.StartTarget(target=TARGET), failed="failed")
    keep = Ask(Pick("Leave it stopped?", options={"yes": "Yes", "no": "No"}))
    done = End("Stopped.")
    failed = End("Not stopped: {{ stopping.problem.says }}", outcome="failed")
    nothing = End("Left as it is.", outcome="unchanged")


class Unasked(Chatflow):
    title = "Stop at once"
    risk = "disturbs"

    why = Ask(Text("Why?"))
    draining = Do(orders.DrainNode())
    done = End("Stopped.")


class WrongUndo(Chatflow):
    title = "An undo that undoes something else"
    risk = "disturbs"

    which = Ask(Pick("Which container?", options=facts.containers(state="running")), as_="container")
    sure = Ask(Confirm("Stop it?"), then={"yes": "stopping", "no": "nothing"})
    stopping = Do(orders.StopTarget(target=TARGET), undo=orders.ContainerLogs(target=TARGET))
    keep = Ask(YesNo("Leave it stopped?"), then={"yes": "done", "no": "done"})
    done = End("Stopped.")
    nothing = End("Left.", outcome="unchanged")


class WrongName(Chatflow):
    title = "A field that a result does not have"
    risk = "reads"

    seen = Do(orders.GetFacts(want=["disk"]), failed="away")
    done = End("{{ seen.disc.free }} bytes are free.")
    away = End("Nothing was seen.", outcome="failed")
