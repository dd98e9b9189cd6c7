"""model.onnx of a model folder: the features and the network as one graph, which ONNX Runtime computes without torch.

It takes windows and their valid samples and gives probabilities. `ser_ops.inference.onnx_export` writes it. model.json
holds its SHA-256, and the graph that of the weights that it was made from.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config.model_json import GRAPH, MODEL_JSON, WEIGHTS, read_model_json, window_of
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.terminal import excerpt, print_line

WEIGHTS_SHA256 = "weights_sha256"       # among the graph's metadata
WAVEFORMS, VALID, PROBABILITIES = "waveforms", "valid", "probabilities"     # float32 (B, N); int64 (B,); double (B, 7)
_AGAIN = "export it again (ser-ops export onnx), or remove it"


class OnnxGraph:
    """Answers windows as the network does from which it was exported."""

    def __init__(self, path: Path, card: dict[str, Any]) -> None:
        """card: of the model. Raises UserError for a file that is no graph of such a model."""
        import onnxruntime

        self.path, self.card = path, card
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3      # errors
        options.enable_cpu_mem_arena = False    # which keeps the memory of the largest batch
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:      # its own exceptions have no common base
            raise UserError(f"{path}: no ONNX graph that can be used ({excerpt(error)}): {_AGAIN}") from error
        inputs = {given.name: (given.type, given.shape[1:]) for given in self._session.get_inputs()}
        outputs = {given.name: (given.type, given.shape[1:]) for given in self._session.get_outputs()}
        if inputs != {WAVEFORMS: ("tensor(float)", [window_of(card)]), VALID: ("tensor(int64)", [])} or \
                outputs != {PROBABILITIES: ("tensor(double)", [len(EMOTIONS)])}:
            raise UserError(f"{path}: takes or gives something else than the {card['model']} model beside it: {_AGAIN}")

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the weights from which it was made."""
        return self._session.get_modelmeta().custom_metadata_map.get(WEIGHTS_SHA256)

    def probabilities(self, windows: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Probabilities, float64 of shape (B, 7), of windows float32 (B, N) of which `valid` (B,) are no padding."""
        given = {WAVEFORMS: np.ascontiguousarray(windows, np.float32), VALID: np.asarray(valid, np.int64)}
        answers: np.ndarray = self._session.run([PROBABILITIES], given)[0]
        return answers


def usable_graph(folder: Path) -> OnnxGraph | None:
    """The graph of a model folder; None where there is none or ONNX Runtime is not installed.

    One that model.json does not name, or that was made from other weights, is left out with a warning: the model was
    trained anew. Raises UserError for a folder that is no model, and for a graph that was changed.
    """
    path = folder / GRAPH
    if not path.is_file() or find_spec("onnxruntime") is None:
        return None
    card = read_model_json(folder)
    if card.get("onnx_sha256") is None:
        print_line(f"warning: {path}: {MODEL_JSON} does not name it, so torch answers: {_AGAIN}", aside=True)
        return None
    if sha256(path) != card["onnx_sha256"]:
        raise UserError(f"{path}: not the graph that {MODEL_JSON} was written for: {_AGAIN}")
    graph = OnnxGraph(path, card)
    weights = folder / WEIGHTS
    if not weights.is_file() or graph.weights_sha256 != sha256(weights):
        print_line(f"warning: {path}: was made from other weights than those beside it, so torch answers: {_AGAIN}",
                   aside=True)
        return None
    return graph
