"""What is configured, what answers, which versions and paths, and what is wrong with one line on how to mend it."""

from ser_ops.doctor.examination import examine
from ser_ops.doctor.finding import Finding

__all__ = ["Finding", "examine"]
