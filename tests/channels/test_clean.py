"""What leaves is cleaned of controls, however it is encoded."""

from __future__ import annotations

import msgspec
import pytest

from bot.channels import frames
from bot.channels.web_clean import clean_data, clean_json, cleaned
from bot.engine.session import Entry


def test_every_character_leaves_as_if_each_string_were_cleaned() -> None:
    for code in [*range(0x3100), *range(0xF800, 0x1_0100)]:
        char = chr(code)
        raw = clean_json([char, f"a{char}b"])
        assert msgspec.json.decode(raw) == [cleaned(char), f"a{cleaned(char)}b"], hex(code)


@pytest.mark.parametrize(
    "text", ["\\u202e", "\\b", 'a"\\', "\\\\u0000", "tab\tline\n", "שלום", "100 €", "“so”"]
)
def test_what_only_looks_like_a_control_stays(text: str) -> None:
    assert msgspec.json.decode(clean_json({text: text})) == {text: text}


def test_keys_and_fields_are_cleaned_too() -> None:
    entry = Entry(n=1, at_ms=2, kind="said", label="a\u202eb", state="\x1b[31m", offered=("\u2066x",))
    frame = frames.entry_frame(entry)
    assert clean_json(frame) == msgspec.json.encode(clean_data(msgspec.to_builtins(frame)))
    assert clean_json({"a\u200fb": "\x00"}) == b'{"ab":""}'


def test_an_entry_s_frame_has_all_of_the_entry() -> None:
    values: dict[str, object] = {
        "n": 1,
        "at_ms": 2,
        "seq": 3,
        "text": ("x",),
        "offered": ("y",),
        "offers": (),
    }
    full = {name: values.get(name, name) for name in Entry.__struct_fields__}
    frame = frames.entry_frame(Entry(**full))  # type: ignore[arg-type]
    assert {name: getattr(frame, name) for name in Entry.__struct_fields__} == full
