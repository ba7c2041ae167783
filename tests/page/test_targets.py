"""A change to many: the page lists the targets with a state each, live, and as the server renders it."""

from __future__ import annotations

from playwright.async_api import Browser, Page, expect

from agent.orders.results import Progress
from bot.engine.effects import SendOrder
from tests.channels.house import House
from tests.page.conftest import Screen, asked, press, signed_in
from tests.page.test_same import normal
from tests.runtime.lab import done, failed, until


def order_for(house: House, node: str) -> SendOrder:
    """The newest order for a node."""
    return [known.effect for known in house.world.orders.values() if known.effect.node == node][-1]


async def ends(house: House, name: str, how: str = "done") -> None:
    """A node answers."""
    effect = order_for(house, f"n-{name * 16}")
    house.world.orders[effect.id].result = done(effect) if how == "done" else failed(effect)
    house.fleet.tell(effect.id)


async def states(page: Page, *expected: str) -> None:
    await expect(page.locator(".targets .target-state")).to_have_text(list(expected))


async def test_targets_are_listed_with_their_states_and_those_not_done_are_tried_again(
    house: House, screen: Screen, browser: Browser
) -> None:
    house.world.answering = lambda effect: None
    page = await screen.session("everywhere")
    await asked(page, "Fetch it everywhere?")
    await expect(page.locator(".no-return")).to_contain_text("no way back")
    await press(page, "Yes, go ahead")
    await states(page, "Under way", "Under way", "Not begun yet")
    await until(lambda: len(house.world.orders) == 2)
    first = order_for(house, "n-" + "a" * 16)
    await house.runtime.order_progressed(
        first.id, Progress(order=first.id, step="getting_image", says="Getting layers", done=1, total=4)
    )
    await expect(page.locator(f'tr[data-order="{first.id}"] .target-says')).to_have_text(
        "Getting layers 1 / 4"
    )
    await ends(house, "b")
    await states(page, "Under way", "Done", "Under way")
    await until(lambda: len(house.world.orders) == 3)
    await ends(house, "a", "failed")
    await ends(house, "c")
    await asked(page, "How shall we go on?")
    await states(page, "Failed", "Done", "Done")
    await expect(page.locator(".targets tr").first).to_contain_text("It did not work.")
    plain = await signed_in(house, browser, java_script_enabled=False)
    rendered = await plain.open(page.url.removeprefix(house.url))
    html = "(list) => list.outerHTML"
    assert normal(str(await page.locator(".targets").evaluate(html))) == normal(
        str(await rendered.locator(".targets").evaluate(html))
    )
    await plain.context.close()
    await page.get_by_label("Try those again that are not done (1)").check()
    await press(page, "Continue")
    await states(page, "Under way", "Done", "Done")
    await until(lambda: len(house.world.orders) == 4)
    await ends(house, "a")
    await asked(page, "What now?")
    await expect(page.locator(".targets")).to_have_count(0)
    await expect(page.locator(".no-back")).to_contain_text("point of no return")
