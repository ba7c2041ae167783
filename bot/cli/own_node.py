"""Introduce the agent of this machine and the bot to each other, by files and without a network.

The supervisor, which starts both, writes whom the agent obeys (agent/keys/trust.json) and which keys the bot
lets in (keys/nodes/<node>.json). Nothing else pins a node.
"""

from __future__ import annotations

import platform

import msgspec

from agent import keys as agent_keys
from bot.fleet.keys import Installation, read_private, write_private
from bot.settings import Settings


def introduce(settings: Settings, installation: Installation) -> str:
    """Return the node's id, known to the bot from here on."""
    settings.agent_data.mkdir(mode=0o700, exist_ok=True)
    keys = agent_keys.ensure(settings.agent_data)
    trust = agent_keys.Trust(
        installation=installation.id,
        epoch=installation.epoch,
        dispatch_public=installation.dispatch_public,
    )
    write_private(settings.agent_data / "keys" / "trust.json", msgspec.json.encode(trust))
    if not _is_pinned(settings, keys):
        from bot.fleet.nodes import (
            write_pin,
        )  # brings the whole fleet along, which every start would wait for

        name = (platform.node() or "here")[:80]
        write_pin(settings.keys, identity=keys.identity, sealing=keys.sealing, name=name)
    return keys.node


def _is_pinned(settings: Settings, keys: agent_keys.NodeKeys) -> bool:
    text = read_private(settings.keys / "nodes" / f"{keys.node}.json")
    try:
        pin = msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return False
    return bool(pin.get("identity") == keys.identity and pin.get("sealing") == keys.sealing)
