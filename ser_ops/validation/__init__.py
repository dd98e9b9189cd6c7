"""Great Expectations over the manifest: what is bad is quarantined and named, what is dangerous stops the run."""

from ser_ops.validation.checks import Finding, Outcome, validate

__all__ = ["Finding", "Outcome", "validate"]
