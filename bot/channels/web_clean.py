"""What leaves for a screen is plain text: no bidi controls, no terminal controls, no NUL.

Right-to-left text itself stays; only the invisible characters go by which a name could pass for another.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_BIDI = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_CONTROLS = [c for c in (*range(0x20), *range(0x7F, 0xA0)) if c not in (0x09, 0x0A)]
_GONE = dict.fromkeys([*_BIDI, *_CONTROLS, 0xFEFF])
_SUSPECT = re.compile(  # in UTF-8 JSON: whatever is in `_GONE`, raw or escaped (and now and then a backslash)
    rb"\x7f|\\[bfru]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbb\xbf"
)
_encode = msgspec.json.Encoder().encode


def cleaned(text: str) -> str:
    """The text without characters that act instead of being read."""
    return text.translate(_GONE)


def clean_data(value: Any) -> Any:
    """The same for every string in plain data, keys included."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, dict):
        return {clean_data(key): clean_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_data(item) for item in value]
    return value


def clean_json(value: Any) -> bytes:
    """The value as JSON, every string cleaned. Nearly always one look says that nothing is to be done."""
    raw = _encode(value)
    return raw if _SUSPECT.search(raw) is None else _encode(clean_data(msgspec.to_builtins(value)))
