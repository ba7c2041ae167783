"""A flow with everything in it, for the tests: a thin deploy."""

from __future__ import annotations

from bot.engine import (
    Ask,
    Case,
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
    facts,
    orders,
)

DIGEST = "sha256:" + "a" * 64
PIN = {"reference": "nginx:1.27", "repository": "docker.io/library/nginx", "digest": DIGEST}
SEALED = {"sealed": {"node": "n-0000000000000000", "for_node": "QQ==", "for_recovery": "QQ=="}}


class Sample(Chatflow):
    """Run an image of a registry."""

    title = "Run an image"
    says = ("deploy {reference}", "run {reference} on {port}")
    risk = "changes"

    source = Ask(
        Pick("What is it?", options={"demo": "The demo", "registry": "An image of a registry"}),
        then={"demo": "use_demo", "registry": "reference"},
        title="Source",
    )
    use_demo = Say("You get the **demo**.", then="called")
    reference = Ask(Text("Which image?", max_length=200), title="Image")
    resolve = Do(
        orders.ResolveImage(reference="{{ reference }}"), as_="image", says="Looking for {{ reference }}"
    )
    called = Ask(
        Text(
            "Which name?",
            as_="name",
            default="{{ (reference | default('demo')) | slug }}",
            pattern="^[a-z0-9][a-z0-9-]*$",
            pattern_says="Small letters, digits and hyphens only.",
            max_length=40,
        ),
        title="Name",
    )
    port = Ask(
        Number("Which port?", default=facts.free_port(), minimum=1, maximum=65535), title="Port", quiet=True
    )
    memory = Ask(Number("How much memory?", default=256, unit="MiB"), quiet=True, title="Memory")
    password = Ask(Secret("The administrator's password?"), title="Password")
    settings = Ask(KeyValues("Settings?", default=[]), title="Settings", quiet=True)
    sure = Ask(
        Confirm(
            "Run **{{ name }}**?",
            summary=["reference", "name", "port", "memory", "password", "settings"],
            facts={"Digest": "{{ image.digest | default('none') | short(8) }}"},
        ),
        then={"yes": "is_demo", "no": "nothing"},
    )
    is_demo = Choose(Case("source == 'demo'", then="nothing"), otherwise="pull")
    pull = Do(
        orders.PullImage(
            image={
                "reference": "{{ reference }}",
                "repository": "{{ image.repository }}",
                "digest": "{{ image.digest }}",
            }
        ),
        as_="pulled",
        says="Getting {{ reference }}",
        undo=orders.RemoveImage(image="{{ pulled.pin }}"),
    )
    apply = Do(
        orders.ApplyDeployment(
            deployment="{{ session.deployment }}",
            name="{{ name }}",
            revision={
                "number": 1,
                "image": "{{ pulled.pin }}",
                "memory_mib": "{{ memory }}",
                "settings": "{{ settings }}",
                "ports": [{"container_port": 80, "node_port": "{{ port }}"}],
            },
        ),
        as_="applied",
        says="Starting {{ name }}",
        undo=orders.RemoveDeployment(deployment="{{ session.deployment }}"),
    )
    happy = Ask(Confirm("Keep it?"), then={"yes": "done", "no": "nothing"})
    done = End(
        "**{{ name }}** runs after {{ applied.seconds | seconds }}.",
        result={"name": "{{ name }}", "port": "{{ port }}"},
        offers=[("Logs of {{ name }}", "logs", {"name": "{{ name }}"})],
    )
    nothing = End("Left as it is.", outcome="unchanged")
