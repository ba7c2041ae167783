"""The smallest rooms that the web channel can stand on: a scripted runtime, one person, blobs in memory.

Used where a test is about the channel alone (a screen for every kind of question, a lookup that takes its
time, a runtime that fails); what the real rooms promise is tested on the real ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from bot.channels.web_parts import Parts, Settings
from bot.channels.web_parts import Person as Who
from bot.engine import form
from bot.engine.ids import derived
from bot.engine.refusals import (
    AlreadyAnswered,
    CannotGoBack,
    IdReused,
    InvalidAnswer,
    NoSuchFlow,
    NoSuchSession,
)
from bot.engine.session import Choice, Entry, Offer, Row, Session, Shown, Undo, Waiting
from bot.engine.text import Paragraph, Text, Tree

INSTALLATION = "i-0123456789abcdef"
COOKIE = "cookie-of-ada"
CSRF = "csrf-of-ada"
TOKEN = "hct_ada"
NOW_MS = int(time.time() * 1000) - 60_000


def words(text: str) -> Tree:
    """A paragraph of plain text."""
    return (Paragraph(c=(Text(v=text),)),)


@dataclass(frozen=True)
class FakePerson:
    id: str = "p-aaaaaaaaaaaaaaaa"
    name: str = "Ada"
    role: str = "owner"


@dataclass(frozen=True)
class FakeSignIn:
    person: FakePerson
    csrf: str
    cookie: str = ""


class FakePeople:
    """Ada, her sign-in, her token, and links that work once."""

    def __init__(self) -> None:
        self.ada = FakePerson()
        self.vera = FakePerson(id="p-vvvvvvvvvvvvvvvv", name="Vera", role="viewer")
        self.links = {"link-1": self.ada}
        self.cookies = {COOKIE: FakeSignIn(self.ada, CSRF)}
        self.tokens = {TOKEN: self.ada, "hct_vera": self.vera, "hct_bob": FakePerson(id="p-bbbbbbbbbbbbbbbb")}

    async def sign_in(self, link: str, *, source: str = "") -> FakeSignIn | None:
        person = self.links.pop(link, None)
        if person is None:
            return None
        cookie = f"cookie-{len(self.cookies)}"
        self.cookies[cookie] = FakeSignIn(person, f"csrf-{len(self.cookies)}")
        return FakeSignIn(person, self.cookies[cookie].csrf, cookie)

    async def signed_in(self, cookie: str) -> FakeSignIn | None:
        return self.cookies.get(cookie)

    async def sign_out(self, cookie: str) -> None:
        self.cookies.pop(cookie, None)

    async def by_token(self, token: str, *, source: str = "") -> FakePerson | None:
        return self.tokens.get(token)


@dataclass(frozen=True)
class FakeUpdate:
    kind: str
    body: Any = None


@dataclass(frozen=True)
class FakeView:
    session: Session
    repeated: bool = False


@dataclass(frozen=True)
class FakePage:
    items: Sequence[Any]
    next: str = ""


@dataclass
class Running:
    """A session in memory."""

    session: Session
    entries: list[Entry] = field(default_factory=list)
    at: int = 0
    seen: dict[str, tuple[Any, Session]] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    listeners: set[asyncio.Queue[FakeUpdate]] = field(default_factory=set)


class FakeRuntime:
    """Sessions that walk through `prompts` in order; a confirm answered yes ends in a change and an end."""

    def __init__(self, prompts: Sequence[Shown]) -> None:
        self.prompts = list(prompts)
        self.running: dict[str, Running] = {}
        self.broken: Exception | None = None
        self.long_change = False

    async def open(
        self, *, person: Who, id: str, flow: str, answers: Mapping[str, Any] | None = None, typed: str = ""
    ) -> FakeView:
        if flow not in FLOWS:
            raise NoSuchFlow(flow=flow)
        session_id = derived("s", person.id, id)
        if session_id in self.running:
            known = self.running[session_id]
            if known.seen["open"][0] != (flow, dict(answers or {})):
                raise IdReused(id=id)
            return FakeView(known.session, repeated=True)
        session = Session(
            id=session_id,
            version=1,
            person=person.id,
            flow=flow,
            flow_version="0" * 64,
            title=FLOWS[flow].flow.title,
            opened_ms=NOW_MS,
            changed_ms=NOW_MS,
            stack=(),
        )
        running = Running(session)
        running.seen["open"] = ((flow, dict(answers or {})), session)
        self.running[session_id] = running
        self.say(running, Entry(n=0, at_ms=0, kind="said", text=words("Hello. Let us begin.")))
        self._ask(running)
        return FakeView(running.session)

    async def answer(self, *, person: Who, session_id: str, seq: int, id: str, value: Any) -> FakeView:
        running = self._find(person, session_id)
        if (repeat := self._repeated(running, id, (seq, value))) is not None:
            return repeat
        shown = self._open(running, seq)
        errors = list(jsonschema.Draft202012Validator(shown.schema).iter_errors(value))
        if errors:
            raise InvalidAnswer([{"field": "", "says": e.message.replace("'", "“")} for e in errors])
        spoken = "••••••" if shown.kind == "secret" else str(value)
        self.say(running, Entry(n=0, at_ms=0, kind="answered", who=person.id, seq=seq, label=shown.name,
                                text=words(spoken)))  # fmt: skip
        running.answers[shown.name] = value
        running.at += 1
        if shown.kind == "confirm":
            self._finish(running, value)
        else:
            self._ask(running)
        return self._keep(running, id, (seq, value))

    async def back(
        self, *, person: Who, session_id: str, seq: int, id: str, to: int | None = None
    ) -> FakeView:
        running = self._find(person, session_id)
        if (repeat := self._repeated(running, id, ("back", seq, to))) is not None:
            return repeat
        self._open(running, seq)
        if running.at == 0:
            raise CannotGoBack(why="this is the first question")
        running.at -= 1
        self.say(running, Entry(n=0, at_ms=0, kind="went_back"))
        self._ask(running)
        return self._keep(running, id, ("back", seq, to))

    async def change(self, *, person: Who, session_id: str, seq: int, id: str, to: str) -> FakeView:
        running = self._find(person, session_id)
        self._open(running, seq)
        running.at = next(i for i, p in enumerate(self.prompts) if p.name == to)
        self.say(running, Entry(n=0, at_ms=0, kind="changed"))
        self._ask(running)
        return self._keep(running, id, ("change", seq, to))

    async def undo(self, *, person: Who, session_id: str, seq: int, id: str) -> FakeView:
        running = self._find(person, session_id)
        self._open(running, seq)
        return self._keep(running, id, ("undo", seq))

    async def cancel(self, *, person: Who, session_id: str, seq: int, id: str) -> FakeView:
        running = self._find(person, session_id)
        self._open(running, seq)
        self.say(running, Entry(n=0, at_ms=0, kind="cancelled"))
        self._end(running, "cancelled", "Nothing was changed.")
        return self._keep(running, id, ("cancel", seq))

    async def view(self, *, person: Who, session_id: str) -> FakeView:
        return FakeView(self._find(person, session_id).session)

    async def entries(
        self, *, person: Who, session_id: str, after: int = 0, wait_s: float = 0, limit: int = 500
    ) -> list[Entry]:
        running = self._find(person, session_id)
        found = [e for e in running.entries if e.n > after][:limit]
        if not found and wait_s:
            async with self.watch(session_id) as updates:
                try:
                    async with asyncio.timeout(wait_s):
                        await anext(updates)
                except TimeoutError:
                    return []
            return [e for e in running.entries if e.n > after][:limit]
        return found

    async def sessions(
        self,
        *,
        person: Who,
        state: str | None = None,
        after: str = "",
        limit: int = 50,
        everyone: bool = False,
    ) -> FakePage:
        mine = [r.session for r in self.running.values() if r.session.person == person.id]
        return FakePage([s for s in reversed(mine) if state in (None, s.status)][:limit])

    @asynccontextmanager
    async def watch(
        self, session_id: str, *, after: int | None = None
    ) -> AsyncIterator[AsyncIterator[FakeUpdate]]:
        queue: asyncio.Queue[FakeUpdate] = asyncio.Queue()
        running = self.running[session_id]
        running.listeners.add(queue)
        queue.put_nowait(FakeUpdate("prompt"))

        async def updates() -> AsyncIterator[FakeUpdate]:
            n = len(running.entries) if after is None else after
            while True:
                hint = await queue.get()
                if hint.kind == "progress":
                    yield hint
                    continue
                for entry in running.entries[n:]:
                    yield FakeUpdate("entry", entry)
                n = max(n, len(running.entries))
                yield FakeUpdate("prompt", running.session)

        try:
            yield updates()
        finally:
            running.listeners.discard(queue)

    # what tests do from outside

    def say(self, running: Running, entry: Entry) -> None:
        """Append an entry and tell who watches."""
        n = len(running.entries) + 1
        running.entries.append(msgspec.structs.replace(entry, n=n, at_ms=NOW_MS + n * 1000))
        self._set(running, entries=n)

    def hint(self, running: Running, kind: str, body: Any = None) -> None:
        """Tell who watches."""
        for queue in running.listeners:
            queue.put_nowait(FakeUpdate(kind, body))

    def fill(self, running: Running, **more: Any) -> None:
        """A lookup came: fill the open prompt."""
        assert running.session.shown is not None
        self._set(running, shown=msgspec.structs.replace(running.session.shown, **more))

    def _find(self, person: Who, session_id: str) -> Running:
        if self.broken is not None:
            raise self.broken
        running = self.running.get(session_id)
        if running is None or running.session.person != person.id:
            raise NoSuchSession()
        return running

    def _open(self, running: Running, seq: int) -> Shown:
        shown = running.session.shown
        if shown is None or shown.seq != seq:
            raise AlreadyAnswered(seq=seq)
        return shown

    def _repeated(self, running: Running, id: str, body: Any) -> FakeView | None:
        if id not in running.seen:
            return None
        if running.seen[id][0] != body:
            raise IdReused(id=id)
        return FakeView(running.seen[id][1], repeated=True)

    def _keep(self, running: Running, id: str, body: Any) -> FakeView:
        running.seen[id] = (body, running.session)
        return FakeView(running.session)

    def _set(self, running: Running, **more: Any) -> None:
        running.session = msgspec.structs.replace(
            running.session, version=running.session.version + 1, **more
        )
        self.hint(running, "prompt")

    def _ask(self, running: Running) -> None:
        seq = running.session.seq + 1
        prompt = self.prompts[running.at]
        kept = running.answers.get(prompt.name)
        if prompt.kind == "confirm":
            rows = tuple(Row(label=n.title(), value=str(v), change=n) for n, v in running.answers.items())
            prompt = msgspec.structs.replace(prompt, rows=rows or prompt.rows)
        shown = msgspec.structs.replace(
            prompt, seq=seq, can_back=running.at > 0, kept=None if prompt.kind == "secret" else kept
        )
        self.say(running, Entry(n=0, at_ms=0, kind="asked", seq=seq, text=prompt.label))
        self._set(running, seq=seq, shown=shown, waiting=None)

    def _finish(self, running: Running, value: bool) -> None:
        if not value:
            self._end(running, "unchanged", "Left as it is.")
            return
        self.say(running, Entry(n=0, at_ms=0, kind="ordered", order="o-1", verb="deployment.apply",
                                text=words("Starting web")))  # fmt: skip
        self._set(
            running,
            shown=None,
            waiting=Waiting(kind="order", id="o-1", says=words("Starting web"), since_ms=NOW_MS),
            undos=(Undo(node="n-1", order={}, says="Remove web again."),),
        )
        if not self.long_change:
            self.complete(running)

    def complete(self, running: Running) -> None:
        """The change is done; the session ends."""
        self.say(running, Entry(n=0, at_ms=0, kind="finished", order="o-1", outcome="done",
                                text=words("Healthy after 3 s.")))  # fmt: skip
        self._end(running, "done", "web is running.")

    def _end(self, running: Running, outcome: str, text: str) -> None:
        offers = (Offer(label="Show its log", flow="running", answers={"name": "web"}),)
        self.say(running, Entry(n=0, at_ms=0, kind="ended", outcome=outcome, text=words(text),
                                offers=offers if outcome == "done" else ()))  # fmt: skip
        self._set(running, shown=None, waiting=None, status="ended", outcome=outcome)


@dataclass(frozen=True)
class FakeOffered:
    flow: form.Flow
    version: str = "0" * 64


def flow(name: str, title: str, description: str, risk: form.Risk, *says: str) -> FakeOffered:
    """A flow that ends at once; the scripted runtime asks its own questions."""
    ask = form.Ask(prompt=form.Text(label="Name?"), as_="name", then="end")
    states: dict[str, form.State] = {"name": ask, "end": form.End(text="Done.")}
    return FakeOffered(
        form.Flow(
            name=name, title=title, description=description, risk=risk, start="name", states=states, says=says
        )
    )


FLOWS = {
    "deploy": flow(
        "deploy", "Deploy a container", "Run something new and see it healthy.", "changes", "run {name}"
    ),
    "running": flow(
        "running",
        "What is running here",
        "Look at what runs, its log and its health.",
        "reads",
        "what is running",
    ),
}


class FakeFlows:
    """Two flows."""

    def flows(self) -> list[form.Flow]:
        return [offered.flow for offered in FLOWS.values()]

    def current(self, name: str) -> FakeOffered:
        return FLOWS[name]


@dataclass
class FakeUpload:
    id: str
    bytes: int
    data: bytearray = field(default_factory=bytearray)
    digest: str = ""

    @property
    def offset(self) -> int:
        return len(self.data)


class FakeBlobs:
    """Uploads in memory, blobs in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads: dict[tuple[str, str], FakeUpload] = {}

    async def create(
        self, *, person: str, id: str, bytes: int, name: str = "", sha256: str = ""
    ) -> FakeUpload:
        return self.uploads.setdefault((person, id), FakeUpload(id, bytes))

    async def upload(self, *, person: str, id: str) -> FakeUpload:
        return self.uploads[person, id]

    async def append(self, *, person: str, id: str, offset: int, data: bytes) -> int:
        upload = self.uploads[person, id]
        upload.data += data
        return upload.offset

    async def finish(self, *, person: str, id: str) -> None:
        upload = self.uploads[person, id]
        upload.digest = hashlib.sha256(upload.data).hexdigest()
        self.path_of(upload.digest).write_bytes(upload.data)

    async def has(self, digest: str) -> bool:
        return self.path_of(digest).exists()

    def path_of(self, digest: str) -> Path:
        return self.folder / digest


class FakeLists:
    """Fleet and audit with a line each."""

    async def nodes(self, *, after: str, limit: int) -> FakePage:
        return FakePage([{"id": "n-1", "name": "here", "online": True}])

    async def deployments(self, *, after: str, limit: int) -> FakePage:
        return FakePage([])

    async def orders(self, *, after: str, limit: int) -> FakePage:
        return FakePage([])

    async def entries(self, *, after: str, limit: int) -> FakePage:
        return FakePage([{"what": "session.opened"}])


def prompt(kind: str, name: str, label: str, schema: dict[str, Any], **more: Any) -> Shown:
    """An open question."""
    return Shown(seq=0, state=name, name=name, kind=kind, label=words(label), schema=schema, **more)


FEW = tuple(
    Choice(value=v, label=label, description=d, disabled=no)
    for v, label, d, no in (
        ("demo", "A welcome page", "Made here, nothing is downloaded.", ""),
        ("registry", "An image from a registry", "By its name, as in nginx:1.27.", ""),
        (
            "archive",
            "An image archive",
            "From docker save, up to 8 GB.",
            "There is too little space on this machine.",
        ),
    )
)
MANY = tuple(Choice(value=f"c{i}", label=f"container-{i}", description=f"image {i}") for i in range(12))
EVERY_KIND = (
    prompt("text", "name", "What should it be called?", {"type": "string", "pattern": "^[a-z][a-z0-9-]*$", "maxLength": 40},
           help=words("Letters, digits and hyphens."), placeholder="web", default="web"),
    prompt("text", "notes", "Anything worth remembering?", {"type": "string", "maxLength": 2000}, lines=True),
    prompt("number", "port", "Which port?", {"type": "integer", "minimum": 1024, "maximum": 65535}, default=8080),
    prompt("number", "memory", "How much memory may it use?", {"type": "integer", "minimum": 16, "maximum": 4096}, unit="MiB", default=256),
    prompt("yes-no", "lan", "May others in your network reach it?", {"type": "boolean"}, default=False),
    prompt("pick", "source", "Where does the image come from?", {"type": "string", "enum": ["demo", "registry"]}, options=FEW),
    prompt("pick", "container", "Which container?", {"type": "string"}, options=MANY),
    prompt("secret", "password", "Which password should it get?", {"type": "string", "minLength": 8}),
    prompt("key-values", "settings", "Which settings does it need?", {"type": "array", "maxItems": 100},
           help=words("Environment variables of the container.")),
    prompt("upload", "archive", "Which image archive?", {"type": "object", "required": ["blob", "bytes", "name"]}, accept=(".tar", ".tar.gz")),
    prompt("confirm", "sure", "Shall I start it?", {"type": "boolean"}, yes="Yes, start it", no="No", risk="changes"),
)  # fmt: skip


def parts(folder: Path, prompts: Sequence[Shown] = EVERY_KIND, *, port: int = 8088, **settings: Any) -> Parts:
    """Everything `make_web` needs, faked."""
    lists = FakeLists()
    return Parts(
        settings=Settings(
            installation=INSTALLATION, port=port, base_url=f"http://localhost:{port}/", **settings
        ),
        runtime=FakeRuntime(prompts),
        people=FakePeople(),
        flows=FakeFlows(),
        blobs=FakeBlobs(folder),
        fleet=lists,
        audit=lists,
    )
