"""Why a model answered as it did: attributions as arrays, and figures drawn from them."""

from ser_ops.explain.attribution import Attribution, expected_gradients, importance, rank
from ser_ops.explain.held import Centred, Held
from ser_ops.explain.occlusion import Occlusion, occlude
from ser_ops.explain.scorecam import score_cam
from ser_ops.explain.suite import Subject, explain

__all__ = ["Attribution", "Centred", "Held", "Occlusion", "Subject", "expected_gradients", "explain", "importance",
           "occlude", "rank", "score_cam"]
