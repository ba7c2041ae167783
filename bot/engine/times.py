"""Times of day, dates and spans, in a time zone. Pure: the moment "now" is given.

A time that a clock change leaves out is as much later as the clock jumps (02:30 becomes 03:30); of one that
comes twice the first is meant. A moment is fixed once, as Unix milliseconds: what the machine's clock does
afterwards neither skips nor repeats it.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final

from bot.engine.filters import Unfit

UTC_NAME: Final = "UTC"
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_MOMENT_MAX_MS: Final = 253_370_764_800_000  # the year 9999


@lru_cache(maxsize=256)
def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The time zone of that name; "" is UTC. Raises Unfit."""
    try:
        return zoneinfo.ZoneInfo(name or UTC_NAME)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise Unfit(f"there is no time zone {name[:60]!r}; write it like Europe/Brussels") from e


def next_time(now_ms: int, words: str, zone: str) -> int:
    """The next moment after `now_ms` when it is that time of day ("03:00") there. Raises Unfit."""
    match = _TIME.fullmatch(words.strip())
    if match is None:
        raise Unfit(f"{words!r} is no time of day like 03:00")
    where = zone_of(zone)
    today = datetime.fromtimestamp(now_ms / 1000, where).date()
    at = time(int(match[1]), int(match[2]))
    for days in (-1, 0, 1, 2):  # -1: a time that was left out yesterday may fall on today
        due_ms = _ms(datetime.combine(today + timedelta(days=days), at, where))
        if due_ms > now_ms:
            return due_ms
    raise AssertionError(words)  # two days on is after now, whatever the zone does


def moment(value: Any, zone: str) -> int:
    """The moment that a value names: Unix milliseconds, a date, or a date and time; a time zone or distance
    from UTC in it counts before `zone`. Raises Unfit.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value <= _MOMENT_MAX_MS:
            raise Unfit("a moment is Unix milliseconds of this age")
        return int(value)
    if isinstance(value, dict) and "at" in value:
        return moment(value["at"], str(value.get("zone") or zone))
    words = str(value).strip()
    try:
        read = datetime.fromisoformat(words)
        if read.tzinfo is None:
            read = read.replace(tzinfo=zone_of(zone))
        return _ms(read)
    except (ValueError, OverflowError) as e:
        raise Unfit(f"{words[:60]!r} is no date or moment like 2026-12-24 03:00") from e


def told(due_ms: int, zone: str, now_ms: int) -> str:
    """A moment for people: "03:00 Europe/Brussels, in 4 h 10 min"; with its date when it is far off."""
    where = zone_of(zone)
    at, now = datetime.fromtimestamp(due_ms / 1000, where), datetime.fromtimestamp(now_ms / 1000, where)
    shown = at.strftime("%H:%M") if _near(at.date(), now.date()) else at.strftime("%Y-%m-%d %H:%M")
    if at.second and due_ms - now_ms < 3_600_000:
        shown = f"{shown}:{at.second:02}"
    return f"{shown} {zone or UTC_NAME}, in {span((due_ms - now_ms) / 1000)}"


def span(seconds: float) -> str:
    """A length of time in its two largest units: "2 days 3 h", "4 h 10 min", "12 s"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole >= 3600:
        whole = 60 * round(whole / 60)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{days} {'day' if days == 1 else 'days'}", f"{hours} h", f"{minutes} min", f"{rest} s"]
    counts = [days, hours, minutes, rest]
    first = next(i for i, count in enumerate(counts) if count)
    return " ".join(part for part, count in list(zip(parts, counts, strict=True))[first : first + 2] if count)


def _near(day: date, today: date) -> bool:
    return day in (today, today + timedelta(days=1))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
