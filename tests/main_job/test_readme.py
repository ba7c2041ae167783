"""The README's line for scripts is run as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.main_job.machine import Machine

README = Path(__file__).parents[2] / "README.md"


def test_the_line_for_scripts_deploys_and_says_the_second_time_that_it_is_there(running: Machine) -> None:
    found = re.search(r"^\.venv/bin/hercules --data \.data (chat .*)$", README.read_text(), re.MULTILINE)
    assert found
    first = running.cli(*shlex.split(found[1]))
    assert first.returncode == 0, first.stderr
    again = running.cli(*shlex.split(found[1]))
    assert again.returncode == 0, again.stderr
    assert "there already" in again.stdout
