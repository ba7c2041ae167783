"""What people type, to what they mean: "restrat nginx on node-2" -> Restart a container: nginx.

Local and fast: the words of all flows (`says`, title, name, description) stand in one index, made when flows
are published; a text is looked up word by word, in any order, typos forgiven, rare words counting more. What
the fleet has by name fills the answers that ask for such things. Nothing here acts: what is found is shown,
and `Understood.needs_yes` says when a person has to confirm it first.
Rule: what is typed is a stranger's input. It is cut first; the work is linear in what is left of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec
from rapidfuzz import process
from rapidfuzz.distance import OSA

from bot.engine import form, slots
from bot.engine.slots import NOISE, Named, Names

TEXT_CHARS: Final = 200
WORDS: Final = 24
NOBODY: Final = Names()
CHOICES: Final = 3  # offered when it is not clear
FUZZY_WORDS: Final = 8  # unknown words that are looked at for typos; the rest of a long text counts as noise
LIKE: Final = 0.74  # two words are the same but for a typo: one wrong letter in four
CLEAR, APART = 72.0, 9.0  # one is meant when it scores CLEAR, and the next one APART less
LEAST: Final = 38.0  # below it, two texts have nothing in common
_WORD = re.compile(r"[^\W_]+(?:['.:/@_-]+[^\W_]+)*")
_SLOT = re.compile(r"\{([^{}]*)\}")
_WEIGHT: Final = {"says": 1.0, "title": 0.97, "name": 0.97, "description": 0.6}


class Guess(msgspec.Struct, frozen=True, kw_only=True):
    """A flow that may be meant, with answers that the text gives already.

    `named` are those answers that are things of the fleet; `score` is 0 … 100; `corrected`: only with a typo
    put right.
    """

    flow: form.Flow
    answers: dict[str, Any] = {}
    named: tuple[Named, ...] = ()
    score: float = 0.0
    corrected: bool = False
    by: Literal["words", "model"] = "words"

    @property
    def sentence(self) -> str:
        """What it is, for "I understood: …"."""
        things = {one.slot: f"{one.label} on {one.on}" if one.on else one.label for one in self.named}
        told = ", ".join(
            things.get(name) or f"{slots.title_of(self.flow, name)} {value}"
            for name, value in self.answers.items()
        )
        return f"{self.flow.title}: {told}" if told else self.flow.title


class Understood(msgspec.Struct, frozen=True, kw_only=True):
    """What a text may mean, the likeliest first. `clear`: the first one is meant."""

    guesses: tuple[Guess, ...] = ()
    clear: bool = False

    @property
    def needs_yes(self) -> bool:
        """Whether a person must say yes before the first one is opened.

        Not when it only reads and was typed without a typo, nor when its first step is a question that the
        text has not answered: then nothing can happen before the person says more.
        """
        if not self.clear:
            return True
        first = self.guesses[0]
        if first.corrected or first.by == "model":
            return True
        return first.flow.risk != "reads" and not slots.asks_first(first.flow, first.answers)


class Stranger(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody outside says a text means: a flow by its name, and answers as texts."""

    flow: str
    answers: dict[str, str] = {}


class _Phrase(NamedTuple):
    """One way to say a flow: its fixed words and what they weigh together."""

    flow: int
    words: tuple[str, ...]
    slots: tuple[str, ...]
    source: Literal["says", "title", "name", "description"]


class Index:
    """The words of some flows. Immutable; about 1 kB a flow."""

    def __init__(self, flows: Iterable[form.Flow]) -> None:
        self.flows = sorted(flows, key=lambda flow: flow.name)
        self._phrases = [phrase for n, flow in enumerate(self.flows) for phrase in _phrases(n, flow)]
        self._own: list[set[str]] = [set() for _ in self.flows]
        for phrase in self._phrases:
            self._own[phrase.flow].update(phrase.words)
        self._in: dict[str, list[int]] = {}
        for number, phrase in enumerate(self._phrases):
            for word in set(phrase.words):
                self._in.setdefault(word, []).append(number)
        of_flow: dict[str, set[int]] = {w: {self._phrases[n].flow for n in ns} for w, ns in self._in.items()}
        count = len(self.flows) or 1
        self._rare = {word: 1 + math.log(count / len(flows)) for word, flows in of_flow.items()}
        self._noise = 1 + math.log(count)  # what a word weighs that no flow knows
        self._by_length: dict[int, list[str]] = {}
        for word in self._in:
            self._by_length.setdefault(len(word), []).append(word)
        self._whole = {
            words: flow for flow in self.flows for words in (_folded(flow.name), _folded(flow.title)) if words
        }

    def understand(self, typed: str, names: Names = NOBODY) -> Understood:
        """What a text may mean, given what the fleet has by name."""
        text = " ".join(typed[:TEXT_CHARS].split())
        words = _WORD.findall(text)[:WORDS]
        if not words:
            return Understood()
        if (flow := self._whole.get(_folded(text))) is not None:
            return Understood(guesses=(Guess(flow=flow, score=100.0),), clear=True)
        nodes = names.on(words)
        found: dict[int, Guess] = {}
        for guess, number in [*self._said(text, names, nodes), *self._alike(words, names, nodes)]:
            known = found.get(number)
            if known is None or (guess.score, len(guess.answers)) > (known.score, len(known.answers)):
                found[number] = guess
        ranked = sorted(found.values(), key=lambda g: (-g.score, g.flow.name))
        best = tuple(guess for guess in ranked if guess.score >= LEAST)[:CHOICES]
        if not best:
            return Understood()
        apart = len(best) == 1 or best[0].score - best[1].score >= APART
        clear = best[0].score >= CLEAR and apart
        return Understood(guesses=best[:1] if clear else best, clear=clear)

    def _said(self, text: str, names: Names, nodes: frozenset[str]) -> list[tuple[Guess, int]]:
        """The flows one of whose `says` fits the text as it stands."""
        out = []
        folded = _folded(text).split()
        likely = {self._phrases[n].flow for word in folded for n in self._in.get(word, ())}
        for number in likely:
            flow = self.flows[number]
            for pattern in flow.says:
                if (fits := _pattern(pattern).fullmatch(text)) is None:
                    continue
                given = {name: value.strip(" ?!.") for name, value in fits.groupdict().items() if value}
                filled = slots.fill(flow, given, [], names, nodes)
                if filled is not None:
                    score = 100.0 if not given else 98.0 - 4 * len(filled.unknown)
                    out.append((_guess(flow, filled, score, corrected=filled.corrected), number))
        return out

    def _alike(self, words: list[str], names: Names, nodes: frozenset[str]) -> list[tuple[Guess, int]]:
        """The flows whose words are like the text's, in any order."""
        near = self._near([word.casefold() for word in words])
        reached: dict[int, dict[str, tuple[float, int]]] = {}
        for at, alike in enumerate(near):
            for word, like in alike.items():
                for number in self._in[word]:
                    best = reached.setdefault(number, {})
                    if word not in best or best[word][0] < like:
                        best[word] = (like, at)
        best_of: dict[int, tuple[float, int, dict[str, tuple[float, int]]]] = {}
        for number, hits in reached.items():
            phrase = self._phrases[number]
            said = sum(self._rare[word] for word in phrase.words)
            got = sum(self._rare[word] * like for word, (like, _) in hits.items())
            known = best_of.get(phrase.flow)
            rough = got / said * _WEIGHT[phrase.source] + 0.01 * len(phrase.slots)
            if known is None or rough > known[0]:
                best_of[phrase.flow] = (rough, number, hits)
        likely = sorted(best_of.items(), key=lambda item: -item[1][0])[: CHOICES * 4]
        return [
            (self._scored(self._phrases[number], hits, words, near, names, nodes), flow)
            for flow, (_, number, hits) in likely
        ]

    def _scored(
        self,
        phrase: _Phrase,
        hits: Mapping[str, tuple[float, int]],
        words: list[str],
        near: list[dict[str, float]],
        names: Names,
        nodes: frozenset[str],
    ) -> Guess:
        flow = self.flows[phrase.flow]
        used = {at for _, at in hits.values()}
        own = self._own[phrase.flow]
        rest = [
            (at, word) for at, word in enumerate(words) if at not in used and word.casefold() not in NOISE
        ]
        filled = slots.fill(flow, {}, rest, names, nodes, phrase.slots) or slots.NOTHING
        used |= filled.used
        said = sum(self._rare[word] for word in phrase.words) or 1.0
        got = sum(self._rare[word] * like for word, (like, _) in hits.items())
        left = 0.0
        for at, _ in rest:
            if at not in used:
                known = max((like for word, like in near[at].items() if word in own), default=0.0)
                heard = max((self._rare[word] for word in near[at]), default=self._noise)
                left += heard * (1 - known)
        covers, explains = got / said, got / (got + left) if got else 0.0
        score = 100 * _WEIGHT[phrase.source] * (0.6 * min(1.0, covers) + 0.4 * explains)
        corrected = filled.corrected or any(like < 1 for like, _ in hits.values())
        return _guess(flow, filled, round(min(97.0, score), 1), corrected=corrected)

    def _near(self, words: list[str]) -> list[dict[str, float]]:
        """For each word, the words of flows that it may be, and how like they are."""
        out: list[dict[str, float]] = []
        fuzzy = FUZZY_WORDS
        for word in words:
            if word in self._in or word in NOISE:
                out.append({word: 1.0} if word in self._in else {})
            elif len(word) < 4 or fuzzy == 0:
                out.append({})
            else:
                fuzzy -= 1
                out.append(self._typos(word))
        return out

    def _typos(self, word: str) -> dict[str, float]:
        reach = 1 if len(word) < 8 else 2
        near: dict[str, float] = {}
        for length in range(max(3, len(word) - reach), len(word) + reach + 1):
            for found, like, _ in process.extract(
                word,
                self._by_length.get(length, ()),
                scorer=OSA.normalized_similarity,
                score_cutoff=LIKE,
                limit=3,
            ):
                near[found] = like
        return near


def from_stranger(index: Index, said: Sequence[object], names: Names, known: Understood) -> Understood:
    """What a stranger says, as far as it makes sense; what we know ourselves fills up the rest.

    A flow must be there, an answer must be one that it asks for, of a kind that text can give, and short;
    things must be the fleet's. Nothing of it is clear enough to be opened without a yes.
    """
    flows = {flow.name: flow for flow in index.flows}
    guesses: list[Guess] = []
    for one in list(said)[:CHOICES]:
        if not isinstance(one, Stranger):
            continue
        flow = flows.get(one.flow)
        if flow is None or any(guess.flow is flow for guess in guesses):
            continue
        kinds = slots.kinds_asked(flow)
        told: dict[Any, Any] = one.answers
        given = {
            name: value[:TEXT_CHARS]
            for name, value in list(told.items())[:WORDS]
            if isinstance(value, str) and value.isprintable() and kinds.get(name, "other") != "other"
        }
        filled = slots.fill(flow, given, [], names) or slots.NOTHING
        answers = {name: value for name, value in filled.answers.items() if name not in filled.unknown}
        guesses.append(Guess(flow=flow, answers=answers, named=filled.named, score=LEAST, by="model"))
    rest = [guess for guess in known.guesses if all(guess.flow is not other.flow for other in guesses)]
    return Understood(guesses=tuple([*guesses, *rest][:CHOICES]), clear=len(guesses) == 1)


def _guess(flow: form.Flow, filled: slots.Filled, score: float, *, corrected: bool) -> Guess:
    return Guess(flow=flow, answers=filled.answers, named=filled.named, score=score, corrected=corrected)


def _phrases(number: int, flow: form.Flow) -> list[_Phrase]:
    sources: list[tuple[Literal["says", "title", "name", "description"], str]] = [
        *(("says", pattern) for pattern in flow.says),
        ("title", flow.title),
        ("name", flow.name.replace("-", " ")),
        ("description", flow.description[:300]),
    ]
    phrases = []
    for source, text in sources:
        words = [word.casefold() for word in _WORD.findall(_SLOT.sub(" ", text))]
        fixed = tuple(dict.fromkeys(word for word in words if word not in NOISE))
        if fixed:
            names = tuple(slot[1] for slot in _SLOT.finditer(text)) if source == "says" else ()
            phrases.append(_Phrase(number, fixed, names, source))
    return phrases


@lru_cache(maxsize=4096)
def _pattern(source: str) -> re.Pattern[str]:
    """A pattern of `says`: its words in any case, each {slot} any few words; the last slot takes the rest."""
    parts: list[str] = []
    at = 0
    used: set[str] = set()
    for slot in _SLOT.finditer(source):
        parts.append(_literal(source[at : slot.start()]))
        name = slot[1]
        if name.isidentifier() and name not in used and len(used) < 4:
            used.add(name)
            parts.append(rf"(?P<{name}>[^ ]{{1,100}}(?: [^ ]{{1,100}}){{0,3}}?)")
        at = slot.end()
    parts.append(_literal(source[at:]))
    return re.compile("".join(parts) + r" ?[?!.]?", re.IGNORECASE)


def _literal(words: str) -> str:
    return re.sub(r"(?:\\ )+", " +", re.escape(words))


def _folded(text: str) -> str:
    return " ".join(word.casefold() for word in _WORD.findall(text.replace("-", " ")))
