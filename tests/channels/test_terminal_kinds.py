"""Forms, picks of many and what is only shown, typed and read in a terminal."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from bot.channels import terminal_ask
from bot.channels.drawn import with_drawing
from bot.channels.terminal_ask import Asker, Move
from bot.channels.terminal_show import Show
from bot.channels.terminal_values import Given, WrongUse, fields_of, value_of
from tests.engine.play import Play
from tests.engine.sample import SEALED
from tests.page.kinds_flow import OtherKinds
from tests.page.test_kinds import ANSWERS

BEFORE = {**ANSWERS, "backup": {**ANSWERS["backup"], "key": SEALED}}


@pytest.fixture(autouse=True)
def lines_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps printing and typing apart joins a thread at its end, which the guard of the loop refuses."""
    monkeypatch.setattr(terminal_ask, "patch_stdout", lambda raw: contextlib.nullcontext())


def shown(name: str) -> dict[str, Any]:
    """The prompt of that name, as it comes over the wire."""
    given = dict(list(BEFORE.items())[: list(BEFORE).index(name)])
    shown: dict[str, Any] = msgspec.to_builtins(with_drawing(Play(OtherKinds, answers=given).shown))
    assert shown["name"] == name
    return shown


async def typed(prompt: dict[str, Any], *lines: str) -> Any:
    """What the terminal makes of these lines."""
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("".join(f"{line}\r" for line in lines))
        return await Asker().ask(prompt)


@pytest.mark.parametrize(
    ("name", "lines", "value"),
    [
        ("many", ["1, spare-2, cellar"], ["attic", "spare-2", "cellar"]),
        ("many", ["moon", "2"], ["cellar"]),
        ("start", [""], "2030-05-01T03:00+02:00"),
        ("day", ["2030-06-01"], "2030-06-01"),
        ("lasts", [""], "2h 30m"),
        ("lasts", ["90"], 90),
        ("where", ["50.85, 4.35 Brussels"], {"lat": 50.85, "lon": 4.35, "label": "Brussels"}),
        ("table", [""], True),
        ("qr", [""], True),
        ("chart", ["/back"], Move(action="back")),
    ],
)
async def test_each_kind_is_typed(name: str, lines: list[str], value: Any) -> None:
    assert await typed(shown(name), *lines) == value


async def test_a_form_asks_its_fields_one_by_one_and_only_those_that_are_needed() -> None:
    form = shown("backup")
    answers = ["", "2", "correct horse", "many", "14", "no", "1", "first", "second", ""]
    assert await typed(form, *answers) == {
        "name": "nightly",
        "place": "cloud",
        "key": "correct horse",
        "keep": 14,
        "verify": False,
        "days": ["sat"],
        "note": "first\nsecond",
    }
    assert "key" not in await typed(form, "a", "disk", "", "yes", "", "", "")
    assert await typed(form, "a", "/back") == Move(action="back")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("table", ["Container", "web-5", "80 MiB"]),
        ("chart", ["attic (%)", "Thu", "80"]),
        ("log", ["12:00:39 GET /page/39 200"]),
        ("code", ["sh join"]),
        ("diff", ["-port: 8080", "+port: 9090", "2 lines new, 1 gone"]),
        ("text", ["lan: true"]),
        ("qr", ["https://hercules.test/s/1"]),
        ("image", ["The plan that was uploaded (/api/v1/blobs/"]),
        ("file", ["plan.png"]),
    ],
)
@pytest.mark.parametrize("lively", [True, False])
def test_what_is_shown_is_read(
    name: str, words: list[str], lively: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    Show(lively=lively).prompt(shown(name))
    told = capsys.readouterr().out
    for each in words:
        assert each in told
    assert ("█" in told) is (lively and name == "qr")


def test_fields_are_set_by_their_names_and_secrets_only_out_of_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", "correct horse")
    schema = shown("backup")["schema"]
    words = {"keep": "9", "verify": "yes", "days": "sat, sun", "key": "@env:KEY", "every": "12h"}
    given = {name: Given(f"backup.{name}", text) for name, text in words.items()}
    assert fields_of("backup", given, schema) == {
        "keep": 9,
        "verify": True,
        "days": ["sat", "sun"],
        "key": "correct horse",
        "every": "12h",
    }
    with pytest.raises(WrongUse, match="is a secret"):
        fields_of("backup", {"key": Given("backup.key", "correct horse")}, schema)
    with pytest.raises(WrongUse, match="is a secret"):
        value_of(Given("backup", '{"key": "correct horse"}'), "form", schema)
    with pytest.raises(WrongUse, match="has no field"):
        fields_of("backup", {"colour": Given("backup.colour", "red")}, schema)
    assert value_of(Given("many", "a, b"), "pick-many", {}) == ["a", "b"]
    assert value_of(Given("where", "1, 2"), "location", {}) == {"lat": 1.0, "lon": 2.0, "label": ""}
