"""A real Chromium whose network is the lab's: its http://localhost is what runs inside the namespace.

Playwright speaks to it over a pipe, so no port is opened. Only context managers: a Playwright of the whole
session would keep an event loop running under every other test.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from playwright.async_api import Browser, async_playwright
from playwright.sync_api import Browser as SyncBrowser
from playwright.sync_api import sync_playwright

from tests.lab.ground import Ground, need

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
]


@contextlib.asynccontextmanager
async def chromium(ground: Ground) -> AsyncIterator[Browser]:
    """Start Chromium inside the ground's namespace; close it at the end."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_wrapper(ground), args=ARGS)
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.contextmanager
def chromium_sync(ground: Ground) -> Iterator[SyncBrowser]:
    """Do the same for a test that is no coroutine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_wrapper(ground), args=ARGS)
        try:
            yield browser
        finally:
            browser.close()


def _wrapper(ground: Ground) -> Path:
    need({"chromium": "chromium"})
    wrapper = ground.folder / "chromium"
    if not wrapper.exists():
        words = " ".join(shlex.quote(word) for word in [*ground.prefix, "chromium"])
        wrapper.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        wrapper.chmod(0o755)
    return wrapper
