"""validate: work/ingest in, work/validated, data_validation.json and the data docs out."""

from pathlib import Path

from ser_ops.config.params import load_params
from ser_ops.corpora import corpus
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import replacing, write_json
from ser_ops.manifest import NoiseRow, UtteranceRow, read_rows, write_rows
from ser_ops.stages import run
from ser_ops.tables import write_csv
from ser_ops.terminal import print_line
from ser_ops.validation import checks
from ser_ops.validation.checks import validation_page, validation_record


def main() -> None:
    """Quarantine bad recordings; raise UserError when too many are bad, or a leak is found."""
    params = load_params()
    ingest, reports = params.paths.work / "ingest", params.paths.reports
    summaries = read_json(ingest / "corpora.json")
    outcome = checks.validate(
        read_rows(ingest / "manifest.csv", UtteranceRow), read_rows(ingest / "noise.csv", NoiseRow), summaries,
        {layout: corpus.known_faults(layout) for layout in corpus.LAYOUTS}, params.validation,
        params.partitions.protocol)
    content = validation_record(outcome, summaries, params.validation.bad_share)
    write_json(reports / "data_validation.json", content)
    _write_docs(reports / "data_docs", outcome, content)
    for recording in outcome.quarantine:
        print_line(f"quarantined {recording.path}: {recording.rule}: {recording.reason}")
    if not outcome.success:
        raise UserError(f"validation: {'; '.join(outcome.stops)}: see {reports / 'data_docs' / 'index.html'}, mend the "
                        "data or its settings and run dvc repro again")
    with replacing(params.paths.work / "validated") as folder:
        folder.mkdir()
        write_rows(folder / "manifest.csv", outcome.utterances, UtteranceRow)
        write_rows(folder / "noise.csv", outcome.noise, NoiseRow)
        write_csv(folder / "quarantine.csv", [vars(recording) for recording in outcome.quarantine],
                  ["kind", "id", "path", "rule", "reason"])
    print(f"validated {len(outcome.utterances)} utterances and {len(outcome.noise)} noise recordings, "
          f"{len(outcome.quarantine)} in quarantine")


def _write_docs(folder: Path, outcome: checks.Outcome, content: dict) -> None:
    with replacing(folder) as pages:
        pages.mkdir()
        (pages / "index.html").write_text(validation_page(outcome, content), encoding="utf-8")
        for name, html in outcome.pages.items():
            if html:
                (pages / f"{name}.html").write_text(html, encoding="utf-8")


if __name__ == "__main__":
    run(main)
