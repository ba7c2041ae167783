"""The recovery key's private half as the page hands it out; the audit says when and to whom."""

from __future__ import annotations

import asyncio
import secrets
import time

from bot.audit import AuditLog
from bot.engine.ids import derived
from bot.fleet.keys import Installation


class RecoveryKey:
    """The private half, while it is here."""

    def __init__(self, installation: Installation, audit: AuditLog) -> None:
        self._installation, self._audit = installation, audit

    def is_here(self) -> bool:
        """Whether nobody has had it deleted yet."""
        return self._installation.recovery_private() is not None

    def taken_ms(self) -> int:
        """When it was deleted here; 0 while it is here, or where that is not known."""
        return self._installation.recovery_taken_ms()

    async def show(self, person: str) -> str | None:
        """The private half in hex; None once it is gone."""
        private = await asyncio.to_thread(self._installation.recovery_private)
        if private is not None:
            await self._note(person, "recovery_key.shown")
        return private

    async def forget(self, person: str) -> bool:
        """Delete it here; False when it was gone already."""
        done = await asyncio.to_thread(self._installation.forget_recovery_private)
        if done:
            await self._note(person, "recovery_key.deleted")
        return done

    async def _note(self, person: str, what: str) -> None:
        id, now_ms = derived("u", secrets.token_hex(16)), int(time.time() * 1000)
        await self._audit.append(id=id, at_ms=now_ms, actor=person, what=what, details={})
