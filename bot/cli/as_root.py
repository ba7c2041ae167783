"""Run a program as root on behalf of a supervisor that is not: `sudo python -m bot.cli.as_root PROGRAM…`.

The supervisor may not signal what runs as root, so this ends its program when its standard input closes,
which also happens when the supervisor dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

END_WITHIN_S = 20


def main(words: list[str]) -> int:
    """Run `words` until it ends or standard input does; the exit code is the program's."""
    program = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: program.send_signal(signal.SIGTERM))

    def wait_for_end_of_input() -> None:
        while os.read(0, 4096):
            continue
        program.send_signal(signal.SIGTERM)
        try:
            program.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            program.kill()

    threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
