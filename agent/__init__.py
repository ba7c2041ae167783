"""The agent: carries out the signed orders of a bot on one machine. Installs alone, never imports `bot`."""
