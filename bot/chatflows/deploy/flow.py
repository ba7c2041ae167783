"""Deploy a container: get the image first, then ask the rest from what it says of itself, then apply.

The image comes before the questions (docs/decisions/0011): its port, rights and data paths need not be asked.
Nothing runs before the summary is confirmed. Getting the image has an undo, so cancel takes it off again.
"""

from __future__ import annotations

from agent.orders import limits
from bot.chatflows.deploy.rights import MAY, PROFILE
from bot.chatflows.deploy.says import DONE, KEY_HINT, WHAT_IS_LEFT
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
    Option,
    Pick,
    Say,
    Text,
    Upload,
    facts,
    orders,
)

_THERE = "(here.deployments | find('name', name))"
_DEMO = {
    "reference": "{{ demo.reference }}",
    "blob": "{{ demo.blob }}",
    "blob_bytes": "{{ demo.blob_bytes }}",
}
_FILE = {"reference": "{{ file.name }}", "blob": "{{ file.blob }}", "blob_bytes": "{{ file.bytes }}"}
_RESOLVED = {
    "reference": "{{ reference }}",
    "repository": "{{ image.repository }}",
    "digest": "{{ image.digest }}",
}
_TAKE_OFF = orders.RemoveImage(image="{{ image.pin }}")
_REVISION = {
    "number": 1,
    "image": "{{ image.pin }}",
    "profile": "{{ profile }}",
    "memory_mib": "{{ memory }}",
    "settings": "{{ settings }}",
}
_PORT = {"container_port": "{{ inside }}", "node_port": "{{ port }}", "exposure": "{{ reach }}"}
_UNDO = orders.RemoveDeployment(deployment="{{ session.deployment }}")


class Deploy(Chatflow):
    """Run something new on this machine: the welcome demo, an image of yours, or one from a registry."""

    title = "Deploy a container"
    says = (
        "deploy",
        "deploy {name}",
        "deploy a container",
        "run a container",
        "run something",
        "install something",
    )
    risk = "changes"

    what = Ask(
        Pick(
            "What shall run?",
            options=[
                Option("demo", "The welcome demo", description="a page that shows that all is well"),
                Option("upload", "An image from a file", description="as docker save writes it"),
                Option("registry", "An image from a registry", description="by its name, such as nginx:1.27"),
            ],
        ),
        title="What",
        then={"demo": "demo", "upload": "file", "registry": "reference"},
    )

    # the image
    demo = Ask(
        Pick("Which demo?", options=facts.demos(), default="welcome"), quiet=True, then="importing_demo"
    )
    importing_demo = Do(
        orders.ImportImage(**{key: _DEMO[key] for key in ("blob", "blob_bytes", "reference")}),
        as_="image",
        says="Making the image of the welcome demo.",
        undo=_TAKE_OFF,
        then="looking",
        failed="no_image",
    )
    file = Ask(
        Upload(
            "Which file holds the image?", help="`docker save IMAGE -o FILE` writes one.", accept=[".tar"]
        ),
        title="File",
        then="importing_file",
    )
    importing_file = Do(
        orders.ImportImage(**{key: _FILE[key] for key in ("blob", "blob_bytes", "reference")}),
        as_="image",
        says="Loading the image from **{{ file.name }}**.",
        undo=_TAKE_OFF,
        then="looking",
        failed="no_image",
    )
    reference = Ask(
        Text(
            "Which image?",
            help="The name as you would give it to `docker pull`.",
            placeholder="nginx:1.27",
            max_length=limits.REFERENCE_BYTES,
            pattern=r"^[A-Za-z0-9](?:[:/@][A-Za-z0-9]|[A-Za-z0-9._-])*$",
            pattern_says="An image's name holds letters, digits and . _ - : / @ only, as in nginx:1.27.",
        ),
        title="Image",
    )
    resolving = Do(
        orders.ResolveImage(reference="{{ reference }}"),
        as_="image",
        says="Asking the registry for **{{ reference }}**.",
        failed="no_image",
    )
    pulling = Do(
        orders.PullImage(image=_RESOLVED),
        as_="image",
        says="Getting **{{ reference }}**.",
        undo=_TAKE_OFF,
        then="looking",
        failed="no_image",
    )
    no_image = Ask(
        Pick(
            "The image could not be had. {{ image.problem.says }} What now?",
            help=WHAT_IS_LEFT.replace("NAME", "image"),
            options={"other": "Choose another image", "retry": "Try again", "leave": "Leave it"},
        ),
        as_="without_image",
        then={"other": "what", "retry": "again", "leave": "left_without"},
    )
    again = Choose(
        Case("what == 'demo'", then="importing_demo"),
        Case("what == 'upload'", then="importing_file"),
        otherwise="resolving",
    )
    left_without = End("Nothing was deployed. {{ image.problem.says }}", outcome="failed")
    looking = Do(
        orders.GetFacts(want=["deployments", "ports"]), as_="here", says="Looking at what runs here already."
    )

    # its name, and whether it is there already
    called = Ask(
        Text(
            "What shall it be called?",
            default="{{ 'welcome' if what == 'demo' else image.reference | slug }}",
            max_length=40,
            pattern=limits.NAME_PATTERN,
            pattern_says="A name holds small letters, digits and inner hyphens, 40 in all.",
        ),
        as_="name",
        title="Name",
    )
    is_known = Choose(
        Case(f"not {_THERE}", then="reach"),
        Case(f"{_THERE}.image != image.reference", then="name_taken"),
        Case(f"not {_THERE}.ports", then="there"),
        otherwise="same_port",
    )
    same_port = Ask(
        Number(
            "On which port of this machine?",
            default=f"{{{{ {_THERE}.ports | pluck('node_port') | first }}}}",
            minimum=1,
            maximum=65535,
        ),
        as_="port",
        title="Port",
        quiet=True,
    )
    is_same = Choose(
        Case(f"port in ({_THERE}.ports | pluck('node_port'))", then="there"), otherwise="name_taken"
    )
    name_taken = Ask(
        Pick(
            "**{{ name }}** is here already, with another image or port. What now?",
            options={"other": "Choose another name", "show": "Leave it, and show me what is there"},
        ),
        as_="when_taken",
        then={"other": "called", "show": "left"},
    )

    # the rest, mostly from what the image says of itself
    reach = Ask(
        Pick(
            "Who may reach it?",
            options=[
                Option("local", "Only this machine"),
                Option(
                    "lan",
                    "This machine's network",
                    disabled="{{ '' if 'lan' in here.exposures else"
                    " 'this machine opens ports only to itself (lan_addresses in node.toml)' }}",
                ),
                Option("nobody", "Nobody", description="it opens no port"),
            ],
            default="{{ 'local' if image.suggested_port else 'nobody' }}",
        ),
        title="Reachable from",
        quiet=True,
    )
    inside = Ask(
        Number(
            "On which port does the program inside listen?",
            default="{{ image.suggested_port }}",
            minimum=1,
            maximum=65535,
        ),
        title="Port inside",
        quiet=True,
        only_if="reach != 'nobody'",
    )
    port = Ask(
        Number(
            "On which port of this machine shall it answer?",
            default=facts.free_port(),
            minimum=1,
            maximum=65535,
        ),
        title="Port",
        only_if="reach != 'nobody'",
    )
    is_free = Choose(
        Case("reach != 'nobody' and port in here.used_ports", then="port_used"), otherwise="settings"
    )
    port_used = Say("Port **{{ port }}** of this machine is in use. Choose another one.", then="port")
    settings = Ask(
        KeyValues("Which settings and secrets does it need?", help="Environment variables.", default=[]),
        title="Settings",
        quiet=True,
    )
    memory = Ask(
        Number(
            "How much memory may it use?",
            default=256,
            unit="MiB",
            minimum=limits.MEMORY_MIN_MIB,
            maximum=limits.MEMORY_MAX_MIB,
        ),
        title="Memory",
        quiet=True,
    )
    profile = Ask(
        PROFILE,
        title="Rights inside",
        quiet=True,
    )
    sure = Ask(
        Confirm(
            "Deploy **{{ name }}** like this?",
            summary=["name", "port", "reach", "inside", "settings", "memory", "profile"],
            facts={
                "Image": "{{ image.reference }}",
                "Digest": "{{ image.digest or image.engine_id }}",
                "It may": MAY,
            },
            yes="Deploy it",
            no="No",
        ),
        then={"yes": "has_port", "no": "changed_mind"},
    )

    # putting it in place
    has_port = Choose(Case("reach == 'nobody'", then="starting"), otherwise="publishing")
    publishing = Do(
        orders.ApplyDeployment(
            deployment="{{ session.deployment }}", name="{{ name }}", revision={**_REVISION, "ports": [_PORT]}
        ),
        as_="applied",
        says="Starting **{{ name }}**.",
        undo=_UNDO,
        then="done",
        failed="failed",
    )
    starting = Do(
        orders.ApplyDeployment(deployment="{{ session.deployment }}", name="{{ name }}", revision=_REVISION),
        as_="applied",
        says="Starting **{{ name }}**.",
        undo=_UNDO,
        then="done",
        failed="failed",
    )
    failed = Ask(
        Pick(
            "**{{ name }}** is not running. {{ applied.problem.says }} What now?",
            help=WHAT_IS_LEFT.replace("NAME", "applied"),
            options=[
                Option("retry", "Try the same again"),
                Option("port", "Choose another port", when="reach != 'nobody'"),
                Option("name", "Choose another name"),
                Option("profile", "Change what it may do inside"),
                Option("image", "Choose another image"),
                Option("leave", "Leave it"),
            ],
        ),
        as_="next_step",
        then={
            "retry": "has_port",
            "port": "port",
            "name": "called",
            "profile": "profile_again",
            "image": "what",
            "leave": "gave_up",
        },
    )
    profile_again = Ask(PROFILE, as_="profile", title="Rights inside", then="sure")

    # endings
    done = End(
        DONE + KEY_HINT,
        result={"deployment": "{{ session.deployment }}", "name": "{{ name }}", "open": "{{ applied.open }}"},
        offers=[
            ("Show its log", "running", {"container": "{{ name }}", "action": "logs"}),
            ("Remove it", "remove", {"container": "{{ name }}"}),
            ("What is running here", "running", {}),
        ],
    )
    there = End(
        "**{{ name }}** is there already, with this image"
        "{% if " + _THERE + ".ports %} and on port {{ port }}{% endif %}. Nothing was changed.",
        outcome="unchanged",
        result={"deployment": "{{ " + _THERE + ".deployment }}", "name": "{{ name }}"},
        offers=[
            ("Show it", "running", {"container": "{{ name }}"}),
            ("Remove it", "remove", {"container": "{{ name }}"}),
        ],
    )
    left = End(
        "Nothing was changed.",
        outcome="unchanged",
        offers=[("Show {{ name }}", "running", {"container": "{{ name }}"})],
    )
    changed_mind = End("Nothing was deployed.", outcome="unchanged")
    gave_up = End("**{{ name }}** was not deployed. {{ applied.problem.says }}", outcome="failed")
