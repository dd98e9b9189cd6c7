"""Attention over the waveform stream: the weights of equation 21 over time, as the model pools its states by them.

A weight is no reason. It says how much a frame's state counts in the mean that the classifier reads; what the state
says, and that it has heard the rest of the clip, is not in it. So it is measured for faithfulness like any method.
"""

from typing import Any

import numpy as np
import torch

from ser_ops.config.explaining import Explain
from ser_ops.explain.question import Explanation, Question
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace


def explain(question: Question) -> Explanation:
    """The weight of each frame over that of an even mean: 1 is what mean pooling would give it, 0 beyond the end.

    They are the same for every class. Frames lie evenly over the window.
    """
    subject, batch = question.subject, question.clip.batch
    model: Any = subject.model      # one that `Subject.attends`
    with torch.no_grad():
        states, valid = model.backbone(batch.waveform[:1], batch.valid[:1])
        weights = model.pooling.weights(states, valid)[0].double().cpu().numpy()
    length = len(question.clip.window) / subject.sample_rate
    seconds = (np.arange(len(weights)) + 0.5) * length / len(weights)
    return Explanation(Trace("attention", seconds, weights * int(valid.sum()), "times an even weight",
                             "the spectral stream, of which they say nothing"
                             if "spectral" in model.streams else ""))


def blur(subject: Subject, _settings: Explain) -> float:
    """Seconds of sound behind one moment: a state of the backbone has heard the whole window."""
    return subject.features.seconds
