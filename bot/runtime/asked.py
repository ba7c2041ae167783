"""What waits for somebody's approval: a list that stands beside the sessions, for those who are asked.

Rule 1: the list is a hint; the session says whether an approval is still waited for, and who counts
(`bot.engine.approvals`). Rule 2: an entry whose session has gone on is taken away by whoever finds it.
"""

from __future__ import annotations

import msgspec
import structlog

from bot.engine import approvals
from bot.engine.effects import AskApproval, DropApproval
from bot.engine.refusals import NoSuchSession
from bot.engine.session import Session, Vote
from bot.engine.text import Tree
from bot.runtime.ports import Person
from bot.runtime.turns import Turns
from bot.store import Kind, Store, Tampered

log = structlog.get_logger("runtime")

PAGE = 200
_decode = msgspec.json.Decoder(AskApproval).decode


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question that waits for somebody. `rows` are its summary, `votes` what others said already."""

    id: str
    session: str
    asker: str
    title: str
    question: Tree
    rows: tuple[tuple[str, str], ...]
    need: int
    at_ms: int
    votes: tuple[Vote, ...] = ()


class AskedList:
    """The list, in the store."""

    def __init__(self, store: Store, turns: Turns) -> None:
        self._store, self._turns = store, turns

    async def put(self, asked: AskApproval) -> None:
        """Ask. Twice is once."""
        await self._store.put(Kind.APPROVAL, asked.id, msgspec.json.encode(asked))

    async def drop(self, dropped: DropApproval) -> None:
        """Ask no more."""
        await self._store.delete(Kind.APPROVAL, dropped.approval)

    async def of(self, person: Person) -> list[Asked]:
        """What waits for this person, oldest first."""
        found: list[Asked] = []
        after = ""
        while True:
            page = await self._store.all(Kind.APPROVAL, after=after, limit=PAGE)
            for record in page.items:
                asked = _decode(record.body)
                if may(asked.of, asked.asker, person) and (one := await self._still(asked, person)):
                    found.append(one)
            after = page.after
            if not after:
                return sorted(found, key=lambda one: (one.at_ms, one.id))

    async def _still(self, asked: AskApproval, person: Person) -> Asked | None:
        try:
            session = await self._turns.load(asked.session)
        except (NoSuchSession, Tampered) as e:
            log.info("approval.not_listed", approval=asked.id, session=asked.session, why=e.sentence)
            return None
        if session.approval is None or session.approval.id != asked.id:
            await self._store.delete(Kind.APPROVAL, asked.id)
            return None
        votes = session.approval.votes
        if any(vote.by == person.id for vote in votes):
            return None
        return Asked(
            id=asked.id,
            session=asked.session,
            asker=asked.asker,
            title=asked.title,
            question=asked.question,
            rows=asked.rows,
            need=asked.need,
            at_ms=asked.at_ms,
            votes=votes,
        )


def may(of: tuple[str, ...], asker: str, person: Person) -> bool:
    """Whether somebody is asked."""
    return approvals.may(of, asker, id=person.id, name=name_of(person), role=person.role)


def name_of(person: Person) -> str:
    """What a person is called; "" for somebody without a name."""
    return str(getattr(person, "name", ""))


def is_asked(session: Session, person: Person) -> bool:
    """Whether the session waits for this person's approval."""
    return session.approval is not None and may(session.approval.of, session.person, person)
