"""What each role may. One table; channels ask `may` and `may_open`, nothing else compares roles.

A role includes all that stands below it. Risks are those of `bot.engine.form.Risk`, declared by each flow.
"""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["viewer", "support", "operator", "owner"]
Right = Literal[
    "open.reads",  # open chatflows that only read
    "open.changes",
    "open.disturbs",  # … that interrupt what runs
    "open.destroys",
    "sessions.all",  # see sessions of other people
    "orders.see",
    "audit.see",
    "blobs.upload",
    "tokens.own",  # make and revoke one's own API tokens
    "flows.publish",  # see what a new version would do, and go back to an earlier one
    "people.change",  # add, remove, roles, links and tokens of others
    "keys.recover",  # take the recovery key
]

ROLES: tuple[Role, ...] = get_args(Role)  # from least to most

_ADDS: dict[Role, frozenset[Right]] = {
    "viewer": frozenset({"open.reads", "tokens.own"}),
    "support": frozenset({"open.changes", "open.disturbs", "sessions.all", "orders.see", "blobs.upload"}),
    "operator": frozenset({"open.destroys", "audit.see"}),
    "owner": frozenset({"flows.publish", "people.change", "keys.recover"}),
}
RIGHTS: dict[Role, frozenset[Right]] = {
    role: frozenset().union(*(_ADDS[lower] for lower in ROLES[: n + 1])) for n, role in enumerate(ROLES)
}


def may(role: str, right: Right) -> bool:
    """Whether a role has a right. A role that is not known has none."""
    return any(role == known and right in rights for known, rights in RIGHTS.items())


def may_open(role: str, risk: str) -> bool:
    """Whether a role may open flows of this risk. A risk that is not known is nobody's."""
    return any(right == f"open.{risk}" and may(role, right) for right in get_args(Right))


def lower_of(one: Role, other: Role) -> Role:
    """The one of two roles that may less."""
    return ROLES[min(ROLES.index(one), ROLES.index(other))]
