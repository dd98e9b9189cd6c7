"""One loop for all models, its checkpoints, and the search of its settings; it knows no tracking server."""

from ser_ops.training.calibrate import calibrate, probabilities
from ser_ops.training.checkpoint import fingerprint
from ser_ops.training.curves import draw
from ser_ops.training.history import Epoch, best, read_history, stale, write_history
from ser_ops.training.log import Logger, Silent
from ser_ops.training.loop import Diverged, Result, fit, precision
from ser_ops.training.loss import balanced
from ser_ops.training.states import with_states
from ser_ops.training.world import device_of, rank, size, together

__all__ = ["Diverged", "Epoch", "Logger", "Result", "Silent", "balanced", "best", "calibrate", "device_of", "draw",
           "fingerprint", "fit", "precision", "probabilities", "rank", "read_history", "size", "stale", "together",
           "with_states", "write_history"]
