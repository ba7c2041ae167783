"""Key names: one slot per shard, stable for ever, all of them in docs/store.md."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis.crc import key_slot

from bot.store import keys, limits
from bot.store.errors import BadName
from bot.store.keys import Kind

DOC = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
OF_A_SHARD: list[Callable[[int], str]] = [
    keys.made,
    keys.effects,
    keys.attempts,
    keys.ready,
    keys.parked,
    keys.open_sessions,
    keys.ended_sessions,
    keys.unindexed,
    keys.ready_channel,
]
OF_A_SESSION: list[Callable[[str], str]] = [
    keys.session,
    keys.transcript,
    keys.commits,
    keys.progress,
    keys.session_channel,
]


def test_keys_of_a_session_share_the_slot_of_their_shard() -> None:
    for n in range(300):
        id = f"s-{n}"
        names = [make(id) for make in OF_A_SESSION] + [make(keys.shard(id)) for make in OF_A_SHARD]
        assert len({key_slot(name.encode()) for name in names}) == 1
        assert all(keys.shard_of_key(name) == keys.shard(id) for name in names)


@pytest.mark.parametrize("kind", Kind)
def test_keys_of_a_record_share_a_slot(kind: Kind) -> None:
    for n in range(50):
        number = keys.record_shard(kind, f"x-{n}")
        names = [keys.record(kind, f"x-{n}"), keys.record_ids(kind, number), keys.parked(number)]
        assert len({key_slot(name.encode()) for name in names}) == 1
        assert number in keys.record_shards(kind)


def test_all_shards_are_used_and_lie_in_different_slots() -> None:
    assert {keys.shard(f"s-{n}") for n in range(5000)} == set(range(limits.SHARDS))
    assert len({key_slot(keys.made(n).encode()) for n in range(limits.SHARDS)}) == limits.SHARDS


@pytest.mark.parametrize(
    ("id", "shard"), [("s-0000000000000000", 190), ("s-0123456789abcdef", 233), ("p-1", 151)]
)
def test_shard_of_an_id_never_changes(id: str, shard: int) -> None:
    assert keys.shard(id) == shard


def test_no_two_names_are_alike() -> None:
    names = [make("s-1") for make in OF_A_SESSION] + [make(keys.shard("s-1")) for make in OF_A_SHARD]
    names += [keys.index("person", "s-1", state) for state in ("open", "ended", "versions")]
    names += [keys.record(kind, "s-1") for kind in Kind] + [keys.record_ids(kind, 0) for kind in Kind]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("bad", ["", "a}b", "{a", "a b", "a/b", "a\n", "\0", "ä", "x" * 201])
def test_name_that_could_reach_elsewhere_is_refused(bad: str) -> None:
    with pytest.raises(BadName):
        keys.checked(bad)


def test_every_name_has_its_row_in_the_docs() -> None:
    shown: dict[Callable[..., Any], str] = {make: make(0) for make in (*OF_A_SHARD, keys.types)}
    shown |= {make: make("SESSION") for make in OF_A_SESSION}
    shown |= {
        keys.effect: keys.effect(0, "ID"),
        keys.entry: keys.entry("SESSION", 7).replace("/7", "/N"),
        keys.commit: keys.commit("SESSION", "BY"),
        keys.index: keys.index("person", "ID", "open"),
        keys.record: keys.record(Kind.NODE, "ID").replace("node", "KIND"),
        keys.record_ids: keys.record_ids(Kind.NODE, 0).replace("node", "KIND"),
    }
    for name in [keys.INSTALLATION, keys.SCHEMA_KEY, *shown.values()]:
        row = re.sub(r"^h1:\{s\d{3}\}:", "", name)
        assert f"| `{row}` |" in DOC, f"docs/store.md has no row for {row}"

    no_keys = {
        keys.checked,
        keys.shard,
        keys.tagged,
        keys.record_shard,
        keys.record_shards,
        keys.shard_of_key,
    }
    all_of_them = {
        made
        for name, made in inspect.getmembers(keys, callable)
        if getattr(made, "__module__", "") == keys.__name__ and not isinstance(made, type) and name[0] != "_"
    }
    assert all_of_them == set(shown) | no_keys


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_record_has_its_row_in_the_docs(kind: Kind) -> None:
    assert f"| `{kind.value}` |" in DOC
