"""What holds for every test: the lab's fixtures, no engine of the machine, and no skipping."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.lab import guard

pytest_plugins = ["tests.lab.fixtures"]
guard.install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test proves nothing and is soon forgotten: it fails and says what it lacks."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipping is not done here: bring what the test needs ({report.longrepr})"
    return report
