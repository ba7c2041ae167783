"""Durable commits per second, against the limit that the same Valkey sets in the same run.

`python -m benchmarks.store [--quick]`: commits of about 1 kB (session, one entry, commit id, tags on all) at
1, 100 and 1,000 callers, each synced to disk before it is answered (appendfsync always), and beside them
plain `SET`s of the same bytes in pipelines of the same width, and one fdatasync of this disk.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import uvloop
from redis.asyncio import Redis

from bot.store import Commit, Committed, EmbeddedStore, Store
from bot.store.setup import BOT_USER, prepare

CALLERS = (1, 100, 1_000)
RECORD, ENTRY, OUTCOME = b"r" * 700, b"e" * 200, b"o" * 100


class Figure(NamedTuple):
    """One measured rate, with the time that 99 of 100 took at most."""

    name: str
    callers: int
    per_second: float
    p99_ms: float


async def measure(seconds: float) -> list[Figure]:
    """All figures, each measured for `seconds`."""
    with tempfile.TemporaryDirectory(prefix="hb") as folder:
        admin, bot = secrets.token_hex(16), secrets.token_hex(16)
        tag_key = secrets.token_bytes(32)
        valkey = EmbeddedStore(Path(folder), admin_password=admin, bot_password=bot)
        await valkey.start()
        try:
            await prepare(
                valkey.url,
                user=valkey.admin_user,
                password=admin,
                bot_password=bot,
                tag_key=tag_key,
                installation="i-bench",
            )
            store = await Store.connect(
                valkey.url, user=BOT_USER, password=bot, tag_key=tag_key, installation="i-bench"
            )
            plain = Redis(unix_socket_path=str(valkey.socket), username=valkey.admin_user, password=admin)
            figures = []
            for callers in CALLERS:
                figures.append(await _commits(store, callers, seconds))
                figures.append(await _sets(plain, callers, seconds))
            await plain.aclose()
            await store.close()
            return figures
        finally:
            await valkey.stop()


async def _commits(store: Store, callers: int, seconds: float) -> Figure:
    async def caller(number: int, until: float, times: list[float]) -> None:
        version, session_id = 0, f"s-{callers}-{number}"
        while (begun := time.perf_counter()) < until:
            done = await store.commit(
                Commit(
                    session_id=session_id,
                    seen=version,
                    by=f"a-{version}",
                    outcome=OUTCOME,
                    record=RECORD,
                    entries=[(version + 1, ENTRY)],
                )
            )
            assert isinstance(done, Committed)
            version = done.version
            times.append(time.perf_counter() - begun)

    return await _rate("commit", callers, seconds, caller)


async def _sets(plain: Redis, callers: int, seconds: float) -> Figure:
    """What the server and the client can do at all: as many SETs in one pipeline as there are callers."""
    value, times = RECORD + ENTRY + OUTCOME, list[float]()
    until = time.perf_counter() + seconds
    begun_all, count = time.perf_counter(), 0
    while (begun := time.perf_counter()) < until:
        pipe = plain.pipeline(transaction=False)
        for number in range(callers):
            pipe.set(f"bench:{number}", value)
        await pipe.execute()
        count += callers
        times.append(time.perf_counter() - begun)
    return Figure("plain SET", callers, count / (time.perf_counter() - begun_all), _p99(times))


async def _rate(
    name: str, callers: int, seconds: float, caller: Callable[[int, float, list[float]], Awaitable[None]]
) -> Figure:
    times = list[float]()
    begun = time.perf_counter()
    await asyncio.gather(*(caller(number, begun + seconds, times) for number in range(callers)))
    return Figure(name, callers, len(times) / (time.perf_counter() - begun), _p99(times))


def _p99(times: list[float]) -> float:
    return 1000 * sorted(times)[int(len(times) * 0.99)]


def sync_us(folder: Path, times: int = 200) -> float:
    """Microseconds of one fdatasync of 1 kB on the disk under `folder`."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        begun = time.perf_counter()
        for _ in range(times):
            os.write(file.fileno(), b"x" * 1000)
            os.fdatasync(file.fileno())
        return (time.perf_counter() - begun) / times * 1e6


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a second per figure instead of three")
    chosen = parser.parse_args(arguments)
    figures = uvloop.run(measure(0.5 if chosen.quick else 3.0))
    print(f"one fdatasync of 1 kB: {sync_us(Path(tempfile.gettempdir())):.0f} µs")
    print(f"{'':10} {'callers':>8} {'per second':>11} {'p99 ms':>8}")
    for figure in figures:
        print(f"{figure.name:10} {figure.callers:8} {figure.per_second:11,.0f} {figure.p99_ms:8.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
