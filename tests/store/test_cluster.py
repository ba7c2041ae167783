"""The store on a cluster of two servers: the same promises, each shard on its own server."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster

from bot.store import Committed, Kind, Store, StoreGone, Superseded, Tampered, keys
from bot.store.embedded import binary
from bot.store.setup import BOT_USER, Prepared, prepare
from tests.store.steps import BOT, INSTALLATION, NOW, TAG_KEY, committed, send, step, until

PASSWORD = "default-password"
SETTINGS = """\
port {port}
bind 127.0.0.1
cluster-enabled yes
cluster-port {bus}
cluster-node-timeout 2000
cluster-require-full-coverage no
appendonly yes
appendfsync always
maxmemory-policy noeviction
dir {folder}
user default on >{password} ~* &* +@all
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Cluster:
    """Two servers with half of the slots each."""

    def __init__(self, folder: Path) -> None:
        *self.ports, bus_1, bus_2 = free_ports(4)
        self.processes: list[subprocess.Popen[bytes]] = []
        for port, bus in zip(self.ports, (bus_1, bus_2), strict=True):
            own = folder / str(port)
            own.mkdir()
            (own / "conf").write_text(SETTINGS.format(port=port, bus=bus, folder=own, password=PASSWORD))
            self.processes.append(subprocess.Popen([binary(), own / "conf"], stdout=subprocess.DEVNULL))
        self.buses = [bus_1, bus_2]
        self.url = f"redis://127.0.0.1:{self.ports[0]}"

    async def join(self) -> None:
        clients = [Redis(port=port, password=PASSWORD) for port in self.ports]
        for client, slots in zip(clients, ((0, 8191), (8192, 16383)), strict=True):
            await client.ping()
            await send(client, "CLUSTER", "ADDSLOTSRANGE", *map(str, slots))
        await send(clients[0], "CLUSTER", "MEET", "127.0.0.1", str(self.ports[1]), str(self.buses[1]))

        async def joined() -> bool:
            found = [await send(client, "CLUSTER", "INFO") for client in clients]
            return all(b"cluster_state:ok" in one and b"slots_assigned:16384" in one for one in found)

        await until(joined, within_s=60)
        for client in clients:
            await client.aclose()

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="hs"))
    made = Cluster(folder)
    try:
        await made.join()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder)


async def ready(cluster: Cluster) -> tuple[Prepared, Store, Store]:
    prepared = await prepare(
        cluster.url,
        user="default",
        password=PASSWORD,
        bot_password=BOT,
        tag_key=TAG_KEY,
        installation=INSTALLATION,
    )
    stores = [
        await Store.connect(
            f"redis://127.0.0.1:{port}",
            user=BOT_USER,
            password=BOT,
            tag_key=TAG_KEY,
            installation=INSTALLATION,
        )
        for port in cluster.ports
    ]
    return prepared, stores[0], stores[1]


async def test_everything_holds_on_a_cluster(cluster: Cluster) -> None:
    prepared, here, there = await ready(cluster)
    assert (prepared.cluster, prepared.warnings) == (True, [])
    try:
        await commits_on_both_servers(here, there)
        await records_and_effects(here, there)
        await hints_between_processes(here, there)
        await tampering_is_noticed(cluster, here)
        await one_server_lost(cluster, here)
    finally:
        await here.close()
        await there.close()


async def commits_on_both_servers(here: Store, there: Store) -> None:
    sessions = [f"s-{n}" for n in range(40)]
    await asyncio.gather(
        *(committed(here, step(0, session_id=id, effects=[(f"f-{id}", NOW, b"")])) for id in sessions)
    )
    for id in sessions[:3]:
        outcomes = await asyncio.gather(
            *((here, there)[n % 2].commit(step(1, by=f"a{n}", session_id=id)) for n in range(40))
        )
        assert Counter(type(one) for one in outcomes) == {Committed: 1, Superseded: 39}
    assert sorted((await there.session_ids("p-1", limit=100)).ids) == sorted(sessions)
    assert sorted((await there.session_ids(limit=100)).ids) == sorted(sessions)


async def records_and_effects(here: Store, there: Store) -> None:
    for kind in (Kind.NODE, Kind.ORDER):
        for n in range(20):
            await here.put(kind, f"x-{n}", b"body")
        assert len((await there.all(kind)).items) == 20
    taken = await asyncio.gather(*((here, there)[n % 2].take(Kind.NODE, "x-1") for n in range(20)))
    assert sum(one is not None for one in taken) == 1
    leased = [*await here.lease(NOW, lease_ms=60_000), *await there.lease(NOW, lease_ms=60_000)]
    assert len({one.effect_id for one in leased}) == len(leased) == 40
    assert await there.settle(*leased) == 40


async def hints_between_processes(here: Store, there: Store) -> None:
    for id in ("s-1", "s-2", "s-3", "s-4"):
        async with aclosing(here.watch(id)) as hints:
            assert (await asyncio.wait_for(anext(hints), 60)).kind == "entries"
            await there.say_progress(id, b"50 %")
            assert (await asyncio.wait_for(anext(hints), 60)).body == b"50 %"


async def tampering_is_noticed(cluster: Cluster, here: Store) -> None:
    admin = RedisCluster.from_url(cluster.url, password=PASSWORD)
    await admin.set(keys.record(Kind.PERSON, "p-1"), b"owner")
    await admin.aclose()
    with pytest.raises(Tampered):
        await here.get(Kind.PERSON, "p-1")
    assert [one.key for one in await here.alarms()] == [keys.record(Kind.PERSON, "p-1")]


async def one_server_lost(cluster: Cluster, here: Store) -> None:
    cluster.processes[1].kill()
    cluster.processes[1].wait()
    outcomes: list[object] = []
    for n in range(12):
        try:
            outcomes.append(await asyncio.wait_for(here.commit(step(0, session_id=f"s-late-{n}")), 60))
        except StoreGone:
            outcomes.append(None)
    lost = sum(one is None for one in outcomes)
    assert 0 < lost < 12, outcomes
