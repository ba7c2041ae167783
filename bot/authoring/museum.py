"""The museum: what went wrong in systems like this one, played against every flow.

Each scene is a row of the list of lessons that concerns a flow: some faults, and what may not come of them. A
scene goes through a flow straight on, with its fault met by each order or lookup in turn; the rules of
`bot.authoring.rules` hold all the way, and the scene's own check at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from bot.authoring.faults import FAULTS
from bot.authoring.fleet import SimFleet
from bot.authoring.library import Library
from bot.authoring.rules import Broken
from bot.authoring.stage import Stage
from bot.authoring.walks import Found, finish
from bot.engine import text

STEPS: Final = 150
RUNS_MAX: Final = 12  # of one scene in one flow


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """`rows` of the list, the faults (each alone), and what has to be so at the end ("" or what is wrong)."""

    name: str
    rows: tuple[int, ...]
    rule: str
    faults: tuple[str, ...] = ()
    rough: tuple[str, ...] = ()  # moves thrown in after each answer
    cancels: bool = False  # the person cancels after the first move, then after the second …
    check: Callable[[Stage], str] | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one scene in one flow. `runs` 0: it has nothing that the scene is about."""

    scene: str
    flow: str
    runs: int
    found: tuple[Found, ...] = ()


def _told(stage: Stage) -> str:
    """Whatever failed is in the transcript, with its sentence."""
    for entry in stage.entries:
        if entry.kind == "finished" and entry.outcome in ("failed", "refused") and not entry.text:
            return f"{entry.verb} failed, and the transcript does not say why."
    return ""


def _evidence(stage: Stage) -> str:
    """The last lines of what did not become healthy are shown."""
    failed = [e for e in stage.entries if e.kind == "finished" and e.outcome == "failed"]
    for entry in failed:
        words = text.plain(entry.text)
        if "healthy" in words and "giving up" not in words:
            return "The last lines of its log are not shown."
    return ""


def _not_success(stage: Stage) -> str:
    """Who ends `done` did what it says: its last changing order, if any was sent, was done."""
    if stage.session.outcome != "done":
        return ""
    results = {id: outcome for id, _, outcome in stage.fleet.log}
    sent = [one for one in stage.orders if one.id in results]
    if sent and all(results[one.id] in ("failed", "refused") for one in sent):
        return "It ended done, though not one of its orders was."
    return ""


def _corrected(stage: Stage) -> str:
    """What was not known is told when it is known, or named at the end."""
    unknown = {e.order for e in stage.entries if e.kind == "finished" and e.outcome == "unknown"}
    settled = {
        e.order
        for e in stage.entries
        if e.order and (e.kind == "corrected" or e.outcome in ("done", "failed"))
    }
    open_ = unknown - settled - {one.order for one in stage.session.unsettled}
    return "Of something unknown nothing was ever told." if open_ else ""


_GETTING: Final = ("image-missing", "registry-away", "registry-denied", "wrong-platform")
_STARTING: Final = ("unhealthy", "exits", "crash-loop", "port-taken", "name-taken")
SCENES: Final = (
    Scene(name="the image cannot be had", rows=(1, 2, 5), faults=_GETTING, check=_told,
          rule="nothing that runs is touched before the image is there"),
    Scene(name="success without the thing", rows=(19, 31, 41), check=_not_success,
          faults=("engine-stopped", "deadline"), rule="done means done, not that nothing was raised"),
    Scene(name="it does not come up", rows=(24, 36, 40), faults=_STARTING, check=_evidence,
          rule="the loser's log is shown, with a way on"),
    Scene(name="half made", rows=(38, 40), faults=("leaves-behind",), check=_told,
          rule="what is left behind is named"),
    Scene(name="nobody knows", rows=(37,), check=_corrected,
          faults=("unknown-then-done", "unknown-then-failed", "unknown-for-long"),
          rule="three values: done, failed, unknown; what is known later corrects visibly"),
    Scene(name="reload and back in the browser", rows=(7, 77), rough=("crash", "again", "old"),
          rule="the operation lives on the server; an answer counts once"),
    Scene(name="the answer of another", rows=(92, 27), rough=("old", "undeliver"),
          faults=("result-twice", "result-lost"), rule="replies carry their ids; nothing is done twice"),
    Scene(name="the container is gone", rows=(12, 16, 42), faults=("container-gone", "container-stopped"),
          check=_told, rule="what was chosen is looked at again before it is used"),
    Scene(name="no room", rows=(40, 61), faults=("disk-full", "node-full"), check=_told,
          rule="a full disk is said as such, and nothing of it stays half done"),
    Scene(name="facts that don't come", rows=(42, 43), faults=("facts-away", "facts-empty", "facts-late"),
          rule="a prompt never waits for good, and never invents"),
    Scene(name="the backup is no backup", rows=(59, 69, 71), faults=("backup-bad",), check=_told,
          rule="a backup is read before anything is removed"),
    Scene(name="cancel that is no cancel", rows=(73, 74), cancels=True,
          rule="cancel ends it, whatever is under way, and takes back or says what stays"),
    Scene(name="somebody else is at it", rows=(75, 76, 84), faults=("target-busy",),
          rule="one at a time; the other waits, watches, takes over, or leaves"),
    Scene(name="an error is no end", rows=(83,), check=_told,
          faults=("engine-stopped", "deadline", "in-use", "secret-unreadable", "blob-away", "not-an-image"),
          rule="every error has a way on"),
    Scene(name="a new version meets open sessions", rows=(85, 86), rough=("version", "migrate"),
          rule="a session keeps its version, or comes over by a rule"),
    Scene(name="the machine is away", rows=(89, 94, 48), faults=("node-offline", "slow"), check=_told,
          rule="each order has an end; away is not broken"),
    Scene(name="an agent that is too old", rows=(93,), faults=("not-known-yet",), check=_told,
          rule="said in plain words, with what to do"),
)  # fmt: skip


def visit(library: Library, flow: str, scenes: tuple[Scene, ...] = SCENES) -> list[Shown]:
    """Play every scene against a flow."""
    return [_scene(library, flow, scene) for scene in scenes]


def _scene(library: Library, flow: str, scene: Scene) -> Shown:
    runs = 0
    found: list[Found] = []
    for fault in scene.faults or ("",):
        # the fault befalls the first thing that can meet it, then the second …
        for place in range(RUNS_MAX if fault or scene.cancels else 1):
            met, broken = _run(library, flow, scene, fault, place)
            if not met:
                break
            runs += 1
            if broken is not None and all(one.says != broken.says for one in found):
                found.append(broken)
    return Shown(scene=scene.name, flow=flow, runs=runs, found=tuple(found))


def _run(library: Library, flow: str, scene: Scene, fault: str, place: int) -> tuple[bool, Found | None]:
    stage: Stage | None = None
    met = not fault and not scene.cancels
    try:
        stage = Stage(library, flow, fleet=SimFleet(7))
        seen = 0
        visits: dict[str, int] = {}
        for _ in range(STEPS):
            if stage.session.status != "open":
                break
            moves = stage.moves()
            if scene.cancels and len(stage.done) > place:
                met = True
                break  # and `finish` cancels
            faulty = next((m for m in moves if fault and m.partition(" ")[2] == fault), "")
            if faulty:
                seen += 1
                if seen == place + 1:
                    met = True
                    stage.do(faulty)
                    continue
            before = len(stage.done)
            onward = [m for m in moves if m not in ("back", "undo", "cancel") and not m.startswith("change")]
            frame = stage.session.stack[-1]
            at = f"{frame.flow}.{frame.state}"
            visits[at] = visits.get(at, -1) + 1
            if not onward or (not stage.do(onward[visits[at] % len(onward)]) and not _any(stage, onward)):
                break
            for rough in scene.rough:
                if len(stage.done) > before and stage.session.status == "open":
                    stage.do(rough)
        finish(stage)
        stage.hear_on()  # what is known later is told later
        if scene.check is not None and (wrong := scene.check(stage)):
            return met, _found(flow, "museum", f"{scene.name}: {wrong}", stage)
    except Broken as e:
        return True, _found(flow, e.rule, f"{scene.name}: {e.says}", stage)
    return met, None


def _any(stage: Stage, moves: list[str]) -> bool:
    return any(stage.do(move) for move in moves)


def _found(flow: str, rule: str, says: str, stage: Stage | None) -> Found:
    return Found(flow=flow, rule=rule, says=says, moves=tuple(stage.done) if stage else (), seed=7)


def unknown_faults() -> list[str]:
    """Faults that a scene names and that there are none of; [] as long as this file is right."""
    return [name for scene in SCENES for name in scene.faults if name not in FAULTS]
