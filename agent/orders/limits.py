"""Every limit of orders, results and the link in one place, with the reason for its value."""

ORDER_BYTES = 60_000  # one unchunked message of the link (Noise messages end at 65,535)
RESULT_BYTES = 60_000  # same; larger things (log lines) are cut by the agent, and it says so
ORDER_DEPTH = 16  # nesting of an order's JSON; the deepest legal one today is 6
CHUNK_BYTES = 48_000  # a blob chunk with its header stays below ORDER_BYTES
BLOB_CREDITS = 64  # chunks under way at once: about 3 MB, enough to fill a local link
BLOB_BYTES = 8 * 1024**3  # the largest image archive accepted
LOG_LINES = 500  # lines of a container's log in one result
LOG_BYTES = 48_000  # ... and their size: fits RESULT_BYTES
LOOKUP_LIFETIME_S = 30  # a reading order is worthless later
ORDER_LIFETIME_S = 24 * 3600  # the longest time between signing and start of an order
PROGRESS_PER_S = 5  # progress messages of one order, so that a pull of 60 layers floods nobody
NAME_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"  # deployment and part names: DNS labels, 40 long
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
# repository[:tag][@digest] without scheme, user or options; checked further by agent.orders.reference
REFERENCE_BYTES = 512
ENV_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,127}$"
ENV_VALUE_BYTES = 8_192
SETTINGS_MAX = 100
PORTS_MAX = 32
VOLUMES_MAX = 16
MEMORY_MIN_MIB = 8
MEMORY_MAX_MIB = 1024 * 1024


def exact(pattern: str) -> str:
    """The pattern for a field: `$` alone would also match before a newline at the end."""
    return pattern + r"(?!\n)"
