"""The command line's way to the running bot, as its owner: HTTP over DIR/run/bot.sock.

Only whoever may open the socket (0600) gets in. Plain http.client, since most commands make one call.
"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from bot.cli.common import NotRunning
from bot.engine.refusals import Refused
from bot.settings import Settings

WITHIN_S = 30.0


class OwnerTold(Refused):
    """What the bot refused, in its own words."""

    code = "told"
    says = "{detail}"
    do = "{do}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=WITHIN_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def call(settings: Settings, method: str, path: str, body: Any = None) -> Any:
    """One call. Raises NotRunning, OwnerTold."""
    connection = _UnixConnection(settings.owner_socket)
    headers = {"Authorization": "Bearer owner", "Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        raw = response.read()
    except (OSError, http.client.HTTPException) as e:
        raise NotRunning(data=settings.data) from e
    finally:
        connection.close()
    answer: Any = json.loads(raw) if raw else {}
    if response.status >= 400:
        raise OwnerTold(detail=answer.get("detail", "It was refused."), do=answer.get("do", ""))
    return answer
