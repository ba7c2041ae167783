"""How sessions, entries and effects become bytes for the store, and what callers see of a session.

JSON, decoded into closed structs; nothing that comes out of the store is executed. `public` is what a channel
gets, and what a repeated call gets again: the same session without what only the engine needs.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import msgspec

from bot.engine.effects import AnyEffect, DropTimer, SetTimer
from bot.engine.session import Entry, Session
from bot.engine.step import Step
from bot.store import Commit, limits

_session = msgspec.json.Decoder(Session)
_entry = msgspec.json.Decoder(Entry)
_effect: msgspec.json.Decoder[AnyEffect] = msgspec.json.Decoder(AnyEffect)
_encode = msgspec.json.Encoder().encode


def session_of(raw: bytes) -> Session:
    """A session's record."""
    return _session.decode(raw)


def entry_of(raw: bytes) -> Entry:
    """An entry of a transcript."""
    return _entry.decode(raw)


def effect_of(raw: bytes) -> AnyEffect:
    """An effect or timer. Raises msgspec.MsgspecError for one of another release."""
    return _effect.decode(raw)


def outcome_of(raw: bytes) -> Session:
    """What the first of several equal calls returned."""
    return _session.decode(zlib.decompress(raw))


def public(session: Session) -> Session:
    """The session as channels see it: where it stands, not what it knows.

    Of undos their words stay: whoever ends a session is told first what that takes back.
    """
    stack = tuple(msgspec.structs.replace(frame, names={}) for frame in session.stack)
    undos = tuple(msgspec.structs.replace(undo, order={}) for undo in session.undos)
    batch = session.batch
    if batch is not None:
        targets = tuple(msgspec.structs.replace(target, value=None, result={}) for target in batch.targets)
        batch = msgspec.structs.replace(batch, targets=targets)
    return msgspec.structs.replace(
        session,
        stack=stack,
        trail=(),
        undos=undos,
        kept={},
        prefill={},
        pending=None,
        batch=batch,
        mail=tuple(msgspec.structs.replace(one, data=None) for one in session.mail),
        children=tuple(msgspec.structs.replace(one, result=None) for one in session.children),
    )


AT_ONCE = 0  # due at any time, so that a clock set back makes nobody wait for what was due by the old one


def commit_of(
    step: Step,
    shown: Session,
    *,
    seen: int,
    by: str,
    body_sha: str = "",
    settled: tuple[str, ...] = (),
) -> Commit:
    """A step as one commit; `shown` is its session, made `public`."""
    session = step.session
    timers = [effect for effect in step.effects if isinstance(effect, SetTimer)]
    dropped = [effect.timer_id for effect in step.effects if isinstance(effect, DropTimer)]
    others = [effect for effect in step.effects if not isinstance(effect, SetTimer | DropTimer)]
    return Commit(
        session_id=session.id,
        seen=seen,
        by=by,
        body_sha=body_sha,
        outcome=_outcome(shown),
        record=_encode(session),
        entries=[(entry.n, _encode(entry)) for entry in step.entries],
        effects=[(effect.id, AT_ONCE, _encode(effect)) for effect in others],
        timers=[(timer.id, timer.due_ms, _encode(timer)) for timer in timers],
        dropped_timers=dropped,
        settled=settled,
        open=session.status == "open",
        person=session.person,
        flow=session.flow,
    )


def fingerprint(key: bytes, body: Any) -> str:
    """What tells two bodies of one id apart; keyed, since the body may hold a secret that can be guessed."""
    raw = msgspec.json.encode(body, order="deterministic")
    return hashlib.blake2b(raw, key=key, digest_size=20).hexdigest()


def _outcome(session: Session) -> bytes:
    raw = zlib.compress(_encode(session), 1)
    if len(raw) > limits.OUTCOME_BYTES and session.shown is not None:
        options = tuple(msgspec.structs.replace(option, data=None) for option in session.shown.options)
        shown = msgspec.structs.replace(session.shown, options=options)
        raw = zlib.compress(_encode(msgspec.structs.replace(session, shown=shown)), 6)
    return raw
