"""What the page says of its making: commit, data, seeds, versions, partitions and settings."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ser_ops.config.params import Params
from ser_ops.documents import read_json
from ser_ops.manifest import NoiseRow, UtteranceRow

PACKAGES = ("ser-ops", "torch", "transformers", "numpy", "librosa", "scikit-learn", "optuna", "shap",
            "great-expectations", "mlflow", "dvc", "prefect")
_CARD = ("model", "preset", "parameters", "backbone", "best_epoch", "validation_uar", "validation_clean_uar",
         "validation_noisy_uar", "training", "weights_sha256")


def provenance(params: Params, tree: Mapping[str, str], model: Path, manifest: Sequence[UtteranceRow],
               noise: Sequence[NoiseRow]) -> dict[str, Any]:
    """The content of provenance.json, from the model's folder and the validated manifests.

    tree: commit, dirty ('true', 'false' or 'unknown') and data_md5 of the working tree.
    """
    card = read_json(model / "model.json")
    return {**tree, "run": read_json(model / "run.json"), "card": {name: card.get(name) for name in _CARD},
            "seeds": seeds(params), "versions": versions(), "partitions": partitions(manifest, noise),
            "params": params.model_dump(mode="json")}


def seeds(params: Params) -> dict[str, Any]:
    """Every seed of params.yaml by its dotted name.

    >>> from ser_ops.config.params import load_params
    >>> seeds(load_params())["partitions.seed"]
    20
    """
    return _seeds_below(params.model_dump(mode="json"), "")


def _seeds_below(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    seeds: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            seeds |= _seeds_below(value, f"{prefix}{name}.")
        elif name.endswith(("seed", "seeds")):
            seeds[f"{prefix}{name}"] = value
    return seeds


def versions() -> dict[str, str]:
    """Python's and the main packages' versions."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    return installed


def partitions(manifest: Sequence[UtteranceRow], noise: Sequence[NoiseRow]) -> dict[str, Any]:
    """Utterances, speakers and noise recordings of each partition."""
    by_category: dict[str, Counter[str]] = {}
    for row in noise:
        by_category.setdefault(row.category, Counter())[row.partition] += 1
    speakers = {(row.partition, row.speaker) for row in manifest}
    return {"utterances": dict(Counter(row.partition for row in manifest)),
            "speakers": dict(Counter(partition for partition, _ in speakers)),
            "noise": {category: dict(counts) for category, counts in sorted(by_category.items())}}
