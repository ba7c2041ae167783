"""The pure engine: answers per second on one core, the size of a parked session, and words to a flow.

`python -m benchmarks.engine`: a flow of five prompts, each answer checked and each next message rendered; the
share of that which msgspec needs to write the same session and entries as JSON stands beside it.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

import msgspec

from benchmarks.report import Table, machine, quick
from bot.engine import Ask, Chatflow, Confirm, End, Number, Pick, Text, YesNo, facts, form
from bot.engine.advance import advance, open_session
from bot.engine.compile import compile_class
from bot.engine.events import Answered, Opened
from bot.engine.ready import Ready
from bot.engine.slots import Named, Names
from bot.engine.step import Step
from bot.engine.words import Index

ANSWERS: tuple[Any, ...] = ("web", 8080, "small", True, True)
AIM_PER_S, AIM_BYTES, AIM_WORDS_MS = 40_000, 4_000, 5.0


class Five(Chatflow):
    """Five prompts."""

    title = "Five prompts"
    called = Ask(Text("What shall it be called?"))
    port = Ask(Number("Port for **{{ called }}**?", minimum=1, maximum=65535))
    size = Ask(Pick("How large is {{ called }}?", options={"small": "Small", "large": "Large"}))
    keep = Ask(YesNo("Keep {{ called }} on {{ port }}?"))
    sure = Ask(
        Confirm("Make **{{ called }}**?", summary=["called", "port", "size", "keep"]),
        then={"yes": "done", "no": "left"},
    )
    done = End("**{{ called }}** is there.")
    left = End("Nothing was made.", outcome="unchanged")


class _Book:
    def __init__(self, flow: form.Flow) -> None:
        self.ready = Ready(flow)

    def by_version(self, version: str) -> Ready:
        return self.ready

    def current(self, name: str) -> Ready:
        return self.ready


def measure(rounds: int) -> str:
    """The tables."""
    return "\n".join([str(_advance(rounds)), str(_parked()), str(_words(rounds))])


def _advance(rounds: int) -> Table:
    book = _Book(compile_class(Five))
    for n in range(200):
        _play(book, n)
    rates = []
    steps: list[Step] = []
    for _ in range(rounds):
        steps.clear()
        began = time.perf_counter()
        for n in range(1_000):
            steps += _play(book, n)
        rates.append(len(steps) / (time.perf_counter() - began))
    encoder = msgspec.json.Encoder()
    began = time.perf_counter()
    for step in steps:
        encoder.encode(step.session)
        encoder.encode(step.entries)
    written = len(steps) / (time.perf_counter() - began)
    rate = statistics.median(rates)
    table = Table(
        f"Answers through the engine, one core (aim: {AIM_PER_S:,}/s)", ("what", "median per s", "ratio")
    )
    table.row("advance", f"{rate:,.0f}", f"{rate / AIM_PER_S:.2f} of the aim")
    table.row("the same sessions and entries written as JSON", f"{written:,.0f}", f"{rate / written:.2f}")
    return table


def _play(book: _Book, number: int) -> list[Step]:
    """One session, answered to its end; without its beginning."""
    opened = Opened(at_ms=1, by="p-1")
    session = open_session(book, "five", f"s-{number:016d}", "p-1", opened).session
    steps = []
    for answer in ANSWERS:
        event = Answered(at_ms=2, by="p-1", seq=session.seq, answer_id="a", value=answer)
        steps.append(advance(book, session, event))
        session = steps[-1].session
    return steps


def _parked() -> Table:
    """A session that waits for its eleventh answer, as the store keeps it."""
    asks = {
        f"answer_{n}": Ask(Text(f"Question {n} about {{{{ answer_0 }}}}?" if n else "What?"))
        for n in range(11)
    }
    flow = compile_class(type("Long", (Chatflow,), {"title": "Long", **asks, "done": End("Done.")}))
    book = _Book(flow)
    session = open_session(book, "long", "s-0000000000000000", "p-1", Opened(at_ms=1, by="p-1")).session
    for n in range(10):
        event = Answered(at_ms=2, by="p-1", seq=session.seq, answer_id="a", value=f"answer number {n}")
        session = advance(book, session, event).session
    size = len(msgspec.json.encode(session))
    table = Table(f"A parked session after ten answers (aim: under {AIM_BYTES:,} bytes)", ("what", "bytes"))
    table.row("the session's record", f"{size:,}")
    table.row("of which its answers", f"{len(msgspec.json.encode(session.stack)):,}")
    return table


def _words(rounds: int) -> Table:
    """What people type, over 500 flows and a thousand containers."""
    chance = random.Random(1)
    vocabulary = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(4, 9))) for _ in range(1_500)
    ]
    asks = {"which": Ask(Pick("Which?", options=facts.containers(), as_="container")), "done": End("")}
    one = compile_class(type("One", (Chatflow,), {"title": "One", **asks}))
    flows = []
    for n in range(500):
        a, b, c, d, e = chance.sample(vocabulary, 5)
        says = (f"{a} {{container}}", f"{b} {c} {{container}}", f"{{container}} {d}")
        flows.append(msgspec.structs.replace(one, name=f"flow-{n}", title=f"{a} {e}", says=says))
    names = Names(
        [
            Named(kind="container", label=f"app-{n}-{chance.choice(vocabulary)}", value=f"c{n}")
            for n in range(1_000)
        ]
    )
    index = Index(flows)
    took = []
    for n in range(300 * rounds):
        typed = chance.choice(flows[n % 500].says).replace("{container}", "app-7")
        at = chance.randrange(len(typed))
        typed = f"please {typed[:at]}{chance.choice('aeiou')}{typed[at + 1 :]} now"
        began = time.perf_counter()
        index.understand(typed, names)
        took.append((time.perf_counter() - began) * 1_000)
    took.sort()
    table = Table(
        f"Words to a flow, 500 flows, with a typo (aim: under {AIM_WORDS_MS:.0f} ms)", ("median ms", "p99 ms")
    )
    table.row(f"{statistics.median(took):.2f}", f"{took[int(len(took) * 0.99)]:.2f}")
    return table


if __name__ == "__main__":
    print(f"{machine()}\n")
    print(measure(3 if quick() else 9))
