"""The tables of reports/ as Prefect artifacts."""

import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from ser_ops.config.params import load_params
from ser_ops.documents import read_json


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def robustness_rows(reports: Path, model: str) -> list[dict[str, Any]]:
    """Mean UAR and accuracy over seeds, one row per noise and intensity, of one model."""
    cells: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in _rows(reports / "robustness.csv"):
        if row["model"] == model:
            cells[row["noise"], row["intensity"]].append(row)
    return [{"noise": noise, "intensity": intensity, "seeds": len(rows),
             **{name: round(fmean(float(row[name]) for row in rows), 3) for name in ("uar", "accuracy", "f1")}}
            for (noise, intensity), rows in cells.items()]


def publish() -> None:
    """Robustness, ablation and gate as table artifacts, the verdict as text, on the flow run that calls this."""
    params = load_params()
    reports = params.paths.reports
    create_table_artifact(robustness_rows(reports, params.train.model), key="robustness",
                          description=f"{params.train.model}: mean over seeds on the test partition")
    create_table_artifact(_rows(reports / "ablation.csv"), key="ablation", description="Table VI of paper 1")
    gate = read_json(reports / "gate.json")
    create_table_artifact([{"rule": rule["rule"], "verdict": rule["verdict"], "passed": rule["passed"]}
                           for rule in gate["rules"]], key="gate", description=gate["verdict"])
    synthetic = read_json(reports / "metrics.json")["provenance"]["synthetic"]
    create_markdown_artifact(f"**{gate['verdict']}**" + (f"\n\nSynthetic speech: {', '.join(synthetic)}"
                                                         if synthetic else ""), key="verdict")
