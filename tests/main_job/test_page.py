"""The whole main job by clicks: link, button, four answers, a summary, a link that opens what runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.lab.browser import chromium_sync
from tests.main_job.machine import Machine

expect.set_options(timeout=60_000)


@pytest.fixture
def page(machine: Machine) -> Iterator[Page]:
    """A browser on the machine itself; an error of the page's script fails the test."""
    wrong: list[str] = []
    with chromium_sync(machine.engine.ground) as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 800})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        yield page
    assert wrong == []


def test_from_the_link_to_a_running_page_by_clicks(machine: Machine, page: Page, tmp_path: Path) -> None:
    page.goto(machine.up())
    page.screenshot(path=tmp_path / "1-link.png")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url("http://localhost:8088/")
    page.screenshot(path=tmp_path / "2-start.png")
    page.get_by_text("Deploy a container").first.click()
    _asked(page, "What shall run?")
    page.screenshot(path=tmp_path / "3-what.png")
    page.get_by_text("The welcome demo").click()
    _press(page, "Continue")
    _asked(page, "What shall it be called?")
    expect(page.locator("#answer")).to_have_value("welcome")
    _press(page, "Continue")
    _asked(page, "On which port of this machine shall it answer?")
    expect(page.locator("#answer")).to_have_value(re.compile(r"2\d{4}"))
    port = int(page.locator("#answer").input_value())
    _press(page, "Continue")
    _asked(page, "Deploy welcome like this?")
    page.screenshot(path=tmp_path / "4-summary.png", full_page=True)
    _press(page, "Deploy it")
    expect(page.locator(".entry.ended")).to_contain_text("welcome runs and is healthy.")
    page.screenshot(path=tmp_path / "5-done.png", full_page=True)
    assert machine.engine.get(port)[0] == 200

    with page.context.expect_page() as opened:
        page.get_by_role("link", name=re.compile("Open it")).first.click(modifiers=["Control"])
    demo = opened.value
    expect(demo.get_by_role("heading", name="It runs.")).to_be_visible()
    demo.screenshot(path=tmp_path / "6-demo.png", full_page=True)
    demo.emulate_media(color_scheme="dark")
    demo.screenshot(path=tmp_path / "7-demo-dark.png", full_page=True)
    demo.close()

    page.get_by_text("Show its log").first.click()
    expect(page.locator(".entry").filter(has_text="The last lines of welcome")).to_be_visible()
    page.screenshot(path=tmp_path / "8-log.png", full_page=True)


def test_the_chat_goes_on_by_itself_after_the_server_was_killed(machine: Machine, page: Page) -> None:
    page.goto(machine.up())
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("Deploy a container").first.click()
    _asked(page, "What shall run?")
    page.get_by_text("The welcome demo").click()
    _press(page, "Continue")
    _asked(page, "What shall it be called?")
    for who in ("bot", "store"):
        machine.kill(who)
        machine.until_back(who)
    page.locator("#answer").fill("after-the-kill")
    _press(page, "Continue")
    _asked(page, "On which port of this machine shall it answer?")
    expect(page.locator(".entry.answered").last).to_contain_text("after-the-kill")


def _asked(page: Page, question: str) -> None:
    expect(page.locator("#ask-label")).to_have_text(question)
    expect(page.locator("#ask .loading")).to_be_hidden()


def _press(page: Page, name: str) -> None:
    page.locator("#ask").get_by_role("button", name=name, exact=True).click()
