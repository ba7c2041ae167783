"""The recovery key in a browser: copied, saved as a file, deleted once it is said to be kept."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import expect

from tests.channels.house import House
from tests.page.conftest import Screen


async def test_the_key_is_copied_saved_and_deleted(house: House, screen: Screen) -> None:
    key = house.recovery.key
    assert key is not None
    await screen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await screen.open("/keys/recovery")
    await page.get_by_role("button", name="Show the key").press("Enter")
    await expect(page.locator("pre")).to_have_text(key)
    assert key not in page.url
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == key
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Save as a file").click()
    saved = await saving.value
    assert saved.suggested_filename.startswith("hercules-recovery-key-")
    assert key not in saved.url
    text = Path(await saved.path()).read_text()
    assert key in text
    assert "opens the secrets" in text
    delete = page.get_by_role("button", name="Delete it here")
    await delete.click()  # the browser asks for the tick first
    assert house.recovery.key == key
    await page.get_by_label("I have kept it").check()
    await delete.click()
    await expect(page.get_by_role("heading")).to_have_text("The key is deleted here")
    assert house.recovery.taken_ms() > 0
    await page.goto(f"{house.url}/keys/recovery")
    await expect(page.get_by_role("heading")).to_have_text("The key is no longer here")
    await expect(page.locator("time")).to_be_visible()
    screen.wrong = [line for line in screen.wrong if "410" not in line]  # the browser's own word about it
