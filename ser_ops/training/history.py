"""The figures of each epoch of a training: the best epoch, when to stop, history.csv and the learning curves.

`Logger` is all that training asks of a record of runs; no tracking server is known here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from ser_ops.files import replacing
from ser_ops.tables import read_csv, write_csv


@dataclass(frozen=True)
class Epoch:
    """One epoch, counted from 1. UAR in [0, 1]; losses in nats; the learning rate at its end.

    validation_clean_uar and validation_noisy_uar: of validation rows without and with noise, None where there are none.
    validation_loss: the mean of the loss on both.
    """

    epoch: int
    train_loss: float
    train_uar: float
    validation_loss: float
    validation_clean_uar: float | None
    learning_rate: float
    seconds: float
    validation_noisy_uar: float | None = None

    @property
    def validation_uar(self) -> float:
        """What epochs, early stopping and trials are chosen by: the mean of UAR on clean speech and UAR in noise.

        Both count alike, however many noisy copies there are. Where there is only one of them, that one.

        >>> Epoch(1, 0, 0, 0, 0.75, 0, 0, validation_noisy_uar=0.25).validation_uar
        0.5
        >>> Epoch(1, 0, 0, 0, 0.75, 0, 0).validation_uar
        0.75
        """
        return fmean(uar for uar in (self.validation_clean_uar, self.validation_noisy_uar) if uar is not None)

    @property
    def validation_words(self) -> str:
        """The same for a message: `UAR 0.500 (clean 0.750, in noise 0.250)`, or `UAR 0.750 on clean speech alone`."""
        if self.validation_noisy_uar is None:
            return f"UAR {self.validation_uar:.3f} on clean speech alone"
        if self.validation_clean_uar is None:
            return f"UAR {self.validation_uar:.3f} in noise alone"
        return (f"UAR {self.validation_uar:.3f} (clean {self.validation_clean_uar:.3f}, in noise "
                f"{self.validation_noisy_uar:.3f})")

    def metrics(self) -> dict[str, float]:
        """Under the names that every run of the tracking server uses."""
        return {"train/loss": self.train_loss, "train/uar": self.train_uar, "validation/loss": self.validation_loss,
                **self._validation_uars("validation/"), "learning_rate": self.learning_rate}

    def kept_metrics(self) -> dict[str, float]:
        """The figures of a run of which this epoch was kept."""
        return {"best/epoch": self.epoch, **self._validation_uars("best/validation_")}

    def _validation_uars(self, prefix: str) -> dict[str, float]:
        uars = {name.removeprefix("validation_"): getattr(self, name) for name in VALIDATION_UARS}
        return {f"{prefix}{name}": uar for name, uar in uars.items() if uar is not None}


VALIDATION_UARS = ("validation_uar", "validation_clean_uar", "validation_noisy_uar")
EPOCH_COLUMNS = ("epoch", "train_loss", "train_uar", "validation_loss", *VALIDATION_UARS, "learning_rate", "seconds")


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """The epoch with the highest validation UAR; of equals the one with the lower validation loss, then the first.

    >>> figures = [(1, 2, .4), (2, 1, .5), (3, .9, .5)]
    >>> best_epoch([Epoch(number, 0, 0, loss, uar, 0, 0) for number, loss, uar in figures]).epoch
    3
    """
    return max(history, key=lambda epoch: (epoch.validation_uar, -epoch.validation_loss, -epoch.epoch))


def epochs_without_gain(history: Sequence[Epoch]) -> int:
    """Epochs since validation UAR last rose; a lower loss at the same UAR is no rise.

    >>> epochs_without_gain([Epoch(n, 0, 0, 3 - n, uar, 0, 0) for n, uar in ((1, .4), (2, .5), (3, .5), (4, .2))])
    2
    """
    highest = max((epoch.validation_uar for epoch in history), default=0.0)
    first = next((epoch.epoch for epoch in history if epoch.validation_uar == highest), 0)
    return len(history) - first


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Write history.csv, a row per epoch; numbers read back as they were, None is an empty value."""
    write_csv(path, [{name: getattr(epoch, name) for name in EPOCH_COLUMNS} for epoch in history], EPOCH_COLUMNS)


def read_history(path: Path) -> list[Epoch]:
    """Read what `write_history` wrote."""
    names = [field.name for field in fields(Epoch)]
    history = []
    for row in read_csv(path):
        values: dict[str, Any] = {name: float(row[name]) if row[name] else None for name in names}
        history.append(Epoch(**values | {"epoch": int(row["epoch"])}))
    return history


def draw_learning_curves(history: Sequence[Epoch], path: Path, title: str, kept: int) -> None:
    """Write a PNG: loss and UAR by epoch, training and validation, the epoch that was kept marked.

    Where there is validation in noise, UAR on clean speech and in noise stand beside their mean, which chooses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no window, no global state
    from matplotlib.ticker import MaxNLocator

    epochs = [epoch.epoch for epoch in history]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, name, train, validation in (
            (figure.add_subplot(1, 2, 1), "Loss (nats)", [epoch.train_loss for epoch in history],
             [epoch.validation_loss for epoch in history]),
            (figure.add_subplot(1, 2, 2), "UAR", [epoch.train_uar for epoch in history],
             [epoch.validation_uar for epoch in history])):
        axis.plot(epochs, train, marker=".", label="training, with dropout")
        axis.plot(epochs, validation, marker=".", label="validation")
        axis.axvline(kept, color="grey", linestyle=":", label=f"epoch kept ({kept})")
        axis.set(xlabel="Epoch", ylabel=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    if all(epoch.validation_noisy_uar is not None for epoch in history):
        for name, where, style in (("validation_clean_uar", "on clean speech", "--"),
                                   ("validation_noisy_uar", "in noise", "-.")):
            figure.axes[1].plot(epochs, [getattr(epoch, name) for epoch in history], color="C1", linewidth=0.9,
                                linestyle=style, label=f"validation {where}")
    figure.axes[1].axhline(1 / 7, color="black", linewidth=0.8, linestyle="--", label="chance")
    figure.axes[1].set_ylim(0, 1)
    figure.axes[1].legend(fontsize="small")
    figure.suptitle(title)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})


class Logger(Protocol):
    """Takes settings, figures at a step, and files."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Record settings; nested ones are flattened."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record figures, at a step or once for all."""

    def tags(self, values: Mapping[str, Any]) -> None:
        """Record what a run is about, as text."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Record a file or a folder."""


class NullLogger:
    """A logger that keeps nothing."""

    def params(self, values: Mapping[str, Any]) -> None:
        """Keep nothing."""

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Keep nothing."""

    def tags(self, values: Mapping[str, Any]) -> None:
        """Keep nothing."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep nothing."""
