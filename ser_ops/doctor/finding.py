"""One thing that was looked at, and what came of it."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "off", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """`off`: not configured, which is no fault. `mend`: one line on what to do, for warnings and faults.

    Neither text ever holds a password: addresses stand there as `ser_ops.tracking.server.public` writes them.
    """

    group: str
    subject: str
    verdict: Verdict
    found: str
    mend: str = ""
