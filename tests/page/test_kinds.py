"""The kinds of prompt beside the first eight, out of a plugin: answered, mistaken, without script, small."""

from __future__ import annotations

import hashlib
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.channels.house import House
from tests.page.conftest import Screen, asked, form, press, signed_in
from tests.page.test_looks import no_sideways
from tests.page.test_same import BUILD, normal, rendered

FLOW = Path(__file__).parent / "kinds_flow.py"


def png() -> bytes:
    """A picture of 8 by 8 red points."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    size = (8).to_bytes(4, "big") * 2
    rows = (b"\0" + b"\xc0\x20\x20" * 8) * 8
    head = chunk(b"IHDR", size + b"\x08\x02\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURE = png()
FILE = {"name": "plan.png", "mimeType": "image/png", "buffer": PICTURE}
ANSWERS: dict[str, Any] = {
    "many": ["attic", "spare-2"],
    "start": "2030-05-01 03:00",
    "day": "2030-06-01",
    "lasts": 9000,
    "backup": {
        "name": "nightly",
        "place": "cloud",
        "key": "correct horse",
        "keep": 7,
        "verify": False,
        "days": ["sun"],
    },
    "where": {"lat": 50.85, "lon": 4.35, "label": "Brussels"},
    "table": True,
    "chart": True,
    "bars": True,
    "log": True,
    "code": True,
    "diff": True,
    "text": True,
    "qr": True,
    "picture": {"blob": hashlib.sha256(PICTURE).hexdigest(), "bytes": len(PICTURE), "name": "plan.png"},
    "image": True,
    "file": True,
}


async def with_flow(house: House) -> None:
    """The flow as a plugin of this bot."""
    house.plugins.mkdir(exist_ok=True)
    shutil.copy(FLOW, house.plugins / "other_kinds.py")
    await house.book.reload()
    assert "other-kinds" in [one.flow.name for one in house.book.flows()]


async def blob(house: House) -> None:
    """The picture as an upload that is done."""
    at = {"person": house.owner.id, "id": "u1"}
    await house.blobs.create(**at, bytes=len(PICTURE), name="plan.png")
    await house.blobs.append(**at, offset=0, data=PICTURE)
    await house.blobs.finish(**at)


async def test_every_other_kind_by_keyboard_and_mouse(screen: Screen) -> None:
    await with_flow(screen.house)
    page = await screen.session("other-kinds")
    keys = page.keyboard
    await asked(page, "Which nodes shall be backed up?")
    await expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    await expect(form(page).get_by_label("shed")).to_be_disabled()
    await expect(form(page).get_by_text("It is offline since Tuesday.")).to_be_visible()
    await press(page, "Continue")
    await expect(page.locator("#ask-error")).to_have_text("Choose at least 1.")
    await page.get_by_role("searchbox").fill("attic")
    await keys.press("Enter")
    await keys.type("spare")
    await expect(page.locator(".search [role=status]")).to_have_text("6 of 9 shown")
    await keys.press("ArrowDown")
    await keys.press("Space")
    await expect(page.locator(".many-count [role=status]")).to_have_text("2 of 9 chosen")
    await keys.press("Enter")
    await asked(page, "When shall it begin?")
    await expect(page.locator(".unit")).to_have_text("Europe/Brussels")
    await page.locator("#answer").fill("2025-05-01T03:00")
    await press(page, "Continue")
    await expect(page.locator("#ask-error")).to_contain_text("not before 2026-01-01")
    await page.locator("#answer").fill("2030-05-01T04:00")
    await keys.press("Enter")
    await asked(page, "Until which day?")
    await page.locator("#answer").fill("2030-06-01")
    await press(page, "Continue")
    await asked(page, "How long may it take?")
    await expect(page.locator("#answer")).to_have_value("2h 30m")
    await page.locator("#answer").fill("soon")
    await press(page, "Continue")
    await expect(page.locator("#ask-error")).to_contain_text("like 2h 30m")
    await page.locator("#answer").fill("90m")
    await press(page, "Continue")
    await asked(page, "How shall it be kept?")
    await _fill_the_form(page)
    await asked(page, "Where does the machine stand?")
    await page.get_by_label("Degrees north").fill("500")
    await page.get_by_label("Degrees east").fill("4,35")
    await press(page, "Continue")
    await expect(page.locator('[data-part="lat"] .error')).to_contain_text("between -90 and 90")
    await expect(page.get_by_label("Degrees north")).to_be_focused()
    await page.get_by_label("Degrees north").fill("50.85")
    await page.get_by_label("What it is called").fill("Brussels")
    await press(page, "Continue")
    for label, kind in (
        ("This is what I found.", ".table table"),
        ("How busy it was this week.", ".chart svg"),
        ("How full the disks are.", ".chart-bar"),
        ("Its last lines.", ".log-view pre"),
        ("Run this on the new machine.", ".code pre"),
        ("This would change.", "[data-mark='-'] del"),
        ("Take the settings with you.", ".download a"),
        ("Open it on your phone.", ".qr svg"),
    ):
        await asked(page, label)
        await expect(form(page).locator(kind).first).to_be_visible()
        if kind == ".download a":
            async with page.expect_download() as coming:
                await page.get_by_role("link", name="Download settings.yml").click()
            path = await (await coming.value).path()
            assert "port: 9090" in path.read_text()
        await press(page, "Continue")
    await asked(page, "Which picture?")
    await page.locator("#answer").set_input_files(FILE)  # type: ignore[arg-type]
    await expect(page.locator(".upload-state")).to_contain_text("is here")
    await press(page, "Continue")
    await asked(page, "Is it this one?")
    picture = form(page).get_by_role("img", name="The plan that was uploaded")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("async (i) => { await i.decode(); return i.naturalWidth }") == 8
    await press(page, "Continue")
    await asked(page, "The picture again.")
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download plan.png").click()
    download = await coming.value
    assert download.suggested_filename == "plan.png"
    assert (await download.path()).read_bytes() == PICTURE
    await press(page, "Continue")
    await asked(page, "Is that right?")
    for words in ("attic, spare-1", "2030-05-01 04:00+02:00", "1h 30m", "Access key: ••••••", "Brussels"):
        await expect(page.locator(".summary")).to_contain_text(words)
    await press(page, "Change Keeping")
    await asked(page, "How shall it be kept?")
    await expect(page.get_by_label("Keep the one that you gave before")).to_be_checked()
    await press(page, "Continue")
    await asked(page, "Is that right?")
    await press(page, "Yes, go ahead")
    await expect(page.locator(".entry.ended")).to_contain_text("takes 1 h 30 min")
    await expect(page.locator(".entry.asked").get_by_role("cell", name="web-3")).to_be_visible()
    assert set(screen.house.world.secrets) == {"correct horse"}


async def _fill_the_form(page: Page) -> None:
    key = page.get_by_label("Access key", exact=True)
    await expect(key).to_be_hidden()
    await press(page, "Continue")
    place = page.locator('[data-field="place"]')
    await expect(place.locator(".error")).to_have_text("Choose one first.")
    await place.get_by_text("Cloud storage").click()
    await expect(key).to_be_visible()
    await page.get_by_label("Keep", exact=True).fill("100")
    await key.fill("short")
    await page.locator('[data-field="verify"]').get_by_text("Yes").click()
    await page.get_by_label("How often?").fill("12h")
    await page.locator('[data-field="days"]').get_by_text("Sunday").click()
    await press(page, "Continue")
    await expect(page.locator('[data-field="key"] .error')).to_have_text("Give at least 8 characters.")
    await expect(key).to_have_attribute("aria-invalid", "true")
    await key.fill("correct horse")
    await press(page, "Continue")
    await expect(page.locator('[data-field="keep"] .error')).to_have_text("It must be at most 90 days.")
    await page.get_by_label("Keep", exact=True).fill("30")
    await press(page, "Continue")


async def test_each_is_built_as_it_is_rendered_and_fits_a_phone(
    house: House, browser: Browser, screen: Screen
) -> None:
    await with_flow(house)
    await blob(house)
    plain = await signed_in(house, browser, java_script_enabled=False)
    phone = await signed_in(house, browser, viewport={"width": 320, "height": 640}, has_touch=True)
    seen = set()
    for n in range(len(ANSWERS) + 1):
        view = await house.runtime.open(
            person=house.owner, id=f"k{n}", flow="other-kinds", answers=dict(list(ANSWERS.items())[:n])
        )
        live = await screen.open(f"/s/{view.session.id}")
        page = await plain.open(f"/s/{view.session.id}")
        seen.add(await page.locator("#ask").get_attribute("data-kind"))
        csrf = re.compile(r'(name="csrf" value=)"[^"]*"')
        built = csrf.sub(r'\1"…"', str(await live.evaluate(BUILD, view.session.id)))
        assert normal(built) == normal(csrf.sub(r'\1"…"', await rendered(page)))
        small = await phone.open(f"/s/{view.session.id}")
        await no_sideways(small)
        for one in (live, page, small):
            await one.close()
    assert len(seen) == 15
    await plain.context.close()
    await phone.context.close()
    assert phone.wrong == []


async def test_without_script_a_form_is_answered_and_its_mistakes_stand_beside_the_fields(
    house: House, browser: Browser
) -> None:
    await with_flow(house)
    plain = await signed_in(house, browser, java_script_enabled=False)
    given = {name: ANSWERS[name] for name in ("start", "day", "lasts")}
    page = await plain.session("other-kinds", **given)
    await page.get_by_text("attic", exact=True).click()
    await page.get_by_text("cellar", exact=True).click()
    await press(page, "Continue")
    await page.get_by_label("Cloud storage").check()
    await page.get_by_label("Access key", exact=True).fill("correct horse")
    await page.get_by_label("Keep", exact=True).fill("many")
    await page.locator('[data-field="verify"]').get_by_role("radio", name="No").check()
    await press(page, "Continue")
    await expect(page.locator('[data-field="keep"] .error')).to_have_text("Please enter a number.")
    await expect(page.get_by_label("Cloud storage")).to_be_checked()
    assert "correct horse" not in await page.content()
    await page.get_by_label("Access key", exact=True).fill("correct horse")
    await page.get_by_label("Keep", exact=True).fill("9")
    await press(page, "Continue")
    await page.get_by_label("Degrees north").fill("north")
    await press(page, "Continue")
    await expect(page.locator("#ask-error")).to_contain_text("Please enter degrees")
    await page.get_by_label("Degrees north").fill("50.85")
    await page.get_by_label("Degrees east").fill("4.35")
    await press(page, "Continue")
    await expect(page.locator("#ask-label")).to_have_text("This is what I found.")
    said = page.locator(".entry.answered")
    for words in ("attic, cellar", "Keep: 9 days", "Access key: ••••••", "50.85, 4.35"):
        await expect(said.filter(has_text=words)).to_have_count(1)
    await expect(said.filter(has_text="How often?")).to_have_count(0)
    assert set(house.world.secrets) == {"correct horse"}
    await plain.context.close()


async def test_where_the_browser_is_can_be_taken(house: House, browser: Browser) -> None:
    await with_flow(house)
    here = {"latitude": 50.123456, "longitude": 4.5}
    there = await signed_in(house, browser, geolocation=here, permissions=["geolocation"])
    page = await there.session("other-kinds", **{n: ANSWERS[n] for n in list(ANSWERS)[:5]})
    await asked(page, "Where does the machine stand?")
    await page.get_by_role("button", name="Use where I am").click()
    await expect(page.get_by_label("Degrees north")).to_have_value("50.12346")
    await expect(page.get_by_label("What it is called")).to_be_focused()
    await page.keyboard.press("Enter")
    await asked(page, "This is what I found.")
    await there.context.close()
    assert there.wrong == []
