"""Chatflows that the web channel's tests are played with: every kind of question, and a change."""

from bot.engine import (
    Approval,
    Ask,
    Chatflow,
    Confirm,
    Do,
    End,
    KeyValues,
    Number,
    Option,
    Pick,
    Say,
    Secret,
    Text,
    Upload,
    Wait,
    YesNo,
    facts,
    orders,
)


class EveryKind(Chatflow):
    """Every kind of question once."""

    title = "Every kind"
    says = ("ask me everything", "everything about {called}")
    risk = "changes"

    hello = Say("Hello. **Let us begin**, with `care`.")
    called = Ask(
        Text(
            "What should it be called?",
            help="Letters, digits and hyphens.",
            placeholder="web",
            default="web",
            pattern="^[a-z][a-z0-9-]{0,30}$",
            pattern_says="Use small letters, digits and hyphens, beginning with a letter.",
        ),
        title="Name",
    )
    notes = Ask(Text("Anything worth remembering?", lines=True, min_length=0), title="Notes")
    port = Ask(Number("Which port?", minimum=1024, maximum=65535, default=8080), title="Port")
    memory = Ask(
        Number("How much memory may it use?", minimum=16, maximum=4096, unit="MiB", default=256),
        title="Memory",
    )
    lan = Ask(YesNo("May others in your network reach it?", default=False), title="Reachable")
    source = Ask(
        Pick(
            "Where does the image come from?",
            options=[
                Option("demo", "A welcome page", description="Made here, nothing is downloaded."),
                Option("registry", "An image from a registry", description="By its name."),
                Option("archive", "An image archive", disabled="There is too little space."),
            ],
        ),
        title="Source",
    )
    container = Ask(Pick("Which container?", options=facts.containers()), title="Container")
    password = Ask(Secret("Which password should it get?", min_length=8), title="Password")
    settings = Ask(KeyValues("Which settings does it need?"), title="Settings")
    archive = Ask(Upload("Which image archive?", accept=(".tar",)), title="Archive")
    sure = Ask(
        Confirm(
            "Shall I start **{{ called }}**?",
            summary=["called", "notes", "port", "memory", "lan", "source", "password", "settings"],
            yes="Yes, start it",
        ),
        then={"yes": "looking", "no": "left"},
    )
    looking = Do(orders.ResolveImage(reference="{{ called }}"), says="Looking up **{{ called }}**")
    getting = Do(
        orders.PullImage(image="{{ looking.pin }}"),
        says="Getting {{ called }}",
        undo=orders.RemoveImage(image="{{ looking.pin }}"),
    )
    done = End(
        "**{{ called }}** is running: [open it](http://localhost:{{ port }}/).",
        offers=[("Greet somebody", "greet", {"who": "{{ called }}"})],
    )
    left = End("Left as it is.", outcome="unchanged")


class Greet(Chatflow):
    """Two questions and an end."""

    title = "Greet"
    says = ("greet {who}", "say hello")
    who = Ask(Text("Who are you?"))
    often = Ask(Number("How often?", minimum=1, maximum=9))
    hello = Say("Hello **{{ who }}**.")
    done = End("Greeted {{ often }} times.")


class Fetch(Chatflow):
    """Something is done, and can be taken back."""

    title = "Fetch an image"
    says = ("fetch {ref}",)
    risk = "destroys"
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


class Everywhere(Chatflow):
    """Something is done on three nodes, two at a time, and cannot be gone back over."""

    title = "Everywhere"
    risk = "destroys"
    sure = Ask(Confirm("Fetch it everywhere?"), then={"yes": "pulling", "no": "left"})
    pulling = Do(
        orders.PullImage(
            image={
                "reference": "x",
                "repository": "docker.io/library/x",
                "digest": "sha256:" + "0" * 64,
            }
        ),
        says="Getting it",
        each=[{"id": f"n-{one * 16}", "name": f"node-{one}"} for one in "abc"],
        at_once=2,
        no_return=True,
    )
    more = Ask(Text("What now?"))
    done = End("Fetched on {{ pulling.done | join(', ') }}.")
    left = End("Left.", outcome="unchanged")


class Halt(Chatflow):
    """Stops something that was there before, which somebody else may be at."""

    title = "Halt"
    risk = "disturbs"
    sure = Ask(Confirm("Stop it?"), then={"yes": "stopping", "no": "left"})
    stopping = Do(
        orders.StopTarget(target={"type": "part", "deployment": "d-0000000000000000"}),
        says="Stopping the wiki",
    )
    more = Ask(Text("What now?"))
    done = End("Stopped.")
    left = End("Left.", outcome="unchanged")


class Outside(Chatflow):
    """Waits for an event from outside."""

    title = "Wait for a build"
    built = Wait(event="build.done", fields={"ok": "yes-no"})
    done = End("Built: {{ built.ok }}.")


class Approved(Chatflow):
    """Waits for somebody else's approval."""

    title = "Ship it"
    risk = "changes"
    what = Ask(Text("What?"))
    agree = Wait(
        approval=Approval(["operator", "Olga"], need=2, asks="Ship **{{ what }}** now?", summary=["what"]),
        refused="no",
    )
    done = End("Shipped.")
    no = End("Not shipped: {{ agree.reason }}", outcome="unchanged")


class AtNight(Chatflow):
    """Waits for a time of day."""

    title = "At night"
    night = Wait(until="03:00")
    done = End("Good morning.")


class Signed(Chatflow):
    """Waits for the owner's approval."""

    title = "Signed"
    risk = "changes"
    what = Ask(Text("What?"))
    agree = Wait(approval=Approval("owner", summary=["what"]), refused="no")
    done = End("Done.")
    no = End("No: {{ agree.reason }}", outcome="unchanged")
