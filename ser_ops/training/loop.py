"""The training loop of all models, on a CPU core, on a GPU or on several under torchrun; and calibration after it."""

import multiprocessing
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from ser_ops.config.section import SETTINGS_FILES
from ser_ops.config.training import Training
from ser_ops.dataset.examples import Examples, loader, ordered_batches, rows_of_epoch, shuffled_batches
from ser_ops.errors import UserError
from ser_ops.models.base import EmotionModel, standardised_beforehand
from ser_ops.models.paper1 import LateFusion
from ser_ops.models.temperature import divide_logits, fit_stream_weights, fit_temperature
from ser_ops.models.voices import Voice, population_of
from ser_ops.training import checkpoint as checkpoints
from ser_ops.training.checkpoint import State
from ser_ops.training.history import Epoch, Logger, NullLogger, best_epoch, epochs_without_gain
from ser_ops.training.loss import CLASSES, class_weights, confusion_counts, learning_rate_share, loss_sum, mixup, uar
from ser_ops.training.world import process_rank, repeatable, reseed, summed, world_size


class Diverged(UserError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Result:
    """The kept epoch's weights (CPU), every epoch, and the one that was kept. `stopped`: `on_epoch` asked for it."""

    best_state: State
    history: tuple[Epoch, ...]
    kept: Epoch
    stopped: bool = False

    @property
    def best_epoch(self) -> int:
        """The number of the kept epoch, from 1."""
        return self.kept.epoch

    @property
    def validation_uar(self) -> float:
        """What the kept epoch was chosen by."""
        return self.kept.validation_uar


def fit(model: nn.Module, train: Examples, validation: Examples, settings: Training, device: torch.device,
        checkpoint: Path | None = None, log: Logger | None = None,
        on_epoch: Callable[[Epoch], bool | None] | None = None, what: str = "training", quiet: bool = False) -> Result:
    """Train a model until `settings.epochs`, or until validation UAR has not risen for `settings.patience` epochs.

    Validation UAR is the mean of UAR on clean and on noisy validation rows (`Epoch.validation_uar`).
    The model ends with the weights of its best epoch (`history.best_epoch`). Where settings.keep is last, it ends with
    those of its last epoch, however validation went, and nothing stops it early. Under torchrun the batch is divided
    among the processes, and process 0 saves and logs. Each process works through its part of a batch in
    `settings.accumulate` parts and adds their gradients up.

    Args:
        model: is changed in place.
        train: rows to train on.
        validation: rows by which the best epoch is chosen, without noise, in noise (`VariantRow.in_noise`) or both.
        settings: of the loop.
        device: to compute on.
        checkpoint: folder in which each epoch is kept. Killed and called again with the same arguments, a training goes
            on and, on a CPU, ends with the same bits, since all randomness is set again at each epoch from (seed,
            epoch, process).
        log: gets the figures of each new epoch.
        on_epoch: is called for every epoch, those of the checkpoint included; True stops the training.
        what: name of the training in messages.
        quiet: whether nothing of each epoch is printed on standard error.

    Returns:
        The kept weights and the history.

    Raises:
        Diverged: a loss is not finite.
        UserError: there are too few rows for a batch, or `settings.length_buckets` does not suit the model.
    """
    if settings.length_buckets > 1 and train.stores.states is None and getattr(model, "depends_on_padding", True):
        raise UserError(f"{what}: train.length_buckets is {settings.length_buckets}, but this model's answers "
                        "depend on padding: set it to 1")
    speakers = [row.speaker for row in train.rows]
    heard = len(rows_of_epoch(speakers, settings.rows_per_speaker, settings.seed, 1))
    if heard < 2 * world_size() * settings.accumulate:
        raise UserError(f"{what}: {heard} training rows are too few: bring more recordings in"
                        + (", or raise train.rows_per_speaker" if heard < len(train) else ""))
    with repeatable(device), standardised_beforehand(model) as standardise:
        scale = standardise.tables() if standardise else None
        train, validation = train.for_model(model, scale), validation.for_model(model, scale)
        return _Fitting(model.to(device), train, validation, settings, device, checkpoint, what, quiet).run(
            log if log is not None and process_rank() == 0 else NullLogger(), on_epoch or (lambda epoch: None))


class _Fitting:
    def __init__(self, model: Any, train: Examples, validation: Examples, settings: Training,
                 device: torch.device, checkpoint: Path | None, what: str, quiet: bool) -> None:
        self.model, self.validation = model, validation.by_noise()
        self.train = train.in_buckets(settings.length_buckets)
        self.settings, self.device, self.folder, self.what, self.quiet = settings, device, checkpoint, what, quiet
        labelled = [(row.row, int(label)) for part in (train, validation)
                    for row, label in zip(part.rows, part.labels, strict=True)]
        self.mark = checkpoints.fingerprint([settings.model_dump(), world_size(), device.type, labelled],
                                            tensors=model.state_dict())
        self.last = settings.keep == "last"
        self.speakers = [row.speaker for row in train.rows]
        self.precision = autocast_dtype(settings.precision, device)
        self.steps = len(self._batches(1))
        weights = class_weights(train.labels) if settings.class_weights else torch.ones(CLASSES)
        self.class_weights, self.weights = weights, weights.to(device)
        self.parameters = {name: parameter for name, parameter in model.named_parameters()
                           if parameter.requires_grad}
        self.optimiser = torch.optim.AdamW(
            model.parameter_groups(settings.learning_rate, settings.backbone_learning_rate),
            lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
        self.full_rates = [group["lr"] for group in self.optimiser.param_groups]
        self.wrapped = self._wrap()

    def _wrap(self) -> nn.Module:
        if world_size() == 1:
            return self.model
        gpu = self.device.type == "cuda"
        model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model) if gpu else self.model
        return DistributedDataParallel(model, device_ids=[self.device.index] if gpu else None,
                                       find_unused_parameters=True)

    def _batches(self, epoch: int) -> list[np.ndarray]:
        rows = rows_of_epoch(self.speakers, self.settings.rows_per_speaker, self.settings.seed, epoch)
        return [rows[indices] for indices in shuffled_batches(
            len(rows), self.settings.batch_size, self.settings.seed, epoch, world_size() * self.settings.accumulate,
            self.train.lengths[rows] if self.settings.length_buckets > 1 else None)]

    def run(self, log: Logger, on_epoch: Callable[[Epoch], bool | None]) -> Result:
        best_state, history = self._resume()
        stopped = False
        for earlier in history:
            stopped = bool(on_epoch(earlier)) or stopped
        for epoch in range(len(history) + 1, self.settings.epochs + 1):
            if stopped or (not self.last and epochs_without_gain(history) >= self.settings.patience):
                break
            history.append(self._epoch(epoch))
            if self.last or best_epoch(history).epoch == epoch:
                best_state = checkpoints.to_cpu(self.model.state_dict())
            if process_rank() == 0:
                if not self.quiet:
                    _print_epoch(self.what, history, self.settings, sum(map(len, self._batches(epoch))))
                log.metrics(history[-1].metrics(), step=epoch)
                if self.folder is not None:
                    checkpoints.save(self.folder, self.mark, self.model.state_dict(), self._moments(), history)
            stopped = bool(on_epoch(history[-1]))
        if world_size() > 1:
            distributed.barrier()
        self.model.load_state_dict(best_state)
        chosen = history[-1] if self.last else best_epoch(history)
        return Result(best_state, tuple(history), chosen, stopped)

    def _resume(self) -> tuple[State, list[Epoch]]:
        kept = checkpoints.load(self.folder, self.mark) if self.folder is not None else None
        if kept is None:
            return {}, []
        self.model.load_state_dict(kept.model)
        for name, parameter in self.parameters.items():
            moments = {kind: kept.optimiser[f"{kind}/{name}"] for kind in ("step", "exp_avg", "exp_avg_sq")
                       if f"{kind}/{name}" in kept.optimiser}
            if moments:
                self.optimiser.state[parameter] = {kind: moment.to(self.device) for kind, moment in moments.items()}
        if process_rank() == 0:
            print(f"{self.what}: goes on after epoch {len(kept.history)}", file=sys.stderr, flush=True)
        return kept.model if self.last else kept.best, list(kept.history)

    def _moments(self) -> dict[str, Tensor]:
        return {f"{kind}/{name}": tensor for name, parameter in self.parameters.items()
                for kind, tensor in self.optimiser.state.get(parameter, {}).items()}

    def _epoch(self, epoch: int) -> Epoch:
        began = time.perf_counter()
        train_loss, train_uar = self._learn(epoch)
        validation_loss, uars = self._validate()
        if not (abs(train_loss) < float("inf") and abs(validation_loss) < float("inf")):
            raise Diverged(f"{self.what}: the loss of epoch {epoch} is not a number: lower train.learning_rate or "
                           f"train.gradient_clip in {SETTINGS_FILES}")
        share = learning_rate_share(epoch * self.steps - 1, self.settings.epochs * self.steps, self.settings.warmup)
        return Epoch(epoch, train_loss, train_uar, validation_loss, uars.get("clean"),
                     self.settings.learning_rate * share, round(time.perf_counter() - began, 3), uars.get("noisy"))

    def _learn(self, epoch: int) -> tuple[float, float]:
        reseed(self.settings.seed, "epoch", epoch, process_rank())
        self.wrapped.train()
        batches = self._batches(epoch)
        # Dividing by the weight of the whole batch, not of this part of it, makes the gradients of the processes (of
        # which DistributedDataParallel takes the mean) and of their parts those of one process with all of it.
        totals = [float(self.class_weights[self.train.labels[indices]].sum()) for indices in batches]
        sums, answers = torch.zeros((), dtype=torch.float64, device=self.device), []
        mine = [part for indices in batches
                for part in np.array_split(indices[process_rank()::world_size()], self.settings.accumulate)]
        bar = tqdm(loader(self.train, mine, self.device), desc=f"{self.what} epoch {epoch}", total=len(mine),
                   unit="batch", leave=False, disable=not _at_terminal())
        for step, batch in enumerate(bar):
            number, part = divmod(step, self.settings.accumulate)
            last = part + 1 == self.settings.accumulate
            if part == 0:
                self._begin_step((epoch - 1) * self.steps + number)
            mixed = mixup(batch, self.settings.mixup, self.settings.mixup_share)
            with self._exchanging(last):
                with self._autocast():
                    logits = self.wrapped(mixed.waveform, mixed.valid, mixed.features)
                loss = torch.stack([share * loss_sum(logits, labels, self.weights, self.settings.label_smoothing)
                                    for labels, share in mixed.labels]).sum()
                (loss * (world_size() / totals[number])).backward()
            if last:
                nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.gradient_clip)
                self.optimiser.step()
            sums += loss.detach()
            answers.append((logits.detach(), batch.labels))
        return float(summed(sums)) / sum(totals), self._uar(answers)

    def _exchanging(self, last: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients once a step, with the last part of their batch."""
        if isinstance(self.wrapped, DistributedDataParallel) and not last:
            return self.wrapped.no_sync()
        return nullcontext()

    def _begin_step(self, step: int) -> None:
        share = learning_rate_share(step, self.settings.epochs * self.steps, self.settings.warmup)
        for group, full in zip(self.optimiser.param_groups, self.full_rates, strict=True):
            group["lr"] = full * share
        self.optimiser.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _validate(self) -> tuple[float, dict[str, float]]:
        """The mean of the losses of clean and noisy rows, and UAR of each."""
        self.model.eval()
        if world_size() > 1:   # plain BatchNorm's averages differ by process; those of process 0 are saved
            for buffer in self.model.buffers():
                distributed.broadcast(buffer, 0)
        figures = {name: self._answer(part) for name, part in self.validation.items()}
        return fmean(loss for loss, _ in figures.values()), {name: own for name, (_, own) in figures.items()}

    def _answer(self, examples: Examples) -> tuple[float, float]:
        """Mean loss and UAR over the rows, of all processes together."""
        sums, answers = torch.zeros((), dtype=torch.float64, device=self.device), []
        batches = ordered_batches(len(examples), self.settings.batch_size)[process_rank()::world_size()]
        for batch in loader(examples, batches, self.device):
            with self._autocast():
                logits = self.model(batch.waveform, batch.valid, batch.features)
            sums += loss_sum(logits, batch.labels, self.weights, self.settings.label_smoothing)
            answers.append((logits, batch.labels))
        total = float(self.class_weights[examples.labels].sum())
        return float(summed(sums)) / (total or 1.0), self._uar(answers)

    def _uar(self, answers: list[tuple[Tensor, Tensor]]) -> float:
        """UAR over an epoch's logits and labels of all processes; a count for each batch costs small networks time."""
        counts = torch.zeros(CLASSES, CLASSES, dtype=torch.int64, device=self.device)
        if answers:     # of a small validation partition a process may get no batch
            logits, labels = (torch.cat(part) for part in zip(*answers, strict=True))
            counts = confusion_counts(logits, labels)
        return uar(summed(counts))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)


def autocast_dtype(name: str, device: torch.device) -> torch.dtype:
    """What train.precision means on a device: auto is bfloat16 where its instructions have it, else float32."""
    if name == "auto":
        native = (torch.cuda.is_bf16_supported() if device.type == "cuda" else
                  any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16")))
        name = "bfloat16" if native else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def _at_terminal() -> bool:
    """Whether a bar may be drawn: on a terminal, and not among others that train side by side."""
    return sys.stderr.isatty() and process_rank() == 0 and multiprocessing.parent_process() is None


def _print_epoch(what: str, history: list[Epoch], settings: Training, rows: int) -> None:
    now, chosen = history[-1], best_epoch(history)
    left = (settings.epochs - now.epoch) * sum(epoch.seconds for epoch in history) / len(history)
    print(f"{what}: epoch {now.epoch}/{settings.epochs}, train loss {now.train_loss:.3f} UAR {now.train_uar:.3f}, "
          f"validation loss {now.validation_loss:.3f} {now.validation_words} (best {chosen.validation_uar:.3f} "
          f"at {chosen.epoch}), {rows / max(now.seconds, 1e-3):.0f} rows/s, at most {left:.0f} s left",
          file=sys.stderr, flush=True)


def probabilities(model: nn.Module, examples: Examples, batch_size: int, device: torch.device) -> np.ndarray:
    """A model's answers to rows in their order, float64 (rows, 7); on a CPU the same bits whatever its threads."""
    model.to(device).eval()
    with repeatable(device), torch.inference_mode():
        answers = [model(batch.waveform, batch.valid, batch.features).double().softmax(1).cpu().numpy()
                   for batch in loader(examples.for_model(model), ordered_batches(len(examples), batch_size), device)]
    return np.concatenate(answers)


def calibrate(model: nn.Module, validation: Examples, batch_size: int, device: torch.device) -> float:
    """Divide the model's logits by the temperature that its validation answers ask for, and return it.

    Clean and noisy rows count alike, however many there are of each, since the model is meant for both. 1 leaves the
    model as it is; above 1 it was surer than it was right. No label changes, and so no recall. Of a model whose streams
    answer together (`LateFusion`) the streams' weights are fitted first.
    """
    noisy = np.array([row.in_noise for row in validation.rows], bool)
    weights = 1 / np.where(noisy, noisy.sum(), (~noisy).sum())
    for fusion in (part for part in model.modules() if isinstance(part, LateFusion)):
        answers = []
        for stream in fusion.streams:
            fusion.alone = stream
            answers.append(probabilities(model, validation, batch_size, device))
        fusion.alone = None
        fusion.weights.copy_(torch.from_numpy(fit_stream_weights(validation.labels, np.stack(answers), weights)))
    temperature = fit_temperature(validation.labels, probabilities(model, validation, batch_size, device), weights)
    divide_logits(model, temperature)
    return temperature


def learn_population(model: EmotionModel, train: Examples, batch_size: int, device: torch.device) -> None:
    """Give a model that can use known voices the mean of its training speakers, by their unaltered clips."""
    population = population_of(model)
    if population is None:
        return
    clean = train.subset([index for index, row in enumerate(train.rows) if row.variant == "original"])
    voices: dict[tuple[str, str], Voice] = {}
    model.to(device).eval()
    with repeatable(device), torch.inference_mode():
        for batch in loader(clean.for_model(model), ordered_batches(len(clean), batch_size), device):
            for row, context in zip(batch.rows, model.context(batch.waveform, batch.valid).float(), strict=True):
                voice = voices.get((row.corpus, row.speaker)) or Voice(0, torch.zeros_like(context))
                voices[row.corpus, row.speaker] = voice.with_clip(context)
        population.mean.copy_(torch.stack([voice.mean for voice in voices.values()]).mean(0))
