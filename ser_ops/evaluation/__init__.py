"""Metrics with intervals, the noise grid, table VI, the papers' numbers, and the gate's rules."""

from ser_ops.evaluation.gate import judge
from ser_ops.evaluation.metrics import calibration_error, confusion, per_class, scores
from ser_ops.evaluation.staging import not_worse_than

__all__ = ["calibration_error", "confusion", "judge", "not_worse_than", "per_class", "scores"]
