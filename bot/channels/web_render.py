"""From sessions to HTML: templates with autoescape, texts of one file, the transcript laid out for people.

The page's script (web/static/js) builds the same elements for what comes later; tests/page/test_same.py
compares both for every kind of question and entry.
"""

from __future__ import annotations

import datetime
import urllib.parse
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from aiohttp import web

import web as files
from agent.orders import READING
from bot.channels.web_clean import clean_data
from bot.engine import answers_time
from bot.engine.form import Flow
from bot.engine.session import Entry, Shown
from bot.engine.text import plain

FILES = Path(files.__file__).parent
STATIC = FILES / "static"
NOTES = frozenset(
    {"went_back", "changed", "undone", "cancelled", "corrected", "came", "approved", "reminded", "migrated"}
)


class Texts:
    """What the page says, by key. Placeholders are filled, never read as markup."""

    def __init__(self, path: Path) -> None:
        self.all: dict[str, str] = msgspec.json.decode(path.read_bytes(), type=dict[str, str])

    def __call__(self, key: str, **values: Any) -> str:
        text = self.all[key]
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def get(self, key: str) -> str:
        """The text, "" when there is none."""
        return self.all.get(key, "")


TEXTS = Texts(STATIC / "texts" / "en.json")


@cache
def environment() -> jinja2.Environment:
    """The templates: autoescape always, an unknown name is an error."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FILES / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(t=TEXTS, asset=asset)
    env.filters.update(iso=iso, clock=clock, long=_long, quoted=_quoted, compact=_compact)
    return env


def _long(value: Any) -> str:
    """Seconds as they can be typed; what is typed already as it is."""
    return answers_time.long(value) if isinstance(value, int) else str(value)


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@cache
def asset(name: str) -> str:
    """The address of a static file."""
    if not (STATIC / name).is_file():
        raise FileNotFoundError(name)
    return f"/static/{name}"


def page(template: str, *, status: int = 200, **values: Any) -> web.Response:
    """A rendered page."""
    text = environment().get_template(template).render(**values)
    return web.Response(text=text, status=status, content_type="text/html")


def iso(ms: int) -> str:
    """A time for machines."""
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).isoformat(timespec="seconds")


def clock(ms: int) -> str:
    """A time for people without script; the script puts the reader's own time zone in."""
    return TEXTS("time_utc", time=f"{datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC):%H:%M}")


def shown_data(shown: Shown | None, last: Entry | None) -> dict[str, Any] | None:
    """The open question as plain data for the template; a problem that was just said is not said twice."""
    if shown is None:
        return None
    data: dict[str, Any] = clean_data(msgspec.to_builtins(shown))
    data["title"] = clean_data(plain(shown.label))
    if last is not None and last.kind == "problem" and shown.problem in plain(last.text):
        data["problem"] = ""
    return data


def laid_out(entries: Sequence[Entry], open_seq: int) -> list[dict[str, Any]]:
    """The transcript as blocks: a change and its result are one, the open question is shown by its form."""
    blocks: list[dict[str, Any]] = []
    changes: dict[str, dict[str, Any]] = {}
    asked: set[int] = set()
    for entry in entries:
        data: dict[str, Any] = clean_data(msgspec.to_builtins(entry))
        data["finished"] = None
        data["open"] = entry.kind == "asked" and entry.seq == open_seq
        data["reads"] = entry.verb in READING
        if entry.kind == "asked":
            asked.add(entry.seq)
        elif entry.kind == "answered":
            data["shows_label"] = entry.seq not in asked and bool(entry.label)
        elif entry.kind == "ordered":
            changes[entry.order] = data
        elif entry.kind == "finished" and entry.order in changes:
            changes[entry.order]["finished"] = data
            continue
        blocks.append(data)
    return blocks


def state_key(status: str, outcome: str, *, asks: bool) -> str:
    """The text that says how a chat stands (session.js says it by the same keys)."""
    if status == "ended":
        return f"ended_{outcome}"
    if status == "parked":
        return "state_parked"
    return "state_asks" if asks else "state_works"


def flow_card(flow: Flow) -> dict[str, Any]:
    """A chatflow as a card of the start page."""
    card: dict[str, Any] = clean_data(
        {"name": flow.name, "title": flow.title, "description": flow.description, "risk": flow.risk}
    )
    return card
