"""Versions on a real store: sessions come over, versions are kept while needed, and the way back."""

from __future__ import annotations

import pytest

from bot.engine import text
from bot.engine.session import Session
from bot.plugins.history import NoSuchVersion
from bot.runtime import KeptFlows
from tests.runtime.lab import Lab, asks, is_over, until


def source(title: str, *lines: str, name: str = "Plan") -> str:
    head = "from bot.engine import Ask, Call, Chatflow, End, Number, Text\n\n"
    body = "".join(f"    {line}\n" for line in (f"title = '{title}'", *lines))
    return f"{head}class {name}(Chatflow):\n{body}"


WHO, OFTEN = "who = Ask(Text('Who?'))", "often = Ask(Number('How often?'))"
DONE = "done = End('Old {{ who }} {{ often }}')"
OLD = source("Plan", WHO, OFTEN, DONE)
PLAIN = source("Plan", WHO, OFTEN, "done = End('New {{ who }} {{ often }}')")
MOVING = source(
    "Plan two",
    "migrates = {'states': {'often': 'times'}}",
    WHO,
    "times = Ask(Number('How many times?'), as_='often')",
    "done = End('New {{ who }} {{ often }}')",
)
STAYING = source("Plan", "migrates = {}", WHO, "age = Ask(Number('Age?'))", OFTEN, "done = End('{{ age }}')")


async def publish(lab: Lab, source: str, file: str = "plan.py") -> str:
    (lab.plugin_folder / file).write_text(source)
    await lab.flows.reload()
    return lab.flows.current(file.removesuffix(".py")).version


async def end_of(lab: Lab, session: Session) -> str:
    return text.plain((await lab.entries(session.id))[-1].text)


async def begun(lab: Lab, id: str = "1") -> Session:
    session = (await lab.open("plan", id=id)).session
    return (await lab.answer(session, "ann", id=f"a-{id}")).session


async def test_an_open_session_finishes_on_its_version_over_restarts(lab: Lab) -> None:
    await publish(lab, OLD)
    session = await begun(lab)
    await publish(lab, PLAIN)
    await lab.end()
    await lab.begin()
    session = (await lab.answer(session, 3)).session
    assert is_over(session) and await end_of(lab, session) == "Old ann 3"


async def test_an_open_session_comes_over_by_the_rule_when_the_version_is_published(lab: Lab) -> None:
    await publish(lab, OLD)
    session = await begun(lab)
    new = await publish(lab, MOVING)
    session = await lab.until(session.id, lambda s: s.flow_version == new)
    assert session.title == "Plan two" and asks("often")(session)
    session = (await lab.answer(session, 3)).session
    assert await end_of(lab, session) == "New ann 3"
    assert [e.kind for e in await lab.entries(session.id)].count("migrated") == 1


async def test_what_was_published_while_no_bot_ran_moves_sessions_at_the_next_start(lab: Lab) -> None:
    await publish(lab, OLD)
    session = await begun(lab)
    await lab.end()
    (lab.plugin_folder / "plan.py").write_text(MOVING)
    await lab.begin()
    await lab.until(session.id, lambda s: s.title == "Plan two")


async def test_a_session_that_cannot_come_over_stays_and_is_told_once(lab: Lab) -> None:
    await publish(lab, OLD)
    session = await begun(lab)
    await publish(lab, STAYING)
    session = await lab.until(session.id, lambda s: bool(s.considered))
    await lab.end()
    await lab.begin()
    session = (await lab.answer(session, 3)).session
    assert await end_of(lab, session) == "Old ann 3"
    told = [text.plain(e.text) for e in await lab.entries(session.id) if e.kind == "migrated"]
    assert len(told) == 1 and "needs 'age', which is not known" in told[0]


async def test_a_session_in_the_middle_of_a_step_comes_over_after_it(lab: Lab) -> None:
    step = (
        "from bot.engine import Ask, Chatflow, Do, End, Text, orders\n\nclass Plan(Chatflow):\n"
        "    title = 'Plan'\n{migrates}    ref = Ask(Text('Which?'))\n"
        "    do = Do(orders.ResolveImage(reference='{{{{ ref }}}}'))\n"
        "    more = Ask(Text('More?'))\n    done = End('{end}')\n"
    )
    await publish(lab, step.format(migrates="", end="Old."))
    lab.world.answering = lambda effect: None
    session = (await lab.open("plan", ref="x")).session
    new = await publish(lab, step.format(migrates="    migrates = {}\n", end="New."))
    assert (await lab.session(session.id)).flow_version != new
    lab.world.answering = None
    await until(lambda: bool(lab.world.orders))
    for known in list(lab.world.orders.values()):
        await lab.fleet.send(known.effect)
    session = await lab.until(session.id, lambda s: s.flow_version == new and asks("more")(s))
    assert is_over((await lab.answer(session, "no")).session) and await end_of(lab, session) == "New."


async def test_versions_are_kept_while_somebody_needs_them_and_collected_afterwards(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.plugins.history.KEPT", 1)
    kept = KeptFlows(lab.store)
    inner = source("Inner", "what = Ask(Text('What?'))", "done = End('in')", name="Inner")
    await publish(lab, inner, "inner.py")
    calling = source("Plan", WHO, "call = Call('inner')", "done = End('Old.')")
    old = await publish(lab, calling)
    pinned = lab.flows.current("inner").version
    session = await begun(lab)
    await publish(lab, inner.replace("'in'", "'in two'"), "inner.py")
    await publish(lab, PLAIN)
    await lab.runtime._versions.collect()
    assert {old, pinned} <= set(await kept.versions())
    session = (await lab.answer(session, "x")).session
    assert is_over(session) and await end_of(lab, session) == "Old."
    gone = await lab.runtime._versions.collect()
    assert {old, pinned} <= set(gone) and not {old, pinned} & set(await kept.versions())
    assert lab.flows.current("plan").version in await kept.versions()


async def test_going_back_is_one_more_publication_and_holds_until_the_file_changes(lab: Lab) -> None:
    old = await publish(lab, OLD)
    new = await publish(lab, PLAIN)
    with pytest.raises(NoSuchVersion):
        await lab.flows.back("plan", "ffff")
    assert (await lab.flows.back("plan", old[:12])).version == old
    await lab.end()
    await lab.begin()
    assert lab.flows.current("plan").version == old, "after a restart, too"
    session = await begun(lab)
    assert session.flow_version == old
    assert [(p.version, p.how) for p in lab.flows.histories.of("plan")] == [
        (old, "file"),
        (new, "file"),
        (old, "back"),
    ]
    assert await publish(lab, PLAIN.replace("New", "Newer")) not in (old, new)
    assert (await lab.flows.back("plan", new)).version == new


async def test_a_file_that_does_not_change_is_published_once(lab: Lab) -> None:
    version = await publish(lab, OLD)
    for _ in range(2):
        await lab.end()
        await lab.begin()
    assert [p.version for p in lab.flows.histories.of("plan")] == [version]
