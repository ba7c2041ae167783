"""Drives sessions: load, advance, commit; carries effects and timers out; tells who watches."""

from bot.runtime.kept import KeptFlows
from bot.runtime.runtime import Page, Runtime, Summary
from bot.runtime.turns import View
from bot.runtime.watching import Update
from bot.runtime.workers import Parked

__all__ = ["KeptFlows", "Page", "Parked", "Runtime", "Summary", "Update", "View"]
