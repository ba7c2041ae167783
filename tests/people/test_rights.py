"""What each role may."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from bot.engine.form import Risk
from bot.people.rights import RIGHTS, ROLES, Right, lower_of, may, may_open

TABLE = {
    "viewer": {"reads"},
    "support": {"reads", "changes", "disturbs"},
    "operator": {"reads", "changes", "disturbs", "destroys"},
    "owner": {"reads", "changes", "disturbs", "destroys"},
}


@pytest.mark.parametrize("role", ROLES)
def test_flows_open_by_role_and_risk(role: str) -> None:
    assert {risk for risk in get_args(Risk) if may_open(role, risk)} == TABLE[role]


def test_a_role_includes_what_the_lower_ones_may() -> None:
    for lower, higher in itertools.pairwise(ROLES):
        assert RIGHTS[lower] < RIGHTS[higher]


def test_every_right_is_somebodys() -> None:
    assert RIGHTS["owner"] == set(get_args(Right))


@pytest.mark.parametrize("role", ["", "Owner", "root", "admin", "owner "])
def test_a_role_that_is_not_known_may_nothing(role: str) -> None:
    assert not any(may(role, right) for right in get_args(Right))
    assert not may_open(role, "reads")


def test_a_risk_that_is_not_known_is_nobodys() -> None:
    assert not any(may_open(role, risk) for role in ROLES for risk in ("", "all", "reads ", "READS"))


def test_people_are_the_owners_matter() -> None:
    assert [role for role in ROLES if may(role, "people.change")] == ["owner"]
    assert [role for role in ROLES if may(role, "sessions.all")] == ["support", "operator", "owner"]


def test_the_lower_of_two_roles() -> None:
    assert lower_of("owner", "viewer") == lower_of("viewer", "owner") == "viewer"
