"""splits: every model under the protocols speaker, random and paper on the same data, into reports/splits.json.

All else is the same: corpora, augmentation, settings, shares. What a model scores beyond its speaker figure is what
the split lets through.

What the split is worth: each model under the three partition protocols, on the same data, in one picture.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from reproduction import paper_page
from reproduction.experiment import Experiment, provenance, results, scores, settings_of, with_intervals
from reproduction.paper_page import Cell, Page, Table
from reproduction.settings import Settings, load_settings
from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.files import write_json
from ser_ops.model_table import MODELS
from ser_ops.pages import CHANCE, drawing, interval, line, number, path, pick, plain, rect, scale, tag, text
from ser_ops.stages import run
from ser_ops.stages.training_run import Job, backbone_of, tags_of
from ser_ops.tables import read_csv

TITLE = "What the split is worth"
PROTOCOLS: tuple[str, ...] = ("speaker", "random", "paper")
FAMILIES: tuple[str, ...] = ("paper 1", "paper 2")
LETS_THROUGH: dict[str, str] = {
    "speaker": "nothing of a test speaker is trained on: the figure for people who were not recorded",
    "random": "the test speakers' other utterances are trained on (an utterance's variants stay together): their "
              "voices leak",
    "paper": "augmented first and split by row afterwards: altered copies of a test utterance are trained on: the "
             "utterances themselves leak"}
HOW = ("Each model under the three partition protocols stands on a page of its own, reports/splits/index.html, which "
       "`ser-ops reproduce splits` makes.")

_WIDTH, _LEFT, _RIGHT = 960, 150, 700
_ROW, _LANE, _TOP = 66, 16, 40
# Shape tells the protocols apart without colour, lightness does in grey print; colours are Okabe and Ito's.
_STYLE = (".split-speaker{fill:#0072b2;stroke:#0072b2}.split-random{fill:#e69f00;stroke:#e69f00}"
          ".split-paper{fill:var(--paper,#fff);stroke:#d55e00}.split-mark{stroke-width:2}"
          ".split-bar{opacity:.35;stroke:none}.split-bar.split-paper{fill:#d55e00}.split-reach{stroke-width:1.2}"
          ".split-join{fill:none;stroke:var(--soft,#56626f);stroke-width:1.2}"
          ".split-gap{font-weight:700}.split-rule{stroke:var(--rule,#dde3ea)}"
          ".split-chance{stroke:var(--soft,#56626f);stroke-dasharray:4 3}")


def section(content: Mapping[str, Any] | None) -> dict[str, Any]:
    """The section of a page: {"title", "words", "svg", "table"}, from what splits.json holds; None: how to make it."""
    if content is None:
        return {"title": TITLE, "words": [HOW], "svg": Markup(""), "table": None}
    models = ordered(content)
    words = [*findings(models), *(f"{name.capitalize()}: {LETS_THROUGH[name]}." for name in PROTOCOLS),
             "Pale bars are intervals over utterances, thin lines with ends those over speakers. The three test parts "
             "are different utterances of the same corpora, each protocol's own."]
    return {"title": TITLE, "words": words, "svg": picture(models), "table": table(models)}


def page(content: Mapping[str, Any]) -> Page:
    """reports/splits.html: the section alone, with what it stands on."""
    provenance, models = content.get("provenance") or {}, ordered(content)
    backbones = {one["model"]: one["backbone"] for one in models if one.get("backbone")}
    runs = {plain(one["model"]): one.get("run_id") for one in models}
    return Page("splits", TITLE, "Neither paper says how much of its accuracy is due to its split; paper 1 does not "
                "say how it split at all.", paper_page.warnings(provenance, backbones.values()),
                paper_page.facts(provenance, PROTOCOLS, backbones or None, runs), (), (), (section(content),))


def ordered(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models of splits.json by family, within it as they stand."""
    place = {family: number for number, family in enumerate(FAMILIES)}
    return sorted(content.get("models") or [], key=lambda one: place.get(one.get("family"), len(FAMILIES)))


def uar(model: Mapping[str, Any], protocol: str) -> float | None:
    """A model's UAR under a protocol, in [0, 1]; None where it was not trained under it."""
    value = pick(model, "protocols", protocol, "uar")
    return value if isinstance(value, int | float) else None


def leakage(model: Mapping[str, Any], of: str = "paper") -> float | None:
    """UAR under the protocol `of` less UAR by speaker; None where either is missing.

    >>> round(leakage({"protocols": {"speaker": {"uar": 0.5}, "paper": {"uar": 0.81}}}), 2)
    0.31
    """
    claimed, honest = uar(model, of), uar(model, "speaker")
    return None if claimed is None or honest is None else claimed - honest


def overlap(model: Mapping[str, Any], of: str = "paper") -> bool | None:
    """Whether the intervals over utterances of the protocol `of` and of speaker overlap; None without both."""
    low, high = (pick(model, "protocols", of, f"uar_{end}") for end in ("low", "high"))
    own_low, own_high = (pick(model, "protocols", "speaker", f"uar_{end}") for end in ("low", "high"))
    if None in (low, high, own_low, own_high):
        return None
    return bool(low <= own_high and own_low <= high)


def findings(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the figures say, computed from them."""
    whole = [one for one in models if all(uar(one, name) is not None for name in PROTOCOLS)]
    said = []
    if whole:
        means = {name: sum(uar(one, name) or 0.0 for one in whole) / len(whole) for name in PROTOCOLS}
        gaps = {plain(one["model"]): leakage(one) or 0.0 for one in whole}
        least, most = min(gaps, key=gaps.__getitem__), max(gaps, key=gaps.__getitem__)
        several = "" if len(whole) == 1 else \
            f", from {_signed(gaps[least])} ({least}) to {_signed(gaps[most])} ({most})"
        told = sum(overlap(one) is False for one in whole)
        said.append(
            f"{_models(len(whole))}: mean UAR {number(means['speaker'])} by speaker, {number(means['random'])} at "
            f"random, {number(means['paper'])} as papers do it. The split alone is worth "
            f"{_signed(means['paper'] - means['speaker'])} UAR{several}: {_signed(means['random'] - means['speaker'])} "
            f"for voices heard in training, {_signed(means['paper'] - means['random'])} more for the utterances' own "
            f"copies. Intervals of speaker and paper lie apart for {told} of {len(whole)}.")
    left = [f"{plain(one['model'])} ({', '.join(name for name in PROTOCOLS if uar(one, name) is None)})"
            for one in models if one not in whole]
    if left:
        said.append(f"Not trained under every protocol, so in no mean: {', '.join(left)}.")
    return said or ["reports/splits.json holds no model: name some under splits.models in reproduction/params.yaml"]


def picture(models: Sequence[Mapping[str, Any]]) -> Markup:
    """For each model three marks with their intervals, joined by a line, and the gap from speaker to paper."""
    at = scale(0, 1, _LEFT, _RIGHT)
    families = [one.get("family") for one in models]
    heads = [place for place in range(len(models)) if place == 0 or families[place] != families[place - 1]]
    bottom = _TOP + _ROW * len(models) + 24 * len(heads)
    parts = [tag("style", _STYLE), *_legend(16)]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts += [line(at(tick), _TOP, at(tick), bottom, "grid split-rule"),
                  text(at(tick), bottom + 16, f"{tick:g}", "middle", "tick")]
    parts += [tag("g", tag("title", f"chance: 1 of {round(1 / CHANCE)} classes, UAR {number(CHANCE)}"),
                  line(at(CHANCE), _TOP, at(CHANCE), bottom, "chance split-chance")),
              text(at(CHANCE), bottom + 30, "chance", "middle", "tick"),
              text(_RIGHT, bottom + 30, "UAR on the protocol's own test part", "end", "tick")]
    y = float(_TOP)
    for place, one in enumerate(models):
        if place in heads:
            parts.append(text(8, y + 17, f"{one.get('family') or 'other'}'s models", class_="tick"))
            y += 24
        parts += [line(8, y, _WIDTH - 8, y, "grid split-rule"), *_row(one, y, at)]
        y += _ROW
    return drawing(_WIDTH, bottom + 38, "UAR of each model under the protocols speaker, random and paper, with "
                   "intervals, and the gap between speaker and paper", parts)


def _row(model: Mapping[str, Any], y: float, at: Any) -> list[Markup]:
    name, middle = plain(model["model"]), y + _ROW / 2
    lanes = {protocol: middle + _LANE * (place - 1) for place, protocol in enumerate(PROTOCOLS)}
    there = [protocol for protocol in PROTOCOLS if uar(model, protocol) is not None]
    parts = [text(_LEFT - 14, middle + 5, name, "end", "label"),
             path([(at(uar(model, protocol)), lanes[protocol]) for protocol in there], "split-join")]
    for protocol in there:
        figures = model["protocols"][protocol]
        title = (f"{name}, {protocol}: UAR {interval(figures)}, over speakers {_speakers(figures)}, accuracy "
                 f"{interval(figures, 'accuracy')}; {figures.get('n', '?')} utterances of "
                 f"{figures.get('speakers', '?')} speakers. {LETS_THROUGH[protocol].capitalize()}.")
        parts.append(tag("g", tag("title", title), *_spread(figures, protocol, lanes[protocol], at),
                         mark(protocol, at(figures["uar"]), lanes[protocol])))
    gap = leakage(model)
    if gap is None:
        lacking = ", ".join(protocol for protocol in PROTOCOLS if protocol not in there)
        return [*parts, text(_RIGHT + 20, middle + 5, f"not trained: {lacking}", class_="tick")]
    doubt = {True: "intervals overlap", False: "intervals apart", None: ""}[overlap(model)]
    return [*parts, text(_RIGHT + 20, middle, f"leakage: {_signed(gap)} UAR", class_="label split-gap"),
            text(_RIGHT + 20, middle + 17, f"{number(uar(model, 'speaker'))} → {number(uar(model, 'paper'))}"
                 f"{', ' if doubt else ''}{doubt}", class_="tick")]


def _spread(figures: Mapping[str, Any], protocol: str, y: float, at: Any) -> list[Markup]:
    parts = []
    low, high = figures.get("uar_low_speakers"), figures.get("uar_high_speakers")
    if low is not None and high is not None:
        parts += [line(at(low), y, at(high), y, f"split-{protocol} split-reach"),
                  *(line(at(end), y - 4, at(end), y + 4, f"split-{protocol} split-reach") for end in (low, high))]
    low, high = figures.get("uar_low"), figures.get("uar_high")
    if low is not None and high is not None:
        parts.append(rect(at(low), y - 3.5, at(high) - at(low), 7, f"split-{protocol} split-bar", 3))
    return parts


def mark(protocol: str, x: float, y: float) -> Markup:
    """Filled circle, filled square, hollow triangle: told apart without any colour."""
    class_ = f"split-{protocol} split-mark"
    if protocol == "speaker":
        return tag("circle", cx=float(x), cy=float(y), r=6.0, class_=class_)
    if protocol == "random":
        return tag("rect", x=x - 5, y=y - 5, width=10.0, height=10.0, class_=class_)
    points = f"{x:.1f},{y - 7:.1f} {x + 7:.1f},{y + 5:.1f} {x - 7:.1f},{y + 5:.1f}"
    return tag("polygon", points=points, class_=class_)


def _legend(y: float) -> list[Markup]:
    words = {"speaker": "speaker: new people", "random": "random: voices leak", "paper": "paper: utterances leak"}
    parts = []
    for place, (protocol, label) in enumerate(words.items()):
        x = _LEFT + 8 + 190 * place
        parts += [tag("g", tag("title", LETS_THROUGH[protocol]), mark(protocol, x, y)),
                  text(x + 14, y + 5, label, class_="tick")]
    return parts


def table(models: Sequence[Mapping[str, Any]]) -> Table:
    """The picture in figures, with accuracy, since accuracy is what papers claim."""
    rows: list[tuple[Cell | str, ...]] = []
    for one in models:
        figures = {name: pick(one, "protocols", name) or {} for name in PROTOCOLS}
        rows.append((plain(one["model"]),
                     *(_bounded(figures[name], "uar") for name in PROTOCOLS),
                     Cell(pick(figures["paper"], "all_rows", "uar"), unit="share"),
                     *(Cell(_signed_or_none(leakage(one, name))) for name in ("random", "paper")),
                     *(_bounded(figures[name], "accuracy") for name in PROTOCOLS),
                     " / ".join(str(figures[name].get("n", "–")) for name in PROTOCOLS),
                     " / ".join(str(figures[name].get("speakers", "–")) for name in PROTOCOLS)))
    return Table(
        "splits", "UAR and accuracy under the three partition protocols",
        ("Model", "UAR, speaker", "UAR, random", "UAR, paper", "UAR, paper, all rows",
         "Random less speaker", "Leakage: paper less speaker", "Accuracy, speaker", "Accuracy, random",
         "Accuracy, paper", "Test utterances", "Test speakers"), tuple(rows),
        ("Bounds are intervals over utterances. Test utterances and speakers: speaker / random / paper.",
         "Under `paper` the split is by row, so altered copies are among the test rows too (all rows); the figure "
         "before is of the unaltered ones alone, as under the other protocols."), protocols=PROTOCOLS)


def _bounded(figures: Mapping[str, Any], name: str) -> Cell:
    return Cell(figures.get(name), unit="share", low=figures.get(f"{name}_low"), high=figures.get(f"{name}_high"))


def _speakers(figures: Mapping[str, Any]) -> str:
    low, high = figures.get("uar_low_speakers"), figures.get("uar_high_speakers")
    return f"[{number(low)}, {number(high)}]"


def _signed(value: float) -> str:
    """A difference with its sign; what rounds to nothing has a plus.

    >>> _signed(0.314), _signed(-0.02), _signed(-0.001)
    ('+0.31', '−0.02', '+0.00')
    """
    shown = f"{abs(value):.2f}"
    return f"{'−' if value < 0 and shown != '0.00' else '+'}{shown}"


def _signed_or_none(value: float | None) -> str | None:
    return None if value is None else _signed(value)


def _models(count: int) -> str:
    return "One model" if count == 1 else f"{count} models"


TRAINED_PROTOCOLS = ("speaker", "random", "paper")


def experiments(params: Params, settings: Settings) -> list[Experiment]:
    """A training for each model and protocol."""
    wanted = settings.splits
    return [Experiment(f"{model} by split", f"{model} {protocol} split", model,
                       settings_of(params, settings.seed, wanted.train, "splits", model), params.data.names, protocol,
                       params.augment.variants) for model in wanted.models for protocol in TRAINED_PROTOCOLS]


def main() -> None:
    """Train them; killed and started again, go on with those that are missing. Then the page."""
    params, settings = load_params(), load_settings()
    wanted = experiments(params, settings)
    tags = {one.group: tags_of(params, Job(one.group, one.model, one.settings), "splits")
            | {"partition": "+".join(TRAINED_PROTOCOLS)} for one in wanted}
    models: dict[str, dict[str, Any]] = {}
    declared = {}
    with results(params, "splits", wanted, tags) as (folders, runs):
        for one, source in zip(wanted, folders, strict=True):
            result, tests = read_json(source / "result.json"), read_csv(source / "test.csv")
            declared[one.protocol] = result["declared"]
            unaltered = [row for row in tests if row["variant"] == "original"]
            figures = with_intervals(params, unaltered) | {
                name: result[name] for name in ("validation_uar", "best_epoch", "seconds", "run_id")}
            # Without intervals: copies of one utterance are no utterances of their own.
            figures["all_rows"] = scores(tests) | {"n": len(tests)} if len(tests) > len(unaltered) else None
            entry = models.setdefault(one.model, {
                "model": one.model, "family": "paper 1" if MODELS[one.model].reads == "features" else "paper 2",
                "backbone": backbone_of(params, one.model), "run_id": runs[one.group].id, "protocols": {}})
            entry["protocols"][one.protocol] = figures
        for one in wanted:
            runs[one.group].metrics({f"{protocol}/clean/uar": figures["uar"]
                                     for protocol, figures in models[one.model]["protocols"].items()})
        content = {"provenance": provenance(params, settings.seed, params.augment.variants, declared),
                   "models": list(models.values())}
        write_json(params.paths.reports / "splits.json", content)
        paper_page.build(page(content), params.paths.reports)
    for model in models.values():
        print(f"{model['model']}: "
              + ", ".join(f"{name} {model['protocols'][name]['uar']:.3f}" for name in TRAINED_PROTOCOLS))


if __name__ == "__main__":
    run(main)
