"""reports/index.html: a page that holds all it shows, and asks the network for nothing.

`build` reads what lies in reports/ and renders page.html.j2; a file that is not there yet is said on the page.
"""

import base64
import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Undefined
from markupsafe import Markup

from ser_ops import pages
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import write_text
from ser_ops.methods import method
from ser_ops.pages import policy
from ser_ops.report import charts, tables

JSON: dict[str, str] = {  # file of reports/ and the stage that writes it
    "metrics": "evaluate", "behaviour": "behave", "gate": "judge", "data_validation": "validate", "leak_audit": "audit",
    "explanations": "explain", "clips": "report", "provenance": "report", "published": "report"}
CSV: dict[str, str] = {"ablation": "evaluate", "robustness": "evaluate", "history": "report"}
_KINDS = {".png": "image/png", ".wav": "audio/wav"}
_HERE = Path(__file__).parent


def build(reports: Path) -> Path:
    """Write index.html from the files in `reports` alone; what is missing there is said on the page.

    Raises UserError when the folder holds no report at all, or a file in it is damaged or names a method of explanation
    that is not in the catalogue.
    """
    page = reports / "index.html"
    write_text(page, render(read_reports(reports)))
    return page


@dataclass(frozen=True)
class Sources:
    """The content of the files, and the names of those that are missing with the stage that writes each."""

    folder: Path
    files: dict[str, Any]
    missing: list[tuple[str, str]]

    def __getitem__(self, name: str) -> Any:
        """A file's content by its name without suffix; None when it is missing."""
        return self.files[name]

    def embed(self, name: object) -> Markup | None:
        """A picture or sound under reports/ as a data URI; None when there is none of that name.

        Names come from files that others may have written: one that leads out of the folder is as good as missing.
        """
        if not isinstance(name, str):
            return None
        path, top = (self.folder / name).resolve(), self.folder.resolve()
        kind = _KINDS.get(path.suffix)
        if kind is None or not path.is_relative_to(top) or not path.is_file():
            return None
        return Markup(f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}")


def read_reports(reports: Path) -> Sources:
    """Read what is there.

    Raises UserError when the folder holds none of the files, or one of them is not what its name says.
    """
    files: dict[str, Any] = {}
    missing = []
    for name, stage in (JSON | CSV).items():
        path = reports / f"{name}.{'json' if name in JSON else 'csv'}"
        if not path.is_file():
            files[name] = None
            missing.append((path.name, stage))
            continue
        files[name] = read_json(path) if name in JSON else _read_csv(path)
        if name in JSON and not isinstance(files[name], dict):
            raise UserError(f"{path}: is no report of the stage {stage}: remove it and run that stage again")
    if len(missing) == len(JSON | CSV):
        raise UserError(f"{reports}: holds no reports: run the pipeline first (dvc repro)")
    return Sources(reports, files, missing)


def _read_csv(path: Path) -> list[dict[str, Any]]:
    """Rows with numbers as floats and empty fields as None."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: _number(value) for key, value in row.items() if key} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}): remove it and run its stage again") from error


def _number(value: str | None) -> Any:
    try:
        return float(value) if value else None
    except ValueError:
        return value


def render(sources: Sources) -> str:
    """The page as HTML. Every text from a file is escaped."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=_Missing)
    environment.filters |= {"number": _defined(pages.number), "percent": _defined(pages.percent),
                            "interval": _defined(pages.interval), "cell_name": pages.cell_name, "plain": pages.plain,
                            "colour": _defined(tables.colour), "short": _short, "figure": _defined(pages.figure),
                            "settings": _defined(pages.settings), "method": lambda name: method(str(name)).title,
                            "shown": tables.clip_pictures}
    environment.tests |= {"there": lambda value: value is not None and not isinstance(value, Undefined)}
    return environment.get_template("page.html.j2").render(_content(sources)) + "\n"


def main_model(sources: Sources) -> str:
    """The model that the page is about: the one that was judged or explained, else the first that was evaluated."""
    models = pages.pick(sources["metrics"], "models") or {}
    judged = pages.pick(sources["gate"], "model") or pages.pick(sources["explanations"], "model")
    return judged if isinstance(judged, str) else next(iter(models), "no model yet")


def _content(sources: Sources) -> Mapping[str, Any]:
    model, metrics, published = main_model(sources), sources["metrics"], sources["published"]
    figures = pages.pick(metrics, "models", model) or {}
    explanations = sources["explanations"]
    named = {name: sources[name] if sources[name] is not None else {} for name in
             ("gate", "behaviour", "data_validation", "leak_audit", "explanations", "provenance", "clips", "published")}
    shuffled = pages.pick(metrics, "shuffled")
    others = pages.pick(metrics, "models") or {}
    return named | {
        "policy": policy(), "style": (_HERE / "style.css").read_text(encoding="utf-8"), "embed": sources.embed,
        "missing": sources.missing,
        "emotions": EMOTIONS, "model": model, "metrics": metrics or {}, "figures": figures, "chance": pages.CHANCE,
        "confidence": pages.pick(sources["provenance"], "params", "evaluate", "confidence"),
        "banner": tables.banner(sources["gate"]), "badges": tables.badges(metrics, sources["data_validation"], model),
        "several_seeds": len(pages.pick(metrics, "provenance", "seeds") or []) > 1,
        "sentences": tables.sentences(metrics, model), "cards": tables.cards(metrics, published, model),
        "glance": charts.glance(metrics, sources["gate"], published, model),
        "heat": tables.heat(figures.get("cells"), shuffled),
        "heats": {name: tables.heat(scores.get("cells"), shuffled) for name, scores in others.items() if name != model},
        "table_v": tables.table_v(figures.get("cells"), published), "snr": charts.by_snr(figures.get("by_snr")),
        "risk": charts.risk_coverage(pages.pick(figures, "selective", "curves")),
        "transmission": tables.transmission(figures),
        "voices": tables.voices(figures),
        "lacking": pages.pick(metrics, "provenance", "lacking") or {},
        "ablation": sources["ablation"] or [], "ablation_chart": charts.ablation(sources["ablation"], metrics),
        "confusion": tables.confusion(figures.get("confusion")),
        "curves": charts.curves(sources["history"], pages.pick(sources["provenance"], "card", "best_epoch")),
        "kinds": charts.shap_kinds(pages.pick(explanations, "shap", "kinds")),
        "drawn": tables.methods_shown(explanations), "drawn_words": tables.explanation_sentences(explanations,
                                                                                                 figures.get("streams")
                                                                                                 or []),
    }


class _Missing(ChainableUndefined):
    """A value that a file lacks: shown as a dash, however deep it would have been."""

    def __str__(self) -> str:
        return pages.DASH

    def __html__(self) -> str:
        return pages.DASH


def _defined(function: Any) -> Any:
    """A filter that sees None in place of jinja's undefined."""
    def filtered(value: Any, *arguments: Any, **named: Any) -> Any:
        return function(None if isinstance(value, Undefined) else value, *arguments, **named)
    return filtered


def _short(value: Any, length: int = 10) -> str:
    """The start of a commit or hash."""
    return pages.DASH if value is None or isinstance(value, Undefined) else str(value)[:length]
