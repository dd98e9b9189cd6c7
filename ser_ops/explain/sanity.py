"""Parameter randomisation (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018): what the weights have to do
with a trace.

A clip is explained again on the same architecture with weights that have learned nothing. A trace that stays the same
tells of the clip, such as where it is loud, and not of what the model learned.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from torch import Tensor, nn

from ser_ops import config
from ser_ops.explain.deletion import Cells
from ser_ops.explain.heard import Heard
from ser_ops.explain.intervals import rank_correlation
from ser_ops.explain.methods import traces as traces_of
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.models.architectures import MODELS, build
from ser_ops.models.base import EmotionModel
from ser_ops.models.checkpoint import config_dict
from ser_ops.progress.bar import progress
from ser_ops.seeds import derive

STAGES = ("head", "all")    # what is randomised: the last layers alone, and everything


def fresh(subject: Subject, seed: int) -> EmotionModel:
    """The subject's architecture, preset and standardisation with random weights; no checkpoint is looked for."""
    model = subject.model
    kept = config_dict(cast(Any, model.backbone).config) if MODELS[model.name].backbone else None
    standardisation = None if subject.standardisation is None else \
        {name: list(values) for name, values in subject.standardisation.items()}
    return build(model.name, model.preset, standardisation, seed, kept)


def randomised(subject: Subject, seed: int) -> dict[str, Subject]:
    """The subject for each of STAGES, with random weights from the head down (the paper's cascade, both of its ends).

    The head is what the model defines last: its layers from the streams' embeddings to the logits.
    """
    everything = fresh(subject, derive(seed, "randomised"))
    above = copy.deepcopy(subject.model)
    name, head = list(everything.named_children())[-1]
    cast(nn.Module, above.get_submodule(name)).load_state_dict(head.state_dict())
    return {stage: replace(subject, model=model.to(subject.device).eval())
            for stage, model in zip(STAGES, (above, everything), strict=True)}


def correlations(subject: Subject, heard: Sequence[Heard], targets: Sequence[int],
                 traces: Sequence[Mapping[str, Trace]], background: Tensor | None,
                 settings: config.Explain) -> dict[str, dict[str, float]]:
    """For each stage and method Spearman's correlation of |trace| with that of the trained model: mean over clips.

    heard (n,), targets (n,) the classes explained, traces (n,) of the trained model. In [-1, 1]: near 0 the trace
    follows the weights, near 1 it does without them. Over the valid part alone, in cells of `cell_seconds`: padding,
    which is flat on both sides, would look like agreement. A trace that is flat on one side agrees with nothing.
    """
    seconds = settings.faithfulness.cell_seconds
    found: dict[str, dict[str, float]] = {}
    for stage, other in randomised(subject, settings.seed).items():
        each: dict[str, list[float]] = {}
        clips = zip(heard, targets, traces, strict=True)
        for clip, target, own in progress(clips, f"random weights: {stage}", len(heard)):
            cells = Cells.of(clip.valid, seconds, subject.sample_rate)
            for method, trace in traces_of(other, clip, target, background, settings, only=tuple(own)).items():
                each.setdefault(method, []).append(
                    rank_correlation(np.abs(cells.mean(own[method])), np.abs(cells.mean(trace))))
        found[stage] = {method: float(np.mean(values)) for method, values in each.items()}
    return found
