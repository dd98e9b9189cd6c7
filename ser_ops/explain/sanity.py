"""Parameter randomisation (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018): what the weights have to do
with a trace.

A clip is explained again on the same architecture with weights that have learned nothing. A trace that stays the same
tells of the clip, such as where it is loud, and not of what the model learned.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
from torch import nn

from ser_ops.explain.asking import explanations
from ser_ops.explain.deletion import Cells
from ser_ops.explain.intervals import rank_correlation
from ser_ops.explain.question import Question
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build
from ser_ops.models.backbone import config_record
from ser_ops.models.base import EmotionModel
from ser_ops.seeds import derive

STAGES = ("head", "all")    # what is randomised: the last layers alone, and everything


def fresh(subject: Subject, seed: int) -> EmotionModel:
    """The subject's architecture, preset and standardisation with random weights; no checkpoint is looked for."""
    model = subject.model
    kept = config_record(cast(Any, model.backbone).config) if MODELS[model.name].backbone else None
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


def correlations(question: Question, traces: Mapping[str, Trace],
                 others: Mapping[str, Subject]) -> dict[str, dict[str, float]]:
    """For each stage and method Spearman's correlation of |trace| with that of the trained model, in [-1, 1].

    traces: of the trained model, for the question's class; others: what `randomised` gives. Near 0 a trace follows the
    weights, near 1 it does without them. Over the valid part alone, in cells of `cell_seconds`: padding, which is flat
    on both sides, would look like agreement. A trace that is flat on one side agrees with nothing.
    """
    cells = Cells.of(question.heard.valid, question.settings.faithfulness.cell_seconds, question.subject.sample_rate)
    found = dict[str, dict[str, float]]()
    for stage, other in others.items():
        again = explanations(replace(question, subject=other, context=None, every_class=False), traces)
        found[stage] = {method: rank_correlation(np.abs(cells.mean(traces[method])), np.abs(cells.mean(one.trace)))
                        for method, one in again.items()}
    return found
