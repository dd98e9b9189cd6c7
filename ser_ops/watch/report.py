"""`ser-ops watch`: records and a reference in, a verdict, watch.json and one page that holds all it shows out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ser_ops import pages
from ser_ops.caveats import caveats
from ser_ops.config.model_json import REFERENCE, fingerprint, read_model_json, recorded_as
from ser_ops.config.params import PARAMS, Params
from ser_ops.config.services import Watch
from ser_ops.emotions import EMOTIONS, class_index, normalised_label
from ser_ops.errors import UserError
from ser_ops.files import write_json, write_text
from ser_ops.outside_table import read_table
from ser_ops.tracking.runs import open_run
from ser_ops.watch.drift import Drift
from ser_ops.watch.periods import WAYS, drift_words, part_words, watched
from ser_ops.watch.records import REMOVED, Records, damaged_lines, read_records, removed_records
from ser_ops.watch.reference import Reference, read_reference

_HERE = Path(__file__).parent
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 240, 44, 30      # of the chart, in pixels


@dataclass(frozen=True)
class Inputs:
    """What is watched: a folder of records, and a model's folder with its reference, or a reference elsewhere.

    corrections: a table of records' ids and true emotions; baseline: a folder of records of a time that counts as good.
    """

    records: Path
    model: Path
    reference: Path | None = None
    corrections: Path | None = None
    baseline: Path | None = None


def watch(params: Params, inputs: Inputs, out: Path, track: bool) -> dict[str, Any]:
    """Judge records, write watch.json and index.html to `out`, and return what watch.json holds.

    track: whether the figures and both files go to MLflow too, as a run of its own. Beside what `watched` says stand
    `removed` (records that went to keep a folder's limit), `damaged` (lines of logs), `corrections` (given, and of
    records that are here) and `caveats` of the model.
    Raises UserError for a reference of another model, a baseline with too few records of this one, and for a folder or
    a table that cannot be read.
    """
    card = read_model_json(inputs.model)
    digest = recorded_as(card, fingerprint(inputs.model))
    reference = _reference(params, inputs, digest)
    records = read_records(inputs.records)
    corrections = read_corrections(inputs.corrections) if inputs.corrections else {}
    baseline = read_baseline(inputs.baseline, digest, params.watch) if inputs.baseline else None
    report = watched(records, digest, reference, params.watch, corrections, baseline) | {
        "removed": sum(removed_records(file.parent)["records"] for file in inputs.records.rglob(REMOVED)),
        "damaged": damaged_lines(inputs.records),
        "corrections": {"given": len(corrections), "known": len(corrections.keys() & set(records.ids.tolist()))},
        "caveats": [caveat.sentence for caveat in caveats(card)]}
    page = write_page(out, report)
    if track:
        with open_run(params, "watch", {"stage": "watch", "model_sha256": digest, "verdict": report["verdict"]}) as run:
            for period in report["periods"]:
                run.metrics(_figures(period), period["number"])
            run.artifact(page, "watch")
            run.artifact(out / "watch.json", "watch")
    return report


def _reference(params: Params, inputs: Inputs, model: str) -> Reference:
    """The labelled records of a model. Raises UserError where they are missing or another model's."""
    path = inputs.reference or inputs.model / REFERENCE
    if inputs.reference is None and not path.exists() and PARAMS.exists():
        made = params.paths.work / REFERENCE        # registering packs it; a stage's own model has none beside it
        if made.is_file() and (read_reference(made).records.models == model).all():
            raise UserError(f"{path}: is missing, as this is no registered model; its reference lies in {made}: give "
                            f"--reference {made}")
    reference = read_reference(path)
    if (reference.records.models != model).any():
        raise UserError(f"{path}: is the reference of another model: evaluate this one again")
    return reference


def read_baseline(folder: Path, model: str, settings: Watch) -> Records:
    """The records of a model in a folder of a time that counts as good.

    Raises UserError where fewer than `settings.least_records` of them hold speech: what is to be said of a period holds
    for what it is compared with, too.
    """
    records = read_records(folder)
    own = records.of(records.models == model)
    if (spoken := int(own.spoken.sum())) < settings.least_records:
        others = f", and {len(records) - len(own)} of other models" if len(own) < len(records) else ""
        raise UserError(f"{folder}: holds {spoken} records of this model in which somebody speaks, of {len(own)} of it"
                        f"{others}; a baseline needs {settings.least_records} (watch.least_records): give good weeks "
                        "of this model, or compare with its reference, without --baseline")
    return own


def read_corrections(path: Path) -> dict[str, int]:
    """True classes by a record's id, from a table with the columns record and emotion; the last line of an id counts.

    Raises UserError, with the line's number, for a label that is none of the seven.
    """
    corrections = dict[str, int]()
    for line, row in read_table(path, ("record", "emotion")):
        emotion = normalised_label(row["emotion"])
        if emotion not in EMOTIONS:
            raise UserError(f"{path}: line {line}: {row['emotion']!r} is none of {', '.join(EMOTIONS)}")
        corrections[row["record"]] = class_index(emotion)
    return corrections


def _figures(period: Mapping[str, Any]) -> dict[str, float]:
    """A period's figures under their names in MLflow."""
    return {f"watch/{name}": value for name, value in (
        ("records", period["records"]), ("spoken", period["spoken"]), ("alarms", len(period["alarms"])),
        *((f"uar_{way}", pages.pick(period, way, "uar")) for way in WAYS),
        *(period["medians"].items()),
        *((f"distance/{test['name']}", test["distance"]) for test in period["drifts"])) if value is not None}


def write_page(out: Path, report: Mapping[str, Any]) -> Path:
    """Write watch.json and index.html to a folder, and return the page."""
    from jinja2 import Environment, FileSystemLoader
    write_json(out / "watch.json", report)
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": pages.number, "plain": pages.plain, "interval": pages.interval,
                            "part": part_words, "drift": lambda test: drift_words(Drift(**test))}
    judged = [period for number in report["judged"] for period in report["periods"] if period["number"] == number]
    write_text(out / "index.html", environment.get_template("page.html.j2").render(
        report=report, judged=judged, chart=_chart(report), policy=pages.policy(), ways=WAYS) + "\n")
    return out / "index.html"


def _chart(report: Mapping[str, Any]) -> Markup | None:
    """Expected and measured UAR of each period, with their intervals, and that of the reference as a line."""
    shown = [period for period in report["periods"] if period["by_confidence"]]
    if not shown:
        return None
    height = pages.scale(0, 1, _HEIGHT - _BOTTOM, 10)
    across = pages.scale(-0.5, len(shown) - 0.5, _LEFT, _WIDTH - 10)
    parts = [part for level in (0, 0.25, 0.5, 0.75, 1) for part in (
        pages.line(_LEFT, height(level), _WIDTH - 10, height(level), "grid"),
        pages.text(_LEFT - 8, height(level) + 4, f"{level:g}", "end", "tick"))]
    uar = report["reference"]["uar"]
    parts.append(pages.line(_LEFT, height(uar), _WIDTH - 10, height(uar), "limit"))
    for index, period in enumerate(shown):
        parts.append(pages.text(across(index), _HEIGHT - 8, period["start"][5:], "middle", "tick"))
        parts += _marks(period, across(index), height)
    return pages.drawing(_WIDTH, _HEIGHT, "UAR by period, expected and measured", parts)


def _marks(period: Mapping[str, Any], middle: float, height: Any) -> Iterator[Markup]:
    for shift, way in zip((-10, 0, 10), WAYS, strict=True):
        if figure := period[way]:
            x, title = middle + shift, f"{period['start']}, {WAYS[way]}: {pages.number(figure['uar'])}"
            yield pages.line(x, height(figure["low"]), x, height(figure["high"]), way)
            yield pages.dot(x, height(figure["uar"]), way, title, radius=4)
