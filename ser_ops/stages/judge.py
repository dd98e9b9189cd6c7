"""judge: reports/ and the packaged model in, gate.json out. A blocked model is a verdict, no error."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.evaluation.predictions import noise_grid, transmission_conditions
from ser_ops.files import write_json
from ser_ops.gate.judging import judge
from ser_ops.manifest import validated_noise
from ser_ops.stages import run
from ser_ops.tables import read_csv
from ser_ops.terminal import print_line


def main() -> None:
    """Judge the main model and print the verdict of every rule that blocks."""
    params = load_params()
    reports, model = params.paths.reports, params.train.model
    contents = {name: _read(read_json, reports / f"{name}.json")
                for name in ("metrics", "behaviour", "leak_audit", "data_validation", "explanations")}
    contents["robustness"] = _read(read_csv, reports / "robustness.csv")
    files = {path.relative_to(reports).as_posix() for path in reports.rglob("*") if path.is_file()}
    conditions = [*noise_grid(validated_noise(params.paths.work), params.evaluate),
                  *transmission_conditions(params.evaluate)]
    verdict = judge(contents, params.gate, model, conditions, files, _answers(params))
    write_json(reports / "gate.json", verdict)
    for rule in verdict["rules"]:
        if not rule["passed"]:
            print(f"{rule['rule']}: {rule['verdict']} (because {rule['reason']})")
    for note in verdict["notes"]:
        print(f"note: {note}")
    print(f"gate: {model} {'passed' if verdict['passed'] else 'is blocked'}")


def _read(reader: Callable[[Path], Any], path: Path) -> Any:
    """A report, or None with a line that says why: the gate's rule about it blocks then."""
    try:
        return reader(path)
    except UserError as error:
        print_line(str(error))
        return None


def _answers(params: Params) -> dict[str, Any]:
    """What the packaged model answers in a fresh process that may not unpickle, beside what was evaluated."""
    from ser_ops.tracking.package import compare_answers, package_model
    work, model = params.paths.work, params.train.model
    try:
        with TemporaryDirectory(prefix="ser-ops-judge-") as folder:
            package = package_model(params, work / "models" / model, Path(folder) / "package")
            return compare_answers(package, params.paths.reports / "predictions.csv", model,
                                   work / "ingest" / "waveforms")
    except UserError as error:
        return {"loads": False, "pickles": [], "utterances": 0, "largest_difference": None, "error": str(error)}


if __name__ == "__main__":
    run(main)
