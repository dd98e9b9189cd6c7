"""ser-ops export onnx: a model as a graph that answers without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ser_ops.cli.answers import Json, path_argument, print_answer
from ser_ops.cli.model import Model, fetch_model
from ser_ops.config.params import PARAMS, Params, load_params_anywhere
from ser_ops.errors import UserError
from ser_ops.terminal import print_line

if TYPE_CHECKING:
    from ser_ops.onnx_export import Windows

app = typer.Typer(no_args_is_help=True, help="Models in other forms.")


@app.callback()
def _export() -> None:
    """A group of its own, so that the command keeps its name."""


@app.command()
def onnx(model: Model = None,
         out: Annotated[Path | None, typer.Option(help="A folder that gets the graph and a copy of the model. "
                                                  "Default: the model folder itself.", parser=path_argument,
                                                  metavar="<path>")] = None,
         int8: Annotated[bool, typer.Option("--int8", help="Linear layers in 8-bit integers, where validation clips of "
                                            "the project say that it costs little.")] = False,
         json: Json = False) -> None:
    """Write model.onnx, by which `predict` answers without torch: it starts sooner and takes less memory.

    It is compared with torch first, on test clips of the project or, without a project, on made ones.
    """
    params = load_params_anywhere()
    folder = fetch_model(params, model)
    target = _target(params, model, folder, out)
    from ser_ops.config.model_json import predict_of, read_model_json, window_of
    from ser_ops.onnx_export import export_model, made_windows

    card = read_model_json(folder)
    samples, settings = window_of(card), params.export
    clips = _clips(params, "test", samples, settings.clips) or made_windows(settings.clips, samples, settings.seed)
    validation = _clips(params, "validation", samples) if int8 else None
    if int8 and validation is None:
        raise UserError("--int8 asks labelled clips what it costs: run in a project whose stage augment has run (dvc "
                        "repro augment)")
    print_line(f"{folder}: is exported, which takes about a minute", aside=True)
    figures = export_model(folder, target, clips, settings, validation, predict_of(card).batch_size)
    kind = "made" if clips.labels is None else "test"
    words = (f"{target}: model.onnx of {figures['megabytes']:.1f} MB; differs from torch by at most "
             f"{figures['largest_difference']:.1e} over {figures['clips']} {kind} clips; "
             f"{figures['windows_per_second']:.0f} windows a second, torch {figures['torch_windows_per_second']:.0f}")
    integers = figures["int8"]
    print_answer({"out": str(target), **figures}, json, words, *([
        f"int8: validation UAR {integers['uar']:.3f}, {integers['float_uar']:.3f} without"] if integers else []))


def _target(params: Params, model: str | None, folder: Path, out: Path | None) -> Path:
    """The folder that is written to.

    Raises UserError for one that holds what others made: a fetched model is kept by its fingerprint, and DVC would run
    a stage again whose output changed.
    """
    from ser_ops.config.model_json import SCHEMES

    if out is None and (model is None or model.startswith(SCHEMES)):
        raise UserError(f"{model or 'the staging model'}: is fetched and kept as it was registered: name a folder for "
                        "the graph with --out")
    target = folder if out is None else out
    if PARAMS.exists() and target.resolve().is_relative_to(params.paths.work.resolve()):
        raise UserError(f"{target}: is an output of a stage, which DVC would run again: name another folder with --out")
    return target


def _clips(params: Params, partition: str, samples: int, most: int | None = None) -> "Windows | None":
    """Labelled windows of a partition of this project, spread evenly; None where no stage has made them."""
    if not PARAMS.exists() or not (params.paths.work / "augmented" / "variants.csv").is_file():
        return None
    import numpy as np

    from ser_ops.audio.signal import fit_windows
    from ser_ops.manifest import unaltered
    from ser_ops.onnx_export import Windows
    from ser_ops.shards import Shards

    rows = unaltered(params.paths.work, partition)
    count = min(len(rows), most or len(rows))
    rows = [rows[number * len(rows) // count] for number in range(count)]
    waveforms = Shards(params.paths.work / "ingest" / "waveforms")
    return Windows(*fit_windows([waveforms[row.utterance] for row in rows], samples),
                   np.array([row.label for row in rows]))
