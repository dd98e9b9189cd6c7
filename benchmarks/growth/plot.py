"""One picture: time by stage and memory by stage over the size of the corpus."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.growth.stages import STAGES, Measured
from ser_ops.files import replacing

_COLOURS = ("#0b57a4", "#c2410c", "#15803d", "#7c3aed", "#b8860b", "#be185d", "#475569")


def draw(points: Sequence[Measured], data_mb: float, path: Path) -> None:
    """Both on logarithmic axes, with a line of slope 1: what grows as the data do runs along it.

    data_mb: of the sound that a recording becomes; its line is drawn beside the memory.
    """
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = sorted({point.recordings for point in points})
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    least = min(point.cost.cpu for point in points)
    for colour, stage in zip(_COLOURS, STAGES, strict=True):
        own = sorted((point for point in points if point.stage == stage), key=lambda point: point.recordings)
        across = [point.recordings for point in own]
        left.plot(across, [point.cost.cpu for point in own], "o-", color=colour, label=stage)
        right.plot(across, [point.cost.peak_mb for point in own], "o-", color=colour, label=stage)
    left.plot(sizes, [least * size / sizes[0] for size in sizes], "--", color="#999", label="slope 1")
    right.plot(sizes, [data_mb * size for size in sizes], "--", color="#999")
    right.annotate("the sound itself", (sizes[-1], data_mb * sizes[-1]), (-4, 2), textcoords="offset points",
                   ha="right", color="#666", fontsize=8)
    left.set(title="Time by stage", ylabel="processor seconds")
    right.set(title="Memory by stage", ylabel="peak resident MB, children included")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="recordings")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(True, color="#e5e7eb")
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=8, frameon=False)
    with replacing(path) as made:
        figure.savefig(made, dpi=110, format="png")
    pyplot.close(figure)
