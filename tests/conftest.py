"""What holds for every test: the lab's fixtures, no engine of the machine, and no skipping."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.lab import guard

pytest_plugins = ["tests.lab.fixtures"]
guard.install()
# a shell without job control starts what runs in the background deaf to Ctrl-C, and children inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_blocking_call_on_the_loop() -> Iterator[BlockBuster]:
    """A call of ours that waits for the world (network, database, sleep) on an event loop fails the test.

    Not for files: what the page cache answers is no wait, and tests call such functions in coroutines.
    """
    with blockbuster_ctx(["bot", "agent"]) as watching:
        for name, function in watching.functions.items():
            if name.startswith(("os.", "io.", "builtins.")):
                function.deactivate()
        yield watching


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test proves nothing and is soon forgotten: it fails and says what it lacks."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipping is not done here: bring what the test needs ({report.longrepr})"
    return report
