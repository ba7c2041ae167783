"""The world of the simulated fleet: machines and what is on them, as plain records that a test can compare.

Rule 1: nothing here decides anything; `bot.authoring.doing` does. Rule 2: `picture` leaves out what no undo
promises to bring back (times, counts of restarts, data that was kept on purpose).
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

DAY_MS = 24 * 3600 * 1000
BEGAN_MS = 1_700_000_000_000  # when a simulation begins, unless it is told another time


class Image(msgspec.Struct, kw_only=True):
    """An image on a machine."""

    reference: str
    digest: str
    bytes: int = 50_000_000
    port: int | None = 80
    user: str = ""
    health_check: bool = False
    made_ms: int = BEGAN_MS - 90 * DAY_MS


class Box(msgspec.Struct, kw_only=True):
    """A container. Ours have a deployment."""

    id: str
    name: str
    image: str
    state: str = "running"
    health: str = "none"
    created_ms: int = BEGAN_MS - 30 * DAY_MS
    started_ms: int = BEGAN_MS - 30 * DAY_MS
    restarts: int = 0
    deployment: str = ""
    ports: list[tuple[int, int]] = []  # inside, on the machine
    log: list[str] = []


class App(msgspec.Struct, kw_only=True):
    """A deployment: what was put in place, and what its volumes hold."""

    id: str
    name: str
    number: int = 1
    wanted: str = "running"
    pin: dict[str, Any] = {}
    settings: dict[str, str] = {}  # name -> what it is, a secret as its digest
    volumes: dict[str, str] = {}  # name -> what is in it


class Copy(msgspec.Struct, kw_only=True):
    """A backup of a volume."""

    id: str
    deployment: str
    volume: str
    holds: str
    at_ms: int
    bytes: int = 10_000_000
    good: bool = True


class Machine(msgspec.Struct, kw_only=True):
    """A node."""

    id: str
    name: str
    online: bool = True
    memory_bytes: int = 4 * 1024**3
    disk_free: int = 40 * 1024**3
    cache_bytes: int = 2_000_000_000
    boxes: dict[str, Box] = {}  # by name
    images: dict[str, Image] = {}  # by reference
    apps: dict[str, App] = {}  # by id
    copies: dict[str, Copy] = {}
    kept: dict[str, str] = {}  # data of deployments that were removed without it
    stopped_by_drain: list[str] | None = None  # None: not drained


class World(msgspec.Struct, kw_only=True):
    """All machines, and those that asked to join."""

    machines: dict[str, Machine] = {}
    joining: list[str] = []


def picture(world: World) -> dict[str, Any]:
    """What an undo has to bring back, in a form that compares and prints well."""
    seen: dict[str, Any] = {"joining": sorted(world.joining)}
    for machine in world.machines.values():
        seen[machine.name] = {
            "drained": machine.stopped_by_drain is not None,
            "images": sorted(machine.images),
            "containers": {
                name: [box.image, box.state, box.deployment, sorted(box.ports)]
                for name, box in sorted(machine.boxes.items())
            },
            "deployments": {
                id: [app.name, app.number, app.wanted, app.pin, dict(app.settings), dict(app.volumes)]
                for id, app in sorted(machine.apps.items())
            },
        }
    return seen


def difference(before: dict[str, Any], after: dict[str, Any], at: str = "") -> list[str]:
    """What is other than it was, one line for each thing."""
    found: list[str] = []
    for name in sorted({*before, *after}):
        place = f"{at}.{name}" if at else name
        was, now = before.get(name), after.get(name)
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            found += difference(was, now, place)
        else:
            found.append(f"{place}: was {_shown(was)}, is {_shown(now)}")
    return found


def _shown(value: Any) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()[:200]


def a_digest(*parts: object) -> str:
    """A digest that depends on nothing but these."""
    return hashlib.sha256("\x00".join(map(str, parts)).encode()).hexdigest()
