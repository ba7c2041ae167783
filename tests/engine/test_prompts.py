"""Prompts of every kind in a session: what is shown, what their names get, how they are offered again."""

from __future__ import annotations

from typing import Any

import pytest

from bot.engine import compile as compiling
from bot.engine import details, form, seal, text
from bot.engine.compile import FlowRefused
from bot.engine.refusals import InvalidAnswer
from bot.engine.vocabulary import (
    Ask,
    Chart,
    Chatflow,
    Code,
    Confirm,
    DateTime,
    Diff,
    Download,
    Duration,
    End,
    Form,
    Image,
    Location,
    Log,
    Number,
    Option,
    Pick,
    PickMany,
    Prompt,
    QRCode,
    Secret,
    Table,
    Text,
    YesNo,
)
from tests.engine.play import Play
from tests.engine.sample import SEALED

BLOB = "a" * 64
NODES = {"options": [{"value": v, "label": v.title(), "data": {"id": v}} for v in ("n1", "n2", "n3")]}


def asking(prompt: Prompt, **more: Any) -> type[Chatflow]:
    """A flow that asks this and shows what the name got."""

    class Asking(Chatflow):
        title = "Asking"
        takes = ("given",)
        it = Ask(prompt, title="It", **more)
        sure = Ask(Confirm("Right?", summary=["it"]), then={"yes": "done", "no": "done"})
        done = End("{{ it }}")

    return Asking


def played(prompt: Prompt, given: Any = None, **answers: Any) -> Play:
    return Play(asking(prompt), answers={"given": given, **answers})


def test_many_are_picked_of_live_options_and_the_name_gets_their_data() -> None:
    from bot.engine import facts

    play = played(PickMany("Which?", options=facts.nodes(), least=1)).facts(NODES)
    assert play.shown.details == {"least": 1, "most": 0}
    play.answer(["n3", "n1"])
    assert play.names["it"] == [{"id": "n1"}, {"id": "n3"}]
    assert play.said("answered") == ["N1, N3"]


def test_a_live_pick_of_many_that_found_nothing_can_look_again() -> None:
    from bot.engine import facts

    play = played(PickMany("Which?", options=facts.nodes(), empty="No node.")).facts({"options": []})
    assert play.shown.problem == "No node."
    play.answer(["look-again"])
    assert play.shown.loading
    play.facts(NODES).answer([])
    assert play.rows == {"It": "—"}


def test_many_given_beforehand_are_read_as_people_write_them() -> None:
    options = [Option("a", "First"), Option("b", "Second")]
    play = played(PickMany("Which?", options=options), it="first, b")
    assert play.names["it"] == ["a", "b"]
    assert play.rows == {"It": "First, Second"}


def test_a_disabled_option_among_many_is_refused_with_its_reason() -> None:
    options = [Option("a", "First"), Option("b", "Second", disabled="It is full.")]
    play = played(PickMany("Which?", options=options))
    with pytest.raises(InvalidAnswer, match="Second cannot be chosen: It is full"):
        play.answer(["a", "b"])


@pytest.mark.parametrize(
    ("typed", "named", "said"),
    [
        ("2026-12-24 03:00", "2026-12-24T03:00+01:00", "2026-12-24 03:00 (Europe/Brussels)"),
        ("2026-07-01T02:00Z", "2026-07-01T04:00+02:00", "2026-07-01 04:00 (Europe/Brussels)"),
        ("2026-10-25 02:30", "2026-10-25T02:30+02:00", "2026-10-25 02:30 (Europe/Brussels)"),
    ],
)
def test_a_moment_has_the_distance_of_its_zone(typed: str, named: str, said: str) -> None:
    play = played(DateTime("When?", zone="Europe/Brussels"))
    assert play.shown.details["zone"] == "Europe/Brussels"
    play.answer(typed)
    assert play.names["it"] == named
    assert play.said("answered") == [said]


def test_a_time_that_the_clocks_leave_out_is_refused() -> None:
    play = played(DateTime("When?", zone="Europe/Brussels"))
    with pytest.raises(InvalidAnswer, match="Clocks in Europe/Brussels leave out 02:30"):
        play.answer("2026-03-29 02:30")


def test_days_and_moments_keep_to_their_bounds() -> None:
    play = played(DateTime("When?", earliest="now", latest="{{ given }}"), given="1970-01-02 00:00")
    for wrong, says in (("1969-12-31 00:00", "not before 1970-01-01"), ("1970-01-02 00:01", "not after")):
        with pytest.raises(InvalidAnswer, match=says):
            play.answer(wrong)
    assert play.answer("1970-01-01 12:00").names["it"] == "1970-01-01T12:00+00:00"
    play = played(DateTime("Which day?", time=False, earliest="2026-12-01"))
    with pytest.raises(InvalidAnswer, match="not before 2026-12-01"):
        play.answer("2026-11-30")


def test_a_duration_is_seconds_and_is_said_as_it_can_be_typed() -> None:
    play = played(Duration("How long?", default="1h", minimum_s=60, maximum_s=90_000))
    assert play.shown.default == 3600
    for wrong, says in (("59s", "at least 1m"), ("2d", "at most 1d 1h"), ("bald", "like 2h 30m")):
        with pytest.raises(InvalidAnswer, match=says):
            play.answer(wrong)
    play.answer("2h 30m")
    assert play.names["it"] == 9_000
    assert play.rows == {"It": "2h 30m"}


def test_a_place_has_a_label_or_is_called_by_its_degrees() -> None:
    play = played(Location("Where?"), it="50.85, 4.35 Brussels")
    assert play.names["it"] == {"lat": 50.85, "lon": 4.35, "label": "Brussels"}
    assert play.rows == {"It": "Brussels"}
    assert played(Location("Where?")).answer({"lat": 50.85, "lon": 4.35}).rows == {"It": "50.85, 4.35"}


BACKUP = Form(
    "How shall it be backed up?",
    fields={
        "name": Text("Name", default="{{ given }}"),
        "where": Pick("Where to?", options={"disk": "Disk", "cloud": "Cloud"}),
        "key": Secret("Access key", min_length=4),
        "keep": Number("Keep", default=7, minimum=1, unit="days"),
    },
    only_when={"key": {"where": "cloud"}},
)


def test_a_form_is_one_answer_and_names_each_mistake_at_its_field() -> None:
    play = played(BACKUP, given="wiki")
    fields = play.shown.details["fields"]
    assert [(f["name"], f["kind"], f["default"]) for f in fields] == [
        ("name", "text", "wiki"),
        ("where", "pick", None),
        ("key", "secret", None),
        ("keep", "number", 7),
    ]
    assert play.shown.default is None  # one of its fields has none
    with pytest.raises(InvalidAnswer) as refused:
        play.answer({"name": "", "where": "moon", "keep": 0})
    assert [e["field"] for e in refused.value.errors] == ["name", "where", "keep"]
    play.answer({"name": "wiki", "where": "disk", "keep": 3})
    assert play.names["it"] == {"name": "wiki", "where": "disk", "key": None, "keep": 3}
    assert play.rows == {"It": "Name: wiki\nWhere to?: Disk\nKeep: 3 days"}


def test_fields_that_were_not_given_beforehand_are_as_the_form_proposes() -> None:
    play = played(BACKUP, given="wiki", it={"where": "Disk"})
    assert play.names["it"] == {"name": "wiki", "where": "disk", "key": None, "keep": 7}


def test_a_secret_in_a_form_is_sealed_masked_and_kept() -> None:
    play = played(BACKUP)
    value = {"name": "wiki", "where": "cloud", "key": "geheim", "keep": 3}
    with pytest.raises(InvalidAnswer, match="has to be sealed"):
        play.answer(value)
    (found,) = seal.secrets_in(play.session, value)
    assert (found.path, found.plain) == (("key",), "geheim")
    with pytest.raises(InvalidAnswer) as refused:
        seal.secrets_in(play.session, {**value, "key": "ab"})
    assert [e["field"] for e in refused.value.errors] == ["key"]
    sealed = seal.with_sealed(value, {("key",): SEALED["sealed"]})
    play.answer(sealed)
    assert "Access key: ••••••" in play.rows["It"]
    play.change("it")
    assert play.shown.kept["key"] == {"kept": True}
    assert "ciphertext" not in str(play.shown.kept)
    play.answer({**value, "key": {"kept": True}, "keep": 4})
    assert play.names["it"]["key"] == SEALED


def test_a_secret_beforehand_is_sealed_even_in_a_field_that_is_not_asked() -> None:
    asked = {"it": BACKUP.compiled}
    for where in ("cloud", "disk", "Cloud"):
        found = seal.secrets_in_answers(asked, {"it": {"where": where, "key": "geheim"}})
        assert [(one.path, one.plain) for one in found] == [(("it", "key"), "geheim")]
    with pytest.raises(InvalidAnswer, match="has to be sealed first"):
        played(BACKUP, it={"name": "wiki", "where": "disk", "key": "geheim"})


def test_a_secret_field_called_value_is_sealed_in_its_place() -> None:
    prompt = Form("Form", fields={"name": Text("Name"), "value": Secret("Value")})
    play = played(prompt)
    value = {"name": "a", "value": "geheim"}
    (found,) = seal.secrets_in(play.session, value)
    assert seal.with_sealed(value, {found.path: SEALED["sealed"]}) == {"name": "a", "value": SEALED}


def test_a_form_whose_fields_all_have_defaults_has_one_itself() -> None:
    prompt = Form("Form", fields={"a": Number("A", default=1), "b": YesNo("B", default=True)})
    assert played(prompt).shown.default == {"a": 1, "b": True}


ROWS = [{"name": "wiki", "at": {"node": "n1"}}, {"name": "shop"}]
SHOWN: list[tuple[Prompt, Any, dict[str, Any], str]] = [
    (
        Table("T", columns={"name": "Name", "at.node": "Node"}, rows="{{ given }}"),
        ROWS,
        {"columns": ["Name", "Node"], "rows": [["wiki", "n1"], ["shop", ""]], "cut": ""},
        "Name · Node\nwiki · n1\nshop · ",
    ),
    (
        Chart("C", series={"load": "{{ given }}", "cpu": [1]}, at=["mon"], unit="%"),
        [1, 2.5],
        {
            "series": [{"name": "load", "values": [1, 2.5]}, {"name": "cpu", "values": [1, None]}],
            "at": ["mon", "2"],
            "unit": "%",
            "style": "line",
        },
        " · load (%) · cpu (%)\nmon · 1 · 1\n2 · 2.5 · —",
    ),
    (Log("L", text="{{ given }}"), ["one", "two"], {"text": "one\ntwo", "cut": ""}, "one\ntwo"),
    (
        Code("S", text="run {{ given }}", language="sh"),
        "x",
        {"text": "run x", "language": "sh", "cut": ""},
        "run x",
    ),
    (
        Diff("D", before="a\nb", after="{{ given }}"),
        "a\nc",
        {"lines": [[" ", "a"], ["-", "b"], ["+", "c"]], "added": 1, "gone": 1, "cut": ""},
        " a\n-b\n+c",
    ),
    (QRCode("Q", text="{{ given }}"), "https://x.test/", {"text": "https://x.test/"}, "https://x.test/"),
    (
        Image("I", blob="{{ given }}", alt="A plan"),
        {"blob": BLOB, "bytes": 5, "name": "p.png"},
        {"blob": BLOB, "name": "p.png", "alt": "A plan"},
        f"A plan (/api/v1/blobs/{BLOB})",
    ),
    (
        Download("F", blob="{{ given }}", name="../a.tar"),
        BLOB,
        {"blob": BLOB, "bytes": 0, "name": "-a.tar", "text": ""},
        f"-a.tar (/api/v1/blobs/{BLOB})",
    ),
    (
        Download("F", text="port={{ given }}", name="a.env"),
        80,
        {"blob": "", "bytes": 7, "name": "a.env", "text": "port=80"},
        "port=80",
    ),
]


@pytest.mark.parametrize(("prompt", "given", "shows", "words"), SHOWN, ids=lambda v: type(v).__name__)
def test_what_is_shown_stands_in_the_transcript_and_has_words_for_every_channel(
    prompt: Prompt, given: Any, shows: dict[str, Any], words: str
) -> None:
    play = played(prompt, given)
    assert play.shown.details == shows
    assert (play.shown.schema, play.shown.default) == ({"const": True}, True)
    assert text.plain(details.blocks(play.shown.kind, play.shown.details)) == words
    assert play.said("asked") == [f"{text.plain(play.shown.label)}\n\n{words}"]
    assert play.answer(True).names["it"] is True


@pytest.mark.parametrize(
    ("prompt", "given", "says"),
    [
        (Table("T", columns=["a"], rows="{{ given }}"), 5, "needs a list"),
        (Chart("C", series={"load": "{{ given }}"}), ["a"], "needs a list of numbers"),
        (QRCode("Q", text="{{ given }}"), "x" * 1001, "1 to 1000 bytes"),
        (Image("I", blob="{{ given }}", alt="a"), "file.png", "blob is needed"),
        (DateTime("W", zone="{{ given }}"), "Mars", "no time zone"),
    ],
)
def test_what_cannot_be_shown_is_a_plain_sentence_with_a_way_on(
    prompt: Prompt, given: Any, says: str
) -> None:
    play = played(prompt, given)
    assert says in play.said("problem")[-1]
    assert "cancel" in [o.value for o in play.shown.options]


def test_what_is_long_is_cut_and_that_is_said() -> None:
    play = played(Log("L", text="{{ given }}"), "\n".join(f"line {n}" for n in range(5_000)))
    assert play.shown.details["text"].endswith("line 4999")
    assert play.shown.details["cut"].startswith("Only the last ")
    many = played(Table("T", columns=["n"], rows="{{ given }}"), [{"n": n} for n in range(201)])
    assert many.shown.details["cut"] == "Only the first 200 of 201 rows are shown."


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (PickMany("x", options={"a": "A"}, least=2), "`least` and `most`"),
        (PickMany("x", options=[]), "A PickMany needs options"),
        (DateTime("x", zone="Mars/Base"), "There is no time zone"),
        (DateTime("x", earliest="soon"), "no date or moment"),
        (Duration("x", default="soon"), "no length of time"),
        (Duration("x", minimum_s=5, maximum_s=4), "`minimum_s` and `maximum_s`"),
        (Form("x", fields={}), "1 to 30 fields"),
        (Form("x", fields={"a b": Text("A")}), "a name of its own"),
        (Form("x", fields={"a": Text("A")}, only_when={"a": {"b": 1}}), "no field before it"),
        (Form("x", fields={"a": Text("A", pattern="(")}), "Field 'a': "),
        (Image("x", blob="", alt=" "), "needs `alt`"),
        (Download("x"), "one of `blob` and `text`"),
        (Download("x", text="a"), "needs a `name`"),
        (Table("x", columns=[], rows=[]), "1 to 12 columns"),
        (Chart("x", series={}), "1 to 6 series"),
        (Code("x", text="{{ nothing }}"), "It uses 'nothing'"),
    ],
)
def test_mistakes_are_said_before_a_flow_runs(prompt: Prompt, says: str) -> None:
    with pytest.raises(FlowRefused, match=says):
        compiling.compile_class(asking(prompt))


def test_only_plain_kinds_are_fields_of_a_form() -> None:
    with pytest.raises(ValueError, match="no field of the kind Confirm"):
        Form("x", fields={"a": Confirm("A")})


def test_new_fields_leave_the_version_of_old_flows_as_it_was() -> None:
    flow = compiling.compile_class(asking(Text("Name?")))
    assert b"details" not in compiling.encode(flow)
    assert isinstance(flow.states["it"], form.Ask)
