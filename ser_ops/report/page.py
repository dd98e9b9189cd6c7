"""reports/index.html: one file that holds all it shows, and asks the network for nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Undefined

from ser_ops.emotions import EMOTIONS
from ser_ops.files import write_text
from ser_ops.methods import method
from ser_ops.pages import words
from ser_ops.pages.policy import policy
from ser_ops.report import charts, tables, verdict, why
from ser_ops.report.read import Sources, read

_HERE = Path(__file__).parent


def build(reports: Path) -> Path:
    """Write index.html from the files in `reports` alone; what is missing there is said on the page.

    Raises UserError when the folder holds no report at all, or a file in it is damaged or names a method of explanation
    that is not in the catalogue.
    """
    page = reports / "index.html"
    write_text(page, render(read(reports)))
    return page


def render(sources: Sources) -> str:
    """The page as HTML. Every text from a file is escaped."""
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=_Missing)
    environment.filters |= {"number": _defined(words.number), "percent": _defined(words.percent),
                            "interval": _defined(words.interval), "cell_name": words.cell_name, "plain": words.plain,
                            "colour": _defined(tables.colour), "short": _short, "figure": _defined(words.figure),
                            "settings": _defined(words.settings), "method": lambda name: method(str(name)).title,
                            "shown": why.shown}
    environment.tests |= {"there": lambda value: value is not None and not isinstance(value, Undefined)}
    return environment.get_template("page.html.j2").render(_content(sources)) + "\n"


class _Missing(ChainableUndefined):
    """A value that a file lacks: shown as a dash, however deep it would have been."""

    def __str__(self) -> str:
        return words.DASH

    def __html__(self) -> str:
        return words.DASH


def _defined(function: Any) -> Any:
    """A filter that sees None in place of jinja's undefined."""
    def filtered(value: Any, *arguments: Any, **named: Any) -> Any:
        return function(None if isinstance(value, Undefined) else value, *arguments, **named)
    return filtered


def _short(value: Any, length: int = 10) -> str:
    """The start of a commit or hash."""
    return words.DASH if value is None or isinstance(value, Undefined) else str(value)[:length]


def main_model(sources: Sources) -> str:
    """The model that the page is about: the one that was judged or explained, else the first that was evaluated."""
    models = words.pick(sources["metrics"], "models") or {}
    judged = words.pick(sources["gate"], "model") or words.pick(sources["explanations"], "model")
    return judged if isinstance(judged, str) else next(iter(models), "no model yet")


def _content(sources: Sources) -> Mapping[str, Any]:
    model, metrics, published = main_model(sources), sources["metrics"], sources["published"]
    figures = words.pick(metrics, "models", model) or {}
    explanations = sources["explanations"]
    named = {name: sources[name] if sources[name] is not None else {} for name in
             ("gate", "behaviour", "data_validation", "leak_audit", "explanations", "provenance", "clips", "published")}
    shuffled = words.pick(metrics, "shuffled")
    others = words.pick(metrics, "models") or {}
    return named | {
        "policy": policy(), "style": (_HERE / "style.css").read_text(encoding="utf-8"), "embed": sources.embed,
        "missing": sources.missing,
        "emotions": EMOTIONS, "model": model, "metrics": metrics or {}, "figures": figures, "chance": words.CHANCE,
        "confidence": words.pick(sources["provenance"], "params", "evaluate", "confidence"),
        "banner": verdict.banner(sources["gate"]), "badges": verdict.badges(metrics, sources["data_validation"], model),
        "several_seeds": len(words.pick(metrics, "provenance", "seeds") or []) > 1,
        "sentences": verdict.sentences(metrics, model), "cards": verdict.cards(metrics, published, model),
        "glance": charts.glance(metrics, sources["gate"], published, model),
        "heat": tables.heat(figures.get("cells"), shuffled),
        "heats": {name: tables.heat(one.get("cells"), shuffled) for name, one in others.items() if name != model},
        "table_v": tables.table_v(figures.get("cells"), published), "snr": charts.by_snr(figures.get("by_snr")),
        "ablation": sources["ablation"] or [], "ablation_chart": charts.ablation(sources["ablation"], metrics),
        "confusion": tables.confusion(figures.get("confusion")),
        "curves": charts.curves(sources["history"], words.pick(sources["provenance"], "card", "best_epoch")),
        "kinds": charts.shap_kinds(words.pick(explanations, "shap", "kinds")),
        "drawn": why.methods(explanations), "drawn_words": why.words(explanations, figures.get("streams") or []),
    }
