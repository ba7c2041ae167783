"""What the page says stands in one file: nothing is missing there, and nothing in it is unused."""

from __future__ import annotations

import re
from pathlib import Path

from bot.channels.web_render import TEXTS
from bot.engine.form import Risk
from bot.engine.session import TargetState

ROOT = Path(__file__).parents[2]
USES = re.compile(r"""(?:\bt\(|TEXTS\(|TEXTS\.get\(|\? |: |"|')["']?([a-z0-9_]+)["']""")
MADE = {
    *(f"risk_{risk}" for risk in Risk.__args__),  # type: ignore[attr-defined]
    *(f"ended_{outcome}" for outcome in ("done", "failed", "unchanged", "cancelled")),
    *(f"target_{state}" for state in TargetState.__args__),  # type: ignore[attr-defined]
    *("went_back", "changed", "undone", "cancelled", "corrected", "came", "approved", "reminded", "migrated",
      "error_title_404", "error_title_500"),
}  # fmt: skip


def sources() -> str:
    files = [*(ROOT / "web/templates").rglob("*.html"), *(ROOT / "web/static/js").glob("*.js")]
    return "\n".join(f.read_text() for f in [*files, *(ROOT / "bot/channels").glob("web*.py")])


def test_every_text_is_there_and_used() -> None:
    used = {word for word in USES.findall(sources()) if word in TEXTS.all}
    assert set(TEXTS.all) - used - MADE == set()
    called = set(re.findall(r"""(?:\bt|TEXTS)\(["']([a-z0-9_]+)["']""", sources()))
    assert called - set(TEXTS.all) == {"ended_", "risk_", "target_"} & (called - set(TEXTS.all))
    assert set(TEXTS.all) >= MADE


def test_texts_speak_to_people_and_not_of_our_parts() -> None:
    ours = re.compile(r"\b(prompt|order|session|entry|node|blob|effect|deployment)s?\b", re.I)
    told = {key: text for key, text in TEXTS.all.items() if ours.search(text)}
    assert set(told) <= {"cancel_undoes", "undo_lead"}, told  # "in this order" is no order
