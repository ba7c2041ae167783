"""docs/security.md says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.engine.form import Risk
from bot.fleet import server
from bot.fleet.keys import ensure
from bot.people.people import LINK_S, SIGN_IN_S, TOKEN_PREFIX
from bot.people.rights import ROLES, may_open

DOC = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
SAYS = {"reads": "read", "changes": "change", "disturbs": "disturb", "destroys": "destroy"}


def test_every_file_of_the_key_directory_is_explained(tmp_path: Path) -> None:
    ensure(tmp_path / "keys")
    for path in (tmp_path / "keys").iterdir():
        assert f"| `{path.name}` |" in DOC


@pytest.mark.parametrize("role", [role for role in ROLES if role != "owner"])
def test_the_table_of_roles_says_which_flows_each_may_open(role: str) -> None:
    risks: list[Risk] = ["reads", "changes", "disturbs", "destroys"]
    words = ", ".join(SAYS[risk] for risk in risks if may_open(role, risk))
    assert f"| `{role}` | {words} |" in DOC


def test_the_owner_may_open_everything() -> None:
    assert "| `owner` | all of these |" in DOC
    assert all(may_open("owner", risk) for risk in SAYS)


def test_times_and_limits_are_those_of_the_code() -> None:
    assert (
        f"cut off after {server.HEAD_WITHIN_S:.0f} s (request) or {server.HELLO_WITHIN_S:.0f} s (hello)"
        in DOC
    )
    assert f"at most {server.PENDING} wait at once" in DOC
    assert (LINK_S, "for an hour" in DOC) == (3_600, True)
    assert f"end after {SIGN_IN_S // 86_400} days" in DOC
    assert f"`{TOKEN_PREFIX}…`" in DOC


def test_log_events_that_the_guide_names_exist() -> None:
    source = "".join(p.read_text() for p in (Path(server.__file__).parent).glob("*.py"))
    for event in ("agent.refused", "result.refused"):
        assert f"(`{event}`)" in DOC
        assert f'"{event}"' in source
