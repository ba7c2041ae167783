"""An agent without a link that kills itself (SIGKILL) at its n-th failure point: victim.py DATA N.

Envelopes come on stdin, one a line; each result's payload goes to stdout, one a line.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from pathlib import Path

from agent.checks import Accepted, Known, examine
from agent.logs import to_stderr
from agent.node import now_ms
from tests.agent.place import Desk


def main() -> None:
    data, kill_at = Path(sys.argv[1]), int(sys.argv[2])
    count = itertools.count(1)
    lock = threading.Lock()

    def point(name: str) -> None:
        with lock:
            if next(count) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    to_stderr()
    desk = Desk(data, point)
    desk.carrier.resume()
    for envelope in sys.stdin.read().split():
        found = examine(envelope.encode(), desk.node, now_ms())
        assert isinstance(found, Accepted | Known), found
        order = found.body.id if isinstance(found, Accepted) else found.row.id
        desk.carrier.receive(envelope.encode())
        desk.result(order)
        print(desk.raw(order), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
