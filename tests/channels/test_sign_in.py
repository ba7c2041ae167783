"""Signing in, and what only our own pages may send: links, cookie, origin, CSRF token, host."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from aiohttp import ClientSession, DummyCookieJar, WSServerHandshakeError

from tests.channels.house import House
from tests.runtime.lab import INSTALLATION

COOKIE = f"__Host-h-{INSTALLATION}"


class Browser:
    """What a browser sends by itself: its cookie, and its Origin with everything that changes."""

    def __init__(self, house: House, http: ClientSession) -> None:
        self.house, self.http = house, http
        self.cookie = self.csrf = ""

    async def sign_in(self) -> None:
        async with self.post(await self.house.link()) as answer:
            assert answer.status == 303
            cookie: SimpleCookie = SimpleCookie(answer.headers["Set-Cookie"])
            self.cookie = cookie[COOKIE].value
        async with self.get("/") as answer:
            found = re.search(r'name="csrf" value="([^"]+)"', await answer.text())
            assert found
            self.csrf = found[1]

    def headers(self, **more: str) -> dict[str, str]:
        sent = {"Accept": "text/html"} | ({"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {})
        return sent | {name.replace("_", "-"): value for name, value in more.items()}

    def get(self, path: str) -> Any:
        return self.http.get(path, headers=self.headers(), allow_redirects=False)

    def post(self, path: str, data: dict[str, str] | None = None, **headers: str) -> Any:
        headers = {"Origin": self.house.url} | headers
        return self.http.post(path, data=data, headers=self.headers(**headers), allow_redirects=False)


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with ClientSession(house.url, cookie_jar=DummyCookieJar()) as http:
        yield Browser(house, http)


async def test_opening_a_link_uses_nothing_up_and_the_post_does(house: House, browser: Browser) -> None:
    link = await house.link()
    for _ in range(3):
        async with browser.get(link) as answer:
            assert answer.status == 200
            assert "Set-Cookie" not in answer.headers
            assert "<form" in await answer.text()
    async with browser.post(link) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
    for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/", COOKIE):
        assert word in cookie
    assert "Domain" not in cookie
    async with browser.post(link) as answer:
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


async def test_unknown_and_used_links_look_alike(house: House, browser: Browser) -> None:
    used = await house.link()
    async with browser.post(used):
        pass
    pages = []
    for link in (used, f"{house.url}/in/hcl_never_made", f"{house.url}/in/x"):
        async with browser.post(link) as answer:
            pages.append((answer.status, await answer.text()))
    assert len(set(pages)) == 1


async def test_each_sign_in_has_a_cookie_of_its_own(browser: Browser) -> None:
    await browser.sign_in()
    first = browser.cookie
    await browser.sign_in()  # with the first cookie sent along
    assert browser.cookie != first


async def test_without_a_sign_in_the_page_says_how_to_get_a_link(browser: Browser) -> None:
    for path in ("/", "/s/s-0000000000000000"):
        async with browser.get(path) as answer:
            assert answer.status == 401
            assert "hercules user link owner" in await answer.text()


async def test_signing_out_ends_the_sign_in(browser: Browser) -> None:
    await browser.sign_in()
    async with browser.post("/sign-out", {"csrf": browser.csrf}) as answer:
        assert answer.status == 303
    async with browser.get("/") as answer:
        assert answer.status == 401


@pytest.mark.parametrize("path", ["/start", "/sign-out", "/s/s-0000000000000000/answer", "/api/v1/sessions"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "http://localhost", "http://localhost.evil"]
)
async def test_changing_request_of_another_site_is_refused(browser: Browser, path: str, origin: str) -> None:
    await browser.sign_in()
    async with browser.post(path, {"csrf": browser.csrf, "flow": "greet"}, Origin=origin) as answer:
        assert answer.status == 403
    async with browser.get("/") as answer:
        assert 'class="rail-title"' not in await answer.text()


@pytest.mark.parametrize("csrf", ["", "wrong", "0" * 48])
async def test_changing_request_without_the_csrf_token_is_refused(browser: Browser, csrf: str) -> None:
    await browser.sign_in()
    async with browser.post("/start", {"csrf": csrf, "flow": "greet"}) as answer:
        assert answer.status == 403


async def test_csrf_token_of_another_sign_in_is_refused(browser: Browser) -> None:
    await browser.sign_in()
    other = browser.csrf
    await browser.sign_in()
    async with browser.post("/start", {"csrf": other, "flow": "greet"}) as answer:
        assert answer.status == 403


async def test_api_by_cookie_needs_the_token_in_a_header(house: House, browser: Browser) -> None:
    await browser.sign_in()
    body = {"id": "a", "flow": "greet"}
    for token, status in (("", 403), (browser.csrf, 201)):
        sent = browser.headers(Origin=house.url, X_Hercules_CSRF=token)
        async with browser.http.post("/api/v1/sessions", json=body, headers=sent) as answer:
            assert answer.status == status


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8088", "192.168.1.5:8088", "localhost.evil", "", "[::2]"]
)
async def test_other_hosts_get_one_page_that_says_so(house: House, host: str) -> None:
    async with house.client(await house.token()) as client:
        for path in ("/", "/api/v1/flows", "/healthz"):
            async with client.get(path, headers={"Host": host, "Accept": "text/html"}) as answer:
                assert answer.status in (400, 421)
                assert house.url in await answer.text() or answer.status == 400


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1:8088", "[::1]:8088", "LOCALHOST"])
async def test_loopback_names_are_answered_on_any_port(house: House, host: str) -> None:
    async with house.client() as client, client.get("/healthz", headers={"Host": host}) as answer:
        assert answer.status == 200


async def test_every_answer_has_the_security_headers(house: House, browser: Browser) -> None:
    await browser.sign_in()
    for path in (
        "/",
        "/nothing",
        "/static/js/page.js",
        "/static/nothing",
        "/healthz",
        "/api/v1/flows",
        "/in/x",
    ):
        async with browser.get(path) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "unsafe" not in policy
        for part in ("default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"):
            assert part in policy


async def test_static_files_lead_nowhere_else(browser: Browser) -> None:
    for path in (
        "/static/..%2f__init__.py",
        "/static/../templates/base.html",
        "/static/%2e%2e/__init__.py",
        "/static/",
    ):
        async with browser.get(path) as answer:
            assert 400 <= answer.status < 500


async def test_pages_work_without_script(house: House, browser: Browser) -> None:
    await browser.sign_in()
    async with browser.post("/start", {"csrf": browser.csrf, "text": "greet Ada", "id": "f"}) as answer:
        assert answer.status == 303
        page = answer.headers["Location"]
    async with browser.post("/start", {"csrf": browser.csrf, "text": "greet Ada", "id": "f"}) as answer:
        assert answer.headers["Location"] == page  # sent twice, opened once
    fields = await form_of(browser, page)
    async with browser.post(f"{page}/answer", fields | {"value": "twelve"}) as answer:
        text = await answer.text()
        assert answer.status == 422
        assert "Please enter a number." in text
        assert 'value="twelve"' in text
    async with browser.post(f"{page}/answer", fields | {"value": "12"}) as answer:
        assert (answer.status, "at most 9" in await answer.text()) == (422, True)
    async with browser.post(f"{page}/back", fields) as answer:
        assert answer.status == 303
    fields = await form_of(browser, page)
    async with browser.post(f"{page}/answer", fields | {"value": "Bob"}) as answer:
        assert answer.status == 303
    fields = await form_of(browser, page)
    async with browser.post(f"{page}/cancel", fields) as answer:
        assert (answer.status, "End this chat?" in await answer.text()) == (200, True)
    async with browser.post(f"{page}/answer", fields | {"value": "3"}) as answer:
        assert answer.status == 303
    async with browser.get(page) as answer:
        text = await answer.text()
    assert "Hello <strong>Bob</strong>." in text
    assert "Greeted 3 times." in text


async def form_of(browser: Browser, page: str) -> dict[str, str]:
    async with browser.get(page) as answer:
        text = await answer.text()
    hidden = r'<input type="hidden" name="(csrf|seq|id)" value="([^"]*)">'
    return dict(re.findall(hidden, text.partition('id="ask"')[2]))


async def test_socket_of_a_foreign_page_is_refused(house: House, browser: Browser) -> None:
    await browser.sign_in()
    session = await house.runtime.open(person=house.owner, id="1", flow="greet")
    path = f"/api/v1/ws?session={session.session.id}"
    for origin in ("https://evil.example", "null", ""):
        with pytest.raises(WSServerHandshakeError) as refused:
            await browser.http.ws_connect(path, headers=browser.headers(Origin=origin))
        assert refused.value.status == 403
    with pytest.raises(WSServerHandshakeError) as refused:
        await browser.http.ws_connect(path, headers=browser.headers())
    assert refused.value.status == 403


async def test_socket_without_this_sign_ins_token_is_closed(house: House, browser: Browser) -> None:
    await browser.sign_in()
    session = await house.runtime.open(person=house.owner, id="1", flow="greet")
    path = f"/api/v1/ws?session={session.session.id}"
    for csrf, kind in (("", "bye"), ("x" * 48, "bye"), (browser.csrf, "entry")):
        async with browser.http.ws_connect(path, headers=browser.headers(Origin=house.url)) as ws:
            await ws.send_json({"type": "hello", "csrf": csrf})
            assert (await ws.receive_json())["type"] == kind


async def test_signing_out_everywhere_closes_open_sockets(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.channels.ws.RECHECK_S", 0.2)
    await browser.sign_in()
    session = await house.runtime.open(person=house.owner, id="1", flow="greet")
    path = f"/api/v1/ws?session={session.session.id}"
    async with browser.http.ws_connect(path, headers=browser.headers(Origin=house.url)) as ws:
        await ws.send_json({"type": "hello", "csrf": browser.csrf})
        await house.people.sign_out_everywhere(house.owner.id)
        async with asyncio.timeout(60):
            while (frame := await ws.receive_json())["type"] != "bye":
                pass
    assert frame["reason"] == "signed_out"


async def test_link_and_cookie_reach_no_log(
    house: House, browser: Browser, capfd: pytest.CaptureFixture[str]
) -> None:
    link = await house.link()
    async with browser.get(link):
        pass
    async with browser.post(link) as answer:
        browser.cookie = SimpleCookie(answer.headers["Set-Cookie"])[COOKIE].value
    async with browser.get("/?secret=squirrel"):
        pass
    told = "".join(capfd.readouterr())
    assert "http.request" in told
    for secret in (link.rpartition("/")[2], browser.cookie, "squirrel"):
        assert secret not in told


async def test_long_conversation_comes_in_pages(
    house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.channels.web_pages.AT_ONCE", 4)
    await browser.sign_in()
    view = await house.runtime.open(person=house.owner, id="1", flow="greet")
    at: dict[str, Any] = {"person": house.owner, "session_id": view.session.id}
    await house.runtime.answer(**at, seq=1, id="a", value="Ada")
    await house.runtime.answer(**at, seq=2, id="b", value=3)
    last = (await house.runtime.view(**at)).session.entries
    path, seen = f"/s/{view.session.id}", list[int]()
    while path:
        async with browser.get(path) as answer:
            text = await answer.text()
        seen[:0] = [int(n) for n in re.findall(r'data-n="(\d+)"', text)]
        earlier = re.search(r'href="(/s/[^"]+until=\d+)"', text)
        path = earlier[1] if earlier else ""
    assert seen == list(range(1, last + 1))
    async with browser.get(f"/s/{view.session.id}?until=x") as answer:
        assert answer.status == 422
