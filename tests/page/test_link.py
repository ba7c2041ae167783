"""The page keeps up with its chat: restarts, two tabs, answers on a broken line, signing out, uploads."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from agent.orders.results import Progress, Result
from bot.engine.effects import SendOrder
from tests.page.conftest import KNOWN, Screen, asked, press
from tests.page.test_answers import ARCHIVE, FILE, SHA256
from tests.runtime.lab import now_ms, well


async def numbers(page: Page) -> list[int]:
    """The entries that stand in the page."""
    return [int(await node.get_attribute("data-n") or 0) for node in await page.locator("#log > *").all()]


async def test_restart_is_bridged_without_gap_or_repeat(screen: Screen) -> None:
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    await screen.house.stop()
    await expect(page.locator("#banner")).to_contain_text("Reconnecting…")
    await screen.house.start()
    await expect(page.locator("#banner")).to_be_hidden()
    await page.locator("#answer").fill("Ada")
    await press(page, "Continue")
    await asked(page, "How often?")
    await page.locator("#answer").fill("3")
    await press(page, "Continue")
    await expect(page.locator(".entry.ended")).to_contain_text("Greeted 3 times.")
    session = await screen.stands(page)
    assert await numbers(page) == list(range(1, session.entries + 1))


async def test_answer_given_while_the_bot_is_away_is_sent_once(screen: Screen) -> None:
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    await screen.house.stop()
    await page.locator("#answer").fill("Ada")
    await press(page, "Continue")
    await expect(page.locator("#ask .loading")).to_have_text("Sent as soon as we are connected again…")
    await screen.house.start()
    await asked(page, "How often?")
    await expect(page.locator(".entry.answered")).to_have_count(1)


async def test_what_happened_meanwhile_is_there_after_the_break(screen: Screen) -> None:
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    session = await screen.stands(page)
    await screen.house.stop()
    await screen.house.start()
    await screen.house.runtime.answer(
        person=screen.house.owner, session_id=session.id, seq=1, id="elsewhere", value="Bob"
    )
    await asked(page, "How often?")
    await expect(page.locator(".entry.answered")).to_contain_text("Bob")


async def test_second_tab_shows_what_the_first_answered(screen: Screen) -> None:
    one = await screen.session("greet")
    two = await screen.open(one.url.removeprefix(screen.house.url))
    await asked(one, "Who are you?")
    await asked(two, "Who are you?")
    await one.locator("#answer").fill("Ada")
    await press(one, "Continue")
    await asked(two, "How often?")
    await expect(two.locator(".entry.answered")).to_contain_text("Ada")
    await two.locator("#answer").fill("2")
    await press(two, "Continue")
    await expect(one.locator(".entry.ended")).to_contain_text("Greeted 2 times.")
    await expect(one.locator(".rail a[aria-current]")).to_have_attribute("data-outcome", "done")


async def test_page_loaded_anew_stands_where_it_was(screen: Screen) -> None:
    page = await screen.session("greet")
    await page.locator("#answer").fill("Ada")
    await press(page, "Continue")
    await asked(page, "How often?")
    before = await numbers(page)
    await page.reload()
    await asked(page, "How often?")
    assert await numbers(page) == before


async def test_lookup_fills_in_without_disturbing(screen: Screen) -> None:
    came = asyncio.Event()
    screen.house.world.facts, facts = None, screen.house.fleet.facts

    async def slow(effect):  # type: ignore[no-untyped-def]
        await came.wait()
        screen.house.world.facts = None
        return await facts(effect)

    screen.house.world.facts = slow
    page = await screen.session(**{k: v for k, v in KNOWN.items() if k != "container"})
    await expect(page.locator("#ask-label")).to_have_text("Which container?")
    await expect(page.locator("#ask .loading")).to_have_text("Looking…")
    came.set()
    await asked(page, "Which container?")
    await expect(page.locator(".card")).to_have_count(3)


async def test_progress_is_shown_while_something_is_done(screen: Screen) -> None:
    ordered: asyncio.Future[SendOrder] = asyncio.get_running_loop().create_future()

    def waits(effect: SendOrder) -> Result | None:
        if not ordered.done():
            ordered.set_result(effect)
        return None

    screen.house.world.answering = waits
    page = await screen.session("fetch", ref="nginx")
    await asked(page, "Fetch it?")
    await press(page, "Yes, go ahead")
    working = page.locator(".working")
    await expect(working).to_contain_text("Looking up nginx")
    await expect(working).to_contain_text("s so far")
    order = await ordered
    told = Progress(
        order=order.id,
        step="getting_image",
        says="Getting the image.",
        done=31_000_000,
        total=77_000_000,
        unit="bytes",
        at_ms=now_ms(),
    )
    await screen.house.runtime.order_progressed(order.id, told)
    await expect(working).to_contain_text("Getting the image. 29.6 MiB / 73.4 MiB")
    assert await working.locator("progress").evaluate("(bar) => [bar.value, bar.max]") == [
        31_000_000,
        77_000_000,
    ]
    await page.reload()
    await expect(working).to_contain_text("Getting the image.")
    screen.house.world.answering = None
    await screen.house.runtime.order_finished(order.id, well(order))
    await asked(page, "What now?")
    await expect(page.locator(".entry.change[data-outcome=done]")).to_have_count(2)


async def test_signing_out_elsewhere_is_said(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.channels.ws.RECHECK_S", 0.3)
    page = await screen.session("greet")
    await asked(page, "Who are you?")
    await screen.house.people.sign_out_everywhere(screen.house.owner.id)
    await expect(page.locator("#banner")).to_contain_text("You were signed out.")


async def test_upload_goes_on_where_it_stopped(screen: Screen) -> None:
    page = await screen.session(**KNOWN, password="correct horse", settings=[])
    await asked(page, "Which image archive?")
    broken = asyncio.Event()

    async def cut(route, request):  # type: ignore[no-untyped-def]
        if request.headers.get("upload-offset") != "0" and not broken.is_set():
            broken.set()
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await page.route("**/api/v1/blobs/*", cut)
    await page.locator("#answer").set_input_files(FILE)  # type: ignore[arg-type]
    await expect(page.locator(".upload-state")).to_contain_text("image.tar is here", timeout=60_000)
    assert broken.is_set()
    await press(page, "Continue")
    await asked(page, "Shall I start web?")
    path = screen.house.blobs.path_of(SHA256)
    assert path.read_bytes() == ARCHIVE
    screen.wrong = [line for line in screen.wrong if "ERR_CONNECTION_RESET" not in line]


async def test_file_that_would_be_refused_is_not_sent(screen: Screen) -> None:
    page = await screen.session(**KNOWN, password="correct horse", settings=[])
    await asked(page, "Which image archive?")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "blobs" in request.url else None)
    photo = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"x"}
    await page.locator("#answer").set_input_files(photo)  # type: ignore[arg-type]
    await expect(page.locator(".upload-state")).to_contain_text(
        "photo.jpg is not of a kind that fits here: .tar"
    )
    await press(page, "Continue")
    await expect(page.locator("#ask-error")).to_have_text("Choose a file first.")
    assert sent == []
