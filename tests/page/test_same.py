"""The server's first paint and what the script builds are the same elements, for every question and entry."""

from __future__ import annotations

import re

from playwright.async_api import Browser, Page, expect

from tests.channels.house import House
from tests.page.conftest import KNOWN, Screen, asked, press, signed_in
from tests.page.test_answers import UPLOADED

BUILD = """async (id) => {
  const { askForm } = await import("/static/js/prompt.js");
  const { prompt } = await (await fetch(`/api/v1/sessions/${id}`)).json();
  return askForm(prompt, { session: id, csrf: document.body.dataset.csrf }).outerHTML;
}"""
OTHERWISE = re.compile(r'(name="id" value=)"[^"]*"|<noscript>.*?</noscript>|\s+(?=/?>)')


def normal(html: str) -> list[str]:
    """Tags with their attributes in order, and texts."""
    html = OTHERWISE.sub(lambda m: f'{m[1]}"…"' if m[1] else "", html)
    out = []
    for tag, text in re.findall(r"(<[^>]*>)|([^<]+)", html):
        if tag:
            name, *_ = re.split(r"[\s>]", tag[1:], maxsplit=1)
            attributes = re.findall(r'([\w-]+)(?:="([^"]*)")?', tag[1 + len(name) :])
            out.append(f"<{name} " + " ".join(f"{k}={v}" for k, v in sorted(attributes)))
        elif text.strip():
            out.append(text.strip())
    return out


async def rendered(page: Page) -> str:
    """The open question as the server renders it."""
    return str(await page.locator("#ask").evaluate("(form) => form.outerHTML"))


async def test_each_question_is_built_as_it_is_rendered(
    house: House, browser: Browser, screen: Screen
) -> None:
    plain = await signed_in(house, browser, java_script_enabled=False)
    answers = list((KNOWN | {"password": "correct horse", "settings": [], "archive": UPLOADED}).items())
    seen = set()
    for n in range(len(answers) + 1):
        view = await house.runtime.open(
            person=house.owner, id=f"s{n}", flow="every-kind", answers=dict(answers[:n])
        )
        live = await screen.open(f"/s/{view.session.id}")
        await expect(live.locator("#ask .loading")).to_be_hidden()
        if n == 7:  # its lookup settles the container first
            await asked(live, "Which password should it get?")
        page = await plain.open(f"/s/{view.session.id}")
        html = await rendered(page)
        seen.add(await page.locator("#ask").get_attribute("data-kind"))
        csrf = re.compile(r'(name="csrf" value=)"[^"]*"')
        built = csrf.sub(r'\1"…"', str(await live.evaluate(BUILD, view.session.id)))
        assert normal(built) == normal(csrf.sub(r'\1"…"', html))
        await live.close()
        await page.close()
    assert len(seen) == 8
    await plain.context.close()


async def test_each_entry_is_built_as_it_is_rendered(screen: Screen) -> None:
    page = await screen.session("fetch")
    await asked(page, "Which image?")
    await page.locator("#answer").fill("nginx")
    await press(page, "Continue")
    await asked(page, "Fetch it?")
    await press(page, "Back")
    await asked(page, "Which image?")
    await press(page, "Continue")
    await asked(page, "Fetch it?")
    await press(page, "Change Which image?")
    await asked(page, "Which image?")
    await press(page, "Continue")
    await asked(page, "Fetch it?")
    await press(page, "Yes, go ahead")
    await asked(page, "What now?")
    await press(page, "Cancel")
    await page.get_by_role("button", name="Yes, end it").click()
    await expect(page.locator(".entry.ended")).to_be_visible()
    log = "() => document.querySelector('#log').innerHTML"
    built = normal(str(await page.evaluate(log)))
    await page.reload()
    await expect(page.locator(".entry.ended")).to_be_visible()
    assert built == normal(str(await page.evaluate(log)))
