"""The filters that authors have, and how values become text. None of Jinja2's own exists.

Each takes JSON data and gives JSON data, in time and size linear in its input. A new one also needs a row
in docs/authoring.md (tests/engine/test_docs.py fails until it has one).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

VALUE_CHARS: Final = 50_000  # of one value in a text: a container's log (48,000) fits
ITEMS: Final = 2_000  # of a list that a filter walks through
MASK: Final = "••••••"
_HIDDEN = re.compile(  # controls but tab and newline; bidi controls and marks that reorder what is read
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)


class Unfit(Exception):
    """A value does not fit where a template uses it. A phrase, without full stop."""


class Filter(NamedTuple):
    """One filter: how many arguments it takes besides its value, and what it says about itself."""

    apply: Callable[..., Any]
    least: int
    most: int
    takes: str


def as_text(value: Any) -> str:
    """A value as people read it. Secrets are masked, controls that disturb reading are left out."""
    text = value if type(value) is str else _text(value, 0)
    if len(text) > VALUE_CHARS:
        text = text[: VALUE_CHARS - 1] + "…"
    return _HIDDEN.sub("", text.replace("\r\n", "\n")) if not text.isprintable() else text


def as_argument(value: Any) -> str:
    """A value as part of an argument: text and numbers only, unchanged. Raises Unfit."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, int | float):
        return _number(value)
    raise Unfit("a list or a record cannot be part of a text; let the expression stand alone")


def _text(value: Any, depth: int) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case None:
            return ""
        case int() | float():
            return _number(value)
        case {"sealed": _, "name": str(name)}:
            return f"{name}={MASK}"
        case {"sealed": _}:
            return MASK
        case {"name": str(name), "value": str(set_to)}:
            return f"{name}={set_to}"
        case {"blob": _, "bytes": int(size), "name": str(name)}:
            return f"{name} ({size_of(size)})"
        case {"label": str(label)} | {"name": str(label)} | {"reference": str(label)}:
            return label
        case dict() if depth < 3:
            return ", ".join(f"{key}: {_text(item, depth + 1)}" for key, item in list(value.items())[:50])
        case list() | tuple() if depth < 3:
            return ", ".join(_text(item, depth + 1) for item in value[:ITEMS])
        case _:
            return "…"


def _number(value: float) -> str:
    return str(value).removesuffix(".0")


def size_of(count: Any) -> str:
    """Bytes for people: 1536 -> "1.5 KiB"."""
    size = float(_need_number(count))
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _mib(count: Any) -> int:
    return round(_need_number(count) / 1024**2)


def _seconds(count: Any) -> str:
    seconds = _need_number(count)
    if seconds < 60:
        return f"{_number(round(seconds, 1))} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _plural(count: Any, one: Any, many: Any = None) -> str:
    number = len(count) if isinstance(count, list | tuple) else _need_number(count)
    word = one if number == 1 else many if many is not None else f"{one}s"
    return f"{_number(number)} {word}"


def _join(items: Any, between: Any = ", ", field: Any = None) -> str:
    listed = _need_list(items)
    return as_argument(between).join(
        as_text(item if field is None else _field(item, field)) for item in listed
    )


def _lines(items: Any) -> str:
    if isinstance(items, str):
        return items
    return "\n".join(as_text(item) for item in _need_list(items))


def _find(items: Any, field: Any, value: Any) -> Any:
    return next((item for item in _need_list(items) if _field(item, field) == value), None)


def _where(items: Any, field: Any, value: Any) -> list[Any]:
    return [item for item in _need_list(items) if _field(item, field) == value]


def _without(items: Any, field: Any, value: Any) -> list[Any]:
    return [item for item in _need_list(items) if _field(item, field) != value]


def _pluck(items: Any, field: Any) -> list[Any]:
    return [_field(item, field) for item in _need_list(items)]


def _field(item: Any, field: Any) -> Any:
    name = _need_text(field)
    return item.get(name) if isinstance(item, dict) else None


def _sort(items: Any, field: Any = None) -> list[Any]:
    listed = list(_need_list(items))
    try:
        return sorted(listed, key=lambda item: item if field is None else _field(item, field))
    except TypeError as e:
        raise Unfit("values of different kinds cannot be sorted") from e


def _count(items: Any) -> int:
    if isinstance(items, str | list | tuple | dict):
        return len(items)
    raise Unfit("count needs a list or a text")


def _first(items: Any) -> Any:
    return items[0] if (items := _need_list(items)) else None


def _last(items: Any) -> Any:
    return items[-1] if (items := _need_list(items)) else None


def _concat(items: Any, more: Any) -> list[Any]:
    return [*_need_list(items), *_need_list(more)]


def _lower(text: Any) -> str:
    return _need_text(text).lower()


def _upper(text: Any) -> str:
    return _need_text(text).upper()


def _trim(text: Any) -> str:
    return _need_text(text).strip()


def _short(text: Any, chars: Any = 12) -> str:
    plain = _need_text(text).removeprefix("sha256:")
    return plain[: max(1, min(200, int(_need_number(chars))))]


def _slug(text: Any) -> str:
    """A deployment's name out of an image reference or any text: "ghcr.io/me/My_App:2" -> "my-app"."""
    last = _need_text(text).rsplit("/", 1)[-1].split("@", 1)[0].split(":", 1)[0]
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:40].strip("-") or "app"


def _before(text: Any, mark: Any) -> str:
    return _need_text(text).partition(_need_text(mark) or "\0")[0]


def _after(text: Any, mark: Any) -> str:
    return _need_text(text).partition(_need_text(mark) or "\0")[2]


def _number_of(value: Any) -> int | float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as e:
        raise Unfit("number needs a number") from e
    if number != number or abs(number) > 2**53:
        raise Unfit("number needs a number")
    return int(number) if number.is_integer() else number


def _round(value: Any, digits: Any = 0) -> int | float:
    rounded = round(float(_need_number(value)), max(0, min(9, int(_need_number(digits)))))
    return int(rounded) if rounded.is_integer() else rounded


def _date(ms: Any) -> str:
    try:
        return datetime.fromtimestamp(_need_number(ms) / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError) as e:
        raise Unfit("date needs Unix milliseconds") from e


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _need_list(items: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(items, list | tuple):
        raise Unfit("a list is needed")
    if len(items) > ITEMS:
        raise Unfit(f"the list has more than {ITEMS} items")
    return items


def _need_number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("a number is needed")
    return value


def _need_text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit("a text is needed")
    if len(value) > VALUE_CHARS:
        raise Unfit(f"the text has more than {VALUE_CHARS} characters")
    return value


FILTERS: Final[dict[str, Filter]] = {
    "after": Filter(_after, 1, 1, "a mark: the text after it"),
    "before": Filter(_before, 1, 1, "a mark: the text before it"),
    "concat": Filter(_concat, 1, 1, "another list"),
    "count": Filter(_count, 0, 0, "nothing"),
    "date": Filter(_date, 0, 0, "nothing: Unix milliseconds as a date in UTC"),
    "default": Filter(lambda value, other: value, 1, 1, "the value to take when there is none"),
    "find": Filter(_find, 2, 2, "a field and a value: the first record that has it"),
    "first": Filter(_first, 0, 0, "nothing"),
    "join": Filter(_join, 0, 2, "what stands between, and a field"),
    "json": Filter(_json, 0, 0, "nothing"),
    "last": Filter(_last, 0, 0, "nothing"),
    "lines": Filter(_lines, 0, 0, "nothing: a list as lines"),
    "lower": Filter(_lower, 0, 0, "nothing"),
    "mib": Filter(_mib, 0, 0, "nothing: bytes as a whole number of MiB"),
    "number": Filter(_number_of, 0, 0, "nothing: a text as a number"),
    "pluck": Filter(_pluck, 1, 1, "a field: its values"),
    "plural": Filter(_plural, 1, 2, "the word for one, and for many"),
    "round": Filter(_round, 0, 1, "how many digits stay"),
    "seconds": Filter(_seconds, 0, 0, "nothing: 125 as 2 min 5 s"),
    "short": Filter(_short, 0, 1, "how many characters stay"),
    "size": Filter(size_of, 0, 0, "nothing: bytes for people"),
    "slug": Filter(_slug, 0, 0, "nothing: a name out of any text"),
    "sort": Filter(_sort, 0, 1, "a field"),
    "trim": Filter(_trim, 0, 0, "nothing"),
    "upper": Filter(_upper, 0, 0, "nothing"),
    "where": Filter(_where, 2, 2, "a field and a value: all records that have it"),
    "without": Filter(_without, 2, 2, "a field and a value: all records that don't have it"),
}
