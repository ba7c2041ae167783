"""The list of chats says what each is about, how it stands and when; what only looked is a small line."""

from __future__ import annotations

import re

from playwright.async_api import expect

from agent.orders.results import Result
from bot.engine.effects import SendOrder
from tests.channels.house import House
from tests.page.conftest import Screen, asked, press
from tests.runtime.lab import failed, well


async def test_each_chat_says_what_it_is_about_how_it_stands_and_when(house: House, screen: Screen) -> None:
    page = await screen.session("fetch", id="1", ref="nginx")
    await asked(page, "Fetch it?")
    other = await screen.session("fetch", id="2", ref="redis")
    await asked(other, "Fetch it?")
    await press(other, "No")
    await expect(other.locator(".entry.ended")).to_be_visible()
    here = other.locator(".rail a[aria-current]")
    await expect(here.locator(".rail-title")).to_have_text("Fetch an image · redis")
    await expect(here.locator(".rail-state")).to_have_text("Left as it was")  # told while the page is open
    await expect(here.locator("time")).to_have_text("now")
    await other.reload()
    rows = other.locator(".rail li")
    await expect(rows.filter(has_text="nginx").locator(".rail-state")).to_have_text("Waits for you")
    await expect(rows.filter(has_text="redis").locator(".rail-state")).to_have_text("Left as it was")
    long_ago = await rows.last.locator("time").evaluate(
        """async (time) => {
          time.dataset.ms = Date.now() - 3 * 3600_000;
          (await import("/static/js/times.js")).localize(time.parentElement);
          return time.textContent;
        }"""
    )
    assert re.search(r"\b3\b.*ago", long_ago)


async def test_the_title_follows_what_is_said(screen: Screen) -> None:
    page = await screen.session("fetch")
    await asked(page, "Which image?")
    await expect(page.locator(".bar-title")).to_have_text("Fetch an image")
    await page.locator("#answer").fill("nginx")
    await press(page, "Continue")
    await asked(page, "Fetch it?")
    await expect(page.locator(".bar-title")).to_have_text("Fetch an image · nginx")
    await expect(page.locator(".rail a[aria-current] .rail-title")).to_have_text("Fetch an image · nginx")


async def test_the_first_question_is_ready_to_be_answered_by_keyboard(screen: Screen) -> None:
    page = await screen.session("fetch")
    await expect(page.locator("#answer")).to_be_focused()
    await page.keyboard.type("nginx")
    await page.keyboard.press("Enter")
    await asked(page, "Fetch it?")


async def test_what_only_looked_is_a_small_line_and_a_failure_is_not(house: House, screen: Screen) -> None:
    def first_fails(effect: SendOrder) -> Result:
        return failed(effect) if effect.order["verb"] == "image.pull" else well(effect)

    house.world.answering = first_fails
    page = await screen.session("fetch", ref="nginx")
    await asked(page, "Fetch it?")
    await press(page, "Yes, go ahead")
    looked = page.locator(".entry.change.reads")
    await expect(looked).to_have_attribute("data-outcome", "done")
    await expect(looked).to_contain_text("Looking up nginx")
    await expect(looked.locator(".when")).to_be_hidden()
    changed = page.locator(".entry.change:not(.reads)")
    await expect(changed).to_have_attribute("data-outcome", "failed")
    await expect(changed.locator(".when")).to_be_visible()

    house.world.answering = failed
    page = await screen.session("fetch", id="2", ref="nginx")
    await asked(page, "Fetch it?")
    await press(page, "Yes, go ahead")
    looked = page.locator(".entry.change.reads")
    await expect(looked).to_have_attribute("data-outcome", "failed")
    await expect(looked).to_contain_text("It did not work.")
    await expect(looked.locator(".when")).to_be_visible()
