"""Every kind of question, answered by mouse and by keyboard; errors beside the fields; ways back."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.page.conftest import KNOWN, Screen, asked, form, press

ARCHIVE = b"an image archive " * 400_000  # 6.5 MB: two pieces
FILE = {"name": "image.tar", "mimeType": "application/x-tar", "buffer": ARCHIVE}
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()
UPLOADED: dict[str, Any] = {"blob": SHA256, "bytes": len(ARCHIVE), "name": "image.tar"}


async def test_every_kind_by_mouse(screen: Screen) -> None:
    page = await screen.session()
    await asked(page, "What should it be called?")
    await page.locator("#answer").fill("shop")
    await press(page, "Continue")
    await asked(page, "Anything worth remembering?")
    await page.locator("#answer").fill("first line\nsecond line")
    await press(page, "Continue")
    await asked(page, "Which port?")
    await page.locator("#answer").fill("9090")
    await press(page, "Continue")
    await asked(page, "How much memory may it use?")
    await expect(page.locator(".unit")).to_have_text("MiB")
    await press(page, "Continue")
    await asked(page, "May others in your network reach it?")
    await press(page, "Yes")
    await asked(page, "Where does the image come from?")
    await expect(form(page).get_by_label("An image archive")).to_be_disabled()
    await page.get_by_text("A welcome page").click()
    await press(page, "Continue")
    await asked(page, "Which container?")
    await page.get_by_text("c2", exact=True).click()
    await press(page, "Continue")
    await asked(page, "Which password should it get?")
    await press(page, "Generate")
    secret = await page.locator("#answer").input_value()
    await press(page, "Continue")
    await asked(page, "Which settings does it need?")
    await press(page, "Add a setting")
    await page.locator(".pair-name").fill("TZ")
    await page.locator(".pair-value").fill("UTC")
    await press(page, "Continue")
    await asked(page, "Which image archive?")
    await page.locator("#answer").set_input_files(FILE)  # type: ignore[arg-type]
    await expect(page.locator(".upload-state")).to_contain_text("image.tar is here")
    await press(page, "Continue")
    await asked(page, "Shall I start shop?")
    await expect(page.locator(".summary")).to_contain_text("9090")
    await press(page, "Yes, start it")
    await expect(page.locator(".entry.ended")).to_contain_text("shop is running: open it.")
    link = page.get_by_role("link", name="open it")
    assert await link.get_attribute("href") == "http://localhost:9090/"
    assert len(secret) == 24
    assert screen.house.world.secrets == [secret]
    assert secret not in await page.content()
    session = await screen.stands(page)
    assert session.outcome == "done"
    assert (await screen.house.blobs.has(UPLOADED["blob"])) is True


async def test_every_kind_by_keyboard(screen: Screen) -> None:
    page = await screen.session()
    keys = page.keyboard
    await page.locator("#answer").focus()
    await keys.type("shop")
    await page.locator("#answer").fill("shop")
    await keys.press("Enter")
    await asked(page, "Anything worth remembering?")
    await expect(page.locator("#answer")).to_be_focused()
    await keys.type("one")
    await keys.press("Enter")
    await keys.type("two")
    await keys.press("Control+Enter")
    await asked(page, "Which port?")
    await expect(page.locator("#answer")).to_be_focused()
    await keys.press("ArrowUp")
    await keys.press("Enter")
    await asked(page, "How much memory may it use?")
    await keys.press("Enter")
    await asked(page, "May others in your network reach it?")
    await expect(page.locator("#ask-label")).to_be_focused()  # an Enter too many answers nothing
    await keys.press("Enter")
    await keys.press("Tab")
    await keys.press("Tab")
    await keys.press("Enter")
    await asked(page, "Where does the image come from?")
    await keys.press("ArrowDown")
    await keys.press("Enter")
    await asked(page, "Which container?")
    await keys.press("Space")
    await keys.press("ArrowDown")
    await expect(page.get_by_label("c1")).to_be_checked()
    await keys.press("Enter")
    await asked(page, "Which password should it get?")
    await keys.type("correct horse")
    await keys.press("Enter")
    await asked(page, "Which settings does it need?")
    await page.get_by_role("button", name="Add a setting").focus()
    await keys.press("Enter")
    await expect(page.locator(".pair-name")).to_be_focused()
    await keys.type("API_TOKEN")
    await keys.press("Tab")
    await keys.type("s3cret")
    assert await page.locator(".pair-value").get_attribute("type") == "password"
    await keys.press("Enter")
    await asked(page, "Which image archive?")
    await page.locator("#answer").set_input_files(FILE)  # type: ignore[arg-type]
    await expect(page.locator(".upload-state")).to_contain_text("image.tar is here")
    await expect(form(page).get_by_role("button", name="Continue", exact=True).last).to_be_focused()
    await keys.press("Enter")
    await asked(page, "Shall I start shop?")
    await expect(page.locator("#ask-label")).to_be_focused()
    await page.get_by_role("button", name="Yes, start it").focus()
    await keys.press("Space")
    await expect(page.locator(".entry.ended")).to_contain_text("shop is running")
    await expect(page.locator(".entry.answered").nth(2)).to_contain_text("8081")
    assert screen.house.world.secrets == ["correct horse", "s3cret"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [("Not OK", "Use small letters, digits and hyphens"), ("", "Something is needed here.")],
)
async def test_error_stands_beside_the_field_and_what_was_typed_stays(
    screen: Screen, answer: str, says: str
) -> None:
    page = await screen.session()
    await asked(page, "What should it be called?")
    field = page.locator("#answer")
    await field.fill(answer)
    await press(page, "Continue")
    await expect(page.locator("#ask-error")).to_contain_text(says)
    await expect(field).to_have_value(answer)
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("aria-invalid", "true")
    await field.fill("fine")
    await press(page, "Continue")
    await asked(page, "Anything worth remembering?")


async def test_numbers_are_checked_before_and_after_sending(screen: Screen) -> None:
    page = await screen.session(called="web", notes="")
    await asked(page, "Which port?")
    for typed, says in (("abc", "Please enter a number."), ("80.5", "whole number"), ("80", "at least 1024")):
        await page.locator("#answer").fill(typed)
        await press(page, "Continue")
        await expect(page.locator("#ask-error")).to_contain_text(says)
    await page.locator("#answer").fill(" 9 000 ")
    await press(page, "Continue")
    await asked(page, "How much memory may it use?")


async def test_nothing_chosen_is_said(screen: Screen) -> None:
    page = await screen.session(**{k: KNOWN[k] for k in ("called", "notes", "port", "memory", "lan")})
    await asked(page, "Where does the image come from?")
    await press(page, "Continue")
    await expect(page.locator("#ask-error")).to_have_text("Choose one first.")


async def test_mistakes_in_settings_stand_at_their_rows(screen: Screen) -> None:
    page = await screen.session(**KNOWN, password="correct horse")
    await asked(page, "Which settings does it need?")
    await press(page, "Paste a .env file")
    await page.locator(".pair-paste textarea").fill(
        "# a comment\nexport TZ=UTC\nGREETING='hello there' \n"
        'DB_PASSWORD="x # y"\nEMPTY=\nPLAIN=a b # gone\n'
    )
    await press(page, "Take over")
    names = [await row.input_value() for row in await page.locator(".pair-name").all()]
    values = [await row.input_value() for row in await page.locator(".pair-value").all()]
    assert names == ["TZ", "GREETING", "DB_PASSWORD", "EMPTY", "PLAIN"]
    assert values == ["UTC", "hello there", "x # y", "", "a b"]
    assert await page.locator(".pair-value").nth(2).get_attribute("type") == "password"
    await page.locator(".pair-name").nth(3).fill("LD_PRELOAD")
    await press(page, "Continue")
    row = page.locator(".pair").nth(3)
    await expect(page.locator(".pair:nth-child(4) + .error")).to_contain_text("LD_PRELOAD is not permitted")
    await expect(row.locator(".pair-name")).to_have_attribute("aria-invalid", "true")
    await page.locator(".pair-name").nth(3).fill("TZ")
    await press(page, "Continue")
    await expect(page.locator(".pairs > .error")).to_have_text("TZ is here twice.")
    await row.get_by_role("button", name="Remove").click()
    await press(page, "Continue")
    await asked(page, "Which image archive?")


async def test_a_name_that_speaks_of_a_secret_is_ticked_while_it_is_typed(screen: Screen) -> None:
    page = await screen.session(**KNOWN, password="correct horse")
    await asked(page, "Which settings does it need?")
    await press(page, "Add a setting")
    tick = page.locator(".pair-secret input")
    await page.keyboard.type("PASSWORD")
    await expect(tick).to_be_checked()  # before the field is left: a click on it then means what is seen
    await tick.click()
    await page.locator(".pair-value").fill("open")
    await expect(tick).not_to_be_checked()
    assert await page.locator(".pair-value").get_attribute("type") == "text"
    await page.locator(".pair-name").press("End")
    await page.keyboard.type("_FILE")
    await expect(tick).not_to_be_checked()  # who decided is not asked again


async def test_back_keeps_what_was_said(screen: Screen) -> None:
    page = await screen.session()
    await asked(page, "What should it be called?")
    await expect(form(page).get_by_role("button", name="Back")).to_have_count(0)
    await page.locator("#answer").fill("shop")
    await press(page, "Continue")
    await asked(page, "Anything worth remembering?")
    await press(page, "Back")
    await asked(page, "What should it be called?")
    await expect(page.locator("#answer")).to_have_value("shop")


async def test_secrets_can_be_kept_when_going_back(screen: Screen) -> None:
    page = await screen.secret_onwards()
    await page.locator("#answer").fill("correct horse")
    await press(page, "Continue")
    await asked(page, "Which settings does it need?")
    await press(page, "Add a setting")
    await page.locator(".pair-name").fill("TOKEN")
    await page.locator(".pair-value").fill("battery")
    await press(page, "Continue")
    await asked(page, "Which image archive?")
    await press(page, "Back")
    await asked(page, "Which settings does it need?")
    await expect(page.locator(".pair-value")).to_have_value("")
    await expect(page.locator(".pair-value")).to_have_attribute("placeholder", "Kept as it is")
    await press(page, "Back")
    await asked(page, "Which password should it get?")
    await expect(page.get_by_label("Keep the one that you gave before")).to_be_checked()
    await press(page, "Continue")
    await asked(page, "Which settings does it need?")
    await press(page, "Continue")
    await asked(page, "Which image archive?")
    assert screen.house.world.secrets == ["correct horse", "battery"]


async def test_an_answer_is_changed_from_the_summary(screen: Screen) -> None:
    page = await screen.session("fetch", ref="nginx")
    await asked(page, "Fetch it?")
    await press(page, "Change Which image?")
    await asked(page, "Which image?")
    await expect(page.locator("#answer")).to_have_value("nginx")
    await page.locator("#answer").fill("caddy")
    await press(page, "Continue")
    await asked(page, "Fetch it?")
    await expect(page.locator(".summary dd")).to_have_text("caddy")


async def test_cancel_asks_first_and_says_what_is_taken_back(screen: Screen) -> None:
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    await press(page, "Cancel")
    dialog = page.get_by_role("dialog", name="End this chat?")
    await expect(dialog).to_contain_text("Nothing was changed so far")
    await expect(dialog.get_by_role("button", name="No, go on")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await asked(page, "Who are you?")
    await press(page, "Cancel")
    await dialog.get_by_role("button", name="Yes, end it").click()
    await expect(page.locator(".badge")).to_have_text("Cancelled")


async def test_undo_takes_back_after_a_question(screen: Screen) -> None:
    page = await screen.session("fetch", ref="nginx")
    await asked(page, "Fetch it?")
    assert await form(page).get_attribute("data-risk") == "destroys"
    await press(page, "Yes, go ahead")
    await asked(page, "What now?")
    await press(page, "Undo")
    dialog = page.get_by_role("dialog", name="Take back what was done?")
    await expect(dialog.locator("ol li")).to_have_text(["Taking back: Getting nginx"])
    await dialog.get_by_role("button", name="Yes, take it back").click()
    await asked(page, "Fetch it?")
    await expect(page.locator(".log")).to_contain_text("Taking back: Getting nginx")
    verbs = [known.effect.order["verb"] for known in screen.house.world.orders.values()]
    assert "image.remove" in verbs


async def test_offers_at_the_end_open_the_next_chat_filled_in(screen: Screen) -> None:
    page = await screen.session(**KNOWN, password="correct horse", settings=[], archive=UPLOADED)
    await asked(page, "Shall I start web?")
    await press(page, "Yes, start it")
    await page.get_by_role("button", name="Greet somebody").click()
    await asked(page, "How often?")
    await expect(page.locator(".entry.answered")).to_contain_text("web")


async def test_double_click_answers_once(screen: Screen) -> None:
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    await page.locator("#answer").fill("Ada")
    await form(page).get_by_role("button", name="Continue", exact=True).last.dblclick()
    await asked(page, "How often?")
    await expect(page.locator(".entry.answered")).to_have_count(1)
    assert await page.locator("#ask-error").is_hidden()


async def title_of(page: Page) -> str:
    return await page.title()


async def test_tab_title_names_the_question(screen: Screen) -> None:
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    assert await title_of(page) == "Who are you? · Hercules"
    await page.locator("#answer").fill("Ada")
    await press(page, "Continue")
    await asked(page, "How often?")
    assert await title_of(page) == "How often? · Hercules"
