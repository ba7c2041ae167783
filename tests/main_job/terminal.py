"""A terminal to talk to a program in: what it shows, as text, and keys typed into it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import selectors
import subprocess
import time

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[=>78]|\([A-Z0-9])")


class Terminal:
    """A pseudo-terminal with a program in it."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            words,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
            start_new_session=True,
            cwd="/",
        )
        os.close(slave)
        self.raw = ""

    @property
    def text(self) -> str:
        """All that was shown, without colours and movements."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    def until(self, words: str, within_s: float = 60) -> None:
        """Wait until it shows these words after what was waited for before."""
        end = time.monotonic() + within_s
        while words not in self.text[self._seen :]:
            assert time.monotonic() < end, f"{words!r} did not come:\n{self.text}"
            self._read(0.2)
            if self.process.poll() is not None:
                self._read(0.2)
                assert words in self.text[self._seen :], self.text
        self._seen += self.text[self._seen :].index(words) + len(words)

    _seen = 0

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        time.sleep(0.2)  # as a person: the line editor has to be there
        os.write(self._master, line.encode() + b"\r")

    def wait(self, within_s: float = 60) -> int:
        """Read to the end; the exit code."""
        end = time.monotonic() + within_s
        while self.process.poll() is None:
            assert time.monotonic() < end, self.text
            self._read(0.1)
        self._read(0.1)
        return self.process.returncode

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self, within_s: float) -> None:
        with selectors.DefaultSelector() as reading:
            reading.register(self._master, selectors.EVENT_READ)
            with contextlib.suppress(OSError):  # the other end is closed
                while reading.select(within_s):
                    self.raw += os.read(self._master, 65536).decode(errors="replace")
                    within_s = 0
