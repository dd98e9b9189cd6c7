"""One run as stages, training and evaluation see it: settings, figures, words and files go in, nothing is lost."""

import json
import math
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser_ops.config import Params
from ser_ops.errors import UserError
from ser_ops.files import sha256, write_json
from ser_ops.tracking.outbox import Outbox
from ser_ops.tracking.server import tracking_uri, without_login

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LONGEST_PARAM = 6000


def metric_name(name: str) -> str:
    """The name under which MLflow keeps a metric: it admits no '@', so a cell is fish_market:0.50 there.

    >>> metric_name("noisy/fish_market@0.50/uar")
    'noisy/fish_market:0.50/uar'
    """
    return name.replace("@", ":")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names with values in words.

    >>> flatten({"train": {"seed": 40, "layers": [1, 2]}, "preset": "small"})
    {'train.seed': '40', 'train.layers': '[1, 2]', 'preset': 'small'}
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            flat[name] = text[:_LONGEST_PARAM]
    return flat


class Clock:
    """Milliseconds since 1970 that never go back within a run, whatever happens to the machine's clock.

    Where steps are the same, MLflow takes the figure of the latest moment for the valid one. after: the latest moment
    that the run knows of.
    """

    def __init__(self, after: int = 0) -> None:
        self._start, self._began = max(time.time(), (after + 1) / 1000), time.monotonic()

    def now(self) -> int:
        """The moment."""
        return int((self._start + time.monotonic() - self._began) * 1000)


class Run:
    """One run of the tracking server; all that stages, training and evaluation need of MLflow.

    What cannot be sent because the server is away is kept in state/tracking and sent later (`Outbox`). Each method
    raises UserError in one line when the server refuses.
    """

    def __init__(self, params: Params, client: "MlflowClient", run_id: str, name: str, opened_with: Mapping[str, str],
                 resumed_after: int | None = None) -> None:
        """resumed_after: the latest moment, in milliseconds, that a run which is gone on with knows of."""
        self.id = run_id
        self.uri = tracking_uri(params)
        self.experiment = params.tracking.experiment
        self._name, self._opened_with = name, dict(opened_with)
        self._clock = Clock(resumed_after or 0)
        self._resumed = resumed_after is not None
        self._outbox = Outbox(client, run_id, self.uri, params.paths.state / "tracking" / f"{run_id}.jsonl",
                              params.tracking.timeout)
        self._outage = params.tracking.outage

    def params(self, values: Mapping[str, Any]) -> None:
        """Log settings; nested ones get dotted names. A value that is logged already stays as it is.

        Raises UserError for a name that stands there with another value: that is another run.
        """
        self._outbox.put({"params": flatten(values)})

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log figures, at a step (an epoch) or as final ones; '@' in a name becomes ':' (`metric_name`)."""
        now = self._clock.now()
        entry: dict[str, Any] = {"metrics": [[metric_name(name), float(value), now, step or 0]
                                             for name, value in values.items()
                                             if value is not None and not math.isinf(value)]}
        if step is not None and self._resumed:  # an epoch may have been logged without a checkpoint of it
            entry["unless_there"] = True
        self._outbox.put(entry)

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; one that stands there is replaced."""
        self._outbox.put({"tags": {name: str(value) for name, value in values.items()}})

    def artifact(self, path: Path, folder: str = "") -> None:
        """Log a file, or all that a folder holds, under `folder` of the run's artifacts."""
        if not path.exists():
            raise UserError(f"{path}: is not there to be logged: run the stage that writes it")
        self._outbox.put({"artifact": str(path), "folder": folder})

    def dataset(self, manifest: Path, name: str, context: str = "training") -> None:
        """Log a manifest as a dataset: its path as given, the start of its SHA-256 as digest, columns and rows."""
        import pandas
        from mlflow.data.pandas_dataset import from_pandas
        frame = pandas.read_csv(manifest, dtype=str, keep_default_na=False)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # a path reads as several sources
            dataset = from_pandas(frame, source=str(manifest), name=name, digest=sha256(manifest)[:16])
        self._outbox.put({"dataset": dict(dataset._to_mlflow_entity()), "context": context})

    def write(self, path: Path) -> None:
        """Write run.json: the run's id, experiment and tracking store, without credentials, its name and its tags."""
        write_json(path, {"run_id": self.id, "experiment": self.experiment, "tracking_uri": without_login(self.uri),
                          "name": self._name, "tags": self._opened_with})

    def settle(self, seconds: float = 0.0) -> None:
        """Send what is kept, waiting up to `seconds` for the server; UserError when it stays away."""
        self._outbox.settle(seconds)

    def end(self, status: str) -> None:
        """Mark how the run ended. FINISHED: wait up to tracking.outage seconds until all is sent."""
        self._outbox.put({"status": status, "at": self._clock.now()})
        if status == "FINISHED":
            self._outbox.settle(self._outage)
