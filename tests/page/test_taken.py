"""Somebody else is at the same target: the page says who, and one can wait, or take over with a reason."""

from __future__ import annotations

from playwright.async_api import expect

from tests.channels.house import House
from tests.page.conftest import Screen, asked, press
from tests.runtime.lab import until, well


async def test_the_second_is_told_takes_over_and_the_first_hears_why(house: House, screen: Screen) -> None:
    house.world.answering = lambda effect: None
    first = await screen.session("halt", id="1")
    await asked(first, "Stop it?")
    await press(first, "Yes, go ahead")
    await until(lambda: len(house.world.orders) == 1)
    second = await screen.session("halt", id="2")
    await asked(second, "Stop it?")
    await press(second, "Yes, go ahead")
    await asked(second, "How shall we go on?")
    await expect(second.locator(".ask-problem")).to_contain_text("is at it just now: Stopping the wiki")
    await second.get_by_label("Watch").check()
    await press(second, "Continue")
    await expect(second.locator(".working")).to_contain_text("Waiting until")
    link = second.locator(".entry.bot a").last
    await expect(link).to_have_attribute("href", first.url.removeprefix(house.url))
    third = await screen.session("halt", id="3")
    await asked(third, "Stop it?")
    await press(third, "Yes, go ahead")
    await asked(third, "How shall we go on?")
    await third.get_by_label("Take it over").check()
    await press(third, "Continue")
    await asked(third, "Why do you take it over? The other is told.")
    await third.locator("#answer").fill("It hangs.")
    await press(third, "Continue")
    await expect(first.locator(".entry.problem")).to_contain_text(
        "took over what you are working on: It hangs."
    )
    await until(lambda: len(house.world.orders) == 2)
    house.world.answering = None
    for known in list(house.world.orders.values()):
        known.result = well(known.effect)
        house.fleet.tell(known.effect.id)
    await asked(third, "What now?")
    await third.locator("#answer").fill("enough")
    await press(third, "Continue")
    await asked(second, "What now?")
