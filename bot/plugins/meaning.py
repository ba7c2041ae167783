"""What a person means by what they typed, asked of one place by every channel.

The words of the flows and the names of the fleet decide (`bot.engine.words`), in a few milliseconds. Where
they are not clear and the operator has set up a language model, it is asked; what it says is a stranger's
input: checked by `words.from_stranger`, never opened without a person's yes.
Names of the fleet are brought in the background and are at most NAMES_FOR_S old when they are needed.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import structlog

from bot.engine import form, words
from bot.engine.refusals import Spoken
from bot.engine.slots import Named, Names
from bot.engine.words import Index, Stranger, Understood

NAMES_FOR_S: Final = 10.0  # between two looks at the fleet, while people type
NAMES_WITHIN_S: Final = 0.5  # the first person who types waits so long for names
MODEL_WITHIN_S: Final = 4.0

log = structlog.get_logger("flows")


class LanguageModel(Protocol):
    """Something that reads better than we do: a text and the flows there are, to what may be meant."""

    async def guess(self, text: str, flows: Sequence[form.Flow]) -> Sequence[Stranger]:
        """What may be meant, the likeliest first. May raise anything; then it is as if it were not there."""


class Meaning:
    """Reads what people type. `flows` gives those that can be begun, `named` what the fleet has by name."""

    def __init__(
        self,
        flows: Callable[[], Sequence[form.Flow]],
        named: Callable[[], Awaitable[Sequence[Named]]],
        model: LanguageModel | None = None,
    ) -> None:
        self._flows, self._named, self._model = flows, named, model
        self._index = Index(())
        self._indexed: Sequence[form.Flow] = ()
        self._names = Names()
        self._looked_s = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def understand(self, text: str) -> Understood:
        """What a text may mean; empty when nothing is like it."""
        flows = self._flows()
        if not _same(flows, self._indexed):
            self._index, self._indexed = Index(flows), flows
        await self._bring_names()
        understood = self._index.understand(text, self._names)
        if understood.clear or self._model is None:
            return understood
        return await self._ask_model(self._model, text, understood)

    def stop(self) -> None:
        """End a look at the fleet that is under way."""
        if self._looking is not None:
            self._looking.cancel()

    async def _ask_model(self, model: LanguageModel, text: str, known: Understood) -> Understood:
        try:
            async with asyncio.timeout(MODEL_WITHIN_S):
                said = await model.guess(text[: words.TEXT_CHARS], self._indexed)
            return words.from_stranger(self._index, said, self._names, known)
        except Exception as e:  # a stranger's code: whatever it does, people get what we know without it
            log.warning("words.model_failed", why=f"{type(e).__name__}: {e}"[:300])
            return known

    async def _bring_names(self) -> None:
        first = self._looked_s == float("-inf")
        if self._looking is None and time.monotonic() - self._looked_s > NAMES_FOR_S:
            self._looking = asyncio.create_task(self._look(), name="names of the fleet")
        if first and self._looking is not None:
            await asyncio.wait({self._looking}, timeout=NAMES_WITHIN_S)

    async def _look(self) -> None:
        try:
            self._names = Names(await self._named())
        except (Spoken, OSError) as e:
            log.info("words.names_not_brought", why=str(e))
        except Exception:  # our bug; what people type is read without names then
            log.exception("words.names_failed")
        finally:
            self._looked_s, self._looking = time.monotonic(), None


def load_model(place: str) -> LanguageModel | None:
    """The language model of the setting `language_model` ("package.module:factory"); None without one.

    Raises ImportError, AttributeError, TypeError when there is no such thing.
    """
    if not place:
        return None
    module, _, name = place.partition(":")
    made = getattr(importlib.import_module(module), name or "model")()
    if not callable(getattr(made, "guess", None)):
        raise TypeError(f"{place} gives something that cannot guess")
    found: LanguageModel = made
    return found


def _same(some: Sequence[form.Flow], others: Sequence[form.Flow]) -> bool:
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))
