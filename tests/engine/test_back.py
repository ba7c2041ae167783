"""Back, and change from a summary: what was answered later is kept where it still fits."""

from __future__ import annotations

import pytest

from bot.engine.refusals import CannotGoBack, NotNow
from tests.engine.play import Play
from tests.engine.sample import DIGEST, SEALED, Sample

IMAGE = {
    "reference": "nginx:1.27",
    "repository": "docker.io/library/nginx",
    "digest": DIGEST,
    "platforms": [],
}


def at_summary() -> Play:
    """The whole way to the summary, with the port looked up."""
    play = Play(Sample).answer("registry").answer("nginx:1.27").finish(facts=IMAGE)
    return play.answer("web").facts({"value": 20_001}).answer(SEALED)


def test_the_summary_shows_every_answer_and_masks_secrets() -> None:
    play = at_summary()
    assert play.rows == {
        "Image": "nginx:1.27",
        "Name": "web",
        "Port": "20001",
        "Memory": "256 MiB",
        "Password": "••••••",
        "Settings": "—",
        "Digest": "aaaaaaaa",
    }
    assert [r.change for r in play.shown.rows] == [
        "reference",
        "name",
        "port",
        "memory",
        "password",
        "settings",
        "",
    ]
    assert "QQ==" not in "".join(str(e) for e in play.entries)


def test_back_goes_to_the_prompt_before_and_offers_the_former_answer() -> None:
    play = at_summary().back()
    assert play.shown.name == "password" and play.shown.kept == {"kept": True}
    play.back()
    assert (play.shown.name, play.shown.kept) == ("name", "web")
    assert "port" not in play.names and play.names["image"]["digest"] == DIGEST


def test_back_then_the_same_answers_reach_the_same_names() -> None:
    play = at_summary()
    before = play.names
    play.back().back().answer("web").answer({"kept": True})
    assert play.shown.name == "sure"
    assert play.names == before


def test_back_passes_reading_orders_and_goes_to_any_prompt_of_the_way() -> None:
    play = at_summary().back(to=2)
    assert (play.shown.name, play.shown.kept) == ("reference", "nginx:1.27")
    assert set(play.names) == {"source"}
    play.back()
    assert play.shown.name == "source" and play.names == {}
    with pytest.raises(CannotGoBack):
        play.back()


def test_back_to_a_prompt_that_is_not_on_the_way_is_refused() -> None:
    play = at_summary()
    with pytest.raises(CannotGoBack):
        play.back(to=77)


def test_change_asks_one_thing_and_returns_to_the_summary() -> None:
    play = at_summary().change("port")
    assert (play.shown.name, play.shown.kept) == ("port", 20_001)
    play.answer(8080)
    assert play.shown.name == "sure"
    assert play.rows["Port"] == "8080" and play.rows["Name"] == "web"


def test_change_of_what_was_never_asked_shows_its_prompt() -> None:
    play = at_summary().change("memory").answer(512)
    assert play.shown.name == "sure" and play.rows["Memory"] == "512 MiB"
    play.change("settings").answer([{"name": "TZ", "value": "UTC"}])
    assert play.rows["Settings"] == "TZ=UTC" and play.rows["Memory"] == "512 MiB"


def test_change_of_an_early_answer_repeats_the_lookups_after_it_and_keeps_the_rest() -> None:
    play = at_summary().change("reference").answer("redis:7")
    assert play.waiting.verb == "image.resolve"
    play.finish(facts={**IMAGE, "digest": "sha256:" + "b" * 64})
    assert play.shown.name == "sure"
    assert (
        play.rows["Image"] == "redis:7" and play.rows["Name"] == "web" and play.rows["Digest"] == "bbbbbbbb"
    )
    assert play.names["password"] == SEALED


def test_change_to_another_branch_asks_what_is_new_there() -> None:
    play = at_summary()
    play.back(to=1).answer("demo")
    assert play.shown.name == "name" and play.shown.kept == "web"
    assert "reference" not in play.names


def test_an_answer_that_no_longer_fits_is_asked_again() -> None:
    play = at_summary().change("port")
    session = play.session
    play.answer(9000)
    assert play.shown.name == "sure"
    assert session.returning and not play.session.returning


def test_back_after_a_change_goes_to_the_prompt_before_the_summary() -> None:
    play = at_summary().change("port").answer(8080).back()
    assert play.shown.name == "password"


def test_a_kept_secret_is_taken_again_and_never_shown() -> None:
    play = at_summary().change("settings")
    play.answer([{"name": "KEY", **SEALED}, {"name": "TZ", "value": "UTC"}])
    assert play.rows["Settings"] == "KEY=••••••, TZ=UTC"
    play.change("settings")
    assert play.shown.kept == [{"name": "KEY", "secret": True, "kept": True}, {"name": "TZ", "value": "UTC"}]
    play.answer([{"name": "KEY", "secret": True, "kept": True}])
    assert play.names["settings"] == [{"name": "KEY", **SEALED}]


def test_change_is_for_summaries_and_for_what_they_show() -> None:
    play = at_summary()
    with pytest.raises(CannotGoBack):
        play.change("source")
    with pytest.raises(NotNow):
        Play(Sample).change("source")


def test_back_and_change_say_so_in_the_transcript() -> None:
    play = at_summary().change("port").answer(1).back()
    assert [e.kind for e in play.entries if e.kind in ("changed", "went_back")] == ["changed", "went_back"]


def test_back_is_refused_while_an_order_is_under_way() -> None:
    play = Play(Sample).answer("registry").answer("nginx")
    with pytest.raises(NotNow):
        play.back()
