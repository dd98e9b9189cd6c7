"""Paper 1's figures 4b, 4c and 4d, class by class. Figure 4a, over all classes, is `ser_ops.explain.overall`'s."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser_ops import config
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.pictures.beeswarm import beeswarm
from ser_ops.explain.pictures.canvas import under, unheard
from ser_ops.explain.pictures.spread import violins
from ser_ops.explain.pictures.waterfall import waterfall
from ser_ops.explain.subject import Subject
from ser_ops.features.index_map import describe

_OF = ("{top} of {features:,} features, those with the largest mean |SHAP value| for '{emotion}' over {utterances} "
       "test utterances of all classes. ")
_SWARM = (_OF + "A dot is an utterance, orange where the feature was high in it, blue where it was low. Not shown: "
          "that the order would stay with other utterances, what features do together, and that a feature causes the "
          "emotion.")
_VIOLIN = (_OF + "A dot is an utterance, the short line the median; the shaded shape is a smoothed guess at the spread "
           "behind so few dots. Not shown: what the value of the feature was, and that a long tail would come again.")
_FALL = ("Equation 25 for one utterance and '{emotion}': the features that moved the score most, one by one, all "
         "others as one bar, and what sampling missed. Orange pushes up, blue down. Not shown: that the named features "
         "decide (look at how much the others move together), and what would happen if one of them changed.")


@dataclass(frozen=True)
class ShapRow:
    """An utterance that SHAP explained: its features float32 (*shape_of), not standardised, and what is said of it.

    explained: the class that the model answered. title: what stands above its waterfall.
    """

    features: np.ndarray
    explained: str
    title: str


def global_figures(subject: Subject, attributions: Sequence[Attribution], rows: Sequence[ShapRow],
                   settings: config.Explain, folder: Path, prefix: str, believe: str = "") -> dict[str, str]:
    """Draw them into `folder`; returns 'figure_4b_fear' and the like to `prefix` and the file's name.

    attributions and rows belong together, one an utterance. 4b and 4c of every class, 4d of every class that the model
    answered, for the first such row. Features are named by equation 29. believe: a sentence on how far SHAP can be
    believed.
    """
    if not attributions:
        return {}
    values = np.stack([one.values.reshape(-1, len(EMOTIONS)) for one in attributions])      # (n, features, classes)
    features = np.stack([row.features.reshape(-1) for row in rows])
    told = unheard(subject.model.streams)
    files: dict[str, str] = {}

    def file(key: str) -> Path:
        files[key] = f"{prefix}shap_{key}.png"
        return folder / f"shap_{key}.png"

    for c, emotion in enumerate(EMOTIONS):
        best = np.argsort(-np.abs(values[..., c]).mean(0), kind="stable")[:settings.top]
        names = [describe(int(index), subject.features) for index in best]
        said = {"top": len(best), "features": values.shape[1], "emotion": emotion, "utterances": len(values)}
        beeswarm(names, values[:, best, c], features[:, best], emotion, settings.seed,
                 under(_SWARM.format(**said) + told, believe), file(f"figure_4b_{emotion}"))
        violins(names, values[:, best, c], emotion, under(_VIOLIN.format(**said) + told, believe),
                file(f"figure_4c_{emotion}"))
        number = next((number for number, row in enumerate(rows) if row.explained == emotion), None)
        if number is not None:
            waterfall_of(subject, attributions[number], rows[number], c, settings.top, file(f"figure_4d_{emotion}"),
                         believe)
    return files


def waterfall_of(subject: Subject, one: Attribution, row: ShapRow, target: int, top: int, path: Path,
                 believe: str = "") -> None:
    """Draw figure 4d of one utterance for class `target`: its `top` features, all others, and what sampling missed."""
    caption = under(_FALL.format(emotion=EMOTIONS[target]) + unheard(subject.model.streams), believe)
    values = one.values.reshape(-1, len(one.base))[:, target]
    best = np.argsort(-np.abs(values), kind="stable")[:top]
    rest = float(values.sum() - values[best].sum())
    flat = row.features.reshape(-1)
    names = [f"{describe(int(index), subject.features)}  = {flat[index]:.3g}" for index in best]
    waterfall(names, values[best], (len(values) - len(best), rest), float(-one.gap[target]), float(one.base[target]),
              float(one.score[target]), row.title, caption, path)
