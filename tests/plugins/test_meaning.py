"""One place that reads what people type: names in the background, a language model at arm's length."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bot.engine import Ask, Chatflow, End, Pick, facts, form
from bot.engine import compile as compiling
from bot.engine.refusals import Gone
from bot.engine.slots import Named
from bot.engine.words import Stranger
from bot.plugins import meaning
from bot.plugins.meaning import Meaning, load_model


class Restart(Chatflow):
    """Restart a container."""

    title = "Restart a container"
    says = ("restart {container}",)
    risk = "disturbs"
    which = Ask(Pick("Which?", options=facts.containers(), as_="container"))
    done = End("ok")


FLOWS = [compiling.compile_class(Restart)]


async def wiki() -> Sequence[Named]:
    return [Named(kind="container", label="wiki", value="c-1")]


class Model:
    """A language model that says what it is told to."""

    def __init__(self, *said: object, error: Exception | None = None, slow: bool = False) -> None:
        self.said, self.error, self.slow = said, error, slow
        self.asked: list[str] = []

    async def guess(self, text: str, flows: Sequence[form.Flow]) -> Sequence[Stranger]:
        self.asked.append(text)
        if self.slow:
            await asyncio.sleep(3600)
        if self.error:
            raise self.error
        return self.said  # type: ignore[return-value]


def model() -> Model:
    """A factory, as the setting names one."""
    return Model(Stranger(flow="restart"))


async def test_names_of_the_fleet_fill_answers() -> None:
    understood = await Meaning(lambda: FLOWS, wiki).understand("restart wiki")
    assert understood.guesses[0].answers == {"container": "c-1"}


async def test_without_the_fleet_words_are_still_read() -> None:
    async def gone() -> Sequence[Named]:
        raise Gone()

    understood = await Meaning(lambda: FLOWS, gone).understand("restart wiki")
    assert [g.flow.name for g in understood.guesses] == ["restart"]


async def test_a_fleet_that_does_not_answer_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meaning, "NAMES_WITHIN_S", 0.01)

    async def never() -> Sequence[Named]:
        await asyncio.sleep(3600)
        return []

    read = Meaning(lambda: FLOWS, never)
    assert (await read.understand("restart wiki")).guesses
    read.stop()


async def test_a_language_model_is_asked_only_where_it_is_not_clear() -> None:
    asked = Model(Stranger(flow="restart", answers={"container": "wiki"}))
    read = Meaning(lambda: FLOWS, wiki, asked)
    assert (await read.understand("restart wiki")).guesses[0].by == "words"
    assert asked.asked == []
    understood = await read.understand("the encyclopedia thing is stuck")
    assert asked.asked == ["the encyclopedia thing is stuck"]
    assert (understood.guesses[0].answers, understood.needs_yes) == ({"container": "c-1"}, True)


@pytest.mark.parametrize(
    "bad",
    [Model(error=RuntimeError("quota")), Model("restart"), Model(slow=True), Model(Stranger(flow=[]))],  # type: ignore[arg-type]
)
async def test_a_language_model_that_misbehaves_is_as_if_it_were_not_there(
    bad: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meaning, "MODEL_WITHIN_S", 0.05)
    understood = await Meaning(lambda: FLOWS, wiki, bad).understand("zzzz qqqq")
    assert (understood.guesses, understood.needs_yes) == ((), True)


def test_the_setting_names_a_factory() -> None:
    assert load_model("") is None
    assert isinstance(load_model("tests.plugins.test_meaning:model"), Model)
    with pytest.raises(TypeError):
        load_model("builtins:dict")
    with pytest.raises(ImportError):
        load_model("no_such_module:model")
