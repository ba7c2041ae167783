"""A real Chromium in front of a whole bot; what the page must never do fails every test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from bot.engine.session import Session
from bot.store import EmbeddedStore
from tests.channels.conftest import web_valkey
from tests.channels.house import House
from tests.lab.browser import chromium
from tests.lab.ground import Ground
from tests.runtime.lab import Lab

__all__ = ["web_valkey"]

expect.set_options(timeout=30_000)
KNOWN: dict[str, Any] = {
    "called": "web",
    "notes": "",
    "port": 8080,
    "memory": 256,
    "lan": False,
    "source": "demo",
    "container": "c1",
}
WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`VIOLATION ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


class Screen:
    """One browser window on the bot, signed in, that remembers whatever went wrong in it."""

    def __init__(self, house: House, context: BrowserContext) -> None:
        self.house, self.context = house, context
        self.wrong: list[str] = []
        self.pages: list[Page] = []

    async def open(self, path: str = "/") -> Page:
        """A new tab."""
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("console", self._heard)
        await page.goto(self.house.url + path)
        self.pages.append(page)
        return page

    async def session(self, flow: str = "every-kind", id: str = "1", **answers: Any) -> Page:
        """A tab on a new session."""
        view = await self.house.runtime.open(person=self.house.owner, id=id, flow=flow, answers=answers)
        return await self.open(f"/s/{view.session.id}")

    async def secret_onwards(self) -> Page:
        """A tab on a session that is about to ask for the secret."""
        page = await self.session(**KNOWN)
        await asked(page, "Which password should it get?")
        return page

    async def stands(self, page: Page) -> Session:
        """What the bot says about the session of a tab."""
        session_id = page.url.rpartition("/")[2].partition("#")[0]
        return (await self.house.runtime.view(person=self.house.owner, session_id=session_id)).session

    def _heard(self, message: Any) -> None:
        # a refused connection while the bot is away is the browser's own word, and no mistake
        if (
            message.type == "error"
            and "ERR_CONNECTION" not in message.text
            and "WebSocket" not in message.text
        ):
            self.wrong.append(message.text)


HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of the page share an event loop, and so a Chromium: starting it is half of a test's time."""
    shared = pytest.mark.asyncio(loop_scope="package")
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(shared, append=False)


@pytest_asyncio.fixture(loop_scope="package")
async def house(web_valkey: EmbeddedStore, ground: Ground, tmp_path: Path) -> AsyncIterator[House]:
    """A bot that serves where the browser is: in the lab's namespace, whose network nobody else changes."""
    await Lab(web_valkey, tmp_path).make_ready()
    house = House(web_valkey, tmp_path, new_socket=ground.new_socket)
    await house.start()
    yield house
    await house.stop()


@pytest_asyncio.fixture(loop_scope="package", scope="package")
async def browser(ground: Ground) -> AsyncIterator[Browser]:
    """Chromium; each test has a window (context) of its own in it."""
    async with chromium(ground) as browser:
        yield browser


async def signed_in(house: House, browser: Browser, **options: Any) -> Screen:
    """A window of its own, signed in by a link."""
    context = await browser.new_context(**{"viewport": {"width": 1100, "height": 800}, **options})
    await context.add_init_script(WATCH)
    screen = Screen(house, context)
    page = await screen.open((await house.link()).removeprefix(house.url))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{house.url}/")
    await page.close()
    return screen


@pytest_asyncio.fixture(loop_scope="package")
async def screen(house: House, browser: Browser) -> AsyncIterator[Screen]:
    """A window; a violation of the policy, an error of the script or a dialog fails the test."""
    screen = await signed_in(house, browser)
    yield screen
    await screen.context.close()
    assert screen.wrong == []


def form(page: Page) -> Locator:
    """The open question."""
    return page.locator("#ask")


async def asked(page: Page, question: str) -> Locator:
    """The open question, once it is this one and filled in."""
    await expect(page.locator("#ask-label")).to_have_text(question)
    await expect(page.locator("#ask .loading")).to_be_hidden()
    return form(page)


async def press(page: Page, name: str) -> None:
    """A button of the open question."""
    await form(page).get_by_role("button", name=name, exact=True).click()
