"""Drain a machine for maintenance, and bring back what ran on it when the work is done."""

from bot.engine import Ask, Chatflow, Confirm, Do, End, Pick, facts, orders


class MaintainNode(Chatflow):
    title = "Maintain a machine"
    says = ("drain {node}", "maintenance of {node}", "i have to reboot {node}")
    risk = "disturbs"

    where = Ask(Pick("Which machine?", options=facts.nodes()), as_="node", title="Machine")
    sure = Ask(
        Confirm("Stop everything on **{{ node.name }}** and start nothing new there?", yes="Drain it"),
        then={"yes": "draining", "no": "nothing"},
    )
    draining = Do(
        orders.DrainNode(),
        node="{{ node.id }}",
        says="Stopping what runs on **{{ node.name }}**.",
        undo=orders.UndrainNode(),
    )
    work = Ask(
        Pick("**{{ node.name }}** is yours. Say when you are done.", options={"done": "The work is done"}),
        remind_s=3_600,
    )
    back = Do(orders.UndrainNode(), node="{{ node.id }}", says="Starting what ran on **{{ node.name }}**.")
    done = End("**{{ node.name }}** works again.")
    nothing = End("Left as it is.", outcome="unchanged")
