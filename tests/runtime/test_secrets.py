"""A secret is sealed before anything is kept or said: it is in no file, no log and no view."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from bot.engine.refusals import InvalidAnswer
from tests.runtime.lab import Lab, is_over

WORDS = ["correct-horse-7361", "battery-staple-9442", "beforehand-5150", "refused-3305"]


async def test_no_secret_in_the_store_the_log_or_a_view(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    settings = [{"name": "KEY", "value": WORDS[1], "secret": True}, {"name": "PLAIN", "value": "seen-2201"}]
    session = (await lab.open("secrets")).session
    view = await lab.answer(session, WORDS[0], id="same")
    assert (await lab.answer(session, WORDS[0], id="same")).session == view.session
    with pytest.raises(InvalidAnswer):
        await lab.answer(view.session, [{"name": "not a name", "value": WORDS[3], "secret": True}])
    session = (await lab.answer(view.session, settings)).session
    with pytest.raises(InvalidAnswer):
        await lab.answer(session, WORDS[3])
    session = (await lab.runtime.back(person=session.person, session_id=session.id, seq=3, id="b")).session
    session = (await lab.answer(session, settings, id="again")).session
    assert is_over((await lab.answer(session, 3, id="last")).session)
    await lab.open("secrets", id="2", password=WORDS[2], settings=settings)
    seen = []
    for one in (await lab.runtime.sessions(person=session.person)).items:
        seen += [str(await lab.entries(one.id)), str(await lab.session(one.id)), str(one)]
    await lab.end()
    out, err = capfd.readouterr()
    kept = _all_bytes(lab.server.data) + _all_bytes(lab.folder)
    assert b"seen-2201" in kept
    for word in WORDS:
        assert word.encode() not in kept
        assert word not in out + err + "".join(seen)
    assert set(lab.world.secrets) >= set(WORDS[:3])
    await lab.begin()


async def test_an_answer_without_its_node_is_refused_before_it_is_kept(lab: Lab) -> None:
    session = (await lab.open("secrets")).session
    values: list[object] = [3, None, [], "x" * 3_000, ""]
    for value in values:
        with pytest.raises(InvalidAnswer):
            await lab.answer(session, value)


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
