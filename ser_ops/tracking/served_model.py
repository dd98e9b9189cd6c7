"""The code of the registered model (MLflow's models from code): MLflow runs this file wherever it loads the model.

It stands beside ser_ops itself and a folder with weights.safetensors and model.json; nothing is unpickled.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pandas
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser_ops.errors import UserError

_SAMPLE_BYTES = 4       # as float32, in which a recording is answered


class BadInput(MlflowException):
    """Answered by the scoring server as status 400.

    The server writes the whole input before a message, on lines of its own; this one stays the line it is.
    """

    def __init__(self, line: str) -> None:
        self._line = " ".join(line.split())
        super().__init__(self._line, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """What was wrong, in one line."""
        return self._line

    @message.setter
    def message(self, value: str) -> None:
        pass


class ServedModel(PythonModel):
    """Rows of waveform (numbers, mono, about [-1, 1], any length) and sample_rate (hertz) in, answers out.

    It takes no more than `ser-ops serve` would: recordings, seconds and megabytes of the settings that it was packaged
    with. MLflow has read the whole request by then, so that only a server in front can bound what is read.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights; called once by MLflow."""
        from ser_ops.inference.recogniser import Recogniser
        settings = context.model_config or {}
        self.recogniser = Recogniser(Path(context.artifacts["model"]), settings.get("device", "auto"),
                                     settings.get("batch_size", 16), settings.get("window_hop", 1.25))
        self.recordings, self.seconds, self.megabytes = (
            settings[name] for name in ("recordings", "seconds", "megabytes"))

    def predict(self, context: PythonModelContext, model_input: pandas.DataFrame,
                params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """An answer for each row, as `inference.recogniser.Answer.record` writes it, or its `error`.

        Status 400 for more than the limits, and where no row has an answer.
        """
        if len(model_input) > self.recordings:
            raise BadInput(f"more than {self.recordings} recordings in a request: send them in several")
        if sum(map(numpy.size, model_input["waveform"])) * _SAMPLE_BYTES > self.megabytes * 2**20:
            raise BadInput(f"the samples take more than {self.megabytes:g} MB, the most that is taken here: send less")
        cleaned = bool((params or {}).get("cleaned", False))
        answers = [self._answer(f"row {number}", row, cleaned)
                   for number, row in enumerate(model_input.to_dict("records"))]
        if answers and all("error" in answer for answer in answers):
            raise BadInput("; ".join(answer["error"] for answer in answers))
        return answers

    def _answer(self, name: str, row: Mapping[str, Any], cleaned: bool) -> dict[str, Any]:
        rate = int(row["sample_rate"])
        if numpy.size(row["waveform"]) > self.seconds * max(1, rate):
            return {"error": f"{name}: lasts more than {self.seconds:g} s, the most that is answered here: cut it into "
                             "parts"}
        try:
            return self.recogniser.answer(row["waveform"], rate, name, cleaned).record()
        except UserError as error:
            return {"error": str(error)}


set_model(ServedModel())
