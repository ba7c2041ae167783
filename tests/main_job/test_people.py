"""People by the command line: what is revoked, signed out or removed opens nothing any more."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any

from tests.main_job.machine import Machine


def test_a_revoked_token_and_a_removed_person_open_nothing(running: Machine) -> None:
    assert running.cli("user", "add", "ada", "--role", "operator").returncode == 0
    token = running.cli("user", "token", "ada", "--label", "backup").stdout.strip()
    assert _status(running, "/api/v1/flows", {"Authorization": f"Bearer {token}"}) == 200
    held = json.loads(running.cli("user", "tokens", "ada", "--json").stdout)
    assert [t["name"] for t in held] == ["backup"]
    revoked = running.cli("user", "revoke", held[0]["id"])
    assert revoked.returncode == 0, revoked.stderr
    assert _status(running, "/api/v1/flows", {"Authorization": f"Bearer {token}"}) == 401
    assert "no API token" in running.cli("user", "tokens", "ada").stdout
    again = running.cli("user", "revoke", held[0]["id"])
    assert again.returncode == 1
    assert again.stderr
    other = running.cli("user", "token", "ada").stdout.strip()
    assert running.cli("user", "remove", "ada").returncode == 0
    assert _status(running, "/api/v1/flows", {"Authorization": f"Bearer {other}"}) == 401


def test_who_is_signed_out_everywhere_has_to_sign_in_again(running: Machine) -> None:
    cookie = _signed_in(running)
    assert _status(running, "/api/v1/flows", {"Cookie": cookie}) == 200
    done = running.cli("user", "sign-out", "owner")
    assert done.returncode == 0, done.stderr
    assert _status(running, "/api/v1/flows", {"Cookie": cookie}) == 401


def _signed_in(running: Machine) -> str:
    link = urllib.parse.urlsplit(running.cli("user", "link").stdout.strip())
    response = _ask(running, "POST", link.path, {"Origin": f"http://{link.netloc}"})
    assert response.status in (302, 303)
    return (response.getheader("Set-Cookie") or "").partition(";")[0]


def _status(running: Machine, path: str, headers: dict[str, str]) -> int:
    return _ask(running, "GET", path, headers).status


def _ask(running: Machine, method: str, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    record: dict[str, Any] = json.loads((running.settings.run / "up.json").read_bytes())
    connection = http.client.HTTPConnection("localhost", record["port"], timeout=10)
    connection.sock = running.engine.new_socket()
    connection.sock.settimeout(10)
    connection.sock.connect(("127.0.0.1", record["port"]))
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    response.read()
    return response
