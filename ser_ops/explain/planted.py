"""A planted cue: a model of the same architecture learns clips that a tone burst decides, and methods must point there.

Each clip is noise with several bursts as loud and as long as one another. The frequency of one decides between two
classes; the others say nothing. A ranking by loudness, which the figures of a trained model cannot tell from a good
explanation, points at the right burst only by chance. The times of all bursts are drawn for each clip, so a habit of
pointing at the middle does not help either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.config.explaining import Explain, Planted
from ser_ops.explain.clip import Clip, make_clip
from ser_ops.explain.deletion import Cells
from ser_ops.explain.faithfulness import untrained_model
from ser_ops.explain.question import Question, explain_clip, method_module
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.features.standardise import Moments
from ser_ops.manifest import VariantRow
from ser_ops.methods import METHODS
from ser_ops.model_table import MODELS
from ser_ops.models.base import member_examples
from ser_ops.noise.mixing import stationary_noise
from ser_ops.seeds import derive_seed, generator

CLASSES = ("angry", "sad")      # any two: the sound has nothing of either
_LEVEL = 0.01                   # RMS of the noise, full scale is 1


class WindowTooShort(ValueError):
    """The bursts do not fit into the window that the model hears."""


@dataclass(frozen=True)
class PlantedClip:
    """A synthetic clip as the model hears it, with the start of its deciding burst in seconds."""

    clip: Clip
    start: float


def measure_planted_cue(subject: Subject, settings: Explain) -> dict[str, Any]:
    """What explanations.json holds under "planted".

    A model of the subject's architecture, preset and input is trained on made clips, and each method asked where the
    class of others comes from. `hit_rate`: clips whose strongest moment lies in the burst, or beside it by half of what
    any trace has as its grain, a frame or a muted stretch; `chance`: what a blind draw would reach; `loudness`: what
    pointing at any of the bursts would. `within_blur`: the same with half the method's receptive field as margin, which
    for a wide one is easily reached by chance. Each method has the `low` of Wilson's 95 % interval, and `found` says
    whether that exceeds both. `seconds` of the cue: from the earliest start to the latest end; it is drawn for each
    clip. Raises WindowTooShort where the bursts do not fit into the window.
    """
    chosen, seed = settings.planted, settings.seed
    train, test = (make_planted_clips(subject, chosen, number, seed, partition)
                   for number, partition in ((chosen.train_clips, "train"), (chosen.clips, "test")))
    features = torch.cat([planted.clip.batch.features for planted in train])
    trained = untrained_subject(subject, features, seed)
    accuracy, steps = train_until_learned(trained, train, test, chosen, seed)
    peaks: dict[str, list[float]] = {}
    for planted in test:
        for method, trace in _traces(trained, planted.clip, features[:settings.background], settings).items():
            peaks.setdefault(method, []).append(_peak(trace))
    starts, loudness = [planted.start for planted in test], 1 / (1 + chosen.others)
    methods = {method: _method_figures(method, method_peaks, starts, trained, settings, loudness)
               for method, method_peaks in peaks.items()}
    report = {
        "cue": {"seconds": [min(starts), max(starts) + chosen.seconds], "hertz": list(chosen.hertz),
                "duration": chosen.seconds, "others": chosen.others, "other_hertz": chosen.other_hertz},
        "energy": methods.pop("energy"), "loudness": loudness, "methods": methods, "accuracy": accuracy, "steps": steps,
        "learned": accuracy >= chosen.accuracy}
    return report | {"words": planted_sentences(report)}


def make_planted_clips(subject: Subject, chosen: Planted, number: int, seed: int, partition: str) -> list[PlantedClip]:
    """`number` clips, both classes in turn, as the subject hears them."""
    clips, length = [], round(subject.features.seconds * subject.sample_rate)
    for i in range(number):
        name, emotion = f"planted/{partition}_{i}", CLASSES[i % len(CLASSES)]
        samples, start = make_sound(chosen, length, subject.sample_rate, emotion, seed, name)
        row = VariantRow(f"{name}#original", name, "original", partition, emotion, "planted/noise", "planted")
        clips.append(PlantedClip(make_clip(subject, row, samples), start))
    return clips


def make_sound(chosen: Planted, length: int, sample_rate: int, emotion: str, seed: int,
               name: str) -> tuple[np.ndarray, float]:
    """A clip of the class, float32 (length,), and the start of its deciding burst in seconds.

    Raises WindowTooShort where the window is too short for the bursts.
    """
    draw = generator(seed, "planted", name)
    number, size = 1 + chosen.others, round(chosen.seconds * sample_rate)
    room = length - number * size
    if room < 0:
        raise WindowTooShort(f"{number} bursts of {chosen.seconds} s are longer than the window")
    starts = np.sort(draw.integers(room + 1, size=number)) + np.arange(number) * size   # uniform, without overlap
    cue = int(draw.integers(number))
    noise = stationary_noise("pink", length, sample_rate, draw)
    noise *= _LEVEL / np.sqrt(np.mean(np.square(noise)))
    # Faded in and out: a sudden edge would sound at every frequency.
    shape, time = np.hanning(size), np.arange(size) / sample_rate
    height = _LEVEL * 10 ** (chosen.level_db / 20) / np.sqrt(np.mean(np.square(shape)) / 2)
    samples = noise.astype(np.float64)
    for burst, start in enumerate(starts):
        hertz = chosen.hertz[CLASSES.index(emotion)] if burst == cue else chosen.other_hertz
        samples[start:start + size] += height * shape * np.sin(2 * np.pi * (hertz * time + draw.random()))
    return samples.astype(np.float32), float(starts[cue] / sample_rate)


def untrained_subject(subject: Subject, features: Tensor, seed: int) -> Subject:
    """The subject's architecture with random weights, and these features' moments where it standardises its input.

    Where the preset starts the backbone at a checkpoint, the subject's own backbone is taken and frozen: random
    weights of that size learn nothing from a few clips.
    """
    standardisation = None if subject.standardisation is None else \
        Moments.of(features.cpu(), subject.features).standardisation()
    standardised = replace(subject, standardisation=standardisation)
    model = untrained_model(standardised, derive_seed(seed, "planted"))
    section = MODELS[model.name].backbone
    if section and getattr(model.preset, section).checkpoint:
        model.backbone.load_state_dict(subject.model.backbone.state_dict())
        model.backbone.requires_grad_(False)
    return replace(standardised, model=model.to(subject.device).eval())


def train_until_learned(subject: Subject, train: Sequence[PlantedClip], test: Sequence[PlantedClip], chosen: Planted,
                        seed: int) -> tuple[float, int]:
    """Train the subject's model in place until it knows the test clips or the steps are used up: accuracy and steps.

    Accuracy is over `test`, in [0, 1]. On a CPU the same seed gives the same weights.
    """
    model, trainable = subject.model, [weight for weight in subject.model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(trainable, chosen.learning_rate)
    waveform, valid, features, labels = _stacked(train)
    accuracy, step = 0.0, 0
    with torch.random.fork_rng(devices=[subject.device] if subject.device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "planted", "dropout"))
        draw = generator(seed, "planted", "order")
        while step < chosen.max_steps and accuracy < chosen.accuracy:
            model.train()
            batch = torch.from_numpy(draw.permutation(len(train))[:chosen.batch_size]).to(subject.device)
            answers = member_examples(model(waveform[batch], valid[batch], features[batch]), labels[batch])
            loss = nn.functional.cross_entropy(*answers, label_smoothing=chosen.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trainable, 1.0)
            optimiser.step()
            step += 1
            if step % chosen.check_every == 0 or step == chosen.max_steps:
                accuracy = _accuracy(subject, test)
    model.eval()
    return accuracy, step


@torch.no_grad()
def _accuracy(subject: Subject, test: Sequence[PlantedClip]) -> float:
    waveform, valid, features, labels = _stacked(test)
    return float((subject.model.eval()(waveform, valid, features).argmax(1) == labels).double().mean())


def _stacked(clips: Sequence[PlantedClip]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batches = [planted.clip.batch for planted in clips]
    return (torch.cat([batch.waveform for batch in batches]), torch.cat([batch.valid for batch in batches]),
            torch.cat([batch.features for batch in batches]), torch.cat([batch.labels for batch in batches]))


def _traces(trained: Subject, clip: Clip, background: Tensor, settings: Explain) -> dict[str, Trace]:
    """What each method gives to a clip for the class that the trained model answers, and loudness under "energy"."""
    batch = clip.batch
    with torch.no_grad():
        target = int(trained.model(batch.waveform, batch.valid, batch.features)[0].argmax())
    question = Question(trained, clip, target, settings, background, samples=settings.conditions.shap_samples)
    cells = Cells.of(clip.valid, settings.faithfulness.cell_seconds, trained.sample_rate)
    return {method: explanation.trace for method, explanation in explain_clip(question).items()} | {
        "energy": Trace("energy", cells.seconds, cells.rms(clip.window), "RMS")}


def _peak(trace: Trace) -> float:
    """Where a trace is strongest, in seconds; NaN where nothing of it is above 0."""
    return float(trace.seconds[trace.values.argmax()]) if trace.values.max() > 0 else float("nan")


def _method_figures(method: str, peaks: Sequence[float], starts: Sequence[float], trained: Subject, settings: Explain,
                    loudness: float) -> dict[str, Any]:
    """How often a method's peaks hit their bursts, with its grain as margin and with its blur."""
    grain = trained.features.frame / trained.features.sample_rate
    blur = grain if method == "energy" else method_module(method).blur(trained, settings)
    figures, blurred = (_hit_figures(peaks, starts, settings.planted.seconds, margin / 2, trained.features.seconds,
                                     loudness) for margin in (min(blur, grain), blur))
    return figures | {"within_blur": {"seconds": blur} | blurred}


def _hit_figures(peaks: Sequence[float], starts: Sequence[float], burst: float, margin: float, window: float,
                 loudness: float) -> dict[str, Any]:
    hit, chance = hits(peaks, starts, burst, margin, window)
    low = lower_bound(sum(hit), len(hit))
    return {"hit_rate": sum(hit) / len(hit), "n": len(hit), "chance": chance, "low": low,
            "found": low > max(chance, loudness)}


def hits(peaks: Sequence[float], starts: Sequence[float], burst: float, margin: float,
         window: float) -> tuple[list[bool], float]:
    """Whether each peak lies in its burst or up to `margin` beside it, and how often a moment drawn blindly would.

    peaks (n,): seconds, NaN for a trace that points nowhere; starts (n,): of the bursts; burst, window: their length.

    >>> hits([1.1, 0.2], [1.0, 1.0], burst=0.25, margin=0.125, window=2.0)
    ([True, False], 0.25)
    """
    ends = [(max(0.0, start - margin), min(window, start + burst + margin)) for start in starts]
    return ([first <= peak <= last for peak, (first, last) in zip(peaks, ends, strict=True)],
            float(np.mean([last - first for first, last in ends])) / window)


def lower_bound(successes: int, number: int, z: float = 1.96) -> float:
    """Wilson's lower 95 % bound of a share.

    >>> round(lower_bound(10, 10), 3), lower_bound(0, 10)
    (0.722, 0.0)
    """
    share, spread = successes / number, z * z / number
    half = z * np.sqrt(share * (1 - share) / number + spread / (4 * number))
    return float(max(0.0, (share + spread / 2 - half) / (1 + spread)))


def planted_sentences(report: Mapping[str, Any]) -> list[str]:
    """Sentences on each method, computed from the figures of `measure_planted_cue`."""
    cue = report["cue"]
    sentences = [f"A model of the same architecture was trained to tell clips by the frequency of one burst of "
                 f"{cue['duration']:g} s; {cue['others']} others as loud decide nothing ({report['steps']} steps, "
                 f"accuracy {report['accuracy']:.2f})."]
    if not report["learned"]:
        sentences.append("That is too little for anything to follow from where its methods point.")
    for name, figures in (*report["methods"].items(), ("energy", report["energy"])):
        title = METHODS[name].title if name in METHODS else "Loudness, which asks no model,"
        sentences.append(f"{title} points at it in {round(figures['hit_rate'] * figures['n'])} of {figures['n']} clips"
                         f"{_chances_in_words(name, figures, report['loudness'])}.")
    return sentences


def _chances_in_words(name: str, figures: Mapping[str, Any], loudness: float) -> str:
    if name == "energy":
        return ""
    chances = f"a blind draw would in {figures['chance']:.0%}, pointing at any burst in {loudness:.0%} of them"
    return f": {chances}" if figures["found"] else f", which is not clearly more than chance: {chances}"
