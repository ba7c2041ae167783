"""What the page looks like: phone width, dark, reduced motion, contrast, names of controls, headings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.channels.house import House
from tests.page.conftest import KNOWN, Screen, asked, press, signed_in
from tests.page.test_answers import UPLOADED

CSS = Path(__file__).parents[2] / "web" / "static" / "css" / "page.css"
WALK: list[tuple[str, dict[str, Any]]] = [
    (name, dict(list(KNOWN.items())[:n])) for n, name in enumerate([*KNOWN, "password"])
]


async def no_sideways(page: Page) -> None:
    """Nothing makes the page wider than the screen."""
    wide = await page.evaluate(
        """() => [document.documentElement.scrollWidth, innerWidth,
             [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() &&
               e.getBoundingClientRect().right > innerWidth + 1 &&
               !e.closest("pre, .table, .unseen, [popover]"))
               .map((e) => e.className || e.tagName).slice(0, 5)]"""
    )
    assert wide[0] <= wide[1], wide
    assert wide[2] == []


async def test_nothing_is_wider_than_a_phone(house: House, browser: Browser) -> None:
    screen = await signed_in(house, browser, viewport={"width": 320, "height": 640}, has_touch=True)
    page = await screen.open("/")
    await no_sideways(page)
    for n, (_, answers) in enumerate(WALK):
        page = await screen.session(id=f"w{n}", **answers)
        await expect(page.locator("#ask")).to_be_visible()
        await no_sideways(page)
        await page.close()
    page = await screen.session(id="end", **KNOWN, password="correct horse", settings=[], archive=UPLOADED)
    await asked(page, "Shall I start web?")
    await no_sideways(page)
    await press(page, "Yes, start it")
    await expect(page.locator(".over")).to_be_visible()
    await no_sideways(page)
    await page.get_by_role("button", name="My chats").click()
    await expect(page.get_by_role("navigation", name="My chats")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("navigation", name="My chats")).to_be_hidden()
    await screen.context.close()
    assert screen.wrong == []


async def test_dark_is_dark_and_light_is_light(house: House, browser: Browser) -> None:
    for scheme, dark in (("dark", True), ("light", False)):
        screen = await signed_in(house, browser, color_scheme=scheme)
        page = await screen.open("/")
        colour = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(int(n) for n in re.findall(r"\d+", colour)[:3]) / 3
        assert (light < 60) is dark
        await screen.context.close()


def tokens() -> list[dict[str, str]]:
    """The colours of both schemes."""
    blocks = re.findall(r":root \{(.*?)\n\s*\}", CSS.read_text(), re.S)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks[:2])
    return [light, light | dark]


def contrast(one: str, two: str) -> float:
    """WCAG's ratio of two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    brighter, darker = sorted((luminance(one), luminance(two)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground", "least"),
    [
        *((ink, ground, 4.5) for ink in ("ink", "ink-2") for ground in ("paper", "sheet", "well")),
        ("ink", "sea-soft", 4.5),
        ("ink-2", "sea-soft", 4.5),
        ("sea", "paper", 4.5),
        ("sea", "sheet", 4.5),
        ("on-sea", "sea", 4.5),
        ("on-sea", "sea-strong", 4.5),
        ("clay", "sheet", 4.5),
        ("clay", "clay-soft", 4.5),
        ("ink", "clay-soft", 4.5),
        ("ink", "gold-soft", 4.5),
        ("gold", "gold-soft", 4.5),
        ("gold", "sheet", 4.5),
        ("gold", "well", 4.5),
        ("leaf", "leaf-soft", 4.5),
        ("paper", "clay", 4.5),
        ("paper", "gold", 4.5),
        ("line-2", "sheet", 3.0),
    ],
)
def test_text_can_be_read(scheme: int, ink: str, ground: str, least: float) -> None:
    colours = tokens()[scheme]
    assert contrast(colours[ink], colours[ground]) >= least


async def test_motion_is_reduced_when_asked_for(house: House, browser: Browser) -> None:
    screen = await signed_in(house, browser, reduced_motion="reduce")
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    assert await page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    button = page.locator("#ask .button.primary")
    assert await button.evaluate("(b) => getComputedStyle(b).transitionDuration") == "0s"
    await screen.context.close()


async def test_every_control_has_a_name_and_every_page_one_heading(screen: Screen) -> None:
    pages = [await screen.open("/")]
    for n, (_, answers) in enumerate(WALK):
        pages.append(await screen.session(id=f"n{n}", **answers))
    for page in pages:
        await expect(page.locator("main")).to_be_visible()
        await page.wait_for_load_state("networkidle")
        nameless = await page.evaluate(
            """() => [...document.querySelectorAll("button, input:not([type=hidden]), textarea, a")]
              .filter((e) => e.checkVisibility() && !e.closest("[aria-hidden]"))
              .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length
                || document.getElementById(e.getAttribute("aria-labelledby") ?? "")?.textContent.trim()))
              .map((e) => e.outerHTML)"""
        )
        assert nameless == []
        assert await page.locator("h1").count() == 1
        assert await page.locator("html").get_attribute("lang") == "en"


async def test_focus_can_be_seen(screen: Screen) -> None:
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    for _ in range(8):
        await page.keyboard.press("Tab")
        seen = await page.evaluate(
            """() => { const e = document.activeElement; const s = getComputedStyle(e);
              return e === document.body || e.tabIndex < 0 || parseFloat(s.outlineWidth) >= 2; }"""
        )
        assert seen


async def test_small_words_of_the_page_are_no_words_of_ours(screen: Screen) -> None:
    page = await screen.session("fetch", ref="nginx")
    await asked(page, "Fetch it?")
    await press(page, "Yes, go ahead")
    await asked(page, "What now?")
    text = (await page.locator("body").inner_text()).lower()
    for word in ("prompt", "order", "session", "entry", "chatflow", "deployment.apply"):
        assert word not in text


async def test_code_is_copied(screen: Screen) -> None:
    await screen.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await screen.open("/in/hcl_used")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading")).to_have_text("This link no longer works")
    screen.wrong.clear()  # the browser's own word about the 403
