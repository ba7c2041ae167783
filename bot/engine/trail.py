"""Which prompts a session can go back to. Read-only; `bot.engine.back` and `undo` act on it."""

from __future__ import annotations

from typing import Final

from bot.engine.refusals import AlreadyAnswered, CannotGoBack, NotNow
from bot.engine.session import Kept, Session

RETRYING: Final = "retry"  # session.returning while a failed Do is repeated from its last answer


def last_asked(session: Session) -> int | None:
    """Index of the newest crumb that was shown to a person (or given beforehand)."""
    for index in range(len(session.trail) - 1, -1, -1):
        crumb = session.trail[index]
        if crumb.name and not crumb.quiet:
            return index
    return None


def can_back(session: Session) -> bool:
    """Whether the prompt before can be gone back to without undoing anything."""
    index = last_asked(session)
    return index is not None and session.trail[index].undos == len(session.undos)


def no_back(session: Session) -> str:
    """Why nobody can go back from here, where something was done that bars the way; else ""."""
    if not session.barred or can_back(session) or undo_target(session) is not None:
        return ""
    return session.barred


def undo_target(session: Session) -> int | None:
    """Index of the newest shown crumb after which something was done that can be taken back."""
    done = len(session.undos)
    return next(
        (i for i in _newest_first(session) if _was_asked(session, i) and session.trail[i].undos < done), None
    )


def back_target(session: Session, to: int | None) -> int:
    """Index of the crumb to go back to: that of prompt `to`, or the one before. Raises CannotGoBack."""
    if to is None:
        index = last_asked(session)
        if index is None:
            raise CannotGoBack(why="this is the first question, or what was done since cannot be undone")
    else:
        index = next(
            (i for i in _newest_first(session) if _was_asked(session, i) and session.trail[i].seq == to), None
        )
        if index is None:
            raise CannotGoBack(why=f"question {to} cannot be reached any more")
    if session.trail[index].undos < len(session.undos):
        raise CannotGoBack(why="something was done since; take it back first (undo)")
    return index


def change_target(session: Session, name: str) -> int | None:
    """Index of the newest crumb of this flow that gave `name` its value and may be changed."""
    depth = len(session.stack) - 1
    for index in _newest_first(session):
        crumb = session.trail[index]
        if crumb.name == name and crumb.depth == depth:
            return index if crumb.undos == len(session.undos) else None
    return None


def left_behind(session: Session, index: int) -> dict[str, Kept]:
    """The answers to offer again once the session has gone back to crumb `index`."""
    return {
        **session.kept,
        **{
            crumb.name: Kept(value=crumb.value, seq=crumb.seq, quiet=crumb.quiet)
            for crumb in session.trail[index:]
            if crumb.name
        },
    }


def check_person(session: Session, kind: str, seq: int) -> None:
    """Refuse what is not about the present prompt. Raises NotNow, AlreadyAnswered."""
    if session.status != "open":
        raise NotNow(event=kind, state=session.status)
    if seq < session.seq or (seq == session.seq and kind == "answered" and session.shown is None):
        raise AlreadyAnswered(seq=seq)
    if seq != session.seq:
        raise NotNow(event=kind, state=f"at question {session.seq}, not {seq}")


def _newest_first(session: Session) -> range:
    return range(len(session.trail) - 1, -1, -1)


def _was_asked(session: Session, index: int) -> bool:
    crumb = session.trail[index]
    return bool(crumb.name) and not crumb.quiet
