"""docs/runtime.md names every log event of its three rooms, and its numbers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from bot.plugins import limits as plugins
from bot.runtime import limits

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "runtime.md").read_text()


def test_every_log_event_is_in_the_guide_and_every_named_one_exists() -> None:
    code = "".join(
        path.read_text()
        for room in ("runtime", "plugins", "audit")
        for path in (ROOT / "bot" / room).glob("*.py")
    )
    logged = set(re.findall(r'log\.(?!get_logger)\w+\(\s*"([a-z_.]+)"', code))
    logged |= {"effect.parked", "effect.failed"}
    table = DOC[DOC.index("## Log events") :]
    assert logged == set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`(?=[,| ])", table))


def test_the_numbers_of_the_guide_are_those_of_the_code() -> None:
    for words in (
        f"up to {limits.COMMIT_FOR_S:.0f} s",
        f"A lease is {limits.LEASE_MS // 1000} s",
        f"{limits.BACKOFF_FROM_MS / 1000} s, growing to {limits.BACKOFF_TO_MS // 1000} s",
        f"{limits.RESEND_FROM_MS // 1000} s, growing to {limits.RESEND_TO_MS // 60_000} min",
        f"at most {limits.LOOK_S:.0f} s",
        f"{plugins.MEMORY_BYTES // 1024**2} MiB",
        f"{plugins.CPU_S} s of processor time",
        f"{plugins.LOAD_S:.0f} s in all",
        f"more than {plugins.FILE_BYTES // 1024} KiB",
        f"plain JSON out, {plugins.HOOK_S:.0f} s",
    ):
        assert words in DOC, words
