"""Random walks: a person, machines and a network that do anything, in any sequence, in thousands of runs.

Each walk has a seed of its own, so it is the same each time. Crashes, duplicates, reordering, old events,
nonsense, back, change, cancel and new versions are thrown in. What is found is cut down to what matters.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from bot.authoring.fleet import SimFleet
from bot.authoring.library import Library
from bot.authoring.rules import Broken
from bot.authoring.stage import Stage
from bot.authoring.walks import Found, breaks, finish, shorter
from bot.engine import form

STEPS: Final = 60  # of one walk at most, before it is cancelled
_ROUGH: Final = 0.22  # how often something rough happens
_FAULTY: Final = 0.25  # how often an order goes wrong


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """What many walks came to."""

    walks: int
    moves: int
    orders: int
    ends: dict[str, int]
    rough: dict[str, int]
    found: tuple[Found, ...]


def wander(
    flows: Iterable[form.Flow],
    walks: int,
    *,
    seed: int = 1,
    each: Callable[[int], None] | None = None,
    stop_after: int = 5,
    beside: Iterable[form.Flow] = (),
) -> Sum:
    """So many walks over these flows in turn; those `beside` are there to be called.

    Ends early after `stop_after` different things found.
    """
    flows = list(flows)
    names = [flow.name for flow in flows]
    flows += beside
    ends: dict[str, int] = {}
    rough: dict[str, int] = {}
    found: list[Found] = []
    moves = orders = count = 0
    library = Library(flows)
    for number in range(walks):
        if number % 200 == 0:
            library = Library(flows)  # or it would be full of versions
        count += 1
        flow = names[number % len(names)]
        own_seed = seed * 1_000_003 + number
        stage, broken = _one(library, flow, own_seed)
        if stage is not None:
            moves += len(stage.done)
            orders += len(stage.orders)
            ends[stage.session.outcome] = ends.get(stage.session.outcome, 0) + 1
            for move in stage.done:
                word = move.partition(" ")[0]
                if word not in ("answer", "next", "do", "facts"):
                    rough[word] = rough.get(word, 0) + 1
        if broken is not None:
            _add(found, _found(flows, flow, own_seed, broken, stage))
            if len(found) >= stop_after:
                break
        if each is not None:
            each(number + 1)
    return Sum(walks=count, moves=moves, orders=orders, ends=ends, rough=rough, found=tuple(found))


def _add(found: list[Found], one: Found) -> None:
    if not any((other.flow, other.rule) == (one.flow, one.rule) for other in found):
        found.append(one)


def _found(flows: list[form.Flow], flow: str, seed: int, broken: Broken, stage: Stage | None) -> Found:
    moves = tuple(stage.done) if stage is not None else ()
    short = shorter(moves, lambda some: breaks(Library(flows), flow, some, broken.rule, seed), 250)
    return Found(flow=flow, rule=broken.rule, says=broken.says, moves=short, seed=seed)


def _one(library: Library, flow: str, seed: int) -> tuple[Stage | None, Broken | None]:
    dice = random.Random(seed)  # noqa: S311  (repeatable on purpose)
    stage: Stage | None = None
    try:
        stage = Stage(library, flow, fleet=SimFleet(seed))
        for _ in range(dice.randrange(5, STEPS)):
            if stage.session.status != "open":
                break
            stage.do(_choose(dice, stage))
        finish(stage)
    except Broken as e:
        return stage, e
    except Exception as e:  # our bug, outside of a move
        return stage, Broken("crash", f"{type(e).__name__}: {e}")
    return stage, None


def _choose(dice: random.Random, stage: Stage) -> str:
    moves = stage.moves(rough=True)
    plain = stage.moves()
    if dice.random() < _ROUGH:
        return dice.choice([m for m in moves if m not in plain] or moves)
    if stage.outbox:
        return plain[0] if dice.random() > _FAULTY else dice.choice(plain)
    onward = [m for m in plain if m.startswith(("answer", "next", "event", "approve"))]
    if not onward or dice.random() < 0.15:
        return dice.choice(plain)
    return dice.choice(onward)
