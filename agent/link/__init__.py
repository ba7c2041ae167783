"""What travels between one agent and one bot process, without sockets.

For now the link runs over a Unix socket that only root and the bot's owner can open, so its frames are
plain; `security.md` "Link" (Noise) will wrap the very same messages. See `agent.link.messages`.
"""
