"""Paper 1's figures 2, 3 and 5 of one clip."""

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.clip import title
from ser_ops.explain.counterfactual import Counterfactual
from ser_ops.explain.figures import over_waveform
from ser_ops.explain.frames import frame_seconds
from ser_ops.explain.heard import CLEAN, Heard
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.pictures.aligned import aligned
from ser_ops.explain.pictures.canvas import Sound, held, under
from ser_ops.explain.pictures.glowing import glowing
from ser_ops.explain.pictures.masked import masked
from ser_ops.explain.pictures.occluded import occluded
from ser_ops.explain.pictures.regions import regions
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.features.index_map import to_frames
from ser_ops.methods import METHODS, in_order

KEYS = ("figure_2", "figure_3ab", "figure_3c", "figure_3d", "figure_3e", "figure_5")
_HEAT = ("{method} for '{explained}': the waveform coloured by it, and its value at each time step. {held}Not shown: "
         "what speaks against the class, how sharp the method can see, and that a dark moment is the cause of the "
         "answer.")


def leading(traces: Mapping[str, Trace]) -> Trace:
    """The method that figures of a single one are drawn of: the first of the catalogue. Raises ValueError without any.
    """
    if not traces:
        raise ValueError("no method, no figure: paper_figures needs at least one trace")
    return traces[in_order(traces)[0]]


def paper_figures(subject: Subject, heard: Heard, clip: Mapping[str, Any], traces: Mapping[str, Trace],
                  attribution: Attribution | None, course: Counterfactual | None, settings: config.Explain,
                  folder: Path, prefix: str, believe: Mapping[str, str] | None = None) -> dict[str, str]:
    """Draw a clip's figures into `folder`; returns the figure's key (KEYS) to `prefix` and the file's name.

    clip: what `explain.clip.told` says of it. traces: of the class that the model answers. attribution: SHAP, for
    figure 5, which else follows traces["shap"]; neither, no figure 5; no trace of occlusion, no figure 3c. course: what
    muting in the order of the leading method does, for figure 3e; None, no figure 3e. believe: how far a method can be
    believed, a sentence each, which stands below its figures.
    """
    said, target = believe or {}, EMOTIONS.index(clip["explained"])
    noise = "" if heard.noise == CLEAN else f" in {heard.noise} at {heard.intensity:g}"
    sound = Sound(heard.window, subject.sample_rate, clip["valid_seconds"], title(clip) + noise)
    first, explained = leading(traces), clip["explained"]
    ordered = [traces[name] for name in in_order(traces)]
    stem, files = re.sub(r"[^A-Za-z0-9.]+", "_", heard.key), {}

    def file(key: str) -> Path:
        files[key] = f"{prefix}{stem}_{key}.png"
        return folder / f"{stem}_{key}.png"

    over_waveform(sound.samples, sound.sample_rate, first.seconds, np.maximum(first.values, 0), sound.title,
                  fill(first.unit.split(" (")[0], 14),
                  under(_HEAT.format(method=METHODS[first.method].title, explained=explained, held=held([first])),
                        said.get(first.method, "")), file("figure_2"), sound.valid_seconds)
    aligned(sound, ordered, explained, file("figure_3ab"), said)
    if "occlusion" in traces:
        occluded(sound, traces["occlusion"], settings.occlusion_seconds, explained, clip["confidence"],
                 file("figure_3c"), subject.model.streams != ("wav2vec",), said.get("occlusion", ""))
    regions(sound, ordered, settings.active_share, explained, file("figure_3d"), said)
    if course is not None:
        masked(sound, course, file("figure_3e"), said.get(first.method, ""))
    shap = _per_frame(subject, traces, attribution, target)
    if shap is not None:
        glowing(sound, shap, explained, subject.features.frame / subject.features.sample_rate, file("figure_5"),
                _total(attribution, target), said.get("shap", ""))
    return files


def _per_frame(subject: Subject, traces: Mapping[str, Trace], attribution: Attribution | None,
               target: int) -> Trace | None:
    if attribution is None:
        return traces.get("shap")
    window = subject.features
    words = traces["shap"].held if "shap" in traces else ""
    return Trace("shap", frame_seconds(window),
                 to_frames(attribution.values[..., target], window), "log odds", words)


def _total(attribution: Attribution | None, target: int) -> str:
    if attribution is None:
        return ""
    moved = attribution.score[target] - attribution.base[target]
    return (f"All frames together move the score by {moved + attribution.gap[target]:+.2f} from that of the "
            f"background; the model moved by {moved:+.2f}, the rest is what sampling missed.")
