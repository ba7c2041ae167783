"""The audit log: once by id, chained, on the disk, whole again after any crash."""

import asyncio
import itertools
import multiprocessing
import os
import resource
from pathlib import Path

import pytest

from bot.audit import AuditLog, AuditUnreadable, BadLine, lines, verify


async def _say(log: AuditLog, *numbers: int) -> list[bool]:
    return list(
        await asyncio.gather(
            *(
                log.append(
                    id=f"f-{n:08d}", at_ms=1000 + n, actor="p-anna", what="session.opened", details={"k": n}
                )
                for n in numbers
            )
        )
    )


async def _opened(folder: Path) -> AuditLog:
    log = AuditLog(folder)
    await log.open()
    return log


def _all_lines(folder: Path) -> list[bytes]:
    return [raw for file in lines.segments(folder) for raw in file.read_bytes().splitlines()]


async def test_every_entry_is_chained_to_the_one_before(tmp_path: Path) -> None:
    log = await _opened(tmp_path / "audit")
    assert await _say(log, *range(20)) == [True] * 20
    checked = verify(tmp_path / "audit")
    assert (checked.first, checked.last, checked.segments) == (1, 20, 1)
    assert verify(lines.segments(tmp_path / "audit")[0]).head == checked.head


async def test_the_same_id_is_written_once_also_after_a_restart(tmp_path: Path) -> None:
    log = await _opened(tmp_path)
    assert await _say(log, 1, 2, 2, 1) == [True, True, False, False]
    assert await _say(await _opened(tmp_path), 1, 2, 3) == [False, False, True]
    assert verify(tmp_path).last == 3


async def test_a_line_that_was_never_finished_is_taken_off(tmp_path: Path) -> None:
    await _say(await _opened(tmp_path), 1, 2)
    whole = lines.segments(tmp_path)[0].read_bytes()
    second = whole.splitlines(keepends=True)[1]
    for length in range(1, len(second)):
        lines.segments(tmp_path)[0].write_bytes(whole + second[:length].rstrip(b"\n"))
        log = await _opened(tmp_path)
        assert await _say(log, 2) == [False]
    assert await _say(await _opened(tmp_path), 3) == [True]
    assert verify(tmp_path).last == 3


async def test_any_changed_byte_is_found_and_its_line_named(tmp_path: Path) -> None:
    await _say(await _opened(tmp_path), 1, 2, 3)
    file = lines.segments(tmp_path)[0]
    good = file.read_bytes()
    for at in range(len(good)):
        file.write_bytes(good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :])
        if good.splitlines(keepends=True)[-1] == file.read_bytes().splitlines(keepends=True)[-1]:
            with pytest.raises(BadLine) as bad:
                verify(tmp_path)
            assert bad.value.line in (line := good[:at].count(b"\n") + 1, line + 1)
    file.write_bytes(good)
    assert verify(tmp_path).last == 3


@pytest.mark.parametrize("what", ["delete", "insert", "swap", "repeat", "another_segment_name", "cut"])
async def test_a_rewritten_audit_names_its_first_bad_line(tmp_path: Path, what: str) -> None:
    await _say(await _opened(tmp_path), 1, 2, 3, 4)
    file = lines.segments(tmp_path)[0]
    a, b, c, d = file.read_bytes().splitlines(keepends=True)
    new, line = {
        "delete": ([a, c, d], 2),
        "insert": ([a, b, a, c, d], 3),
        "swap": ([a, c, b, d], 2),
        "repeat": ([a, b, b, c, d], 3),
        "another_segment_name": ([a, b, c, d], 1),
        "cut": ([a, b, c, d[:-1]], 4),
    }[what]
    file.write_bytes(b"".join(new))
    if what == "another_segment_name":
        file.rename(tmp_path / lines.segment_name(7))
    with pytest.raises(BadLine) as bad:
        verify(tmp_path)
    assert bad.value.line == line


async def test_nothing_is_appended_to_an_audit_that_was_changed(tmp_path: Path) -> None:
    await _say(await _opened(tmp_path), 1, 2, 3)
    file = lines.segments(tmp_path)[0]
    a, _, c = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(a + c)
    with pytest.raises(AuditUnreadable):
        await _opened(tmp_path)


async def test_segments_follow_each_other_in_one_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "SEGMENT_BYTES", 2_000)
    log = await _opened(tmp_path)
    await _say(log, *range(100))
    await _say(await _opened(tmp_path), *range(100, 150))
    assert verify(tmp_path).last == 150
    assert verify(tmp_path).segments > 5
    lines.segments(tmp_path)[2].unlink()
    with pytest.raises(BadLine):
        verify(tmp_path)


async def test_two_processes_may_write_in_turn(tmp_path: Path) -> None:
    one, other = await _opened(tmp_path), await _opened(tmp_path)
    for n in range(10):
        assert await _say((one, other)[n % 2], n, n + 100) == [True, True]
    assert await _say(one, *range(10)) == [False] * 10
    assert verify(tmp_path).last == 20


def _write_until_the_disk_is_full(folder: Path, limit: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the log is no part of the full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    async def go() -> None:
        log = await _opened(folder)
        for n in itertools.count():
            try:
                await _say(log, n)
            except OSError:
                break
        else:
            raise AssertionError
        with pytest.raises(OSError):
            await _say(log, n)

    asyncio.run(go())
    os._exit(0)


def test_a_disk_that_takes_no_more_leaves_a_whole_audit(tmp_path: Path) -> None:
    for limit in (1_000, 1_001, 1_100, 50):
        folder = tmp_path / str(limit)
        process = multiprocessing.get_context("spawn").Process(
            target=_write_until_the_disk_is_full, args=(folder, limit)
        )
        process.start()
        process.join(30)
        assert process.exitcode == 0
        last = verify(folder).last
        assert asyncio.run(_more(folder)) == [False] * last + [True]
        assert verify(folder).last == last + 1


async def _more(folder: Path) -> list[bool]:
    log = await _opened(folder)
    return await _say(log, *range(len(_all_lines(folder)) + 1))


async def test_an_entry_beyond_its_limit_is_our_mistake(tmp_path: Path) -> None:
    log = await _opened(tmp_path)
    with pytest.raises(ValueError, match=r"session\.opened"):
        await log.append(
            id="f-1", at_ms=1, actor="", what="session.opened", details={"x": "y" * lines.LINE_BYTES}
        )
