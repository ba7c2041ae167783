"""What the web channel needs from the other rooms, as Protocols, and the one bundle they arrive in.

`bot/app.py` fills `Parts`; tests fill it with real rooms too, or with the smallest thing that fits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from aiohttp import web

from bot.engine.form import Flow
from bot.engine.session import Entry, Session, Vote
from bot.engine.text import Tree
from bot.engine.words import Understood

Role = Literal["owner", "operator", "support", "viewer"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where this bot is reached. `names`: further host names, answered over HTTPS only."""

    installation: str
    port: int
    base_url: str
    names: tuple[str, ...] = ()
    https: bool = False  # TLS here or in a trusted proxy in front
    version: str = "0.1.0"


class Person(Protocol):
    """Who is speaking."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Speaking:
    """A person as a value."""

    id: str
    name: str
    role: str


class SignIn(Protocol):
    """A person's authenticated time in one browser. `cookie` is set only when it was just made."""

    @property
    def person(self) -> Person: ...
    @property
    def csrf(self) -> str: ...
    @property
    def cookie(self) -> str: ...
    @property
    def made_ms(self) -> int: ...


class People(Protocol):
    """Sign-in and tokens. Unknown, used up and expired all look alike: None."""

    async def sign_in(self, link: str, *, source: str = ...) -> SignIn | None: ...
    async def signed_in(self, cookie: str) -> SignIn | None: ...
    async def sign_out(self, cookie: str) -> None: ...
    async def by_token(self, token: str, *, source: str = ...) -> Person | None: ...


class View(Protocol):
    """A session as it stands after a call."""

    @property
    def session(self) -> Session: ...
    @property
    def repeated(self) -> bool: ...


class Update(Protocol):
    """One thing that happened in a session: `body` is an Entry (entry), a Session (prompt, options: where
    it stands now) or a Progress (progress). Entries come each once and in order."""

    @property
    def kind(self) -> str: ...
    @property
    def body(self) -> Any: ...


class Asked(Protocol):
    """A question that waits for somebody's approval (`bot.runtime.asked.Asked`)."""

    @property
    def id(self) -> str: ...
    @property
    def session(self) -> str: ...
    @property
    def asker(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def question(self) -> Tree: ...
    @property
    def rows(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def need(self) -> int: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def votes(self) -> tuple[Vote, ...]: ...


class Summary(Protocol):
    """A session in a list."""

    @property
    def id(self) -> str: ...
    @property
    def flow(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def opened_ms(self) -> int: ...
    @property
    def changed_ms(self) -> int: ...


class Page(Protocol):
    """One page of a list. `next` is the `after` of the following page, "" at the end."""

    @property
    def items(self) -> Sequence[Any]: ...
    @property
    def next(self) -> str: ...


class Runtime(Protocol):
    """The few calls by which every channel works (`bot.runtime`)."""

    async def open(
        self,
        *,
        person: Person,
        id: str,
        flow: str,
        answers: Mapping[str, Any] | None = ...,
        typed: str = ...,
        zone: str = ...,
    ) -> View: ...
    async def tell(self, *, person: Person, session_id: str, id: str, name: str, data: Any) -> View: ...
    async def asked(self, person: Person) -> Sequence[Asked]: ...
    async def approve(
        self, *, person: Person, session_id: str, id: str, yes: bool, reason: str = ...
    ) -> View: ...
    async def answer(self, *, person: Person, session_id: str, seq: int, id: str, value: Any) -> View: ...
    async def back(
        self, *, person: Person, session_id: str, seq: int, id: str, to: int | None = ...
    ) -> View: ...
    async def change(self, *, person: Person, session_id: str, seq: int, id: str, to: str) -> View: ...
    async def undo(self, *, person: Person, session_id: str, seq: int, id: str) -> View: ...
    async def cancel(self, *, person: Person, session_id: str, seq: int, id: str) -> View: ...
    async def view(self, *, person: Person, session_id: str) -> View: ...
    async def entries(
        self, *, person: Person, session_id: str, after: int = ..., wait_s: float = ..., limit: int = ...
    ) -> Sequence[Entry]: ...
    async def sessions(
        self,
        *,
        person: Person,
        state: str | None = ...,
        after: str = ...,
        limit: int = ...,
        everyone: bool = ...,
    ) -> Page: ...
    def watch(
        self, session_id: str, *, after: int | None = ...
    ) -> AbstractAsyncContextManager[AsyncIterator[Update]]: ...


class Offered(Protocol):
    """A chatflow in its present version (`bot.engine.ready.Ready`)."""

    @property
    def flow(self) -> Flow: ...
    @property
    def version(self) -> str: ...


class Trouble(Protocol):
    """What is wrong with a file of chatflows (`bot.plugins.shelf.Trouble`)."""

    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...
    @property
    def says(self) -> str: ...
    @property
    def stays(self) -> bool: ...


class Flows(Protocol):
    """The chatflows of this bot in their present versions (`bot.plugins.book.FlowBook`)."""

    def flows(self) -> Sequence[Offered]: ...
    def troubles(self) -> Sequence[Trouble]: ...


class Meaning(Protocol):
    """Reads what people type (`bot.plugins.meaning.Meaning`)."""

    async def understand(self, text: str) -> Understood: ...


class Uploading(Protocol):
    """An upload: how far it is, and its digest once it is a blob ("" before)."""

    @property
    def id(self) -> str: ...
    @property
    def offset(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def digest(self) -> str: ...


class Blobs(Protocol):
    """Large bytes, named by their SHA-256 (`bot.blobs`). Errors are of the Refused and Gone families."""

    async def create(
        self, *, person: str, id: str, bytes: int, name: str = ..., sha256: str = ...
    ) -> Uploading: ...
    async def upload(self, *, person: str, id: str) -> Uploading: ...
    async def append(self, *, person: str, id: str, offset: int, data: bytes) -> int: ...
    async def finish(self, *, person: str, id: str) -> Any: ...
    async def has(self, digest: str) -> bool: ...
    def path_of(self, digest: str) -> Path: ...


class Fleet(Protocol):
    """Read-only views of nodes, deployments and orders. Items are plain data or structs."""

    async def nodes(self, *, after: str, limit: int) -> Page: ...
    async def deployments(self, *, after: str, limit: int) -> Page: ...
    async def orders(self, *, after: str, limit: int) -> Page: ...


class Audit(Protocol):
    """The log, newest page last."""

    async def entries(self, *, after: str, limit: int) -> Page: ...


class Check(Protocol):
    """One line of /readyz. `says` is the sentence when it does not hold."""

    @property
    def name(self) -> str: ...
    @property
    def ok(self) -> bool: ...
    @property
    def says(self) -> str: ...


class Counted(Protocol):
    """Where the channel reports to; `bot.ops.metrics.Metrics` is one."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None: ...
    def sockets(self, change: int) -> None: ...
    def exposition(self) -> tuple[bytes, str]: ...


class Uncounted:
    """Counts nothing."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None: ...
    def sockets(self, change: int) -> None: ...
    def exposition(self) -> tuple[bytes, str]:
        """Nothing to show."""
        return b"", "text/plain; version=0.0.4; charset=utf-8"


class Recovery(Protocol):
    """The recovery key's private half, for the owner to take once (`bot.app_recovery.RecoveryKey`)."""

    def is_here(self) -> bool: ...
    def taken_ms(self) -> int: ...
    async def show(self, person: str) -> str | None: ...
    async def forget(self, person: str) -> bool: ...


class NoRecovery:
    """A bot that holds no recovery key."""

    def is_here(self) -> bool:
        """No."""
        return False

    def taken_ms(self) -> int:
        """Never."""
        return 0

    async def show(self, person: str) -> str | None:
        """Nothing."""
        return None

    async def forget(self, person: str) -> bool:
        """Nothing to delete."""
        return False


async def _ready() -> Sequence[Check]:
    return ()


class Versions(Protocol):
    """The versions of this bot's flows (`bot.app_versions.Versions`)."""

    def history(self, name: str) -> Sequence[Any]: ...
    async def back(self, name: str, version: str) -> Offered: ...
    async def earlier(self, name: str, version: str) -> Flow: ...
    async def preview(self, flows: Sequence[Flow]) -> Sequence[Any]: ...


async def _called(person: str) -> str:
    return "Somebody"


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything `make_web` needs."""

    settings: Settings
    runtime: Runtime
    people: People
    flows: Flows
    versions: Versions
    meaning: Meaning
    blobs: Blobs
    fleet: Fleet
    audit: Audit
    ready: Callable[[], Awaitable[Sequence[Check]]] = _ready
    counted: Counted = field(default_factory=Uncounted)
    recovery: Recovery = field(default_factory=NoRecovery)
    called: Callable[[str], Awaitable[str]] = _called  # what the person of that id is called


PARTS = web.AppKey("parts", Parts)
OWNER = web.AppKey("owner", Speaking)  # set on the owner's control socket only
