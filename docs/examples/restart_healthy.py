"""Restart a container and make sure that it is healthy again. In YAML: chatflows.d/restart_healthy.yaml."""

from bot.engine import Ask, Chatflow, Confirm, Do, End, Pick, facts, orders


class RestartHealthy(Chatflow):
    title = "Restart a container and make sure it is healthy"
    says = ("restart {container} and check it", "{container} is slow", "{container} does not answer")
    risk = "disturbs"

    which = Ask(Pick("Which one?", options=facts.containers(state="running"), as_="container"))
    sure = Ask(
        Confirm("Restart **{{ container.name }}**?", facts={"Image": "{{ container.image }}"}),
        then={"yes": "restarting", "no": "nothing"},
    )
    restarting = Do(orders.RestartTarget(target="{{ container.target }}"), says="Restarting.", failed="log")
    done = End("**{{ container.name }}** is healthy again, after {{ restarting.seconds | seconds }}.")
    log = Do(orders.ContainerLogs(target="{{ container.target }}", lines=30), says="Reading its log.")
    sick = End("Not healthy: {{ restarting.problem.says }}\n\n{{ log.lines | lines }}", outcome="failed")
    nothing = End("Left as it is.", outcome="unchanged")
