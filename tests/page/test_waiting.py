"""The page of what waits for a person's approval, and waits for times, in a browser."""

from __future__ import annotations

from playwright.async_api import expect

from tests.channels.house import House
from tests.page.conftest import Screen, press
from tests.runtime.lab import until


async def test_the_owner_finds_what_waits_and_decides_on_it(house: House, screen: Screen) -> None:
    ben = await house.people.add("Ben", "operator")
    await house.people.set_role(ben.id, "operator")
    for id, what in (("1", "v2"), ("2", "v3")):
        await house.runtime.open(person=ben, id=id, flow="signed", answers={"what": what})

    async def are_listed() -> bool:
        return len(await house.runtime.asked(house.owner)) == 2

    await until(are_listed)
    page = await screen.open()
    await page.get_by_role("link", name="Waiting for you").click()
    first = page.locator(".approval").first
    await expect(first).to_contain_text("Ben asks")
    await expect(first.locator("td")).to_have_text("v2")
    await first.get_by_role("button", name="I refuse").click()
    await expect(page.get_by_role("alert")).to_have_text("Say why not, in a few words.")
    assert ["422" in said for said in screen.wrong] == [True]
    screen.wrong.clear()
    first = page.locator(".approval").first
    await first.get_by_label("Reason").fill("Not on Friday.")
    await first.get_by_role("button", name="I refuse").click()
    await expect(page.locator(".approval")).to_have_count(1)
    await page.get_by_role("button", name="I agree").click()
    await expect(page.locator("main")).to_contain_text("Nothing waits for your approval.")
    sessions = await house.runtime.sessions(person=ben)
    assert sorted(s.outcome for s in sessions.items) == ["done", "unchanged"]


async def test_a_wait_for_a_time_says_when_and_offers_to_go_on_now(screen: Screen) -> None:
    page = await screen.session("at-night")
    await expect(page.locator("#ask-label")).to_contain_text("Waiting until 03:00 ")
    await page.get_by_text("Go on now").click()
    await press(page, "Continue")
    await expect(page.locator(".entry.ended")).to_contain_text("Good morning.")
