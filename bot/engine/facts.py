"""The facts that prompts may ask for, and the author's spelling of asking: ``facts.containers()``.

One row per fact: what it fills and with which arguments. The fleet answers each with `FactsCame`
(bot/fleet/); a new row also needs its answer there and a row in docs/authoring.md.
Every fact takes `node`, a node's id; without it the session's node is asked.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from bot.engine.form import FactQuery


class Fact(NamedTuple):
    """What a fact fills: the options of a pick, or one value. `gives` says what an option's data is."""

    fills: Literal["options", "value"]
    args: tuple[str, ...]
    gives: str


FACTS: Final[dict[str, Fact]] = {
    "containers": Fact(
        "options",
        ("node", "state", "made"),
        "each container: ContainerFact with its `target` as orders name it",
    ),
    "deployments": Fact(
        "options",
        ("node", "state"),
        "each deployment: DeploymentFact with its `target` as orders name it",
    ),
    "images": Fact("options", ("node",), "each image on the node: ImageFact"),
    "nodes": Fact("options", (), "each node: its `id`, `name` and whether it is online"),
    "demos": Fact(
        "options", (), "each image that Hercules makes itself: `reference`, `blob`, `blob_bytes`, `port`"
    ),
    "free_port": Fact("value", ("node",), "a port between 20000 and 29999 that nothing uses"),
    "free_memory": Fact("value", ("node",), "how much memory to propose, in MiB"),
}


def containers(*, node: str = "", state: str = "", made: str = "") -> FactQuery:
    """Containers of a node as options. `state`: running or exited; `made`: here or elsewhere."""
    return _query("containers", node=node, state=state, made=made)


def deployments(*, node: str = "", state: str = "") -> FactQuery:
    """Deployments of a node as options. `state`: running or stopped."""
    return _query("deployments", node=node, state=state)


def images(*, node: str = "") -> FactQuery:
    """Images on a node as options."""
    return _query("images", node=node)


def nodes() -> FactQuery:
    """All nodes as options."""
    return _query("nodes")


def demos() -> FactQuery:
    """Images that Hercules makes itself, as options."""
    return _query("demos")


def free_port(*, node: str = "") -> FactQuery:
    """A free port to propose, as a default."""
    return _query("free_port", node=node)


def free_memory(*, node: str = "") -> FactQuery:
    """How much memory to propose, as a default."""
    return _query("free_memory", node=node)


def problem(query: FactQuery, fills: Literal["options", "value"]) -> str:
    """Why a query cannot be asked for that purpose, as a sentence; "" when it can."""
    fact = FACTS.get(query.fact)
    if fact is None:
        return f"There is no fact {query.fact!r}. There are: {', '.join(FACTS)}."
    if fact.fills != fills:
        return f"The fact {query.fact!r} fills {fact.fills}, not {fills}."
    if unknown := sorted(set(query.args) - set(fact.args)):
        known = ", ".join(fact.args) or "none"
        return f"The fact {query.fact!r} takes no {unknown[0]!r}. It takes: {known}."
    return ""


def _query(fact: str, **args: Any) -> FactQuery:
    return FactQuery(fact=fact, args={name: value for name, value in args.items() if value != ""})
