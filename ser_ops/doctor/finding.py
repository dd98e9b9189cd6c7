"""What a check of doctor says."""

from dataclasses import dataclass
from typing import Literal

from ser_ops.errors import UserError

Verdict = Literal["ok", "off", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One subject of a group, its verdict, what was found, and how to mend it.

    verdict: `off` means not configured, which is no fault. mend: what to do, in one line, for warnings and faults. No
    text holds a password: addresses stand there as `ser_ops.tracking.server.redacted` writes them.
    """

    group: str
    subject: str
    verdict: Verdict
    found: str
    mend: str = ""

    @classmethod
    def of_error(cls, group: str, subject: str, error: UserError, verdict: Verdict = "fault") -> "Finding":
        """What a UserError says: its last part, behind ': ', is how to mend it."""
        fault, _, mend = str(error).rpartition(": ")
        return cls(group, subject, verdict, fault or mend, mend if fault else "")
