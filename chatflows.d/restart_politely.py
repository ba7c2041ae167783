"""Restart a container, now or in the night. An example: copy it to DIR/chatflows.d and change it there.

A chatflow is a class whose attributes are states; the first one is where it starts, each leads to the next
one unless `then` says otherwise. Words in {{ }} are names of answers and results.
"""

from bot.engine import Ask, Chatflow, Do, End, Pick, Wait, facts, orders


class RestartPolitely(Chatflow):
    title = "Restart something politely"
    says = ("restart {container}", "{container} hangs")  # what people type to get here
    risk = "disturbs"  # reads, changes, disturbs or destroys: the most that it does

    which = Ask(Pick("Which one?", options=facts.containers(state="running")), as_="container")
    when = Ask(
        Pick(
            "**{{ container.name }}** is away for a moment then. When?",
            options={"now": "Now", "night": "Tonight at 03:00 (UTC)", "never": "Not at all"},
        ),
        then={"now": "restarting", "night": "sleeping", "never": "nothing"},
    )
    sleeping = Wait(until="03:00", says="Waiting for 03:00. You may close this page.")
    restarting = Do(orders.RestartTarget(target="{{ container.target }}"), says="Restarting it.")
    done = End("**{{ container.name }}** runs again, after {{ restarting.seconds | seconds }}.")
    nothing = End("Left as it is.", outcome="unchanged")
