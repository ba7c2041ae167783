"""Small flows that the runtime's tests are played with."""

from bot.engine import (
    Approval,
    Ask,
    Call,
    Chatflow,
    Choose,
    Confirm,
    Do,
    End,
    KeyValues,
    Number,
    Pick,
    Say,
    Secret,
    Text,
    Wait,
    facts,
    orders,
)


class Greet(Chatflow):
    """Two questions and an end."""

    title = "Greet"
    who = Ask(Text("Who are you?"))
    often = Ask(Number("How often?", minimum=1, maximum=9))
    hello = Say("Hello **{{ who }}**.")
    done = End("Greeted {{ often }} times.")


class Fetch(Chatflow):
    """An order with an undo, and a second one."""

    title = "Fetch"
    risk = "changes"
    ref = Ask(Text("Which image?"))
    sure = Ask(Confirm("Fetch it?", summary=["ref"]), then={"yes": "resolving", "no": "left"})
    resolving = Do(orders.ResolveImage(reference="{{ ref }}"), says="Looking up {{ ref }}")
    pulling = Do(
        orders.PullImage(image="{{ resolving.pin }}"),
        says="Getting {{ ref }}",
        undo=orders.RemoveImage(image="{{ resolving.pin }}"),
    )
    more = Ask(Text("What now?"))
    done = End("Fetched {{ ref }}.")
    left = End("Left.", outcome="unchanged")


class Choice(Chatflow):
    """A pick with live options."""

    title = "Choice"
    which = Ask(Pick("Which?", options=facts.containers()))
    done = End("{{ which.name }}")


class Secrets(Chatflow):
    """Secrets in every place."""

    title = "Secrets"
    password = Ask(Secret("Password?"))
    settings = Ask(KeyValues("Settings?"))
    often = Ask(Number("How often?"))
    done = End("Kept.")


class Pause(Chatflow):
    """A timer."""

    title = "Pause"
    who = Ask(Text("Who?"))
    pausing = Wait(for_s="{{ 1 }}", then="done")
    done = End("Waited.")


class Outer(Chatflow):
    """Calls another."""

    title = "Outer"
    first = Ask(Text("First?"))
    inner = Call("greet", then="done")
    done = End("Back.")


class Branch(Chatflow):
    """Goes by what was said."""

    title = "Branch"
    n = Ask(Number("Number?"))
    way = Choose({"n > 5": "big"}, otherwise="small")
    big = End("Big.")
    small = End("Small.")


class Spread(Chatflow):
    """One order for each of five nodes, two at a time."""

    title = "Spread"
    risk = "changes"
    sure = Ask(Confirm("Everywhere?"), then={"yes": "pulling", "no": "left"})
    pulling = Do(
        orders.PullImage(
            image={"reference": "x", "repository": "docker.io/library/x", "digest": "sha256:" + "0" * 64}
        ),
        says="Getting it",
        each=[f"n-{one * 16}" for one in "abcde"],
        at_once=2,
    )
    more = Ask(Text("What now?"))
    done = End("On {{ pulling.done | count }}.")
    left = End("Left.", outcome="unchanged")


class Halt(Chatflow):
    """Stops something that was there before."""

    title = "Halt"
    risk = "disturbs"
    sure = Ask(Confirm("Stop it?"), then={"yes": "stopping", "no": "left"})
    stopping = Do(
        orders.StopTarget(target={"type": "part", "deployment": "d-0000000000000000"}),
        says="Stopping it",
    )
    more = Ask(Text("What now?"))
    done = End("Stopped.")
    left = End("Left.", outcome="unchanged")


class Night(Chatflow):
    """Waits for a time of day."""

    title = "Night"
    guest = Ask(Text("Who?"))
    night = Wait(until="03:00", zone="Europe/Brussels")
    done = End("Good morning {{ guest }}.")


class Build(Chatflow):
    """Waits for an event from outside."""

    title = "Build"
    what = Ask(Text("What?"))
    built = Wait(event="build.done", fields={"ok": "yes-no"}, timeout_s=3_600, timed_out="late")
    done = End("Built: {{ built.ok }}.")
    late = End("Too late.", outcome="failed")


class Ship(Chatflow):
    """Waits for two people."""

    title = "Ship"
    what = Ask(Text("What?"))
    agree = Wait(
        approval=Approval("operator", need=2, asks="Ship **{{ what }}**?", summary=["what"]), refused="no"
    )
    done = End("Shipped.")
    no = End("No: {{ agree.reason }}", outcome="unchanged")


class Inside(Chatflow):
    """Runs alongside."""

    title = "Inside"
    risk = "changes"
    ref = Ask(Text("Which image?"))
    pulling = Do(orders.ResolveImage(reference="{{ ref }}"))
    done = End("Found.", result={"found": "{{ ref }}"})


class Family(Chatflow):
    """Begins a session alongside, waits for it, and is reminded."""

    title = "Family"
    risk = "changes"
    ref = Ask(Text("Which?"), deadline_s=3_600, late="late", remind_s=600)
    begun = Call("inside", alongside=True, ref="{{ ref }}")
    meanwhile = Ask(Text("Meanwhile?"))
    wait = Wait(child="begun")
    done = End("{{ wait.found }}")
    late = End("Too late.", outcome="failed")


class PickStop(Chatflow):
    """Stops what was picked from the fleet's facts."""

    title = "Pick and stop"
    risk = "disturbs"
    which = Ask(Pick("Which?", options=facts.containers(state="running")))
    sure = Ask(Confirm("Stop {{ which.name }}?"), then={"yes": "stopping", "no": "left"})
    stopping = Do(orders.StopTarget(target="{{ which.target }}"), says="Stopping it")
    done = End("Stopped {{ which.name }}.")
    left = End("Left.", outcome="unchanged")
