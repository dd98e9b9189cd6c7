"""From a recording of any length to its emotion, in windows and in bounded memory."""

from ser_ops.inference.answer import Answer, Window
from ser_ops.inference.recogniser import Recogniser, choose_device, probabilities

__all__ = ["Answer", "Recogniser", "Window", "choose_device", "probabilities"]
