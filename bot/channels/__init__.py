"""Where people and programs come in: web page, WebSocket, API, terminal. All by the same few calls."""
