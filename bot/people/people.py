"""People, their sign-ins and tokens, as tagged records of the store.

Rules. 1: of every secret (link, cookie, token) the store holds only a hash, as the record's id; secrets are
32 random bytes. 2: unknown, used, expired, revoked and tampered look alike: None, after the same look-up.
3: a link is used up by one atomic take; opening its page uses nothing. 4: times stand inside the tagged
record and are checked here too. 5: a sign-in holds while its person's `round` is the one it was made in, so
that "sign out everywhere" is one write. 6: a person's id is never used again, even if the name is.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import msgspec
import structlog

from bot.engine.ids import derived
from bot.people.refusals import (
    BadPersonName,
    LastOwner,
    NoSuchPerson,
    NoSuchToken,
    PersonNameTaken,
    RoleTooHigh,
)
from bot.people.rights import ROLES, Role, lower_of
from bot.people.tries import Tries
from bot.store import Conflict, Kind, Store, StoreError, StoreGone, Tampered

LINK_S = 3600  # a one-time link is for now, not for a drawer
SIGN_IN_S = 30 * 24 * 3600
SECRET_CHARACTERS = 200  # longer ones are cut before hashing: they are wrong anyway
LINK_PREFIX, TOKEN_PREFIX = "hcl_", "hct_"
OWNER = "owner"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._@-]{0,38}[A-Za-z0-9])?")
_log = structlog.get_logger("people")
T = TypeVar("T")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Who chats. `round` counts "sign out everywhere"."""

    id: str
    name: str
    role: Role
    made_ms: int
    round: int = 0
    removed_ms: int = 0


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """A person's authenticated time in one browser. `cookie` is set only when it was just made."""

    person: Person
    csrf: str
    made_ms: int
    expires_ms: int
    cookie: str = ""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as lists show it. `role` "" = as the person."""

    id: str
    person: str
    name: str
    made_ms: int
    expires_ms: int = 0
    role: Role | None = None


class AddedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token just made; `secret` is shown this once."""

    token: Token
    secret: str


class _Link(msgspec.Struct, frozen=True, kw_only=True):
    person: str
    made_ms: int
    expires_ms: int


class _SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    person: str
    round: int
    made_ms: int
    expires_ms: int


class People:
    """The people of one installation. `start` makes the first one, the owner."""

    def __init__(
        self,
        store: Store,
        installation: str,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._installation = installation
        self._now_ms = now_ms
        self._tries = Tries(clock)

    async def start(self) -> None:
        """Make the owner if nobody is there. Raises store errors."""
        page = await self._store.all(Kind.PERSON, limit=1)
        if page.items:
            return
        try:
            await self.add(OWNER, "owner")
        except PersonNameTaken:
            _log.debug("person.owner_made_elsewhere")
        except Tampered as e:  # parked and alarmed by the store; nobody gets its place
            _log.error("person.owner_not_usable", why=e.sentence)

    # -- people

    async def people(self) -> list[Person]:
        """Everybody, by name."""
        everybody = [p async for _, p in self._every(Kind.PERSON, Person) if not p.removed_ms]
        return sorted(everybody, key=lambda p: p.name.casefold())

    async def person(self, id: str) -> Person:
        """The person of an id. Raises NoSuchPerson."""
        person = await self._believed(Kind.PERSON, id, Person)
        if person is None or person.removed_ms:
            raise NoSuchPerson(name=id[:80])
        return person

    async def named(self, name: str) -> Person:
        """The person of a name, whatever its capitals. Raises NoSuchPerson."""
        for person in await self.people():
            if person.name.casefold() == name.casefold():
                return person
        raise NoSuchPerson(name=name[:80])

    async def add(self, name: str, role: Role) -> Person:
        """A new person. Raises PersonNameTaken, BadPersonName."""
        if not _NAME.fullmatch(name):
            raise BadPersonName(name=name[:80])
        if role not in ROLES:
            raise ValueError(f"no role {role!r}")
        for n in range(1, 10_000):
            id = derived("p", self._installation, name.casefold(), n)
            person = Person(id=id, name=name, role=role, made_ms=self._now_ms())
            try:
                await self._store.put(Kind.PERSON, id, msgspec.json.encode(person), seen=0)
            except Conflict:
                present = await self._store.get(Kind.PERSON, id)
                if present is None or not msgspec.json.decode(present.body, type=Person).removed_ms:
                    raise PersonNameTaken(name=name) from None
                continue  # somebody who is gone had this name; their id stays theirs
            _log.info("person.added", person=id, role=role)
            return person
        raise PersonNameTaken(name=name)

    async def set_role(self, id: str, role: Role) -> Person:
        """Another role, from the next request on. Raises NoSuchPerson, LastOwner."""
        if role not in ROLES:
            raise ValueError(f"no role {role!r}")
        if role != "owner":
            await self._keep_an_owner(id)
        return await self._change(id, role=role)

    async def remove(self, id: str) -> None:
        """Nobody any more: sign-ins and tokens end. Raises NoSuchPerson, LastOwner."""
        await self._keep_an_owner(id)
        person = await self.person(id)
        await self._change(id, removed_ms=self._now_ms(), round=person.round + 1)
        for token in await self.tokens(id):
            await self.revoke_token(token.id)

    async def _keep_an_owner(self, id: str) -> None:
        person = await self.person(id)
        if person.role == "owner" and not any(p.role == "owner" and p.id != id for p in await self.people()):
            raise LastOwner(name=person.name)

    async def _change(self, id: str, **fields: Any) -> Person:
        while True:
            found = await self._store.get(Kind.PERSON, id)
            if found is None:
                raise NoSuchPerson(name=id[:80])
            before = msgspec.json.decode(found.body, type=Person)
            person = msgspec.structs.replace(before, **fields)
            try:
                await self._store.put(Kind.PERSON, id, msgspec.json.encode(person), seen=found.version)
            except Conflict:
                continue
            _log.info("person.changed", person=id, fields=sorted(fields))
            return person

    # -- links and sign-ins

    async def make_link(self, person: str, *, ttl_s: int = LINK_S) -> str:
        """A one-time sign-in link's secret, for `/in/SECRET`. Raises NoSuchPerson."""
        await self.person(person)
        secret = LINK_PREFIX + secrets.token_urlsafe(32)
        now = self._now_ms()
        link = _Link(person=person, made_ms=now, expires_ms=now + ttl_s * 1000)
        await self._store.put(
            Kind.LINK,
            _hash("link", secret),
            msgspec.json.encode(link),
            seen=0,
            expires_ms=link.expires_ms,
        )
        _log.info("link.made", person=person, ttl_s=ttl_s)
        return secret

    async def sign_in(self, link: str, *, source: str = "") -> SignIn | None:
        """Use a link up (for POST only). None when it does not hold; TooManyTries when that is often."""
        found = await self._taken(link)
        person = await self._alive(found.person) if found else None
        if found is None or found.expires_ms <= self._now_ms() or person is None:
            _log.warning("sign_in.failed", source=source)
            self._tries.failed(source)
            return None
        cookie = secrets.token_urlsafe(32)
        now = self._now_ms()
        signed_in = _SignedIn(
            person=person.id, round=person.round, made_ms=now, expires_ms=now + SIGN_IN_S * 1000
        )
        await self._store.put(
            Kind.SIGN_IN,
            _hash("sign-in", cookie),
            msgspec.json.encode(signed_in),
            seen=0,
            expires_ms=signed_in.expires_ms,
        )
        _log.info("sign_in.made", person=person.id, source=source)
        return SignIn(
            person=person,
            csrf=self._csrf(cookie),
            made_ms=signed_in.made_ms,
            expires_ms=signed_in.expires_ms,
            cookie=cookie,
        )

    async def signed_in(self, cookie: str) -> SignIn | None:
        """Whose cookie this is; None when it does not hold (any more). Ask again now and then on sockets."""
        found = await self._believed(Kind.SIGN_IN, _hash("sign-in", cookie), _SignedIn)
        person = await self._alive(found.person) if found else None
        if found is None or person is None:
            return None
        if found.round != person.round or found.expires_ms <= self._now_ms():
            return None
        return SignIn(
            person=person, csrf=self._csrf(cookie), made_ms=found.made_ms, expires_ms=found.expires_ms
        )

    async def sign_out(self, cookie: str) -> None:
        """End one sign-in."""
        await self._store.delete(Kind.SIGN_IN, _hash("sign-in", cookie))

    async def sign_out_everywhere(self, person: str) -> None:
        """End every sign-in of a person. Tokens live on; they are revoked one by one."""
        present = await self.person(person)
        await self._change(person, round=present.round + 1)

    def _csrf(self, cookie: str) -> str:
        """Follows from the cookie, which no script and no other site can read."""
        key = hashlib.blake2b(cookie.encode(), digest_size=32).digest()
        return hashlib.blake2b(
            self._installation.encode(), key=key, digest_size=24, person=b"hercules-csrf"
        ).hexdigest()

    # -- API tokens

    async def make_token(
        self, person: str, *, name: str = "", role: Role | None = None, ttl_s: int = 0
    ) -> AddedToken:
        """A new token; its role at most the person's; `ttl_s` 0 = until revoked. Raises RoleTooHigh."""
        owner = await self.person(person)
        if role is not None and lower_of(role, owner.role) != role:
            raise RoleTooHigh(name=owner.name, role=owner.role, wanted=role)
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        digest = _hash("token", secret)
        now = self._now_ms()
        token = Token(
            id=derived("k", digest),
            person=person,
            name=name[:80],
            made_ms=now,
            expires_ms=now + ttl_s * 1000 if ttl_s else 0,
            role=role,
        )
        await self._store.put(
            Kind.TOKEN, digest, msgspec.json.encode(token), seen=0, expires_ms=token.expires_ms or None
        )
        _log.info("token.made", person=person, token=token.id)
        return AddedToken(token=token, secret=secret)

    async def tokens(self, person: str | None = None) -> list[Token]:
        """Tokens of a person, or of all, the newest first."""
        tokens = [t async for _, t in self._every(Kind.TOKEN, Token) if person in (None, t.person)]
        return sorted(tokens, key=lambda t: (-t.made_ms, t.id))

    async def revoke_token(self, id: str) -> None:
        """A token holds no longer, from the next request on. Raises NoSuchToken."""
        async for key, token in self._every(Kind.TOKEN, Token):
            if token.id == id:
                await self._store.delete(Kind.TOKEN, key)
                _log.info("token.revoked", person=token.person, token=id)
                return
        raise NoSuchToken(id=id[:80])

    async def by_token(self, token: str, *, source: str = "") -> Person | None:
        """Who sends this token, with the token's role; None when it does not hold."""
        found = await self._believed(Kind.TOKEN, _hash("token", token), Token)
        person = await self._alive(found.person) if found else None
        if found is None or person is None or (found.expires_ms and found.expires_ms <= self._now_ms()):
            _log.warning("token.refused", source=source)
            self._tries.failed(source)
            return None
        if found.role is None:
            return person
        return msgspec.structs.replace(person, role=lower_of(found.role, person.role))

    # -- inside

    async def _alive(self, person: str) -> Person | None:
        found = await self._believed(Kind.PERSON, person, Person)
        return found if found is not None and not found.removed_ms else None

    async def _taken(self, link: str) -> _Link | None:
        try:
            found = await self._store.take(Kind.LINK, _hash("link", link))
        except Tampered:  # parked and alarmed by the store
            return None
        return msgspec.json.decode(found.body, type=_Link) if found else None

    async def _believed(self, kind: Kind, id: str, shape: type[T]) -> T | None:
        try:
            found = await self._store.get(kind, id)
        except StoreGone:
            raise
        except StoreError as e:  # tampered (parked and alarmed), or no possible id
            _log.warning("record.not_believed", kind=kind.value, code=e.code)
            return None
        return msgspec.json.decode(found.body, type=shape) if found else None

    async def _every(self, kind: Kind, shape: type[T]) -> AsyncIterator[tuple[str, T]]:
        after = ""
        while True:
            page = await self._store.all(kind, after=after, limit=500)
            for record in page.items:
                yield record.id, msgspec.json.decode(record.body, type=shape)
            if not page.after:
                return
            after = page.after


def _hash(kind: str, secret: str) -> str:
    """What the store knows of a secret. Secrets are random, so that a fast hash is enough."""
    raw = secret[:SECRET_CHARACTERS].encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=32, person=f"h-{kind}".encode()).hexdigest()


def csrf_holds(sign_in: SignIn, token: str) -> bool:
    """Whether a changing request carries its sign-in's token."""
    return hmac.compare_digest(sign_in.csrf.encode(), token.encode("utf-8", "replace"))
