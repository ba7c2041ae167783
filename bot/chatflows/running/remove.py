"""Remove a container: what it is decides what is asked. Data is deleted only when a person says so."""

from __future__ import annotations

from bot.engine import Ask, Chatflow, Choose, Confirm, Do, End, Pick, facts, orders

_IT = "**{{ container.deployment_name or container.name }}**"
_PROBLEM = f"{_IT} could not be removed. {{{{ removed.problem.says }}}} {{{{ removed.problem.do }}}}"


class Remove(Chatflow):
    """Stop a container and remove it; its data stays unless you want it deleted."""

    title = "Remove a container"
    says = ("remove", "remove a container", "delete a container", "remove {container}")
    risk = "destroys"

    which = Ask(
        Pick(
            "What shall be removed?",
            options=facts.containers(),
            empty="Nothing is here that could be removed.",
        ),
        as_="container",
        title="Container",
    )
    is_ours = Choose({"container.deployment": "data"}, otherwise="sure_elsewhere")
    data = Ask(
        Pick(
            f"What about the data that {_IT} keeps?",
            options={"keep": "Keep it", "delete": "Delete it for ever"},
            default="keep",
        ),
        title="Its data",
    )
    sure = Ask(
        Confirm(
            f"Remove {_IT}?",
            summary=["data"],
            facts={"Image": "{{ container.image }}", "State": "{{ container.state }}"},
            yes="Remove it",
        ),
        then={"yes": "removing", "no": "nothing"},
    )
    removing = Do(
        orders.RemoveDeployment(deployment="{{ container.deployment }}", data="{{ data }}"),
        as_="removed",
        says=f"Removing {_IT}.",
        then="done",
        failed="not_removed",
    )
    sure_elsewhere = Ask(
        Confirm(
            f"Remove {_IT}? Hercules did not make it, and cannot bring it back.",
            facts={"Image": "{{ container.image }}", "State": "{{ container.state }}"},
            yes="Remove it",
        ),
        then={"yes": "removing_elsewhere", "no": "nothing"},
    )
    removing_elsewhere = Do(
        orders.RemoveTarget(target="{{ container.target }}", force="{{ container.state == 'running' }}"),
        as_="removed",
        says=f"Removing {_IT}.",
        then="done",
        failed="not_removed",
    )
    done = End(f"{_IT} is removed." + "{{ ' Its data is kept.' if data | default('') == 'keep' else '' }}")
    nothing = End("Nothing was removed.", outcome="unchanged")
    not_removed = End(_PROBLEM, outcome="failed")
