"""The recovery key's page: shown to the owner at a browser, deleted once it is kept elsewhere."""

from __future__ import annotations

import pytest

from bot.channels import web_keys
from tests.channels.house import House
from tests.channels.test_sign_in import Browser, browser

__all__ = ["browser"]
KEY = "ab" * 32
PAGE = "/keys/recovery"


async def test_the_owner_sees_it_keeps_it_and_has_it_deleted(house: House, browser: Browser) -> None:
    await browser.sign_in()
    csrf = {"csrf": browser.csrf}
    async with browser.get(PAGE) as answer:
        text = await answer.text()
        assert (answer.status, KEY in text, "Show the key" in text) == (200, False, True)
    assert house.recovery.noted == []
    async with browser.post(f"{PAGE}/show", csrf) as answer:
        text = await answer.text()
        assert (answer.status, KEY in text) == (200, True)
        assert answer.headers["Cache-Control"] == "no-store"
    async with browser.post(f"{PAGE}/forget", csrf) as answer:  # without saying that it is kept
        assert answer.status == 422
    assert house.recovery.key == KEY
    async with browser.post(f"{PAGE}/forget", csrf | {"kept": "yes"}) as answer:
        assert (answer.status, KEY in await answer.text()) == (200, False)
    assert house.recovery.noted == [(house.owner.id, "shown"), (house.owner.id, "deleted")]
    for again in (
        browser.get(PAGE),
        browser.post(f"{PAGE}/show", csrf),
        browser.post(f"{PAGE}/forget", csrf | {"kept": "yes"}),
    ):
        async with again as answer:
            text = await answer.text()
            assert answer.status == 410
            assert "no longer here" in text
            assert f'data-ms="{house.recovery.taken_ms()}"' in text


async def test_a_sign_in_of_long_ago_is_not_enough(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.sign_in()
    monkeypatch.setattr(web_keys, "FRESH_S", 0)
    async with browser.get(PAGE) as answer:
        text = await answer.text()
        assert (answer.status, KEY in text, "hercules user link owner" in text) == (200, False, True)
    for path in ("show", "forget"):
        async with browser.post(f"{PAGE}/{path}", {"csrf": browser.csrf, "kept": "yes"}) as answer:
            assert (answer.status, KEY in await answer.text()) == (403, False)
    assert (house.recovery.noted, house.recovery.key) == ([], KEY)


async def test_nobody_else_gets_it(house: House, browser: Browser) -> None:
    async with browser.get(PAGE) as answer:  # not signed in
        assert KEY not in await answer.text()
    async with browser.post(f"{PAGE}/show", {"csrf": "x"}) as answer:
        assert answer.status == 401
    await browser.sign_in()
    async with browser.post(f"{PAGE}/show", {"csrf": "wrong"}) as answer:
        assert answer.status == 403
    async with browser.post(f"{PAGE}/show", {"csrf": browser.csrf}, Origin="http://evil.example") as answer:
        assert answer.status == 403
    async with house.client(await house.token()) as script, script.post(f"{PAGE}/show") as answer:
        assert answer.status == 403  # a script's token is not enough, though it is the owner's
    await house.people.add("bob", "operator")
    async with house.client(await house.token("bob")) as other, other.post(f"{PAGE}/show") as answer:
        assert answer.status == 403
    assert house.recovery.noted == []
    assert house.recovery.key == KEY
