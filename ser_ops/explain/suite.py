"""The explanations that a model admits, over chosen utterances: numbers and figures.

| what the model reads | methods |
| --- | --- |
| spectral stream (spectral, concat, fusion) | Score-CAM and SHAP over it; Wav2Vec 2.0 keeps hearing all |
| waveform alone (wav2vec) | occlusion |
| stacked features with a convolution (cnn, cnn_lstm) | Grad-CAM and SHAP over the stacked features |
| stacked features without (lstm) | SHAP and occlusion |
| mel image (vit, beit) | Grad-CAM and occlusion |
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ser_ops import config
from ser_ops.dataset.examples import Batch, Examples
from ser_ops.explain import choice
from ser_ops.explain.attribution import Attribution, expected_gradients
from ser_ops.explain.clip import answer, by_occlusion, by_score_cam, title
from ser_ops.explain.grad_cam_clip import by_grad_cam
from ser_ops.explain.held import Centred, Held
from ser_ops.explain.overall import overall
from ser_ops.explain.pictures.overall import ShapRow
from ser_ops.explain.subject import Subject
from ser_ops.progress.bar import progress

_Drawn = Callable[[Subject, Held, Batch, Mapping[str, Any], config.Explain, Path], dict[str, Any]]
_EACH: dict[str, _Drawn] = {"scorecam": by_score_cam, "gradcam": by_grad_cam, "occlusion": by_occlusion}


@dataclass(frozen=True)
class Explained:
    """What explanations.json holds of the chosen utterances, and SHAP of each with what belongs to it (or none)."""

    report: dict[str, Any]
    attributions: list[Attribution]
    rows: list[ShapRow]


def explain(subject: Subject, test: Examples, train: Examples, settings: config.Explain, folder: Path,
            prefix: str) -> dict[str, Any]:
    """The report of `examine`."""
    return examine(subject, test, train, settings, folder, prefix).report


def examine(subject: Subject, test: Examples, train: Examples, settings: config.Explain, folder: Path,
            prefix: str) -> Explained:
    """Explain `per_class` test utterances of each class; draw into `folder`; return what explanations.json holds.

    methods, not_admitted (method to reason), clips, shap (None for a model that admits none). A clip has an entry a
    method, each with its `figure`; the first one's is the clip's own. `prefix` stands before each figure's file name
    in the answer. Each clip is explained for the class that the model predicted, right or wrong. All choices are keyed
    by settings.seed.
    """
    methods, refused = subject.admitted
    ground = None
    if "shap" in methods:
        rows = choice.background(train.rows, settings.background, settings.seed)
        ground = train.batch(rows).features.to(subject.device)
    clips, attributions, rows_of, number = list[dict[str, Any]](), [], [], Counter[str]()
    for position in progress(choice.per_class(test.rows, settings.per_class, settings.seed), "explain"):
        batch = test.batch([position]).to(subject.device)
        held = Held(subject.model, batch.waveform[0], batch.valid[0])
        number[batch.rows[0].emotion] += 1
        clip = _clip(subject, held, batch, settings, folder, prefix, number[batch.rows[0].emotion])
        beyond = len(test.stores.waveform(batch.rows[0])) - test.length
        clips.append(clip | {"window_start": max(0, beyond) // 2 / subject.sample_rate})
        if ground is not None:
            attributions.append(_attribution(held, batch, ground, settings))
            rows_of.append(ShapRow(batch.features[0].cpu().numpy(), clips[-1]["explained"], title(clips[-1])))
    found: dict[str, Any] = {"methods": list(methods), "not_admitted": refused, "clips": clips, "shap": None}
    if subject.spectral:
        found["blur"] = subject.blur()
    if ground is not None:
        file = folder / "shap_global.png"
        explained = [clip["explained"] for clip in clips]
        found["shap"] = {"figure": f"{prefix}{file.name}"} | overall(subject, attributions, explained, settings,
                                                                     len(ground), file)
    return Explained(found, attributions, rows_of)


def _clip(subject: Subject, held: Held, batch: Batch, settings: config.Explain, folder: Path, prefix: str,
          number: int) -> dict[str, Any]:
    """One utterance by each method that explains single ones; `number` counts within its class."""
    clip = answer(batch, subject)
    for method in subject.admitted[0]:
        if method in _EACH:
            file = folder / f"{method}_{clip['emotion']}_{number}.png"
            figure = f"{prefix}{file.name}"
            clip[method] = _EACH[method](subject, held, batch, clip, settings, file) | {"figure": figure}
            clip.setdefault("figure", figure)
    return clip


def _attribution(held: Held, batch: Batch, ground: Tensor, settings: config.Explain) -> Attribution:
    return expected_gradients(Centred(held), batch.features[0], ground, settings.shap_samples, settings.seed,
                              batch.rows[0].utterance, settings.batch_size)
