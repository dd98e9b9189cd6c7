"""The learning curves of one training as a figure."""

from collections.abc import Sequence
from pathlib import Path

from ser_ops.files import replacing
from ser_ops.training.history import Epoch


def draw(history: Sequence[Epoch], path: Path, title: str, kept: int) -> None:
    """Write a PNG: loss and UAR by epoch, training and validation, the epoch that was kept marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # not pyplot: no window, no global state
    from matplotlib.ticker import MaxNLocator

    epochs = [one.epoch for one in history]
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, name, train, validation in (
            (figure.add_subplot(1, 2, 1), "Loss (nats)", [one.train_loss for one in history],
             [one.validation_loss for one in history]),
            (figure.add_subplot(1, 2, 2), "UAR", [one.train_uar for one in history],
             [one.validation_uar for one in history])):
        axis.plot(epochs, train, marker=".", label="training, with dropout")
        axis.plot(epochs, validation, marker=".", label="validation")
        axis.axvline(kept, color="grey", linestyle=":", label=f"epoch kept ({kept})")
        axis.set(xlabel="Epoch", ylabel=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
    figure.axes[1].axhline(1 / 7, color="black", linewidth=0.8, linestyle="--", label="chance")
    figure.axes[1].set_ylim(0, 1)
    figure.axes[1].legend(fontsize="small")
    figure.suptitle(title)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})
