"""The health gate: how the agent judges that a container came up.

Rule 1: a verdict comes from declared criteria, never from what a program prints. Rule 2: an end of the
container ends the wait at once. Rule 3: an image's own health check gets the time that it needs by its own
figures (start period, interval x retries) before it counts as failed. Rule 4: our own probes go from the
host to the published address and have to pass `passes` times in a row.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from typing import Any, Literal

from agent.node import Work
from agent.orders.facts import Health
from agent.orders.results import Problem
from agent.orders.spec import Gate, Published
from agent.problems import Failed

EVIDENCE_LINES = 100
_PROBE_S = 2.0
_BETWEEN_PASSES_S = 0.25
_LOOK_S, _EAGER_S, _LOOK_LATER_S = (
    0.03,
    10.0,
    0.25,
)  # a look costs the engine 1 ms; most are up within seconds
_REFUSED_WITHIN_S = 0.2  # the engine's proxy accepts first and hangs up when nobody listens inside
_DEFAULT_INTERVAL_S, _DEFAULT_TIMEOUT_S, _DEFAULT_RETRIES = 30.0, 30.0, 3  # the engine's own

Kind = Literal["health", "http", "tcp", "running"]


def await_healthy(work: Work, container: str, gate: Gate, ports: tuple[Published, ...]) -> None:
    """Return when the container counts as healthy. Raises Failed: exited, unhealthy; EngineGone."""
    engine = work.node.engine
    first = engine.container(container)
    if first is None:
        raise Failed("exited", "The container is gone.")
    restarts = int(first.get("RestartCount") or 0)
    kind = _kind(gate, first, ports)
    within = max(gate.within_s, _needs(first)) if kind == "health" else float(gate.within_s)
    began = time.monotonic()
    passes, next_probe = 0, began
    while True:
        work.mind()
        seen = engine.container(container)
        if seen is None:
            raise Failed("exited", "The container was removed while it was being checked.")
        if (
            seen["State"]["Status"] not in ("running", "created")
            or int(seen.get("RestartCount") or 0) > restarts
        ):
            raise exited(work, seen)
        now = time.monotonic()
        if kind == "health":
            good = health(seen) == "healthy"
            passes = gate.passes if good else 0
        elif kind == "running":
            passes = gate.passes if now - began >= gate.settle_s else 0
        elif now >= next_probe:
            passes = passes + 1 if _probe(kind, gate, ports) else 0
            next_probe = now + _BETWEEN_PASSES_S
        if passes >= gate.passes:
            return
        if now - began >= within:
            raise _unhealthy(work, seen, kind, within)
        work.say("checking", _CHECKING[kind], int(now - began), int(within), "seconds")
        work.node.stopping.wait(_LOOK_S if now - began < _EAGER_S else _LOOK_LATER_S)


_HEALTH: tuple[Health, ...] = ("healthy", "unhealthy", "starting", "none")

_CHECKING: dict[Kind, str] = {
    "health": "Waiting until it says that it is healthy.",
    "http": "Waiting until it answers.",
    "tcp": "Waiting until it accepts connections.",
    "running": "Watching whether it keeps running.",
}


def health(container: dict[str, Any]) -> Health:
    """What the engine says of a container's health; "none" without a health check."""
    status = ((container.get("State") or {}).get("Health") or {}).get("Status") or "none"
    return next((known for known in _HEALTH if known == status), "unknown")


def exited(work: Work, container: dict[str, Any]) -> Failed:
    """The problem of a container that ended, with its last lines and exit code."""
    state = container["State"]
    code = state.get("ExitCode")
    says = f"The container ended by itself with exit code {code}."
    if state.get("OOMKilled"):
        says = "The container needed more memory than it was given and was ended."
    return Failed("exited", says, evidence=_evidence(work, container))


def problem_with(e: Failed, left_behind: tuple[str, ...]) -> Problem:
    """The problem of a failure, with what remains of it."""
    return Problem(code=e.code, says=e.says, do=e.do, left_behind=left_behind, evidence=e.evidence)


def _unhealthy(work: Work, container: dict[str, Any], kind: Kind, within: float) -> Failed:
    why = {
        "health": "its own health check never passed",
        "http": "it gave no good answer over HTTP",
        "tcp": "it accepted no connection",
        "running": "it did not keep running",
    }[kind]
    return Failed(
        "unhealthy",
        f"It did not become healthy within {within:.0f} seconds: {why}.",
        evidence=_evidence(work, container),
    )


def _evidence(work: Work, container: dict[str, Any]) -> tuple[str, ...]:
    state = container["State"]
    lines = work.node.engine.tail(str(container["Id"]), EVIDENCE_LINES)
    log = (state.get("Health") or {}).get("Log") or []
    checked = [f"health check: {str(log[-1].get('Output') or '').strip()[:300]}"] if log else []
    found = [f"exit code {state.get('ExitCode')}"] if state["Status"] != "running" else []
    if state.get("Error"):
        found.append(str(state["Error"])[:300])
    return tuple(_fitting([*lines[-EVIDENCE_LINES:], *checked, *found]))


def _fitting(lines: list[str], limit: int = 24_000) -> list[str]:
    """The last lines that fit a result."""
    kept: list[str] = []
    for line in reversed(lines):
        limit -= len(line.encode()) + 10
        if limit < 0:
            break
        kept.append(line[:2000])
    return kept[::-1]


def _kind(gate: Gate, container: dict[str, Any], ports: tuple[Published, ...]) -> Kind:
    tcp = [p for p in ports if p.protocol == "tcp"]
    if gate.kind == "auto":
        if (container.get("State") or {}).get("Health"):
            return "health"
        return "tcp" if tcp else "running"
    if gate.kind in ("http", "tcp") and not tcp:
        return "running"
    return gate.kind


def _needs(container: dict[str, Any]) -> float:
    """Seconds after which the image's own health check has given its verdict."""
    check = (container.get("Config") or {}).get("Healthcheck") or {}
    interval = float(check.get("Interval") or 0) / 1e9 or _DEFAULT_INTERVAL_S
    timeout = float(check.get("Timeout") or 0) / 1e9 or _DEFAULT_TIMEOUT_S
    retries = int(check.get("Retries") or 0) or _DEFAULT_RETRIES
    return float(check.get("StartPeriod") or 0) / 1e9 + interval * (retries + 1) + timeout


def _probe(kind: Kind, gate: Gate, ports: tuple[Published, ...]) -> bool:
    tcp = [p for p in ports if p.protocol == "tcp"]
    if kind == "http":
        return _answers(lambda: _get(tcp[0].node_port, gate.path))
    return all(_answers(lambda port=p.node_port: _connect(port)) for p in tcp)  # type: ignore[misc]


def _answers(probe: Callable[[], bool]) -> bool:
    try:
        return probe()
    except (OSError, http.client.HTTPException):
        return False


def _get(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_S)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status < 500
    finally:
        connection.close()


def _connect(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=_PROBE_S) as connection:
        connection.settimeout(_REFUSED_WITHIN_S)
        try:
            return connection.recv(1) != b""
        except TimeoutError:
            return True
