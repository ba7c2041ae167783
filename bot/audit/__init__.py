"""The audit: an append-only, hash-chained record of who asked for what and what was done.

`AuditLog.append` writes, `verify` checks a copy with nothing but the files.
"""

from bot.audit.log import AuditLog, AuditUnreadable
from bot.audit.verify import BadLine, Verified, verify

__all__ = ["AuditLog", "AuditUnreadable", "BadLine", "Verified", "verify"]
