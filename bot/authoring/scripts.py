"""A run written down, to be played again: ``hercules flow replay FILE``.

One JSON document: the flow by name, the seed of the fleet, the moves, and which rule broke. The flow itself
is that of today, so a script says whether the mistake is still there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bot.authoring.library import Library
from bot.authoring.rules import RULES, Broken
from bot.authoring.stage import Stage
from bot.authoring.walks import Found, finish, play_moves


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do, one move after the other. `rule` and `says` are what was seen then."""

    hercules_script: int = 1
    flow: str
    seed: int = 0
    rule: str = ""
    says: str = ""
    moves: tuple[str, ...]


class Replayed(msgspec.Struct, frozen=True):
    """What came of playing a script: the rule that broke ("" for none), and the run."""

    rule: str
    says: str
    stage: Stage | None


def script_of(found: Found) -> Script:
    """The script of something found."""
    return Script(flow=found.flow, seed=found.seed, rule=found.rule, says=found.says, moves=found.moves)


def written(script: Script) -> str:
    """A script as a file holds it: a move a line, for people."""
    return msgspec.json.format(msgspec.json.encode(script), indent=2).decode() + "\n"


def read(path: Path) -> Script:
    """A script of a file. Raises ValueError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Script)
    except (msgspec.DecodeError, OSError) as e:
        raise ValueError(f"{path} is no script: {e}") from e


def replay(library: Library, script: Script) -> Replayed:
    """Play it again."""
    stage: Stage | None = None
    try:
        stage = play_moves(library, script.flow, script.moves, seed=script.seed)
        finish(stage)
    except Broken as e:
        return Replayed(e.rule, str(e), stage)
    return Replayed("", "", stage)


def told(found: Found) -> dict[str, Any]:
    """Something found, as data for programs."""
    return {**msgspec.to_builtins(found), "promise": RULES[found.rule]}
