"""The agent's durable record: orders with their results, the steps of sagas, and what should run.

Rule 1: an order is `started` here, fsynced, before it has any effect; a saga's step before its effect.
Rule 2: the same id with the same bytes is answered from here, with other bytes it is refused.
Rule 3: an order leaves only after its expiry, ended, its result kept by the bot; what expires at or before
the latest purged expiry is refused, so that a purged order can never come back.
Rule 4: names and ports are claimed in the transaction that accepts them; two deploys cannot both win.
SQLite in WAL mode with synchronous=FULL: a commit that returned survives a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS orders (
  id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, payload BLOB NOT NULL, verb TEXT NOT NULL,
  deployment TEXT NOT NULL, started_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
  result BLOB, kept INTEGER NOT NULL DEFAULT 0, tidy INTEGER NOT NULL DEFAULT 1) STRICT;
CREATE INDEX IF NOT EXISTS open_orders ON orders (kept) WHERE kept = 0;
CREATE TABLE IF NOT EXISTS steps (
  order_id TEXT NOT NULL REFERENCES orders (id) ON DELETE CASCADE, n INTEGER NOT NULL, step TEXT NOT NULL,
  facts BLOB NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (order_id, n)) STRICT;
CREATE TABLE IF NOT EXISTS deployments (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, wanted TEXT NOT NULL, revision INTEGER NOT NULL,
  body BLOB NOT NULL, claim TEXT NOT NULL, created_ms INTEGER NOT NULL, held TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE IF NOT EXISTS ports (
  port INTEGER NOT NULL, protocol TEXT NOT NULL, deployment TEXT NOT NULL, revision INTEGER NOT NULL,
  PRIMARY KEY (port, protocol, deployment, revision)) STRICT;
CREATE TABLE IF NOT EXISTS blobs (sha256 TEXT PRIMARY KEY, image TEXT NOT NULL) STRICT;
"""

Wanted = Literal["running", "stopped"]


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the journal has it. `result` is the signed envelope once it ended."""

    id: str
    sha256: str
    payload: bytes
    verb: str
    deployment: str
    started_ms: int
    expires_ms: int
    result: bytes | None
    kept: bool
    tidy: bool  # False: it ended, but what it began has still to be taken away


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One journaled step of a saga."""

    step: str
    facts: dict[str, Any]
    at_ms: int


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal wants of a deployment. `body` is what the saga committed; revision 0 = a claim."""

    id: str
    name: str
    wanted: Wanted
    revision: int
    body: bytes
    claim: str  # the order that claimed it last
    created_ms: int
    held: str = ""  # why it is not started again by itself: "crash_loop"


class Taken(Exception):
    """Somebody else has the name or the port. `what` is "name" or "port", `by` the deployment's name."""

    def __init__(self, what: Literal["name", "port"], value: str, by: str) -> None:
        super().__init__(f"{what} {value} is taken by {by}")
        self.what = what
        self.value = value
        self.by = by


class Journal:
    """The journal of one data directory. Its calls may come from any thread."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10)
        self._db.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        file.chmod(0o600)

    def close(self) -> None:
        """Close the file; what was committed stays."""
        with self._lock:
            self._db.close()

    # -- orders

    def start(
        self,
        *,
        id: str,
        sha256: str,
        payload: bytes,
        verb: str,
        deployment: str,
        now_ms: int,
        expires_ms: int,
    ) -> OrderRow | None:
        """Write `started`. Returns None, or the row that has this id already (nothing is written then)."""
        with self._write() as db:
            if row := self._order(id):
                return row
            db.execute(
                "INSERT INTO orders (id, sha256, payload, verb, deployment, started_ms, expires_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id, sha256, payload, verb, deployment, now_ms, expires_ms),
            )
            return None

    def order(self, id: str) -> OrderRow | None:
        """The order of this id, if the journal knows it."""
        with self._lock:
            return self._order(id)

    def end(self, id: str, result: bytes, *, tidy: bool = True) -> None:
        """Write an order's signed result. `tidy=False` = something it began has still to be taken away."""
        with self._write() as db:
            db.execute(
                "UPDATE orders SET result = ?, kept = 0, tidy = ? WHERE id = ?", (result, int(tidy), id)
            )

    def tidied(self, id: str) -> None:
        """What the order had begun is gone now."""
        with self._write() as db:
            db.execute("UPDATE orders SET tidy = 1 WHERE id = ?", (id,))

    def keep(self, id: str) -> None:
        """The bot has committed the result of this order."""
        with self._write() as db:
            db.execute("UPDATE orders SET kept = 1 WHERE id = ? AND result IS NOT NULL", (id,))

    def unfinished(self) -> list[OrderRow]:
        """Orders without a result, and those whose leavings have still to be taken away, oldest first."""
        return self._orders("result IS NULL OR tidy = 0")

    def unkept(self) -> list[OrderRow]:
        """Orders whose result the bot has not confirmed, oldest first."""
        return self._orders("kept = 0 AND result IS NOT NULL")

    def busy(self, deployment: str) -> bool:
        """Whether an order on this deployment is under way or still tidying up."""
        return bool(self._orders("(result IS NULL OR tidy = 0) AND deployment = ?", deployment))

    def purge(self, now_ms: int) -> int:
        """Forget orders by rule 3; returns how many."""
        with self._write() as db:
            where = "kept = 1 AND tidy = 1 AND result IS NOT NULL AND expires_ms < ?"
            latest = db.execute(f"SELECT max(expires_ms) FROM orders WHERE {where}", (now_ms,)).fetchone()[0]  # noqa: S608
            if latest is None:
                return 0
            self._raise_to("purged_until", latest)
            return db.execute(f"DELETE FROM orders WHERE {where}", (now_ms,)).rowcount  # noqa: S608

    @property
    def purged_until(self) -> int:
        """The latest expiry that was purged, in Unix milliseconds."""
        return self._number("purged_until")

    @property
    def time_floor(self) -> int:
        """The latest time seen inside a verified order; it is at least this late."""
        return self._number("time_floor")

    def raise_time_floor(self, at_ms: int) -> None:
        """Remember a time from inside a verified order."""
        if at_ms > self.time_floor:
            with self._write():
                self._raise_to("time_floor", at_ms)

    # -- steps of sagas

    def step(self, order_id: str, step: str, facts: dict[str, Any], now_ms: int) -> None:
        """Write a step of a saga."""
        with self._write() as db:
            self._step(db, order_id, step, facts, now_ms)

    def steps(self, order_id: str) -> list[Step]:
        """The steps of a saga so far."""
        with self._lock:
            rows = self._db.execute(
                "SELECT * FROM steps WHERE order_id = ? ORDER BY n", (order_id,)
            ).fetchall()
        return [Step(step=r["step"], facts=msgspec.json.decode(r["facts"]), at_ms=r["at_ms"]) for r in rows]

    # -- deployments

    def claim(
        self,
        *,
        order_id: str,
        deployment: str,
        name: str,
        revision: int,
        ports: list[tuple[int, str]],
        plan: dict[str, Any],
        now_ms: int,
    ) -> None:
        """Claim name and ports for an order and write its `planned` step, all or nothing. Raises Taken."""
        with self._write() as db:
            by = db.execute("SELECT id FROM deployments WHERE name = ?", (name,)).fetchone()
            if by and by["id"] != deployment:
                raise Taken("name", name, name)
            for port, protocol in ports:
                by = db.execute(
                    "SELECT d.name FROM ports p JOIN deployments d ON d.id = p.deployment"
                    " WHERE p.port = ? AND p.protocol = ? AND p.deployment <> ?",
                    (port, protocol, deployment),
                ).fetchone()
                if by:
                    raise Taken("port", str(port), by["name"])
            db.execute(
                "INSERT INTO deployments (id, name, wanted, revision, body, claim, created_ms)"
                " VALUES (?, ?, 'stopped', 0, x'', ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET claim = excluded.claim",
                (deployment, name, order_id, now_ms),
            )
            db.executemany(
                "INSERT OR IGNORE INTO ports (port, protocol, deployment, revision) VALUES (?, ?, ?, ?)",
                [(port, protocol, deployment, revision) for port, protocol in ports],
            )
            self._step(db, order_id, "planned", plan, now_ms)

    def unclaim(self, deployment: str, revision: int) -> None:
        """Give back what a revision claimed that did not come to run, unless it is the committed one."""
        with self._write() as db:
            db.execute(
                "DELETE FROM ports WHERE deployment = ? AND revision = ? AND revision NOT IN"
                " (SELECT revision FROM deployments WHERE id = ?)",
                (deployment, revision, deployment),
            )
            db.execute("DELETE FROM deployments WHERE id = ? AND revision = 0", (deployment,))

    def commit(self, order_id: str, deployment: str, revision: int, body: bytes, now_ms: int) -> None:
        """A saga's point of commit: its revision is what should run from here on."""
        with self._write() as db:
            db.execute(
                "UPDATE deployments SET revision = ?, body = ?, wanted = 'running', held = '' WHERE id = ?",
                (revision, body, deployment),
            )
            db.execute("DELETE FROM ports WHERE deployment = ? AND revision <> ?", (deployment, revision))
            self._step(db, order_id, "committed", {}, now_ms)

    def want(self, deployment: str, wanted: Wanted) -> None:
        """Write that a deployment should run or be stopped; ends a hold."""
        with self._write() as db:
            db.execute("UPDATE deployments SET wanted = ?, held = '' WHERE id = ?", (wanted, deployment))

    def hold(self, deployment: str, why: str) -> None:
        """Write that a deployment is not started again by itself."""
        with self._write() as db:
            db.execute("UPDATE deployments SET held = ? WHERE id = ?", (why, deployment))

    def forget(self, deployment: str) -> None:
        """A deployment is gone."""
        with self._write() as db:
            db.execute("DELETE FROM ports WHERE deployment = ?", (deployment,))
            db.execute("DELETE FROM deployments WHERE id = ?", (deployment,))

    def deployment(self, id: str) -> Running | None:
        """A deployment that was committed or is claimed."""
        return next(iter(self._deployments("id = ?", id)), None)

    def deployments(self) -> list[Running]:
        """Every deployment that was committed, by name."""
        return self._deployments("revision > 0")

    def claimed_ports(self) -> set[int]:
        """Every port that a deployment has or is about to have."""
        with self._lock:
            return {r["port"] for r in self._db.execute("SELECT port FROM ports")}

    # -- imported images

    def imported(self, blob: str, image: str) -> None:
        """Remember which image of the engine a blob became."""
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO blobs (sha256, image) VALUES (?, ?)", (blob, image))

    def image_of_blob(self, blob: str) -> str | None:
        """The engine's id of an imported image; the engine may have lost it since."""
        with self._lock:
            row = self._db.execute("SELECT image FROM blobs WHERE sha256 = ?", (blob,)).fetchone()
        return str(row["image"]) if row else None

    def blob_is_gone(self, blob: str) -> None:
        """The image of a blob was removed."""
        with self._write() as db:
            db.execute("DELETE FROM blobs WHERE sha256 = ?", (blob,))

    # -- inside

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _order(self, id: str) -> OrderRow | None:
        row = self._db.execute("SELECT * FROM orders WHERE id = ?", (id,)).fetchone()
        return msgspec.convert(dict(row), type=OrderRow, strict=False) if row else None

    def _orders(self, where: str, *values: str) -> list[OrderRow]:
        with self._lock:
            sql = f"SELECT * FROM orders WHERE {where} ORDER BY started_ms, id"  # noqa: S608  (our own words)
            return [
                msgspec.convert(dict(r), type=OrderRow, strict=False) for r in self._db.execute(sql, values)
            ]

    def _deployments(self, where: str, *values: str) -> list[Running]:
        with self._lock:
            sql = f"SELECT * FROM deployments WHERE {where} ORDER BY name"  # noqa: S608  (our own words)
            return [msgspec.convert(dict(r), type=Running) for r in self._db.execute(sql, values)]

    def _number(self, key: str) -> int:
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return int(row["value"]) if row else 0

    def _raise_to(self, key: str, value: int) -> None:
        self._db.execute(
            "INSERT INTO meta (key, value) VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
            (key, value),
        )

    @staticmethod
    def _step(db: sqlite3.Connection, order_id: str, step: str, facts: dict[str, Any], now_ms: int) -> None:
        db.execute(
            "INSERT INTO steps (order_id, n, step, facts, at_ms) VALUES"
            " (?, (SELECT count(*) FROM steps WHERE order_id = ?), ?, ?, ?)",
            (order_id, order_id, step, msgspec.json.encode(facts), now_ms),
        )
