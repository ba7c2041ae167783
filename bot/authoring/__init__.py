"""For authors of chatflows: a simulated fleet, a player, walks through every path, and what to show for it.

An author's tests need one name: ``from bot.authoring import play``.
"""

from bot.authoring.play import play as play

__all__ = ["play"]
