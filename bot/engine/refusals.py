"""Errors of the engine and of every room that talks to people: whose doing, and what to do next.

`Refused` = the caller's doing, nothing changed. `Gone` = the world's, try again. Anything else is our
bug. Subclasses only set `code`, `http`, `says` and `do`; fields are filled from keyword arguments.
"""

from __future__ import annotations

from typing import Any, ClassVar


class Spoken(Exception):
    """An error with a stable code and a sentence for the reader."""

    code: ClassVar[str] = "error"
    http: ClassVar[int] = 500
    says: ClassVar[str] = "Something went wrong."
    do: ClassVar[str] = ""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        return self.says.format_map(_Shown(self.fields))

    @property
    def next_step(self) -> str:
        """What to do next, for people."""
        return self.do.format_map(_Shown(self.fields))


class _Shown(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


class Refused(Spoken):
    """The caller's doing; nothing changed."""

    code, http = "refused", 400


class Gone(Spoken):
    """The world's doing; the same call may work later."""

    code, http = "gone", 503


class NotNow(Refused):
    """The event does not fit where the session stands."""

    code, http = "not_now", 409
    says = "{event} cannot happen while the session is {state}."
    do = "Look at the question that the session shows now, and answer that."


class AlreadyAnswered(Refused):
    """Somebody answered this prompt before."""

    code, http = "already_answered", 409
    says = "Question {seq} was answered already."
    do = "Answer the question that is shown now."


class InvalidAnswer(Refused):
    """The value does not fit. `errors` is a list of {field, says}; `field` is "" for the whole."""

    code, http = "invalid_answer", 422
    says = "That answer does not fit: {summary}"
    do = "Correct it and send it again."

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__(summary=" ".join(e["says"] for e in errors))


class CannotGoBack(Refused):
    """There is no earlier question, or something was changed since."""

    code, http = "cannot_go_back", 409
    says = "There is no way back from here: {why}."
    do = "Go on, or cancel."


class NoSuchFlow(Refused):
    """No chatflow of that name."""

    code, http = "no_such_flow", 404
    says = "There is no chatflow called {flow!r}."
    do = "Ask for the list of chatflows (hercules flow list)."


class NoSuchSession(Refused):
    """No session of that id that this person may see."""

    code, http = "no_such_session", 404
    says = "There is no such session."
    do = "Look at your list of sessions."


class IdReused(Refused):
    """The same id came with another body."""

    code, http = "id_reused", 409
    says = "The id {id!r} was used before for something else."
    do = "Use a new id for a new request; repeat an old one only with the same body."


class NoSuchEvent(Refused):
    """An event from outside that this flow never waits for."""

    code, http = "no_such_event", 422
    says = "This conversation never waits for an event {name!r}."
    do = "Send one that its chatflow waits for (hercules flow draw shows them)."


class MailFull(Refused):
    """Too many events came that nobody has waited for yet."""

    code, http = "mail_full", 429
    says = "{most} events, or too large ones, wait for this conversation already."
    do = "Send it again when the conversation has gone on."


class NotAsked(Refused):
    """Somebody who is not asked, or who asked himself, may not approve."""

    code, http = "not_asked", 403
    says = "Your approval is not asked for here; nobody approves what they asked for themselves."
    do = "Leave it to those who are asked."


class Voted(Refused):
    """Each person counts once."""

    code, http = "voted", 409
    says = "You have said yes or no to this already."
    do = "The others have to decide now."


class Stale(Refused):
    """A result, fact or timer that no session waits for (any more). To the sender it is settled."""

    code, http = "stale", 409
    says = "Nothing waits for {event} {id} any more."
    do = "Forget it."


class NeverWaits(Refused):
    """The flow went through 1,000 states without asking, ordering, waiting or ending: the author's doing."""

    code, http = "never_waits", 422
    says = "The chatflow {flow!r} goes round in circles (it passed state {state!r} again and again)."
    do = "Tell its author; nothing was done."


class NothingToUndo(Refused):
    """Undo was asked, but nothing was done since."""

    code, http = "nothing_to_undo", 409
    says = "There is nothing to take back here."
    do = "Go on, go back, or cancel."
