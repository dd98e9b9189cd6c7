"""All explained utterances together: which features the scores follow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import figures
from ser_ops.explain.methods import shap
from ser_ops.explain.pictures.canvas import unheard
from ser_ops.explain.subject import Subject
from ser_ops.features.index_map import describe, feature_at, grid, shape_of, to_grid
from ser_ops.features.rows import row_name

_BAR = ("Mean absolute SHAP value over {utterances} test utterances against {background} training utterances "
        "(expected gradients; equation 25 is missed by {error:.3f} on average, {share:.0%} of what is explained). Long "
        "means that the scores follow the feature, not in which direction, and not that it causes the emotion; single "
        "moments differ from one utterance to the next, so the order of so few utterances is a hint.")


def _named(values: np.ndarray) -> dict[str, float]:
    return {emotion: float(value) for emotion, value in zip(EMOTIONS, values, strict=True)}


def overall(subject: Subject, found: Sequence[shap.Attribution], explained: Sequence[str],
            settings: config.Explain, background: int, file: Path) -> dict[str, Any]:
    """Rank features by what they do to the scores over all utterances; draw the global bar into `file`.

    `explained` names the class of each utterance on which equation 25 is checked; `background` is the number of
    training utterances behind the attributions.
    """
    importances = shap.importance(found)
    top = shap.rank(importances, settings.top)
    shaped = importances.T.reshape(len(EMOTIONS), *shape_of(subject.features))
    by_kind = shap.rank(to_grid(shaped, subject.features).sum(-1).T, settings.top)
    pairs = [(one, EMOTIONS.index(emotion)) for one, emotion in zip(found, explained, strict=True)]
    error = float(np.mean([abs(one.gap[c]) for one, c in pairs]))
    reach = float(np.mean([abs(one.score[c] - one.base[c]) for one, c in pairs]))
    names = [describe(one.index, subject.features) for one in top]
    share = error / reach if reach else 0.0
    caption = _BAR.format(utterances=len(found), background=background, error=error, share=share)
    caption += unheard(subject.model.streams)
    figures.shap_bar(names, {emotion: [float(one.per_class[c]) for one in top] for c, emotion in enumerate(EMOTIONS)},
                     caption, file)
    return {
        "utterances": len(found), "background": background,
        "samples": settings.shap_samples, "score": "logit less the mean of all seven logits",
        "top": [{"feature": name, "index": one.index, "per_class": _named(one.per_class)}
                for name, one in zip(names, top, strict=True)],
        "kinds": [{"feature": _kind(one.index, subject.features), "per_class": _named(one.per_class)}
                  for one in by_kind],
        "base_values": _named(np.mean([one.base for one in found], axis=0)),
        "additivity_error": error, "additivity_error_share": share,
    }


def _kind(channel: int, settings: config.Window) -> str:
    """A row of the grid in words, without a time."""
    if isinstance(settings, config.Stacked | config.MelImage):
        return row_name(channel, settings)
    if not isinstance(settings, config.Features):
        raise TypeError(f"no features for {type(settings).__name__}")
    place = feature_at(int(grid(settings)[channel, 0]), settings)
    return place.kind if place.coefficient is None else f"{place.kind} {place.coefficient}"
