"""What a node says about an order: progress while it works, then one signed result.

Results accept unknown fields (a newer agent may say more). The three outcomes are honest: `done`,
`failed` (nothing of it remains unless `left_behind` says so), `unknown` (neither yet; the agent looks
again and corrects itself).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Outcome = Literal["done", "failed", "unknown", "refused"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One step of long work, for people. `done` and `total` are bytes, layers or seconds, by `unit`."""

    order: str
    step: str  # stable id: getting_image, importing, creating, starting, checking, rolling_back …
    says: str  # a sentence
    done: int = 0
    total: int = 0
    unit: str = ""
    at_ms: int = 0


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order was not done: stable code, a sentence, and what to do next.

    Codes: refused.<why> (signature, node, expired, unknown_verb, form, node_file, condition, reused_id),
    image_not_found, registry_unreachable, registry_denied, not_an_image, wrong_platform, port_taken,
    name_taken, engine_down, disk_full, unhealthy, exited, deadline, no_such_target, secret_unreadable,
    blob_unavailable, crash_loop, in_use, internal.
    """

    code: str
    says: str
    do: str = ""
    left_behind: tuple[str, ...] = ()  # empty = nothing
    evidence: tuple[str, ...] = ()  # last log lines of the loser, exit code …


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The node's answer to one order. Travels as the payload of an envelope signed by the node.

    `facts` is the builtins form of what was read or made (NodeFacts, ImageFact, ContainerFact, or
    {"lines": […]} for logs, {"digest", "repository", "reference", "platforms"} for image.resolve).
    """

    order: str
    node: str
    verb: str
    outcome: Outcome
    facts: dict[str, Any] = {}
    problem: Problem | None = None
    started_ms: int = 0
    ended_ms: int = 0
    order_sha256: str = ""  # of the order's payload bytes
    already: bool = False  # the wanted state was there before; nothing was done
