"""The agent's own log: one JSON object per line on stderr, event names are stable."""

from __future__ import annotations

import sys

import structlog


def to_stderr() -> None:
    """Set structlog up."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
