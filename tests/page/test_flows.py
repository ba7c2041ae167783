"""The list of chatflows: what is wrong with a file is said where its author looks, and each flow is drawn."""

from __future__ import annotations

from playwright.async_api import expect

from tests.page.conftest import Screen, asked
from tests.plugins.test_loading import HELLO_YAML


async def test_a_broken_save_is_told_and_the_last_good_flow_goes_on(screen: Screen) -> None:
    folder = screen.house.plugins
    folder.mkdir(exist_ok=True)
    file = folder / "hello.yaml"
    file.write_text(HELLO_YAML)
    await screen.house.book.reload()
    page = await screen.open("/")
    await expect(page.get_by_role("button", name="Hello")).to_be_visible()
    await expect(page.locator(".callout")).to_have_count(0)
    file.write_text(HELLO_YAML.replace("text:", "txt:") + "  more: {end: '<b>{{ a }}</b>'}\n")
    await screen.house.book.reload()
    await page.reload()
    await page.get_by_role("link", name="has a mistake").click()
    told = page.locator(".faults li")
    await expect(told.first).to_contain_text("chatflows.d/hello.yaml:4")
    await expect(told.first).to_contain_text("Did you mean `text`?")
    await expect(told.first).to_contain_text("stays in use")
    await page.goto(screen.house.url + "/")
    await page.get_by_role("button", name="Hello").click()
    await asked(page, "Who is there?")
    file.write_text(HELLO_YAML)
    await screen.house.book.reload()
    await page.goto(screen.house.url + "/flows")
    await expect(page.locator(".faults")).to_have_count(0)


async def test_every_flow_is_drawn_with_its_states_and_ways(screen: Screen) -> None:
    page = await screen.open("/flows")
    flows = screen.house.book.flows()
    await expect(page.locator(".drawn")).to_have_count(len(flows))
    for ready in flows:
        drawn = page.locator(f".drawn[id='{ready.flow.name}']")
        await drawn.locator("summary").click()
        await expect(drawn.get_by_role("img", name=ready.flow.title)).to_be_visible()
        await expect(drawn.locator("rect")).to_have_count(len(ready.flow.states))
        inside = await drawn.locator(".picture").evaluate(
            "svg => { const all = svg.getBBox(), box = svg.viewBox.baseVal;"
            " return all.x >= 0 && all.y >= 0 && all.x + all.width <= box.width + 1"
            " && all.y + all.height <= box.height + 1 }"
        )
        assert inside, ready.flow.name
