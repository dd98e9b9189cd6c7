"""The explanations that a model admits, over chosen utterances: numbers and figures.

A model with a spectral stream gets Score-CAM and SHAP over that stream's input; its Wav2Vec 2.0 stream, where it
has one, keeps hearing the whole waveform. A model without gets occlusion of the waveform.
"""

from pathlib import Path
from typing import Any

from ser_ops import config
from ser_ops.dataset import Examples
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import choice
from ser_ops.explain.attribution import expected_gradients
from ser_ops.explain.clip import by_occlusion, by_score_cam
from ser_ops.explain.held import Centred, Held
from ser_ops.explain.overall import overall
from ser_ops.explain.subject import Subject
from ser_ops.progress import progress

_NO_STREAM = "the model has no spectral stream"


def explain(subject: Subject, test: Examples, train: Examples, settings: config.Explain, folder: Path,
            prefix: str) -> dict[str, Any]:
    """Explain `per_class` test utterances of each class; draw into `folder`; return what explanations.json holds.

    `prefix` stands before each figure's file name in the answer. Each clip is explained for the class that the
    model predicted, right or wrong. All choices are keyed by settings.seed.
    """
    ground = None
    if subject.spectral:
        rows = choice.background(train.rows, settings.background, settings.seed)
        ground = train.batch(rows).features.to(subject.device)
    clips, attributions, number = [], [], dict.fromkeys(EMOTIONS, 0)
    for position in progress(choice.per_class(test.rows, settings.per_class, settings.seed), "explain"):
        batch = test.batch([position]).to(subject.device)
        emotion = batch.rows[0].emotion
        number[emotion] += 1
        file = folder / f"{'scorecam' if subject.spectral else 'occlusion'}_{emotion}_{number[emotion]}.png"
        if ground is None:
            clip = by_occlusion(subject, batch, settings, file)
        else:
            held = Held(subject.model, batch.waveform[0], batch.valid[0])
            clip = by_score_cam(subject, held, batch, settings, file)
            attributions.append(expected_gradients(Centred(held), batch.features[0], ground, settings.shap_samples,
                                                   settings.seed, batch.rows[0].utterance, settings.batch_size))
        beyond = len(test.stores.waveform(batch.rows[0])) - test.length
        clips.append(clip | {"window_start": max(0, beyond) // 2 / subject.sample_rate,
                             "figure": f"{prefix}{file.name}"})
    if ground is None:
        return {"methods": ["occlusion"], "not_admitted": {"scorecam": _NO_STREAM, "shap": _NO_STREAM},
                "clips": clips, "shap": None}
    file = folder / "shap_global.png"
    ranking = overall(subject, attributions, [clip["explained"] for clip in clips], settings, len(ground), file)
    return {"methods": ["scorecam", "shap"], "not_admitted": {}, "blur": subject.blur(), "clips": clips,
            "shap": {"figure": f"{prefix}{file.name}"} | ranking}
