"""How much a container may do inside: what can be chosen here, and the question, asked at two places."""

from __future__ import annotations

from bot.engine import Option, Pick

_NOT_HERE = "'this machine does not allow it (profiles in node.toml)'"
_ALLOWED = {
    name: f"{{{{ '' if '{name}' in here.profiles else {_NOT_HERE} }}}}" for name in ("standard", "legacy")
}
_STRICT = (
    f"{{{{ {_NOT_HERE} if 'strict' not in here.profiles else"
    " 'this image wants to run as root or to open a port below 1024' if image.suggested_profile != 'strict'"
    " else '' }}"
)
MAY = (
    "{{ 'nothing but run: not root, nothing to write' if profile == 'strict' else"
    " 'write anywhere inside its own container, and be root there' if profile == 'standard' else"
    " 'nearly all that Docker allows by default; choose this only for an image you trust' }}"
)

PROFILE = Pick(
    "How much may it do inside its container?",
    help="None of these reaches the machine itself. Proposed is the tightest that fits the image.",
    options=[
        Option("strict", "Strict", description="not root, nothing to write, no rights", disabled=_STRICT),
        Option(
            "standard",
            "Standard",
            description="may be root and write inside its own container",
            disabled=_ALLOWED["standard"],
        ),
        Option(
            "legacy",
            "Legacy",
            description="nearly all that Docker allows by default. Only for an image you trust:"
            " a hole in it does more harm",
            disabled=_ALLOWED["legacy"],
        ),
    ],
    default="{{ image.suggested_profile }}",
)
