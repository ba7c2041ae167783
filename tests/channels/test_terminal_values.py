"""What stands on a command line becomes the value a prompt takes; secrets never stand there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bot.channels.terminal_values import WrongUse, key_values, parse_set, value_of


def test_names_and_values_are_split_at_the_first_equals_sign() -> None:
    given = parse_set(("name=hello", "settings=A=b"))
    assert [(g.name, g.text()) for g in given.values()] == [("name", "hello"), ("settings", "A=b")]


@pytest.mark.parametrize("words", [("name",), ("=x",), ("a=1", "a=2")])
def test_what_names_no_value_or_two_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(WrongUse):
        parse_set(words)


def test_a_value_comes_from_a_file_a_variable_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_text("from a file\n")
    monkeypatch.setenv("A_VALUE", "from a variable")
    monkeypatch.setattr("sys.stdin", io.StringIO("from standard input\n"))
    given = parse_set((f"a=@{tmp_path / 'f'}", "b=@env:A_VALUE", "c=@-"))
    assert [g.text() for g in given.values()] == ["from a file", "from a variable", "from standard input"]


@pytest.mark.parametrize("word", ["a=@/no/such/file", "a=@env:NO_SUCH_VARIABLE"])
def test_a_source_that_is_not_there_is_refused(word: str) -> None:
    with pytest.raises(WrongUse):
        parse_set((word,))["a"].text()


def test_a_secret_refuses_a_literal_and_says_how_to_give_it(tmp_path: Path) -> None:
    given = parse_set(("password=hunter2",))["password"]
    with pytest.raises(WrongUse) as refused:
        value_of(given, "secret", {})
    assert "password=@FILE" in refused.value.next_step
    assert "hunter2" not in refused.value.sentence + refused.value.next_step
    (tmp_path / "f").write_text("hunter2\n")
    assert value_of(parse_set((f"password=@{tmp_path / 'f'}",))["password"], "secret", {}) == "hunter2"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("text", "8080", "8080"),
        ("number", "8080", 8080),
        ("number", "1.5", 1.5),
        ("yes-no", "Yes", True),
        ("confirm", "no", False),
        ("pick", "demo", "demo"),
    ],
)
def test_text_becomes_the_kind_that_the_prompt_takes(kind: str, text: str, value: object) -> None:
    assert value_of(parse_set((f"a={text}",))["a"], kind, {"type": "number"}) == value


@pytest.mark.parametrize(("kind", "text"), [("number", "many"), ("yes-no", "perhaps")])
def test_text_that_cannot_be_that_kind_is_refused(kind: str, text: str) -> None:
    with pytest.raises(WrongUse, match=text):
        value_of(parse_set((f"a={text}",))["a"], kind, {})


def test_settings_are_lines_and_an_exclamation_mark_makes_one_secret() -> None:
    assert key_values("settings", "# my settings\nA=b=c\n\n!PASSWORD=x y\n") == [
        {"name": "A", "value": "b=c", "secret": False},
        {"name": "PASSWORD", "value": "x y", "secret": True},
    ]
    assert key_values("settings", '[{"name": "A", "value": "b"}]') == [{"name": "A", "value": "b"}]


@pytest.mark.parametrize("text", ["no equals sign", "[1]", "[{", "[" * 100_000])
def test_settings_that_are_neither_are_refused(text: str) -> None:
    with pytest.raises(WrongUse):
        key_values("settings", text)
