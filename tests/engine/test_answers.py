"""Answers per kind: what fits, what does not, and that the JSON Schema says the same."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine import answers, form, prompts, seal
from bot.engine.refusals import InvalidAnswer
from bot.engine.session import Choice
from tests.engine.play import Play
from tests.engine.sample import SEALED, Sample
from tests.engine.test_back import at_summary

OPTIONS = (Choice(value="a", label="First"), Choice(value="b", label="Second", disabled="taken"))
FILE = {"blob": "a" * 64, "bytes": 10, "name": "image.tar"}
FORM = form.Form(
    label="x",
    fields=(
        form.Field(name="name", prompt=form.Text(label="Name")),
        form.Field(name="often", prompt=form.YesNo(label="Often")),
        form.Field(name="every", prompt=form.Duration(label="Every"), only_when={"often": True}),
    ),
)
PROMPTS: dict[str, form.Prompt] = {
    "text": form.Text(label="x", max_length=5, pattern="^[a-z]+$", pattern_says="Small letters only."),
    "lines": form.Text(label="x", lines=True, min_length=0),
    "number": form.Number(label="x", minimum=1, maximum=10, unit="MiB"),
    "fraction": form.Number(label="x", whole=False),
    "yes-no": form.YesNo(label="x"),
    "confirm": form.Confirm(label="x"),
    "pick": form.Pick(label="x", options=()),
    "key-values": form.KeyValues(label="x", max_items=3),
    "upload": form.Upload(label="x", accept=(".tar",), max_bytes=100),
    "pick-many": form.PickMany(label="x", options=(), least=1, most=2),
    "date-time": form.DateTime(label="x"),
    "day": form.DateTime(label="x", time=False),
    "duration": form.Duration(label="x", minimum_s=60, maximum_s=86_400),
    "location": form.Location(label="x"),
    "form": FORM,
    "table": form.Table(label="x", columns=(("a", "A"),), rows=[]),
}
GOOD: list[tuple[str, Any]] = [
    ("text", "abc"),
    ("lines", "a\nb\tc"),
    ("lines", ""),
    ("number", 5),
    ("number", 5.0),
    ("fraction", 2.5),
    ("yes-no", True),
    ("confirm", False),
    ("pick", "a"),
    ("key-values", []),
    ("key-values", [{"name": "A_b.c-1", "value": "x\ny"}, {"name": "B", "value": "", "secret": False}]),
    ("upload", FILE),
    ("pick-many", ["a"]),
    ("date-time", "2026-12-24T03:00"),
    ("date-time", "2026-12-24 03:00"),
    ("date-time", "2026-12-24T03:00+01:00"),
    ("day", "2026-12-24"),
    ("duration", 60),
    ("duration", "2h 30m"),
    ("duration", "1 day"),
    ("duration", "1.5 hours"),
    ("location", {"lat": 50.85, "lon": 4.35}),
    ("location", {"lat": -90, "lon": 180, "label": "South Pole"}),
    ("form", {"name": "a", "often": False}),
    ("form", {"name": "a", "often": True, "every": "1h"}),
    ("form", {"name": "a", "often": False, "every": None}),
    ("table", True),
]
BAD: list[tuple[str, Any, str]] = [
    ("text", "", ""),
    ("text", "abcdef", ""),
    ("text", "A", ""),
    ("text", "a\x7f", ""),
    ("text", 1, ""),
    ("lines", "a\x00", ""),
    ("number", 0, ""),
    ("number", 11, ""),
    ("number", 2.5, ""),
    ("number", True, ""),
    ("number", "5", ""),
    ("number", float("nan"), ""),
    ("number", float("inf"), ""),
    ("fraction", 1e300, ""),
    ("yes-no", "yes", ""),
    ("yes-no", 1, ""),
    ("pick", "b", ""),
    ("pick", "c", ""),
    ("pick", ["a"], ""),
    ("key-values", "A=1", ""),
    ("key-values", [{"name": "1A", "value": ""}], "0.name"),
    ("key-values", [{"name": "A", "value": ""}, {"name": "B=C", "value": ""}], "1.name"),
    (
        "key-values",
        [{"name": "A", "value": ""}, {"name": "B", "value": ""}, {"name": "A", "value": ""}],
        "2.name",
    ),
    ("key-values", [{"name": "A", "value": "a\x00b"}], "0.value"),
    ("key-values", [{"name": "A", "value": 7}], "0.value"),
    ("key-values", [{"name": "A", "value": "x" * 9_000}], "0.value"),
    ("key-values", [{"name": "LD_PRELOAD", "value": "x"}], "0.name"),
    ("key-values", [{"name": "A", "value": "geheim", "secret": True}], "0.value"),
    ("key-values", [{"name": "A", "kept": True}], "0.value"),
    ("key-values", [{"name": "A", "sealed": "x"}], "0.value"),
    ("key-values", [{"name": "A", "value": "", "more": 1}], "0"),
    ("key-values", [7], "0"),
    ("key-values", [{"name": f"A{i}", "value": ""} for i in range(4)], ""),
    ("upload", {**FILE, "bytes": 101}, ""),
    ("upload", {**FILE, "bytes": 0}, ""),
    ("upload", {**FILE, "bytes": True}, ""),
    ("upload", {**FILE, "blob": "x"}, ""),
    ("upload", {**FILE, "name": "../x.tar"}, "name"),
    ("upload", {**FILE, "name": "x.zip"}, "name"),
    ("upload", {**FILE, "path": "/etc/passwd"}, ""),
    ("upload", "image.tar", ""),
    ("pick-many", [], ""),
    ("pick-many", ["b"], ""),
    ("pick-many", ["a", "c"], ""),
    ("pick-many", "a", ""),
    ("date-time", "2026-12-24", ""),
    ("date-time", "2026-02-30T03:00", ""),
    ("date-time", "24.12.2026 03:00", ""),
    ("date-time", 5, ""),
    ("day", "2026-13-01", ""),
    ("day", "2026-12-24T03:00", ""),
    ("duration", 59, ""),
    ("duration", "2d", ""),
    ("duration", "soon", ""),
    ("duration", "", ""),
    ("duration", "90", ""),
    ("duration", True, ""),
    ("location", {"lat": 91, "lon": 0}, "lat"),
    ("location", {"lat": 0, "lon": "4"}, "lon"),
    ("location", {"lat": 0, "lon": 0, "label": "a\nb"}, "label"),
    ("location", {"lat": 0}, ""),
    ("location", "here", ""),
    ("form", {"name": "", "often": False}, "name"),
    ("form", {"name": "a", "often": True}, "every"),
    ("form", {"name": "a", "often": False, "other": 1}, "other"),
    ("form", [], ""),
    ("table", False, ""),
    ("table", "yes", ""),
]


@pytest.mark.parametrize(("kind", "value"), GOOD)
def test_a_good_answer_is_taken(kind: str, value: Any) -> None:
    accepted = answers.accept(PROMPTS[kind], value, options=OPTIONS)
    again = answers.accept(PROMPTS[kind], accepted.given, options=OPTIONS)
    assert again == accepted, "what was taken once is taken again"


@pytest.mark.parametrize(("kind", "value", "field"), BAD)
def test_a_bad_answer_is_refused_with_a_sentence_at_its_field(kind: str, value: Any, field: str) -> None:
    with pytest.raises(InvalidAnswer) as refused:
        answers.accept(PROMPTS[kind], value, options=OPTIONS)
    assert [e["field"] for e in refused.value.errors] == [field]
    assert all(e["says"].endswith((".", "taken")) for e in refused.value.errors)


def test_every_wrong_field_is_named_at_once() -> None:
    value = [{"name": "1", "value": ""}, {"name": "B", "value": "\x00"}, 5]
    with pytest.raises(InvalidAnswer) as refused:
        answers.accept(PROMPTS["key-values"], value)
    assert [e["field"] for e in refused.value.errors] == ["0.name", "1.value", "2"]


VALUES = st.one_of(
    st.text(max_size=8),
    st.integers(-3, 14),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.sampled_from(["a", "b", "abc", FILE]),
    st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["A", "B", "1", "C_D", ""]), "value": st.text(max_size=4)},
            optional={"secret": st.just(False)},
        ),
        max_size=4,
    ),
    st.fixed_dictionaries(
        {
            "blob": st.sampled_from(["a" * 64, "x"]),
            "bytes": st.integers(0, 110),
            "name": st.sampled_from(["x.tar", ""]),
        }
    ),
)


@settings(max_examples=400, deadline=None)
@given(kind=st.sampled_from(sorted(PROMPTS)), value=VALUES)
def test_what_is_taken_fits_the_schema(kind: str, value: Any) -> None:
    """The schema may be wider (it cannot say "no duplicates" or "no controls"), never narrower."""
    prompt = PROMPTS[kind]
    schema = prompts.schema_of(prompt, OPTIONS)
    jsonschema.Draft202012Validator.check_schema(schema)
    fits = jsonschema.Draft202012Validator(schema).is_valid(value)
    try:
        given_form = answers.accept(prompt, value, options=OPTIONS).given
    except InvalidAnswer:
        return
    if isinstance(prompt, form.Text):
        assert jsonschema.Draft202012Validator(schema).is_valid(given_form)
    else:
        assert fits


@pytest.mark.parametrize(
    ("kind", "words", "value"),
    [
        ("number", "8", 8),
        ("number", "8.0", 8),
        ("fraction", "2.5", 2.5),
        ("yes-no", "Y", True),
        ("yes-no", "off", False),
        ("pick", "first", "a"),
        ("pick", "a", "a"),
        ("pick", "third", "third"),
        ("number", "many", "many"),
        ("text", " abc ", " abc "),
        ("key-values", "A=1\n\nB = x=y", [{"name": "A", "value": "1"}, {"name": "B", "value": " x=y"}]),
    ],
)
def test_words_are_read_as_the_answer_they_stand_for(kind: str, words: str, value: Any) -> None:
    assert answers.read(PROMPTS[kind], words, OPTIONS) == value


def test_secrets_are_found_checked_and_replaced_before_they_are_kept() -> None:
    play = Play(Sample).answer("demo").answer("web").facts({"value": 1})
    (found,) = seal.secrets_in(play.session, "geheim")
    assert (found.path, found.plain) == ((), "geheim") and "geheim" not in repr(found)
    assert seal.with_sealed("geheim", {(): SEALED["sealed"]}) == SEALED
    assert seal.secrets_in(play.session, {"kept": True}) == ()
    for bad in ("", 7, "a\x00"):
        with pytest.raises(InvalidAnswer):
            seal.secrets_in(play.session, bad)
    play.answer(seal.with_sealed("geheim", {found.path: SEALED["sealed"]}))
    assert play.names["password"] == SEALED


def test_secret_settings_are_sealed_one_by_one() -> None:
    play = at_summary().change("settings")
    value = [{"name": "A", "value": "open"}, {"name": "B", "value": "geheim", "secret": True}]
    (found,) = seal.secrets_in(play.session, value)
    assert (found.path, found.plain) == ((1, "value"), "geheim")
    sealed = seal.with_sealed(value, {found.path: SEALED["sealed"]})
    assert sealed == [{"name": "A", "value": "open"}, {"name": "B", **SEALED}]
    play.answer(sealed)
    assert "geheim" not in msgspec.json.encode(play.session).decode()
    with pytest.raises(InvalidAnswer) as refused:
        at = at_summary().change("settings").session
        seal.secrets_in(at, [{"name": "A", "value": "", "secret": True}])
    assert refused.value.errors[0]["field"] == "0.value"


def test_secrets_among_answers_given_beforehand_are_found_by_name() -> None:
    asked: dict[str, form.Prompt] = {
        "password": form.Secret(label="x"),
        "settings": form.KeyValues(label="x"),
        "name": form.Text(label="x"),
    }
    given_before = {
        "password": "geheim",
        "settings": [{"name": "B", "value": "auch", "secret": True}],
        "name": "web",
        "else": "x",
    }
    found = seal.secrets_in_answers(asked, given_before)
    assert [(f.path, f.plain) for f in found] == [
        (("password",), "geheim"),
        (("settings", 0, "value"), "auch"),
    ]
    sealed = seal.with_sealed(given_before, {f.path: SEALED["sealed"] for f in found})
    assert sealed["password"] == SEALED and sealed["settings"] == [{"name": "B", **SEALED}]
    assert Play(Sample, answers={"password": SEALED, "settings": sealed["settings"]}).session.prefill
    with pytest.raises(InvalidAnswer) as refused:
        seal.secrets_in_answers(asked, {"password": ""})
    assert refused.value.errors[0]["field"] == "password"
