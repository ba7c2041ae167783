"""What every benchmark prints: a Markdown table with the machine, the date and the commit over it."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess


class Table:
    """One table of figures."""

    def __init__(self, title: str, head: tuple[str, ...]) -> None:
        self.title, self.head = title, head
        self.rows: list[tuple[str, ...]] = []

    def row(self, *cells: str) -> None:
        """Add a row."""
        self.rows.append(cells)

    def __str__(self) -> str:
        lines = [f"### {self.title}", "", _line(self.head), _line(("---",) * len(self.head))]
        return "\n".join([*lines, *map(_line, self.rows), ""])


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def machine() -> str:
    """Where and when: for the line over the tables."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    today = datetime.datetime.now(datetime.UTC).date()
    system = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    return f"{today} · commit {commit.stdout.strip() or '?'} · {system}"


def quick() -> bool:
    """Whether the command line asks for few runs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few runs, for a first look")
    return bool(parser.parse_args().quick)
