"""A training epoch and inference of each model beside a plain PyTorch loop that reads and computes item by item.

Training: fit() for one epoch from the stores that the pipeline leaves, validation with it, against a Dataset and
DataLoader over the files. The features were made once, before; how long that took is said. Inference: evaluation's
panel, from the waveforms that ingest left to features and probabilities, against the same DataLoader.
"""

from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.speed import machine
from benchmarks.speed.case import Row, Setting
from benchmarks.speed.measure import by_turns
from benchmarks.speed.plain import Clips, answers, epoch
from benchmarks.speed.ready import MODELS, Ready, ready
from benchmarks.speed.work import operations, peak
from ser_ops.evaluation.robustness import Panel
from ser_ops.models.base import EmotionModel
from ser_ops.training.loop import autocast_dtype, fit

CPU = torch.device("cpu")
ASKED = {"spectral": 3.0, "cnn": 3.0, "lstm": 3.0, "cnn_lstm": 3.0}
_ALIKE, _MOST = 1e-3, 95    # of their deviation, for this per cent of the clips: a tuning is a vote that rounding turns


def clips(made: Ready, name: str, files: slice) -> Clips:
    """The plain Dataset over some of the files, as the model reads them."""
    settings, model = made.preset.input_of(name), made.model(name)
    labels = [row.label for row in made.rows[files]]
    return Clips(made.files[files], labels, settings.seconds, made.params.data.sample_rate,
                 None if model.streams == ("wav2vec",) else settings)


def apart(made: Ready, name: str, held: Clips) -> float:
    """How far the logits over their features and over ours lie apart, in deviations, for all but a few clips."""
    model, (_, ours) = made.model(name).eval(), made.examples(name)
    batch = ours.batch(range(len(ours)))
    waveforms, valid, features, _ = zip(*(held[index] for index in range(len(held))), strict=True)
    with torch.no_grad():
        theirs = model(torch.stack(waveforms), torch.stack(valid), torch.stack(features))
        return _far(model(batch.waveform, batch.valid, batch.features).numpy(), theirs.numpy())


def _far(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.percentile(np.abs(ours - theirs).max(1), _MOST) / theirs.std(0).max())


def floor(made: Ready, name: str, training: bool) -> float:
    """Utterances a second if nothing were done but the model's products, and its input read once from memory."""
    model, (train, _) = made.model(name).train(training), made.examples(name)
    batch = train.for_model(model).batch(range(min(32, len(train))))

    def passes() -> None:
        with torch.set_grad_enabled(training):
            logits = model(batch.waveform, batch.valid, batch.features)
        if training:
            logits.sum().backward()

    dtype = autocast_dtype(made.params.train.precision, CPU) if training else torch.float32
    seconds = operations(passes) / peak(dtype) + (batch.waveform.nbytes + batch.features.nbytes) / machine.copied()
    return len(batch) / seconds


def training(made: Ready, name: str, rounds: int, which: str = "") -> Row:
    """A training epoch; which: what sets this row apart from another one of the same model."""
    settings, (train, held) = made.settings(1), made.examples(name)
    plain, plain_held = (clips(made, name, part) for part in (slice(0, -made.held), slice(-made.held, None)))
    models: list[Iterator[EmotionModel]] = [iter([made.model(name) for _ in range(rounds + 1)]) for _ in range(2)]
    turns = by_turns(
        lambda: fit(next(models[0]), train, held, settings, CPU, quiet=True),
        lambda: epoch(next(models[1]), plain, plain_held, settings.batch_size, settings.learning_rate), rounds)
    far = apart(made, name, plain_held)
    return Row(f"training epoch of {name}{which}", "utterances", *turns.rates(len(train)), ASKED.get(name),
               floor(made, name, True), "products of forward and backward at the best rate of one core, features read "
               "from memory; see the whole loop's line", far <= _ALIKE, f"logits {far:.0e} deviations apart",
               f"features made once before, {len(made.rows) / made.seconds(name):.0f} utterances a second")


def inference(made: Ready, name: str, rounds: int, which: str = "") -> Row:
    """From waveforms to probabilities."""
    model, held = made.model(name).eval(), clips(made, name, slice(None))
    size, rate = made.params.evaluate.batch_size, made.params.data.sample_rate
    card = {"model": name, "sample_rate": rate, "preset_settings": made.preset.model_dump(mode="json")}
    panel = Panel({name: (model, card)}, CPU, size)
    waveforms = made.examples(name)[0].stores.originals
    turns = by_turns(lambda: panel([waveforms[row.utterance] for row in made.rows])[0],
                     lambda: torch.cat(answers(model, held, size)).numpy(), rounds)
    far = _far(turns.our_result, turns.peer_result)
    return Row(f"inference of {name}{which}", "utterances", *turns.rates(len(made.files)), ASKED.get(name),
               floor(made, name, False), "the model's products alone; features, which have a line of their own, stand "
               "between", far <= _ALIKE, f"probabilities {far:.0e} deviations apart")


def run(setting: Setting) -> Iterator[Row]:
    """All models; in the short form one of each paper."""
    made = ready(setting, 48 if setting.short else 160)
    rounds = 1 if setting.short else 2
    for name in ("spectral", "cnn") if setting.short else MODELS:
        yield training(made, name, rounds)
        yield inference(made, name, rounds)
    if not setting.short:
        yield training(made.under("small"), "spectral", rounds, ", preset small")
        yield inference(made.under("small"), "spectral", rounds, ", preset small")
