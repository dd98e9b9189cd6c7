"""Stage paper1: tables I to VI and the figures of paper 1, ours beside the printed ones, into reports/paper1."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reproduction import across, paper1_figures, paper1_tables, paper_page, splits
from reproduction.experiment import provenance
from reproduction.paper_page import Page, build_page
from reproduction.settings import load_settings
from ser_ops.config.params import Params, load_params
from ser_ops.corpora.partitions import protocol_in_force
from ser_ops.documents import read_json
from ser_ops.evaluation.published import TABLE_IV, TABLE_V, TABLE_V_DEVIATIONS, TABLE_VI, impossible_figures
from ser_ops.files import replacing
from ser_ops.manifest import UtteranceRow, read_rows
from ser_ops.stages import run
from ser_ops.stages.training_run import lacking_checkpoints
from ser_ops.tracking.runs import reopen
from ser_ops.tracking.server import connect

NAME = "paper1"
TITLE = "Paper 1: Explainable Transformer-CNN Fusion for Noise-Robust Speech Emotion Recognition"
REFERENCE = ("S. Chakrabarty, P. Bishwas, R. Chatterjee. Ours stands beside each printed figure; the paper does not "
             "say how it split its data, so the two are not measurements of the same thing.")


def main() -> None:
    """Build the page from what the pipeline has made; what is missing is said on it. Attach it to the model's run."""
    params = load_params()
    connect(params)  # a server that is down is better known before the work than after it
    reports = params.paths.reports
    with replacing(reports / NAME) as folder:
        folder.mkdir()
        made = page(params, load_settings().seed, folder)
        build_page(made, folder.parent)
    if not lacking_main_model(params):
        with reopen(params, params.paths.work / "models" / params.train.model / "run.json") as record:
            record.artifact(reports / NAME, f"reproduction/{NAME}")
    lacking = [table.key for table in made.tables if table.missing]
    print(f"{NAME}: {reports / NAME / 'index.html'}" + (f"; not whole: {', '.join(lacking)}" if lacking else ""))


def lacking_main_model(params: Params) -> str:
    """Why the main model cannot be trained here, "" where it can: its checkpoint cannot be had."""
    lacking = lacking_checkpoints(params, [params.train.model])
    return "; ".join(f"{model} cannot be trained: {reason}" for model, reason in lacking.items())


def page(params: Params, seed: int, folder: Path) -> Page:
    """The page from the files of work/ and reports/.

    Args:
        params: of the main pipeline.
        seed: of the reproductions, which the page names.
        folder: where pictures are written.
    """
    work, reports = params.paths.work, params.paths.reports
    model = work / "models" / params.train.model
    metrics, audit, matrix, explanations, validation, corpora, card, trained = (_read_json_or_none(path) for path in (
        reports / "metrics.json", reports / "leak_audit.json", reports / "across.json", reports / "explanations.json",
        reports / "data_validation.json", work / "ingest" / "corpora.json", model / "model.json", model / "run.json"))
    if lacking := lacking_main_model(params):       # what other settings left in reports/ is not this model's
        audit = explanations = card = trained = None
        metrics = _read_json_or_none(reports / "row_a.json")
    sources = paper1_tables.Sources(
        {"table_iv": TABLE_IV, "table_v": TABLE_V, "table_v_deviations": TABLE_V_DEVIATIONS, "table_vi": TABLE_VI,
         "marks": impossible_figures()}, corpora, metrics, matrix,
        genders_by_corpus(_rows(work / "ingest" / "manifest.csv")),
        quarantined_by_corpus(validation), params.train.model, lacking,
        paper1_tables.fuses_late((card or {}).get("preset_settings") or params.chosen.model_dump(mode="json")))
    main = (metrics or {}).get("provenance") or {}
    protocol = str(main.get("protocol") or protocol_in_force(work, params.partitions.protocol))
    basis = provenance(params, seed, params.augment.variants, {protocol: (audit or {}).get("declared") or []}) | {
        "seeds": main.get("seeds") or list(params.evaluate.seeds)}
    backbones: dict[str, str | None] = {params.train.model: (card or {}).get("backbone")}
    return Page(NAME, TITLE, REFERENCE, paper_page.warnings(basis, backbones),
                paper_page.facts(basis, [protocol], backbones,
                                 {f"{params.train.model} (main)": (trained or {}).get("run_id")}
                                 | ({"row A": metrics["run_id"]} if lacking and metrics else {}) | _runs(matrix)),
                paper1_tables.tables(sources), paper1_figures.figures(explanations, card, reports, folder),
                # Its figures would be out of date whenever they are made again, or drag their trainings along.
                (splits.section(None), *across.sections(matrix)))


def genders_by_corpus(manifest: Iterable[UtteranceRow]) -> dict[str, str]:
    """Corpus to the genders of its speakers as table II writes them; a corpus that does not say has no entry.

    >>> genders_by_corpus([UtteranceRow("tess/1", "tess", gender="female"), UtteranceRow("mine/1", "mine")])
    {'tess': 'F'}
    """
    genders_of: dict[str, set[str]] = {}
    for row in manifest:
        if row.gender:
            genders_of.setdefault(row.corpus, set()).add(row.gender[0].upper())
    return {corpus: "/".join(sorted(initials, reverse=True)) for corpus, initials in genders_of.items()}


def quarantined_by_corpus(validation: Mapping[str, Any] | None) -> dict[str, int]:
    """Utterances of each corpus that data_validation.json has in quarantine."""
    return dict(Counter(entry["id"].split("/")[0] for entry in (validation or {}).get("quarantined") or []
                        if entry.get("kind") == "utterance"))


def _runs(matrix: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Runs behind table IV."""
    return {f"{model['model']} on {row['train']}": row.get("run_id") for model in (matrix or {}).get("models") or []
            for row in model["rows"] if not across.is_all_but(row)}


def _read_json_or_none(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _rows(path: Path) -> list[UtteranceRow]:
    return read_rows(path, UtteranceRow) if path.is_file() else []


if __name__ == "__main__":
    run(main)
