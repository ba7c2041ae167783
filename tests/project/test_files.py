"""The files of the project say the same things about it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
TARGETS = ("help", "run", "test", "test-full", "lint", "bench", "fmt", "clean", "lock")


def project(path: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / path).read_text())["project"]
    return found


def pinned(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_carries_a_hash_and_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(entries) > 20
    for entry in entries:
        assert "==" in entry and "--hash=sha256:" in entry, entry
    assert "://" not in text and "index" not in text


def test_every_direct_dependency_is_locked() -> None:
    bot, agent = project("pyproject.toml"), project("agent/pyproject.toml")
    wanted = {
        re.split(r"[\[<>=]", d)[0].replace("_", "-") for d in bot["dependencies"] + agent["dependencies"]
    }
    assert wanted - {"hercules-agent"} <= set(pinned("requirements.lock"))


def test_what_tests_run_with_is_what_people_run_with() -> None:
    run, dev = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert {name: dev.get(name) for name in run} == run


def test_both_distributions_have_one_version_and_the_bot_asks_for_it() -> None:
    bot, agent = project("pyproject.toml"), project("agent/pyproject.toml")
    assert bot["version"] == agent["version"]
    assert f"hercules-agent=={agent['version']}" in bot["dependencies"]
    assert f"## {bot['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_agent_depends_on_nothing_that_only_the_bot_needs() -> None:
    names = {re.split(r"[\[<>=]", d)[0] for d in project("agent/pyproject.toml")["dependencies"]}
    assert names == {"aiohttp", "docker", "msgspec", "psutil", "pynacl", "structlog"}


def test_no_file_of_the_project_names_a_package_index_or_registry() -> None:
    hosts = re.compile(r"index-url|extra-index|pypi\.org|files\.pythonhosted", re.IGNORECASE)
    for path in ("pyproject.toml", "agent/pyproject.toml", "Makefile", ".ci/bring", ".ci/run", *LOCKS):
        text = (ROOT / path).read_text().replace("--no-emit-index-url", "")
        assert not hosts.search(text), path


def test_make_help_lists_every_command_and_every_command_exists() -> None:
    shown = subprocess.run(
        ["make", "-s", "-C", ROOT, "help"], capture_output=True, text=True, check=True
    ).stdout
    assert tuple(re.findall(r"^ +make ([a-z-]+)", shown, re.MULTILINE)) == TARGETS
    for target in TARGETS:
        subprocess.run(["make", "-n", "-C", ROOT, target], capture_output=True, check=True)


def test_make_works_from_any_directory(tmp_path: Path) -> None:
    words = ["make", "-n", "-C", str(ROOT), "run"]
    lines = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f'--data "{ROOT}/.data"' in lines


def test_continuous_integration_runs_make_test_and_asks_nobody() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111 and (ROOT / ".ci/bring").stat().st_mode & 0o111
    assert "exec make --no-print-directory test </dev/null" in script.read_text()


def test_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0" in text and "END OF TERMS AND CONDITIONS" in text


def test_decisions_are_numbered_without_gap_and_dated() -> None:
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(r.name[:4]) for r in records] == list(range(1, len(records) + 1))
    for record in records:
        first = record.read_text().splitlines()[0]
        assert re.match(
            rf"# {record.name[:4]} .+ \d{{4}}-\d\d-\d\d · (accepted|superseded) · replaces: ", first
        ), first
