"""What the runtime refuses, and what it says when the fault is ours. See `bot.engine.refusals`."""

from __future__ import annotations

from bot.engine.refusals import Gone, Refused, Spoken


class BadId(Refused):
    """An id that a caller chose cannot be one."""

    code, http = "bad_id", 422
    says = "The id of a request has 1 to {most} characters, none of them a control character."
    do = "Use a UUID for each new request."


class NotYours(Refused):
    """The person may look, not act."""

    code, http = "not_allowed", 403
    says = "Only the person who began this session, or the owner, may answer in it."
    do = "Ask them, or begin a session of your own."


class TooManyOpen(Refused):
    """A limit per person."""

    code, http = "too_many_open", 429
    says = "You have {most} open sessions, and that is the limit."
    do = "End or cancel some of them first."


class Crowded(Gone):
    """Others got there first, again and again."""

    code = "crowded"
    says = "Too much happens in this session at once."
    do = "Try again in a moment."


class FlowBroken(Spoken):
    """The chatflow, or the engine under it, failed at this answer; nothing changed."""

    code, http = "flow_broken", 500
    says = "The chatflow {flow!r} made a mistake at this point ({state}), so nothing was changed."
    do = "Try again, give another answer, go back, or tell whoever looks after this chatflow."


class FlowGone(Gone):
    """The version of a flow that a session runs on is nowhere to be had."""

    code = "flow_gone"
    says = "This session runs on a version of the chatflow {flow!r} that is not here (any more)."
    do = "Put the chatflow's file back and start Hercules again, or begin a new session."


class FlowVanished(Gone):
    """The chatflow of a session is no longer there: the session rests, and goes on when it returns."""

    code = "flow_vanished"
    says = "The chatflow {flow!r} is not here (any more), so this conversation rests where it is."
    do = "Put its file back and it goes on; or cancel it."
