"""Why a model answered as it did: attributions as arrays, and figures drawn from them."""

from ser_ops.explain.attribution import Attribution, expected_gradients, importance, rank
from ser_ops.explain.focus import Focus, focus
from ser_ops.explain.grad_cam_clip import grad_cam_figures
from ser_ops.explain.gradcam import Cam, Heat, grad_cam, over_bands, over_image
from ser_ops.explain.held import Centred, Held
from ser_ops.explain.occlusion import Occlusion, occlude
from ser_ops.explain.places import Places, places
from ser_ops.explain.scorecam import score_cam
from ser_ops.explain.subject import Subject
from ser_ops.explain.suite import explain

__all__ = ["Attribution", "Cam", "Centred", "Focus", "Heat", "Held", "Occlusion", "Places", "Subject",
           "expected_gradients", "explain", "focus", "grad_cam", "grad_cam_figures", "importance", "occlude",
           "over_bands", "over_image", "places", "rank", "score_cam"]
