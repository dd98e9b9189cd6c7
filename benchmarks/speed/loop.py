"""The whole training loop beside the bare passes on tensors that are ready.

Bare: forward, the loss, backward and torch's AdamW as it comes, over the very batches that the loop would make (mixed,
in memory), in the loop's own precision, and the forward passes of validation. The loop: fit() from the stores on disk,
with mixup, clipping, the schedule, what is counted, validation, and a checkpoint after each epoch.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmarks.speed.case import Row, Setting
from benchmarks.speed.measure import by_turns, timed
from benchmarks.speed.ready import MODELS, Ready, ready
from benchmarks.speed.work import operations, peak
from ser_ops.dataset.examples import Examples, ordered_batches, shuffled_batches
from ser_ops.models.base import EmotionModel, member_examples
from ser_ops.training.loop import autocast_dtype, fit
from ser_ops.training.loss import Mixed, class_weights, mixup
from ser_ops.training.world import reseed

CPU = torch.device("cpu")
_ASKED = 1 / 1.1
_ALIKE = 1e-4       # of the loss: what two orders of adding leave
_EPOCHS = 2
_SECONDS, _MOST = 30.0, 24  # rounds: as many bare passes as this takes, at most, so that one meets a quiet moment
_RECORDINGS = 1200  # at most: what an epoch costs once, its checkpoint above all, weighs as on a small corpus


def bare(model: EmotionModel, batches: list[Mixed], held: list[Mixed], weights: Tensor, smoothing: float,
         dtype: torch.dtype) -> None:
    """What cannot be left out, and nothing else."""
    optimiser = torch.optim.AdamW(model.parameters())
    for _ in range(_EPOCHS):
        model.train()
        for batch in batches:
            optimiser.zero_grad()
            _loss(model, batch, weights, smoothing, dtype).backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            for batch in held:
                with _autocast(dtype):
                    model(batch.waveform, batch.valid, batch.features)


def _autocast(dtype: torch.dtype) -> torch.autocast:
    return torch.autocast("cpu", dtype, enabled=dtype != torch.float32)


def _loss(model: nn.Module, batch: Mixed, weights: Tensor, smoothing: float, dtype: torch.dtype) -> Tensor:
    with _autocast(dtype):
        logits = model(batch.waveform, batch.valid, batch.features).float()
    losses = [share * nn.functional.cross_entropy(*member_examples(logits, labels), weights, label_smoothing=smoothing)
              for labels, share in batch.labels]
    return torch.stack(losses).sum()


def plain(made: Ready, name: str, train: Examples) -> float:
    """Mean loss of one epoch without mixup and warm-up as torch's tutorials write it; the same seeds as the loop's."""
    settings, model = made.settings(1), made.model(name)
    batches = shuffled_batches(len(train), settings.batch_size, settings.seed, 1)
    optimiser = torch.optim.AdamW(model.parameter_groups(settings.learning_rate, settings.backbone_learning_rate),
                                  weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(batches))
    reseed(settings.seed, "epoch", 1, 0)
    model.train()
    dtype = autocast_dtype(settings.precision, CPU)
    weights, summed, total = class_weights(train.labels), 0.0, 0.0
    for indices in batches:
        optimiser.zero_grad()
        batch = train.batch(indices)
        loss = _loss(model, Mixed(batch.waveform, batch.valid, batch.features, ((batch.labels, 1.0),)), weights,
                     settings.label_smoothing, dtype)
        loss.backward()
        weight = float(weights[batch.labels].sum())
        summed, total = summed + weight * float(loss.detach()), total + weight
        nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
        optimiser.step()
        schedule.step()
    return summed / total


def apart(made: Ready, name: str) -> float:
    """How far the loop's mean loss of two steps lies from the plain loop's, relative to it.

    Not of more: AdamW makes a step of any gradient, of mere rounding too, and then the two go their own ways.
    """
    train, held = made.examples(name)
    train = Examples(train.rows[:2 * made.settings(1).batch_size], train.stores, train.length)
    alone = made.settings(1).model_copy(update={"mixup": 0.0, "warmup": 0.0})
    ours = fit(made.model(name), train, held, alone, CPU, quiet=True).history[0].train_loss
    other = plain(made, name, train)
    return abs(ours - other) / other


def measured(made: Ready, name: str, rounds: int) -> Row:
    """One model's line."""
    settings, (train, held) = made.settings(_EPOCHS), made.examples(name)
    reseed(settings.seed, "epoch", 1, 0)
    batches = [mixup(train.batch(indices), settings.mixup, settings.mixup_share)
               for indices in shuffled_batches(len(train), settings.batch_size, settings.seed, 1)]
    unmixed = [mixup(held.batch(indices), 0.0, 0.0) for indices in ordered_batches(len(held), settings.batch_size)]
    weights, dtype = class_weights(train.labels), autocast_dtype(settings.precision, CPU)
    rest = batches, unmixed, weights, settings.label_smoothing, dtype
    once = timed(lambda: bare(made.model(name), *rest))[1]
    rounds = max(rounds, min(_MOST, int(_SECONDS / once)))
    ours, theirs = (iter([made.model(name) for _ in range(rounds + 1)]) for _ in range(2))
    folders = iter(range(rounds + 1))

    def whole() -> None:
        fit(next(ours), train, held, settings, CPU, made.folder / "state" / name / str(next(folders)), quiet=True)

    turns = by_turns(whole, lambda: bare(next(theirs), *rest), rounds)
    size = _EPOCHS * len(train)
    rate, peer = turns.rates(size)
    work = operations(lambda: bare(made.model(name), *rest))
    far = apart(made, name)
    return Row(f"whole loop of {name} beside its bare passes", "utterances trained on", rate, peer, _ASKED,
               size * peak(dtype) / work,
               f"{work / size / 1e6:.1f} MFLOP each, forward and backward, a fifth as many utterances validated; small "
               "products and convolutions, elementwise passes and Python stand between", far <= _ALIKE,
               f"loss within {far:.0e} of a plain loop's",
               f"{peer / rate:.3f} times the time of the bare passes")


def run(setting: Setting) -> Iterator[Row]:
    """All models; in the short form one that is bound by products and one that is not."""
    made = ready(setting, 48 if setting.short else _RECORDINGS)
    for name in ("spectral", "cnn") if setting.short else MODELS:
        yield measured(made, name, 3 if setting.short else 4)
