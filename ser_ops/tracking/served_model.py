"""The code of the registered model (MLflow's models from code): MLflow runs this file wherever it loads the model.

It stands beside ser_ops itself and a folder with weights.safetensors and model.json; nothing is unpickled.
"""

from pathlib import Path
from typing import Any

import pandas
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

from ser_ops.errors import UserError


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
    """Rows of waveform (numbers, mono, about [-1, 1], any length) and sample_rate (hertz) in, answers out."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights; called once by MLflow."""
        from ser_ops.inference.recogniser import Recogniser
        settings = context.model_config or {}
        self.recogniser = Recogniser(Path(context.artifacts["model"]), settings.get("device", "auto"),
                                     settings.get("batch_size", 16), settings.get("window_hop", 1.25))

    def predict(self, context: PythonModelContext, model_input: pandas.DataFrame,
                params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """One answer a row, as `inference.recogniser.Answer.record` writes it; status 400 for a row that has none."""
        answers = []
        for number, row in enumerate(model_input.to_dict("records")):
            try:
                answer = self.recogniser.answer(row["waveform"], int(row["sample_rate"]), f"row {number}",
                                                bool((params or {}).get("cleaned", False)))
                answers.append(answer.record())
            except UserError as error:
                raise BadInput(str(error)) from error
        return answers


set_model(ServedModel())
