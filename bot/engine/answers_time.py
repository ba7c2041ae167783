"""Days, times, lengths of time and places: what fits as an answer, and how people may write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from bot.engine import form, times
from bot.engine.accepted import Accepted, is_unicode, refuse, refuse_all

DATE_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}$"
MOMENT_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?$"
DURATION_PATTERN: Final = (
    r"^\s*(\d{1,9}([.,]\d{1,3})?\s*(d|days?|h|hours?|hrs?|m|min|minutes?|s|sec|seconds?)\s*)+$"
)
LABEL_CHARS: Final = 200
_PART = re.compile(r"(\d{1,9}(?:[.,]\d{1,3})?)\s*([dhms])[a-z]*")
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DEGREES: Final = r"([+-]?\d{1,3}(?:\.\d{1,15})?)"
_PLACE = re.compile(rf"\s*{_DEGREES}\s*[,; ]\s*{_DEGREES}\s*(?:[,; ]\s*(.*))?")
_MOMENT = re.compile(MOMENT_PATTERN)
_DATE = re.compile(DATE_PATTERN)
_DURATION = re.compile(DURATION_PATTERN, re.IGNORECASE)


def date_time(prompt: form.DateTime, value: Any, details: Mapping[str, Any]) -> Accepted:
    """A day, or a moment. The name gets "2026-12-24", or "2026-12-24T03:00+01:00". Raises InvalidAnswer."""
    zone = str(details.get("zone") or times.UTC_NAME)
    if not prompt.time:
        return _day(value, details)
    if not isinstance(value, str) or not _MOMENT.match(value.strip()):
        raise refuse("Write a day and a time like 2026-12-24 03:00.")
    try:
        read = datetime.fromisoformat(value.strip())
    except ValueError as e:
        raise refuse("There is no such day or time.") from e
    where = times.zone_of(zone)
    own = read.replace(second=0, microsecond=0)
    at = own.replace(tzinfo=where) if own.tzinfo is None else own.astimezone(where)
    if own.tzinfo is None and datetime.fromtimestamp(at.timestamp(), where).replace(tzinfo=None) != own:
        raise refuse(f"Clocks in {zone} leave out {own:%H:%M} on that day: choose another time.")
    ms = int(at.timestamp() * 1000)
    for bound, wrong, words in (("earliest", -1, "not before"), ("latest", 1, "not after")):
        limit = details.get(bound)
        if limit and (ms - times.moment(limit, zone)) * wrong > 0:
            there = datetime.fromtimestamp(times.moment(limit, zone) / 1000, where)
            raise refuse(f"It must be {words} {there:%Y-%m-%d %H:%M} ({zone}).")
    named = at.isoformat(timespec="minutes")
    return Accepted(named, named, f"{at:%Y-%m-%d %H:%M} ({zone})")


def _day(value: Any, details: Mapping[str, Any]) -> Accepted:
    if not isinstance(value, str) or not _DATE.match(value.strip()):
        raise refuse("Write a day like 2026-12-24.")
    try:
        day = date.fromisoformat(value.strip())
    except ValueError as e:
        raise refuse("There is no such day.") from e
    for bound, wrong, words in (("earliest", -1, "not before"), ("latest", 1, "not after")):
        limit = str(details.get(bound) or "")[:10]
        if limit and (day - date.fromisoformat(limit)) * wrong > timedelta(0):
            raise refuse(f"It must be {words} {limit}.")
    named = day.isoformat()
    return Accepted(named, named, named)


def bound(words: Any, prompt: form.DateTime, zone: str, now_ms: int) -> str:
    """A bound of a date-time as it is shown: a day or a moment there; "" for none. Raises Unfit."""
    if words in (None, ""):
        return ""
    ms = now_ms if words == "now" else times.moment(words, zone)
    at = datetime.fromtimestamp(ms / 1000, times.zone_of(zone))
    return at.strftime("%Y-%m-%dT%H:%M") if prompt.time else at.strftime("%Y-%m-%d")


def seconds_of(words: str) -> int | None:
    """How long words like "2h 30m" are, in seconds; None where they say no length."""
    if not _DURATION.match(words):
        return None
    total = sum(float(n.replace(",", ".")) * _UNITS[unit] for n, unit in _PART.findall(words.lower()))
    return round(total)


def duration(prompt: form.Duration, value: Any) -> Accepted:
    """A length of time as seconds or words. The name gets seconds. Raises InvalidAnswer."""
    seconds: Any = seconds_of(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds != seconds:
        raise refuse("Write how long, like 2h 30m, 45m or 1d.")
    if abs(seconds) > 2**53 or seconds != int(seconds):
        raise refuse("Give whole seconds, or words like 2h 30m.")
    seconds = int(seconds)
    if seconds < prompt.minimum_s:
        raise refuse(f"It must be at least {long(prompt.minimum_s)}.")
    if seconds > prompt.maximum_s:
        raise refuse(f"It must be at most {long(prompt.maximum_s)}.")
    return Accepted(seconds, seconds, long(seconds))


def long(seconds: int) -> str:
    """A length of time to the second, as it can be typed: "1d 2h 30m", "0s"."""
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def location(value: Any) -> Accepted:
    """A place: {lat, lon, label}. Raises InvalidAnswer."""
    if not isinstance(value, dict) or not {"lat", "lon"} <= set(value) <= {"lat", "lon", "label"}:
        raise refuse("Give a place: degrees north and degrees east, like 50.85, 4.35.")
    errors = []
    for part, most, words in (
        ("lat", 90, "north (south is negative)"),
        ("lon", 180, "east (west is negative)"),
    ):
        number = value[part]
        if isinstance(number, bool) or not isinstance(number, int | float) or not -most <= number <= most:
            errors.append(refuse(f"Give degrees {words}, between -{most} and {most}.", part))
    label = value.get("label") or ""
    if (
        not isinstance(label, str)
        or len(label) > LABEL_CHARS
        or not is_unicode(label)
        or not label.isprintable()
    ):
        errors.append(refuse(f"Call it by at most {LABEL_CHARS} characters, in one line.", "label"))
    if errors:
        raise refuse_all(errors)
    lat, lon, label = round(float(value["lat"]), 6), round(float(value["lon"]), 6), label.strip()
    where = ", ".join(f"{one:.5f}".rstrip("0").rstrip(".") for one in (lat, lon))
    given = {"lat": lat, "lon": lon, "label": label}
    return Accepted(given, {**given, "label": label or where}, f"{label} ({where})" if label else where)


def place_of(words: str) -> Any:
    """The place that words like "50.85, 4.35 Brussels" name; the words themselves where they name none."""
    match = _PLACE.fullmatch(words)
    if match is None:
        return words
    return {"lat": float(match[1]), "lon": float(match[2]), "label": (match[3] or "").strip()}
