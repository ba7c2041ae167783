"""The chat server. Rooms and what each may import: docs of the architecture, checked by import-linter."""
