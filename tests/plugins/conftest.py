"""A book of flows of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.plugins.lab import Books


@pytest.fixture
async def books(tmp_path: Path) -> AsyncIterator[Books]:
    """Open books are closed, and no worker is left."""
    books = Books(tmp_path)
    yield books
    await books.close()
