"""The store against a model of a dozen lines: commit, repeat, lease, settle, release, time passing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from bot.store import Commit, Committed, EmbeddedStore, IdReused, Leased, Repeated, Store, Superseded
from tests.store.steps import ADMIN, NOW, connect, make_ready

SESSIONS = [f"s-{n}" for n in range(3)]
LEASE_MS = 100


class Session:
    def __init__(self) -> None:
        self.record = b""
        self.version = 0
        self.entries: list[tuple[int, bytes]] = []
        self.outcomes: dict[str, tuple[str, int, bytes]] = {}
        self.open = True


class Wished:
    def __init__(self, session: str, due_ms: int) -> None:
        self.session, self.due_ms, self.free_at, self.attempts = session, due_ms, due_ms, 0


class StoreMachine(RuleBasedStateMachine):
    """Each rule does the same to the store and to the model, and compares what both say."""

    server: EmbeddedStore

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.store: Store = self.wait(self.begin())
        self.sessions = {id: Session() for id in SESSIONS}
        self.wishes: dict[str, Wished] = {}
        self.held: list[Leased] = []
        self.now = NOW
        self.number = 0

    def wait(self, what: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(what)

    async def begin(self) -> Store:
        admin = Redis(
            unix_socket_path=str(self.server.socket), username=self.server.admin_user, password=ADMIN
        )
        await admin.flushall()
        await admin.aclose()
        await make_ready(self.server)
        return await connect(self.server)

    def teardown(self) -> None:
        self.wait(self.store.close())
        self.loop.close()

    @rule(
        id=st.sampled_from(SESSIONS),
        stale=st.integers(-1, 1),
        again=st.booleans(),
        entries=st.integers(0, 2),
        effects=st.lists(st.integers(-50, 300), max_size=2),
        timers=st.lists(st.integers(-50, 300), max_size=2),
        body=st.sampled_from(["", "sha"]),
        open=st.booleans(),
        data=st.data(),
    )
    def commit(
        self,
        id: str,
        stale: int,
        again: bool,
        entries: int,
        effects: list[int],
        timers: list[int],
        body: str,
        open: bool,
        data: st.DataObject,
    ) -> None:
        model = self.sessions[id]
        self.number += 1
        by = (
            data.draw(st.sampled_from(sorted(model.outcomes)))
            if again and model.outcomes
            else f"a{self.number}"
        )
        own = sorted(name for name, wish in self.wishes.items() if wish.session == id)
        settled = data.draw(st.lists(st.sampled_from(own), max_size=2)) if own else []
        count = len(model.entries)
        commit = Commit(
            session_id=id,
            seen=max(0, model.version + (stale if stale < 0 else 0)),
            by=by,
            outcome=b"o%d" % self.number,
            record=b"r%d" % self.number,
            entries=[(count + n + 1, b"e%d" % self.number) for n in range(entries)],
            effects=[(f"f{self.number}-{n}", self.now + d, b"f") for n, d in enumerate(effects)],
            timers=[(f"t{self.number}-{n}", self.now + d, b"t") for n, d in enumerate(timers)],
            settled=settled,
            open=open,
            person="p-1",
            body_sha=body,
        )
        if by in model.outcomes:
            sha, version, outcome = model.outcomes[by]
            if sha != body:
                with pytest.raises(IdReused):
                    self.wait(self.store.commit(commit))
            else:
                assert self.wait(self.store.commit(commit)) == Repeated(version, outcome)
        elif commit.seen != model.version:
            assert self.wait(self.store.commit(commit)) == Superseded(model.version, model.record)
        else:
            done = self.wait(self.store.commit(commit))
            assert isinstance(done, Committed)
            model.version += 1
            model.record, model.open = commit.record, open
            model.entries += commit.entries
            model.outcomes[by] = (body, model.version, commit.outcome)
            assert (done.version, done.entries) == (model.version, len(model.entries))
            for name, due_ms, _ in (*commit.effects, *commit.timers):
                self.wishes[name] = Wished(id, due_ms)
            for name in settled:
                self.wishes.pop(name, None)

    @rule(limit=st.sampled_from([1, 2, 100]))
    def lease(self, limit: int) -> None:
        due = {name for name, wish in self.wishes.items() if wish.free_at <= self.now}
        leased = self.wait(self.store.lease(self.now, lease_ms=LEASE_MS, limit=limit))
        assert len(leased) == min(limit, len(due))
        assert {one.effect_id for one in leased} <= due
        for one in leased:
            wish = self.wishes[one.effect_id]
            wish.attempts += 1
            wish.free_at = self.now + LEASE_MS
            assert (one.session_id, one.due_ms, one.attempt) == (wish.session, wish.due_ms, wish.attempts)
        self.held += leased

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        one = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        assert self.wait(self.store.settle(one)) == int(self.wishes.pop(one.effect_id, None) is not None)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), later=st.integers(0, 200))
    def release(self, data: st.DataObject, later: int) -> None:
        one = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        wish = self.wishes.get(one.effect_id)
        mine = wish is not None and wish.attempts == one.attempt
        assert self.wait(self.store.release(one, self.now + later)) == mine
        if mine and wish:
            wish.free_at = self.now + later

    @rule(ms=st.sampled_from([1, 50, 100, 400]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @invariant()
    def says_the_same(self) -> None:
        for id, model in self.sessions.items():
            loaded = self.wait(self.store.load(id))
            if model.version == 0:
                assert loaded is None
                continue
            assert (loaded.version, loaded.record, loaded.open) == (model.version, model.record, model.open)
            assert self.wait(self.store.entries(id)) == model.entries
        here = {id: model.open for id, model in self.sessions.items() if model.version}
        listed = self.wait(self.store.session_ids("p-1", state="open"))
        assert set(listed.ids) == {id for id, open in here.items() if open}
        listed = self.wait(self.store.session_ids("p-1", state="ended"))
        assert set(listed.ids) == {id for id, open in here.items() if not open}
        assert self.wait(self.store.alarms()) == []


def test_store_does_what_the_model_does(valkey: EmbeddedStore) -> None:
    machine = type("Machine", (StoreMachine,), {"server": valkey})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
