"""What the deploy flow says at length: how it went, what is left behind, and about the recovery key."""

from __future__ import annotations

KEY_HINT = """

{% if settings | without('sealed', none) | count %}
Its secrets are sealed to this machine and to your recovery key. Should the machine be lost, only that key
opens them. If you have not taken it yet, do it now, here or in a terminal (`hercules keys recovery`):

[Take your recovery key](/keys/recovery)
{% endif %}"""

DONE = """\
**{{ name }}** runs{{ ' and is healthy' if image.has_health_check else '' }}.
{% if applied.open %}

[Open it]({{ applied.open }}): {{ applied.open }}
{% endif %}

It starts again by itself after a crash or a restart of this machine. For Hercules itself to do so too:
`hercules service install`"""

WHAT_IS_LEFT = """\
{{ NAME.problem.do }}

{% if NAME.problem.left_behind %}
Left behind: {{ NAME.problem.left_behind | join(', ') }}.
{% else %}
Nothing of it was left behind.
{% endif %}
{% if NAME.problem.evidence %}

```
{{ NAME.problem.evidence | lines }}
```
{% endif %}"""
