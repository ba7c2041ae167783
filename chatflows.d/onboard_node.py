"""Take a new machine into the fleet, with the things that are forgotten otherwise."""

from bot.engine import Ask, Chatflow, Confirm, Do, End, Pick, Text, orders


class OnboardNode(Chatflow):
    title = "Take in a new machine"
    says = ("add a machine", "new node {machine}", "onboard {machine}")
    risk = "changes"

    label = Ask(
        Text(
            "What shall it be called?",
            pattern=r"^[a-z][a-z0-9-]{0,38}$",
            pattern_says="Small letters, digits, -.",
        ),
        as_="machine",
        title="Name",
    )
    kind = Ask(Pick("What is it for?", options={"work": "Services", "spare": "A spare"}), title="For")
    backup = Ask(Pick("Who backs it up?", options={"us": "We do", "none": "Nobody yet"}), title="Backups")
    sure = Ask(
        Confirm("Take it in?", summary=["machine", "kind", "backup"]),
        then={"yes": "joining", "no": "nothing"},
    )
    joining = Do(orders.EnrolNode(name="{{ machine }}"), says="Waiting for **{{ machine }}** to join.")
    done = End(
        "**{{ machine }}** is one of yours.{% if backup == 'none' %} Nobody backs it up yet.{% endif %}",
        offers=[("Look at it", "running", {})],
    )
    nothing = End("Nothing was changed.", outcome="unchanged")
