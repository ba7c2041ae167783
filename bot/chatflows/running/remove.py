"""Remove a container: what it is decides what is asked. Data is deleted only when a person says so."""

from __future__ import annotations

from bot.engine import Ask, Chatflow, Choose, Confirm, Do, End, Pick, facts, orders

_PROBLEM = "**{{ container.name }}** could not be removed. {{ removed.problem.says }} {{ removed.problem.do }}"


class Remove(Chatflow):
    """Stop a container and remove it; its data stays unless you want it deleted."""

    title = "Remove a container"
    says = ["remove", "remove a container", "delete a container", "remove {container}"]
    risk = "destroys"

    which = Ask(
        Pick("What shall be removed?", options=facts.containers(), empty="Nothing is here that could be removed."),
        as_="container",
        title="Container",
    )
    is_ours = Choose({"container.deployment": "data"}, otherwise="sure_elsewhere")
    data = Ask(
        Pick(
            "What about the data that **{{ container.name }}** keeps?",
            options={"keep": "Keep it", "delete": "Delete it for ever"},
            default="keep",
        ),
        title="Its data",
    )
    sure = Ask(
        Confirm(
            "Remove **{{ container.name }}**?",
            summary=["data"],
            facts={"Image": "{{ container.image }}", "State": "{{ container.state }}"},
            yes="Remove it",
        ),
        then={"yes": "removing", "no": "nothing"},
    )
    removing = Do(
        orders.RemoveDeployment(deployment="{{ container.deployment }}", data="{{ data }}"),
        as_="removed",
        says="Removing **{{ container.name }}**.",
        then="done",
        failed="not_removed",
    )
    sure_elsewhere = Ask(
        Confirm(
            "Remove **{{ container.name }}**? Hercules did not make it, and cannot bring it back.",
            facts={"Image": "{{ container.image }}", "State": "{{ container.state }}"},
            yes="Remove it",
        ),
        then={"yes": "removing_elsewhere", "no": "nothing"},
    )
    removing_elsewhere = Do(
        orders.RemoveTarget(target="{{ container.target }}", force="{{ container.state == 'running' }}"),
        as_="removed",
        says="Removing **{{ container.name }}**.",
        then="done",
        failed="not_removed",
    )
    done = End("**{{ container.name }}** is removed.{{ ' Its data is kept.' if data | default('') == 'keep' else '' }}")
    nothing = End("Nothing was removed.", outcome="unchanged")
    not_removed = End(_PROBLEM, outcome="failed")
