"""The start page: words to a flow, a choice when it is not clear, cards, chats to go on with."""

from __future__ import annotations

from playwright.async_api import expect

from bot.engine import Chatflow
from tests.channels import flows
from tests.page.conftest import Screen, asked

ALL = sum(isinstance(v, type) and issubclass(v, Chatflow) and v is not Chatflow for v in vars(flows).values())


async def test_words_lead_to_the_flow_that_is_meant(screen: Screen) -> None:
    page = await screen.open("/")
    await expect(page.locator("#say")).to_be_focused()
    await page.keyboard.type("greet Ada")
    await page.keyboard.press("Enter")
    await asked(page, "How often?")
    await expect(page.locator(".entry.answered")).to_contain_text("Ada")
    await expect(page.locator(".bubble-label")).to_have_text("Who are you?")


async def test_unclear_words_give_a_choice_and_none_gives_all(screen: Screen) -> None:
    page = await screen.open("/")
    await page.locator("#say").fill("xyzzy plugh")
    await page.keyboard.press("Enter")
    await expect(page.locator(".start-says")).to_contain_text("“xyzzy plugh”")
    await expect(page.locator(".flow")).to_have_count(ALL)
    await expect(page.locator("#say")).to_have_value("xyzzy plugh")


async def test_card_opens_its_flow_and_the_chat_is_listed(screen: Screen) -> None:
    page = await screen.open("/")
    await page.get_by_role("button", name="Every kind").click()
    await asked(page, "What should it be called?")
    await expect(page.locator(".rail a[aria-current]")).to_contain_text("Every kind")
    await page.get_by_role("link", name="New chat").first.click()
    await page.locator(".cards").get_by_role("link", name="Every kind").click()
    await asked(page, "What should it be called?")


async def test_signing_out_and_the_page_after_it(screen: Screen) -> None:
    page = await screen.open("/")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading")).to_have_text("You are not signed in")
    await expect(page.locator("code").first).to_have_text("hercules user link owner")
    screen.wrong.clear()  # the browser's own word about the 401


async def test_what_could_change_something_is_confirmed_first(screen: Screen) -> None:
    page = await screen.open("/")
    await page.locator("#say").fill("fecth nginx")
    await page.keyboard.press("Enter")
    await expect(page.locator(".understood")).to_contain_text("I understood: Fetch")
    await expect(page.get_by_role("button", name="Yes")).to_be_focused()
    await page.get_by_role("link", name="Something else").click()
    await expect(page.locator(".flow")).to_have_count(ALL)
    await page.locator("#say").fill("fecth nginx")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Yes").press("Enter")
    await expect(page.locator(".rail a[aria-current]")).to_contain_text("Fetch")
