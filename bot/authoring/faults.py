"""Faults that can be switched on in the simulated fleet, by name.

An order fault names the verbs it befalls and the problem that a node would answer with. The others change how
things travel, or what is true since the person was asked. A new one needs a row here and, when it is no
plain refusal, its branch in `bot.authoring.fleet`.
"""

from __future__ import annotations

import difflib
from typing import Final, Literal

import msgspec

from agent.orders import READING, SIMULATED

_GETS: Final = frozenset({"image.resolve", "image.pull"})
_STARTS: Final = frozenset(
    {"deployment.apply", "container.start", "container.restart", "secret.rotate", "deployment.clone"}
)
_WRITES: Final = frozenset(
    {"image.pull", "image.import", "deployment.apply", "volume.backup", "volume.restore", "deployment.clone"}
)
_TARGETED: Final = frozenset({"container.start", "container.stop", "container.restart", "container.logs"})
Kind = Literal["order", "travel", "facts", "world"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault. `verbs` None: every order; `changing`: only those that change something."""

    name: str
    says: str
    kind: Kind = "order"
    code: str = ""
    do: str = ""
    verbs: frozenset[str] | None = None
    changing: bool = False
    left_behind: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()

    def befalls(self, verb: str) -> bool:
        """Whether an order of that verb meets it."""
        if self.kind == "facts":
            return False
        if self.changing and verb in READING:
            return False
        return self.verbs is None or verb in self.verbs


_LIST: Final = (
    # what a node answers
    Fault(name="image-missing", code="image_not_found", verbs=_GETS, says="The registry has no such image.",
          do="Look at its name and tag."),
    Fault(name="registry-away", code="registry_unreachable", verbs=_GETS, says="The registry did not answer.",
          do="Try again later."),
    Fault(name="registry-denied", code="registry_denied", verbs=_GETS,
          says="The registry does not give out this image without signing in.", do="Choose another image."),
    Fault(name="wrong-platform", code="wrong_platform", verbs=_GETS | {"image.import"},
          says="The image is not for this machine's processor.", do="Choose another tag."),
    Fault(name="not-an-image", code="not_an_image", verbs=frozenset({"image.import"}),
          says="The file is not an image.", do="Write it with docker save."),
    Fault(name="blob-away", code="blob_unavailable", verbs=frozenset({"image.import"}),
          says="The file cannot be had from the bot.", do="Try again."),
    Fault(name="port-taken", code="port_taken", verbs=frozenset({"deployment.apply", "container.start"}),
          says="Another program took the port.", do="Choose another port."),
    Fault(name="name-taken", code="name_taken", verbs=frozenset({"deployment.apply", "deployment.clone"}),
          says="The name is taken.", do="Choose another name."),
    Fault(name="disk-full", code="disk_full", verbs=_WRITES, says="The disk of this machine is full.",
          do="Free some space."),
    Fault(name="engine-stopped", code="engine_down", says="The Docker Engine does not answer.",
          do="Start it: sudo systemctl start docker"),
    Fault(name="unhealthy", code="unhealthy", verbs=_STARTS, says="It did not become healthy in time.",
          do="Look at its log.", evidence=("GET / 500", "giving up")),
    Fault(name="exits", code="exited", verbs=_STARTS, says="It ended with code 1 right after its start.",
          do="Look at its log.", evidence=("fatal: no configuration",)),
    Fault(name="deadline", code="deadline", changing=True, says="It took longer than permitted.",
          do="Try again."),
    Fault(name="in-use", code="in_use", verbs=frozenset({"image.remove", "container.remove"}),
          says="Something uses it.", do="Remove that first."),
    Fault(name="secret-unreadable", code="secret_unreadable",
          verbs=frozenset({"deployment.apply", "secret.rotate"}),
          says="A secret cannot be read on this machine.", do="Give it again."),
    Fault(name="crash-loop", code="crash_loop", verbs=frozenset({"container.start", "container.restart"}),
          says="It crashed five times in five minutes and stays stopped.", do="Look at its log."),
    Fault(name="leaves-behind", code="internal", changing=True, says="It broke off in the middle.",
          do="Call support.", left_behind=("a container hercules-half-made",)),
    Fault(name="backup-bad", code="backup_unreadable", verbs=frozenset({"volume.restore"}),
          says="The backup does not read back whole. Nothing was touched.", do="Choose another backup."),
    Fault(name="not-known-yet", code="refused.unknown_verb", verbs=SIMULATED,
          says="This agent does not know that yet.", do="Update the agent of that node."),
    # how orders and results travel
    Fault(name="node-offline", kind="travel", says="The machine is not connected: orders run out of time."),
    Fault(name="slow", kind="travel", says="Everything takes a hundred times as long."),
    Fault(name="unknown-then-done", kind="travel", changing=True,
          says="Nobody knows whether it was done; later it turns out that it was."),
    Fault(name="unknown-then-failed", kind="travel", changing=True,
          says="Nobody knows whether it was done; later it turns out that it was not."),
    Fault(name="unknown-for-long", kind="travel", changing=True,
          says="Nobody knows whether it was done, not for days."),
    Fault(name="result-lost", kind="travel", says="The result is lost; it comes when it is asked for again."),
    Fault(name="result-twice", kind="travel", says="The result comes twice."),
    Fault(name="target-busy", kind="travel", changing=True,
          verbs=_TARGETED - READING | {"deployment.remove", "secret.rotate", "volume.restore"},
          says="Another conversation is at the same container."),
    # what prompts are filled with
    Fault(name="facts-away", kind="facts", says="No answer comes to what a prompt needs."),
    Fault(name="facts-empty", kind="facts", says="There is nothing to choose from."),
    Fault(name="facts-late", kind="facts", says="What a prompt needs comes after five seconds."),
    # what is other since the person was asked
    Fault(name="container-gone", kind="world", verbs=_TARGETED,
          says="The container was removed since it was chosen."),
    Fault(name="container-stopped", kind="world", verbs=_TARGETED,
          says="The container was stopped since it was chosen."),
    Fault(name="node-full", kind="world", verbs=_WRITES, says="The machine ran full since it was chosen."),
)  # fmt: skip
FAULTS: Final[dict[str, Fault]] = {fault.name: fault for fault in _LIST}


class NoSuchFault(Exception):
    """The message says which there are."""


def fault(name: str) -> Fault:
    """The fault of that name ("node offline" and "node_offline" are "node-offline"). Raises NoSuchFault."""
    plain = name.strip().lower().replace(" ", "-").replace("_", "-")
    if plain in FAULTS:
        return FAULTS[plain]
    near = difflib.get_close_matches(plain, FAULTS, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(FAULTS)}."
    raise NoSuchFault(f"There is no fault {name!r}. {hint}")
