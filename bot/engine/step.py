"""What one advance hands out."""

from __future__ import annotations

import msgspec

from bot.engine.effects import AnyEffect
from bot.engine.session import Entry, Session


class Step(msgspec.Struct, frozen=True):
    """The session as it is now, what was said, and what is to be done. Committed as a whole or not at all."""

    session: Session
    entries: tuple[Entry, ...] = ()
    effects: tuple[AnyEffect, ...] = ()
