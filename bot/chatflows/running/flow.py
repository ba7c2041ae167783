"""What is running here: everything on the node, whoever made it, and what can be done with it."""

from __future__ import annotations

from bot.engine import Ask, Call, Chatflow, Choose, Confirm, Do, End, Option, Pick, Say, facts, orders

_IT = "**{{ container.deployment_name or container.name }}**"
_DETAILS = """\
- Image: {{ container.image }}
- State: {{ container.state }}{{ '' if container.health in ['none', 'unknown'] else ', ' }}\
{{ '' if container.health in ['none', 'unknown'] else container.health }}
- Opens: {{ container.open or 'no port' }}
- Made: {{ container.created_ms | date }}, {{ 'by Hercules' if container.deployment else 'not by Hercules' }}
"""
_PROBLEM = "{{ changed.problem.says }} {{ changed.problem.do }}"


class Running(Chatflow):
    """Everything that runs on this machine: its state and log; stop, start, restart or remove it."""

    title = "What is running here"
    says = (
        "what is running",
        "what runs here",
        "list containers",
        "show containers",
        "show the log",
        "show the log of {container}",
        "how is {container}",
    )
    risk = "disturbs"

    which = Ask(
        Pick("What do you want to look at?", options=facts.containers(), empty="Nothing is here yet."),
        as_="container",
        title="Container",
    )
    action = Ask(
        Pick(
            f"{_IT}: what now?",
            help=_DETAILS,
            options=[
                Option("logs", "Show its log"),
                Option("restart", "Restart it", when="container.state == 'running'"),
                Option("stop", "Stop it", when="container.state == 'running'"),
                Option("start", "Start it", when="container.state != 'running'"),
                Option("remove", "Remove it"),
                Option("other", "Look at something else"),
                Option("nothing", "Nothing more"),
            ],
        ),
        then={
            "logs": "reading",
            "restart": "sure_restart",
            "stop": "sure_stop",
            "start": "starting",
            "remove": "removing",
            "other": "which",
            "nothing": "end",
        },
    )

    reading = Do(
        orders.ContainerLogs(target="{{ container.target }}", lines=100), as_="log", says="Reading its log."
    )
    is_empty = Choose({"log.lines": "log_shown"}, otherwise="log_empty")
    log_shown = Say(
        f"The last lines of {_IT}{{{{ ' (cut)' if log.cut else '' }}}}:"
        "\n\n```\n{{ log.lines | lines }}\n```",
        then="after_log",
    )
    log_empty = Say(f"{_IT} has written nothing yet.", then="after_log")
    after_log = Ask(
        Pick(
            "What now?",
            options={
                "nothing": "Nothing more",
                "again": "Read the log again",
                "it": "Do something with it",
                "other": "Look at something else",
            },
            default="nothing",
        ),
        then={"nothing": "end", "again": "reading", "it": "action", "other": "which"},
    )

    sure_restart = Ask(
        Confirm(f"Restart {_IT}? It is away for a moment.", yes="Restart it"),
        then={"yes": "restarting", "no": "action"},
    )
    restarting = Do(
        orders.RestartTarget(target="{{ container.target }}"),
        as_="changed",
        says=f"Restarting {_IT}.",
        then="restarted",
        failed="not_changed",
    )
    restarted = Say(f"{_IT} runs again, after {{{{ changed.seconds | seconds }}}}.", then="end_or_more")

    sure_stop = Ask(
        Confirm(f"Stop {_IT}? It stays stopped until somebody starts it.", yes="Stop it"),
        then={"yes": "stopping", "no": "action"},
    )
    stopping = Do(
        orders.StopTarget(target="{{ container.target }}"),
        as_="changed",
        says=f"Stopping {_IT}.",
        then="stopped",
        failed="not_changed",
    )
    stopped = Say(f"{_IT} is stopped. Its data is kept.", then="end_or_more")

    starting = Do(
        orders.StartTarget(target="{{ container.target }}"),
        as_="changed",
        says=f"Starting {_IT}.",
        then="started",
        failed="not_changed",
    )
    started = Say(f"{_IT} runs.", then="end_or_more")

    not_changed = Say("That did not work. " + _PROBLEM, then="end_or_more")
    end_or_more = Ask(
        Pick(
            "Anything else?",
            options={"nothing": "Nothing more", "other": "Look at what is running"},
            default="nothing",
        ),
        as_="more",
        then={"nothing": "end_by_change", "other": "which"},
    )
    end_by_change = Choose({"changed.outcome == 'done'": "end"}, otherwise="failed")

    removing = Call("remove", container="{{ container.deployment_name or container.name }}", then="end")
    end = End("Nothing more to do.")
    failed = End(_PROBLEM, outcome="failed")
