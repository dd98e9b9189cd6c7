"""explain: the trained model in; explanations.json, its figures and the page to listen to out, attached to its run.

The page holds recordings: it is attached where every licence is known to allow that.
"""

from collections.abc import Mapping
from typing import Any

from ser_ops.caveats import NOT_STATED, non_commercial
from ser_ops.config.params import load_params
from ser_ops.documents import read_json
from ser_ops.explain.explanations import ExplainJob, explain_all
from ser_ops.explain.utterance import OutputFolders
from ser_ops.files import replacing, write_json
from ser_ops.manifest import read_variants
from ser_ops.report import listening
from ser_ops.stages import run
from ser_ops.terminal import print_line
from ser_ops.tracking.runs import reopen
from ser_ops.tracking.server import connect

FIGURES = "figures/explanations"
HEARD = "explanations"


def main() -> None:
    """Explain a few test utterances of each class, clean and in noise, and measure how faithful that is."""
    params = load_params()
    connect(params)  # a server that is down is better known before the work than after it
    folder, reports, work = params.paths.work / "models" / params.train.model, params.paths.reports, params.paths.work
    card = read_json(folder / "model.json")
    test = read_variants(work / "augmented" / "variants.csv", "test")
    with replacing(reports / FIGURES) as figures, replacing(reports / HEARD) as files:
        figures.mkdir()
        files.mkdir()
        job = ExplainJob(folder, work, params.explain, params.compute.device, params.augment.level,
                         params.augment.silent_crop_dbfs, OutputFolders(files, f"{HEARD}/", figures, f"{FIGURES}/"))
        report = explain_all(job, test, params.compute.workers)
    write_json(reports / "explanations.json",
               {"model": params.train.model, "provenance": explanation_provenance(card)} | report)
    page = listening.build(reports)
    reason = why_recordings_stay(params.tracking.recordings, card)
    with reopen(params, folder / "run.json") as record:
        record.metrics(explanation_metrics(report))
        record.artifact(reports / "explanations.json", "explanations")
        record.artifact(reports / FIGURES, "explanations/figures")
        if reason:
            print_line(f"the page and its recordings are not attached to the run: {reason}")
        else:
            record.artifact(reports / HEARD, "explanations/heard")
    print(f"explained {len(report['clips'])} utterances by {' and '.join(report['methods'])}, "
          f"{len(report['heard'])} clips to look at: {page}")


def why_recordings_stay(wanted: bool, card: Mapping[str, Any]) -> str:
    """Why recordings of test utterances, which a server would pass on, are not attached; "" where they may be.

    >>> data = {"corpora": ["tess"], "licences": {"tess": "CC BY-NC-ND 4.0", "rain": "CC0 1.0"}}
    >>> why_recordings_stay(True, {"data": data})
    'non-commercial, or not known to allow it: tess (CC BY-NC-ND 4.0)'
    """
    if not wanted:
        return "tracking.recordings is false"
    data = card.get("data") or {}
    licences = dict.fromkeys(data.get("corpora") or ["its corpora"], NOT_STATED) | (data.get("licences") or {})
    forbidding = [f"{name} ({licence})" for name, licence in licences.items() if non_commercial(licence)]
    return f"non-commercial, or not known to allow it: {', '.join(forbidding)}" if forbidding else ""


def explanation_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """What the run keeps as metrics: how faithful each method is, and which stream gains in noise.

    explain.<method>.<deletion or insertion>.<fill>: area less that of random rankings.
    """
    values: dict[str, float] = {}
    for method, figures in (report["faithfulness"] or {}).get("methods", {}).items():
        values |= {f"explain.{method}.{mode}.{fill}": figure["difference"]
                   for mode, fills in figures["against_random"].items() for fill, figure in fills.items()}
        values |= {f"explain.{method}.{name}": figures[name]
                   for name in ("completeness_error", "seed_agreement", "randomised_correlation")
                   if figures.get(name) is not None}
    for method, figures in (report["planted"] or {}).get("methods", {}).items():
        values[f"explain.{method}.planted_hit_rate"] = figures["hit_rate"]
    for stream, moved in report["across_noise"]["shift"].items():
        values[f"explain.streams.{stream}.change_in_noise"] = moved["change"]["mean"]
    return values


def explanation_provenance(card: Mapping[str, Any]) -> dict[str, Any]:
    """What stands on top of the page: synthetic and partial corpora, and where the backbone came from."""
    data = card.get("data", {})
    return {"synthetic": data.get("synthetic"), "partial": data.get("partial"), "backbone": card.get("backbone")}


if __name__ == "__main__":
    run(main)
