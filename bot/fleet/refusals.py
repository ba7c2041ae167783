"""What the fleet refuses, and what the world keeps from it. See `bot.engine.refusals` for the families."""

from __future__ import annotations

from bot.engine.refusals import Gone, Refused


class KeysDamaged(Refused):
    """The key directory is not as this program left it; nothing was changed or made anew."""

    code, http = "keys_damaged", 500
    says = "The key directory {directory} cannot be used: {why}."
    do = "{do}"


class NoSuchNode(Refused):
    """No node of that id has keys that were pinned here."""

    code, http = "no_such_node", 404
    says = "There is no node {node!r}."
    do = "Look at the list of nodes (hercules node list)."


class NoSuchFact(Refused):
    """A prompt asks for a fact that nobody knows how to get, or leaves out what it needs."""

    code, http = "no_such_fact", 422
    says = "The fact {fact!r} cannot be looked up: {why}."
    do = "Correct the chatflow; docs/engine.md lists the facts and what each one needs."


class NotReading(Refused):
    """Lookups are for orders that change nothing."""

    code, http = "not_reading", 422
    says = "{verb} changes the node, so it cannot be looked up."
    do = "Send it as an order of a session."


class OrderChanged(Refused):
    """An order's id came a second time with another content."""

    code, http = "order_changed", 409
    says = "The order {order!r} was signed before with another content."
    do = "This is a fault of the bot, or of the store that it reads: look at the log."


class NodeOffline(Gone):
    """The node has no link to this bot at the moment."""

    code = "node_offline"
    says = "The node {node} is not connected at the moment."
    do = "It goes on by itself when the node is back; see that its agent runs (hercules doctor)."


class NodeSilent(Gone):
    """The node is linked and did not answer in time."""

    code = "node_silent"
    says = "The node {node} did not answer within {seconds} s."
    do = "Try again; if it stays so, restart the agent of that node."


class SecretTooLarge(Refused):
    """A sealed value has a limit, because it travels inside an order."""

    code, http = "secret_too_large", 422
    says = "A secret may have at most {limit} bytes; this one has {size}."
    do = "Use a shorter one."


class SocketTaken(Refused):
    """Another process listens on the agents' socket."""

    code, http = "socket_taken", 409
    says = "Another bot is listening on {path}."
    do = "Stop it first, or use another data directory."
