"""A trained model as one ONNX graph, its features inside, held to torch on clips before it stands in a model folder.

PyTorch's exporter writes the graph, ONNX Runtime's quantisation the one in 8-bit integers, of the linear layers alone:
a convolution gains nothing by it on a CPU.
"""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.audio.signal import fit_windows
from ser_ops.config.model_json import GRAPH, MODEL_JSON, REFERENCE, WEIGHTS, fingerprint, recorded_as
from ser_ops.config.services import Export
from ser_ops.errors import UserError
from ser_ops.evaluation.metrics import scores
from ser_ops.extras import naming_extras
from ser_ops.files import replacing, sha256, write_json
from ser_ops.inference.onnx_graph import PROBABILITIES, VALID, WAVEFORMS, WEIGHTS_SHA256, OnnxGraph
from ser_ops.inference.torch_network import TorchNetwork
from ser_ops.models import model_folder
from ser_ops.models.wav2vec_backbone import SAMPLE_RATE
from ser_ops.seeds import generator
from ser_ops.speech.detector import WEIGHTS as SPEECH
from ser_ops.terminal import excerpt

_OPSET = 20             # the first with the Fourier transform as it is now; ONNX Runtime reads all up to its own
_LARGEST = 2**31        # bytes of a graph in one file
_TABLE = "lifted_tensor"    # so the exporter names tables of the features, which integers would spoil
_PRODUCTS = ("MatMul", "Gemm")
_ROUNDS = 3             # of a measurement of speed, of which the fastest counts


@dataclass(frozen=True)
class Windows:
    """Windows float32 (n, N) with their valid samples (n,), and class indices (n,), None where nobody knows them."""

    samples: np.ndarray
    valid: np.ndarray
    labels: np.ndarray | None = None

    def answers(self, network: TorchNetwork | OnnxGraph, batch_size: int) -> np.ndarray:
        """Probabilities (n, 7)."""
        return np.concatenate([network.probabilities(self.samples[start:start + batch_size],
                                                     self.valid[start:start + batch_size])
                               for start in range(0, len(self.samples), batch_size)])


def made_windows(number: int, length: int, seed: int) -> Windows:
    """Gliding tones in noise, of any duration from a quarter of a window to the whole of it, for want of speech.

    length: of a window, in samples at 16 kHz.
    """
    random = generator(seed, "export")
    clips = []
    for _ in range(number):
        time = np.arange(random.integers(length // 4, length + 1)) / SAMPLE_RATE
        hertz, level = random.uniform(80, 400), random.uniform(0.05, 0.5)
        tone = level * np.sin(2 * np.pi * hertz * (time + 0.1 * np.sin(4 * time)))
        clips.append(tone + random.normal(0, 0.02, len(time)))
    return Windows(*fit_windows(clips, length))


class _Graph(nn.Module):
    """From windows and their valid samples to probabilities, as `TorchNetwork` computes them."""

    def __init__(self, network: TorchNetwork) -> None:
        super().__init__()
        self.model, self.extractor = network.model, network.extractor

    def forward(self, waveforms: Tensor, valid: Tensor) -> Tensor:
        return torch.softmax(self.model(waveforms, valid, self.extractor(waveforms)).double(), dim=1)


def export_model(folder: Path, out: Path, clips: Windows, settings: Export, validation: Windows | None = None,
                 batch_size: int = 16) -> dict[str, Any]:
    """Write model.onnx of a model folder into `out`, and a copy of the model where that is another folder.

    Args:
        folder: A model folder.
        out: A folder; it may be the same one.
        clips: By which the graph is compared with torch.
        settings: The limits.
        validation: Labelled windows; the graph is then in 8-bit integers, and they tell what that costs.
        batch_size: Windows at a time, for the comparison of speeds.

    Returns:
        largest_difference, of a probability, before any quantisation; clips; windows_per_second and
        torch_windows_per_second; megabytes; int8: None, or uar and float_uar on `validation`.

    Raises:
        UserError: A folder that is no model, a model that cannot be exported, a graph that differs from torch by more
            than the limit, integers that cost more than theirs, an extra that is not installed. Nothing is written.
    """
    model, card = model_folder.load(folder)
    network = TorchNetwork(model, card, "cpu")
    with TemporaryDirectory(prefix="ser-ops-onnx-") as holder:
        path = Path(holder) / GRAPH
        expected = clips.answers(network, batch_size)   # before the trace: features make their tables in a first pass
        with naming_extras():
            _write_graph(network, clips, path, sha256(folder / WEIGHTS))
            graph = OnnxGraph(path, card)
        largest = float(np.abs(clips.answers(graph, batch_size) - expected).max())
        if not largest <= settings.difference:
            raise UserError(f"{folder}: a graph of it differs from torch by {largest:.1e}, more than "
                            f"{settings.difference:g} (export.difference): it is not written")
        quantised = None
        if validation is not None:
            graph, quantised = _quantised(graph, path.with_name(f"int8-{GRAPH}"), validation, settings, batch_size)
        figures = {"largest_difference": largest, "clips": len(clips.samples),
                   "windows_per_second": speed(graph, clips, batch_size),
                   "torch_windows_per_second": speed(network, clips, batch_size),
                   "megabytes": graph.path.stat().st_size / 1e6, "int8": quantised}
        _place(folder, out, graph.path, card)
    return figures


def _write_graph(network: TorchNetwork, clips: Windows, path: Path, weights_sha256: str) -> None:
    """The graph of a network in float32, as `path`. Raises UserError for a network that cannot be exported."""
    rate, settings = int(network.card["sample_rate"]), network.extractor.settings
    named = f"a {network.card['model']} model of preset {network.card.get('preset', 'unknown')} cannot be exported"
    if settings.sample_rate != rate:
        raise UserError(f"{named}: its features resample to {settings.sample_rate} Hz, which no graph can: train with "
                        f"sample_rate {rate}")
    if 4 * int(network.card["parameters"]) > _LARGEST:
        raise UserError(f"{named}: its {network.card['parameters']:,} parameters do not fit into one file of 2 GB")
    import onnxscript  # noqa: F401, so that its absence is told as such
    example = (torch.from_numpy(clips.samples[:2]), torch.from_numpy(clips.valid[:2]))
    rows = {0: torch.export.Dim.DYNAMIC}
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                _Graph(network).eval(), example, input_names=[WAVEFORMS, VALID], output_names=[PROBABILITIES],
                dynamic_shapes=(rows, rows), opset_version=_OPSET, dynamo=True, verbose=False)
            assert program is not None
            program.model.metadata_props[WEIGHTS_SHA256] = weights_sha256
            program.save(path)
    except Exception as error:  # the exporter raises many kinds
        raise UserError(f"{named}: {excerpt(getattr(error, '__cause__', None) or error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what PyTorch's exporter says to its own developers, and about packages that it does not need here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _quantised(graph: OnnxGraph, path: Path, validation: Windows, settings: Export,
               batch_size: int) -> tuple[OnnxGraph, dict[str, float]]:
    """The graph with its linear layers in 8-bit integers, as `path`, and UAR on labelled windows with and without.

    Raises UserError where there is no such layer, and where they cost more than the settings allow.
    """
    with naming_extras(), _quiet():
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
        content = onnx.load(graph.path).graph
        constants = {constant.name for constant in content.initializer}
        products = {node.name: node.input[1] for node in content.node
                    if node.op_type in _PRODUCTS and node.input[1] in constants}
        tables = [name for name, constant in products.items() if constant.startswith(_TABLE)]
        if len(tables) == len(products):
            raise UserError(f"{graph.card['model']}: has no linear layer that integers could shrink: export without "
                            "--int8")
        quantize_dynamic(graph.path, path, op_types_to_quantize=_PRODUCTS, weight_type=QuantType.QInt8,
                         nodes_to_exclude=tables)
    assert validation.labels is not None
    integers = OnnxGraph(path, graph.card)
    uar, float_uar = (scores(validation.labels, validation.answers(each, batch_size).argmax(1))["uar"]
                      for each in (integers, graph))
    if float_uar - uar >= settings.int8_cost:
        raise UserError(f"int8 costs {float_uar - uar:.3f} UAR on {len(validation.samples)} validation clips, "
                        f"{settings.int8_cost:g} (export.int8_cost) or more: export without --int8")
    return integers, {"uar": uar, "float_uar": float_uar, "layers": len(products) - len(tables)}


def speed(network: TorchNetwork | OnnxGraph, clips: Windows, batch_size: int) -> float:
    """Windows a second, of the fastest of some rounds."""
    def seconds(round_of: Callable[[], object]) -> float:
        begun = perf_counter()
        round_of()
        return perf_counter() - begun

    return len(clips.samples) / min(seconds(lambda: clips.answers(network, batch_size)) for _ in range(_ROUNDS))


def _place(folder: Path, out: Path, graph: Path, card: dict[str, Any]) -> None:
    """The graph and, last, the model.json that names it; in another folder the model's other files first."""
    source = recorded_as(card, fingerprint(folder))
    if out.resolve() != folder.resolve():
        for name in (WEIGHTS, SPEECH, REFERENCE):
            if (folder / name).is_file():
                with replacing(out / name) as temporary:
                    shutil.copyfile(folder / name, temporary)
    with replacing(out / GRAPH) as temporary:
        shutil.copyfile(graph, temporary)
    write_json(out / MODEL_JSON, card | {"onnx_sha256": sha256(out / GRAPH), "exported_from": source})
