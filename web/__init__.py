"""Templates and static files of the chat page and the support console; no code."""
