"""Long texts of a plugin, kept beside its flow: `message("intro.md")` is what stands in messages/intro.md.

Only a plugin that is a folder has them. They are read when the flow is compiled and are part of it from then
on. Where only the functions of a flow run, no text is needed and each is empty.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

_given: Mapping[str, str] | None = {}


def message(name: str) -> str:
    """The text of a file in the plugin's folder `messages`. Raises LookupError."""
    if _given is None:
        return ""
    return found(name, _given)


def found(name: str, there: Mapping[str, str]) -> str:
    """The text of that name. Raises LookupError with what to do."""
    if name in there:
        return there[name]
    near = difflib.get_close_matches(name, there, 1)
    if near:
        hint = f"Did you mean {near[0]!r}?"
    elif there:
        hint = f"There are: {', '.join(there)}."
    else:
        hint = (
            "There is none: they stand in the folder messages, beside the flow.py or flow.yaml of a folder."
        )
    raise LookupError(f"There is no message {name!r}. {hint}")


def give(texts: Mapping[str, str] | None) -> None:
    """What `message` knows from now on; None where no text is needed."""
    global _given
    _given = texts
