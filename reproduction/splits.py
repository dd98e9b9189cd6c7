"""What the split is worth: every model under three partition protocols, into reports/splits.json and its page.

All else is the same: corpora, augmentation, settings, and shares where speakers are enough for three partitions. Where
they are too few (TESS alone has two), `speaker` is the first of two folds: a speaker of each corpus is tested, another
one trains, and the other way round is not measured. What a model scores under `random` or `paper` beyond its figure
under `speaker` is what the split lets through.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from reproduction import paper_page
from reproduction.experiment import (
    Experiment,
    answer_scores,
    comparison_settings,
    heard_by,
    provenance,
    scores_with_intervals,
    train_all,
    trainable,
    variant_names,
)
from reproduction.paper_page import Cell, Page, Table
from reproduction.settings import Settings, load_settings
from ser_ops.caveats import heard_in_training
from ser_ops.config.params import Params, load_params
from ser_ops.corpora.partitions import protocol_in_force
from ser_ops.documents import read_json
from ser_ops.files import write_json
from ser_ops.model_table import MODELS
from ser_ops.pages import CHANCE, drawing, interval, line, number, path, pick, plain, rect, scale, tag, text
from ser_ops.stages import run
from ser_ops.stages.training_run import TrainingJob, backbone_origin, run_tags
from ser_ops.tables import read_csv

TITLE = "What the split is worth"
PROTOCOLS: tuple[str, ...] = ("speaker", "random", "paper")
FAMILIES: tuple[str, ...] = ("paper 1", "paper 2")
# What a claim rests on: under `speaker` on people; under the others the test's voices are known.
UNITS: dict[str, str] = {"speaker": "speakers", "random": "utterances", "paper": "utterances"}
LETS_THROUGH: dict[str, str] = {
    "speaker": "nothing of a test speaker is trained on: the figure for people who were not recorded",
    "random": "the test speakers' other utterances are trained on (an utterance's variants stay together): their "
              "voices leak",
    "paper": "augmented first and split by row afterwards: altered copies of a test utterance are trained on: the "
             "utterances themselves leak"}
HOW_TO_MAKE = ("Each model under the three partition protocols stands on a page of its own, reports/splits/index.html, "
               "which `ser-ops reproduce splits` makes.")
_WIDTH, _LEFT, _RIGHT = 960, 150, 700
_ROW, _LANE, _TOP = 66, 16, 40
# Shape tells the protocols apart without colour, lightness does in grey print; colours are Okabe and Ito's.
_STYLE = (".split-speaker{fill:#0072b2;stroke:#0072b2}.split-random{fill:#e69f00;stroke:#e69f00}"
          ".split-paper{fill:var(--paper,#fff);stroke:#d55e00}.split-mark{stroke-width:2}"
          ".split-bar{opacity:.35;stroke:none}.split-bar.split-paper{fill:#d55e00}.split-reach{stroke-width:1.2}"
          ".split-join{fill:none;stroke:var(--soft,#56626f);stroke-width:1.2}"
          ".split-gap{font-weight:700}.split-rule{stroke:var(--rule,#dde3ea)}"
          ".split-chance{stroke:var(--soft,#56626f);stroke-dasharray:4 3}")


def main() -> None:
    """Train every model under every protocol, then write splits.json and its page."""
    params, settings = load_params(), load_settings()
    trainings, lacking = trainable(params, experiments(params, settings))
    tags = {each.group: run_tags(params, TrainingJob(each.group, each.model, each.settings), "splits")
            | {"partition": "+".join(PROTOCOLS)} for each in trainings}
    models: dict[str, dict[str, Any]] = {}
    declared = {}
    with train_all(params, "splits", trainings, tags) as (folders, runs):
        for experiment, source in zip(trainings, folders, strict=True):
            result, tests = read_json(source / "result.json"), read_csv(source / "test.csv")
            declared[experiment.protocol] = result["declared"]
            unaltered = [row for row in tests if row["variant"] == "original"]
            figures = scores_with_intervals(params, unaltered) | {
                name: result[name] for name in ("validation_uar", "best_epoch", "seconds", "run_id")}
            # Without intervals: copies of one utterance are no utterances of their own.
            figures["fold"] = None if experiment.fold is None else {
                "number": experiment.fold, "of": experiment.folds, "tested": sorted({row["speaker"] for row in tests})}
            figures["all_rows"] = answer_scores(tests) | {"n": len(tests)} if len(tests) > len(unaltered) else None
            entry = models.setdefault(experiment.model, {
                "model": experiment.model,
                "family": "paper 1" if MODELS[experiment.model].reads == "features" else "paper 2",
                "backbone": backbone_origin(params, experiment.model), "run_id": runs[experiment.group].id,
                "protocols": {}})
            entry["protocols"][experiment.protocol] = figures
        for experiment in trainings:
            runs[experiment.group].metrics({f"{protocol}/clean/uar": figures["uar"] for protocol, figures
                                            in models[experiment.model]["protocols"].items()})
        heard = variant_names(params, settings.splits.variants)
        content = {"provenance": provenance(params, settings.seed, heard, declared) | {"heard": heard_by(folders)},
                   "models": list(models.values()), "lacking": lacking}
        write_json(params.paths.reports / "splits.json", content)
        paper_page.build_page(page(content), params.paths.reports)
    for model in models.values():
        print(f"{model['model']}: "
              + ", ".join(f"{name} {model['protocols'][name]['uar']:.3f}" for name in PROTOCOLS))


def experiments(params: Params, settings: Settings) -> list[Experiment]:
    """A training for each model and protocol.

    Where speakers are too few for three partitions (TESS alone has two), `speaker` is the first of two folds.
    """
    few = protocol_in_force(params.paths.work, "speaker") != "speaker"
    return [Experiment(f"{model} by split", f"{model} {protocol} split", model,
                       comparison_settings(params, settings.seed, settings.splits, "splits", model),
                       params.data.names, protocol, settings.splits.variants,
                       *((1, 2) if few and protocol == "speaker" else ()))
            for model in settings.splits.models for protocol in PROTOCOLS]


def page(content: Mapping[str, Any]) -> Page:
    """The page reports/splits: the section alone, with what its figures stand on."""
    provenance, models = content.get("provenance") or {}, models_by_family(content)
    backbones = {model["model"]: model["backbone"] for model in models if model.get("backbone")}
    runs = {plain(model["model"]): model.get("run_id") for model in models}
    return Page("splits", TITLE, "Neither paper says how much of its accuracy is due to its split; paper 1 does not "
                "say how it split at all.", paper_page.warnings(provenance, backbones),
                paper_page.facts(provenance, PROTOCOLS, backbones or None, runs), (), (), (section(content),))


def section(content: Mapping[str, Any] | None) -> dict[str, Any]:
    """The section of a page: {"title", "words", "svg", "table"}.

    Args:
        content: of splits.json; None where it is not there: the section then says how to make it.
    """
    if content is None:
        return {"title": TITLE, "words": [HOW_TO_MAKE], "svg": Markup(""), "table": None}
    models, basis = models_by_family(content), content.get("provenance") or {}
    level = paper_page.confidence_level(basis)
    words = [*findings(models), *one_direction(models), *filter(None, [heard_in_training(basis)]),
             *paper_page.left_out(content), *(f"{name.capitalize()}: {LETS_THROUGH[name]}." for name in PROTOCOLS),
             f"Thin lines with ends are {f'{level} ' if level else ''}intervals over speakers, by which `speaker` is "
             "judged: its claim is of people. Pale bars, of the others alone, are intervals over utterances. The three "
             "test parts are different utterances of the same corpora, each protocol's own."]
    return {"title": TITLE, "words": words, "svg": picture(models), "table": table(models, basis)}


def models_by_family(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models of splits.json by family, within it as they stand."""
    rank = {family: number for number, family in enumerate(FAMILIES)}
    return sorted(content.get("models") or [], key=lambda model: rank.get(model.get("family"), len(FAMILIES)))


def findings(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the figures say, computed from them."""
    complete = [model for model in models if all(uar(model, name) is not None for name in PROTOCOLS)]
    sentences = []
    if complete:
        means = {name: sum(uar(model, name) or 0.0 for model in complete) / len(complete) for name in PROTOCOLS}
        gaps = {plain(model["model"]): leakage(model) or 0.0 for model in complete}
        least, most = min(gaps, key=gaps.__getitem__), max(gaps, key=gaps.__getitem__)
        several = "" if len(complete) == 1 else \
            f", from {signed(gaps[least])} ({least}) to {signed(gaps[most])} ({most})"
        judged = [overlap for model in complete if (overlap := intervals_overlap(model)) is not None]
        sentences.append(
            f"{_models(len(complete))}: mean UAR {number(means['speaker'])} by speaker, {number(means['random'])} at "
            f"random, {number(means['paper'])} as papers do it. The split alone is worth "
            f"{signed(means['paper'] - means['speaker'])} UAR{several}: {signed(means['random'] - means['speaker'])} "
            f"for voices heard in training, {signed(means['paper'] - means['random'])} more for the utterances' own "
            f"copies. {_apart_sentence(judged, complete)}")
    partial = [f"{plain(model['model'])} ({', '.join(name for name in PROTOCOLS if uar(model, name) is None)})"
               for model in models if model not in complete]
    if partial:
        sentences.append(f"Not trained under every protocol, so in no mean: {', '.join(partial)}.")
    return sentences or ["reports/splits.json holds no model: name some under splits.models in "
                         "reproduction/params.yaml"]


def _apart_sentence(judged: Sequence[bool], complete: Sequence[Mapping[str, Any]]) -> str:
    """For how many models the protocols' intervals lie apart, and why not for the others."""
    since = next(filter(None, (without_speakers(model) for model in complete)), "")
    if not judged:
        return f"Whether the intervals of speaker and paper lie apart cannot be told{f': {since}' if since else ''}."
    return (f"The interval of speaker, over speakers, and that of paper, over utterances, lie apart for "
            f"{judged.count(False)} of {len(judged)}.")


def without_speakers(model: Mapping[str, Any]) -> str:
    """Why there is no interval over speakers under the protocol speaker, "" where there is."""
    return str(pick(model, "protocols", "speaker", "no_speakers") or "")


def one_direction(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which speakers `speaker` tested where it is a fold: the other folds were not trained."""
    fold = next(filter(None, (pick(model, "protocols", "speaker", "fold") for model in models)), None)
    return [f"Tested by speaker: {', '.join(fold['tested'])}, whom training never heard, in fold {fold['number']} of "
            f"{fold['of']}, since speakers are too few for three partitions. The other way round is not measured, and "
            "the shares are the fold's own."] if fold else []


def _models(count: int) -> str:
    return "One model" if count == 1 else f"{count} models"


def uar(model: Mapping[str, Any], protocol: str) -> float | None:
    """UAR of a model under a protocol, in [0, 1]; None where it was not trained under it."""
    value = pick(model, "protocols", protocol, "uar")
    return value if isinstance(value, int | float) else None


def leakage(model: Mapping[str, Any], of: str = "paper") -> float | None:
    """UAR under the protocol `of` less UAR by speaker; None where either is missing.

    >>> round(leakage({"protocols": {"speaker": {"uar": 0.5}, "paper": {"uar": 0.81}}}), 2)
    0.31
    """
    claimed, honest = uar(model, of), uar(model, "speaker")
    return None if claimed is None or honest is None else claimed - honest


def intervals_overlap(model: Mapping[str, Any], of: str = "paper") -> bool | None:
    """Whether the intervals of the protocol `of` and of speaker overlap, each over its unit; None without both."""
    (low, high), (own_low, own_high) = (bounds(pick(model, "protocols", name) or {}, name, "uar")
                                        for name in (of, "speaker"))
    if low is None or high is None or own_low is None or own_high is None:
        return None
    return low <= own_high and own_low <= high


def bounds(figures: Mapping[str, Any], protocol: str, score: str) -> tuple[float | None, float | None]:
    """The interval of a score over what a claim under the protocol rests on (`UNITS`); None where there is none."""
    over = "_speakers" if UNITS[protocol] == "speakers" else ""
    return figures.get(f"{score}_low{over}"), figures.get(f"{score}_high{over}")


def picture(models: Sequence[Mapping[str, Any]]) -> Markup:
    """For each model three marks with their intervals, joined by a line, and the gap from speaker to paper."""
    x = scale(0, 1, _LEFT, _RIGHT)
    families = [model.get("family") for model in models]
    heads = [index for index in range(len(models)) if index == 0 or families[index] != families[index - 1]]
    bottom = _TOP + _ROW * len(models) + 24 * len(heads)
    parts = [tag("style", _STYLE), *_legend(16)]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts += [line(x(tick), _TOP, x(tick), bottom, "grid split-rule"),
                  text(x(tick), bottom + 16, f"{tick:g}", "middle", "tick")]
    parts += [tag("g", tag("title", f"chance: 1 of {round(1 / CHANCE)} classes, UAR {number(CHANCE)}"),
                  line(x(CHANCE), _TOP, x(CHANCE), bottom, "chance split-chance")),
              text(x(CHANCE), bottom + 30, "chance", "middle", "tick"),
              text(_RIGHT, bottom + 30, "UAR on the protocol's own test part", "end", "tick")]
    y = float(_TOP)
    for index, model in enumerate(models):
        if index in heads:
            parts.append(text(8, y + 17, f"{model.get('family') or 'other'}'s models", class_="tick"))
            y += 24
        parts += [line(8, y, _WIDTH - 8, y, "grid split-rule"), *_row(model, y, x)]
        y += _ROW
    return drawing(_WIDTH, bottom + 38, "UAR of each model under the protocols speaker, random and paper, with "
                   "intervals, and the gap between speaker and paper", parts)


def _row(model: Mapping[str, Any], y: float, x: Any) -> list[Markup]:
    name, middle = plain(model["model"]), y + _ROW / 2
    lanes = {protocol: middle + _LANE * (lane - 1) for lane, protocol in enumerate(PROTOCOLS)}
    trained = [protocol for protocol in PROTOCOLS if uar(model, protocol) is not None]
    parts = [text(_LEFT - 14, middle + 5, name, "end", "label"),
             path([(x(uar(model, protocol)), lanes[protocol]) for protocol in trained], "split-join")]
    for protocol in trained:
        figures = model["protocols"][protocol]
        uar_words, accuracy = (
            number(figures.get(score)) if UNITS[protocol] == "speakers" else interval(figures, score)
            for score in ("uar", "accuracy"))
        title = (f"{name}, {protocol}: UAR {uar_words}, over speakers {_speakers(figures)}, accuracy "
                 f"{accuracy}; {figures.get('n', '?')} utterances of "
                 f"{figures.get('speakers', '?')} speakers. {LETS_THROUGH[protocol].capitalize()}.")
        parts.append(tag("g", tag("title", title), *_spread(figures, protocol, lanes[protocol], x),
                         protocol_mark(protocol, x(figures["uar"]), lanes[protocol])))
    gap = leakage(model)
    if gap is None:
        lacking = ", ".join(protocol for protocol in PROTOCOLS if protocol not in trained)
        return [*parts, text(_RIGHT + 20, middle + 5, f"not trained: {lacking}", class_="tick")]
    doubt = {True: "intervals overlap", False: "intervals apart", None: "cannot tell"}[intervals_overlap(model)]
    return [*parts, text(_RIGHT + 20, middle, f"leakage: {signed(gap)} UAR", class_="label split-gap"),
            text(_RIGHT + 20, middle + 17, f"{number(uar(model, 'speaker'))} → {number(uar(model, 'paper'))}"
                 f", {doubt}", class_="tick")]


def _spread(figures: Mapping[str, Any], protocol: str, y: float, x: Any) -> list[Markup]:
    parts = []
    low, high = figures.get("uar_low_speakers"), figures.get("uar_high_speakers")
    if low is not None and high is not None:
        parts += [line(x(low), y, x(high), y, f"split-{protocol} split-reach"),
                  *(line(x(end), y - 4, x(end), y + 4, f"split-{protocol} split-reach") for end in (low, high))]
    low, high = figures.get("uar_low"), figures.get("uar_high")
    if low is not None and high is not None and UNITS[protocol] == "utterances":
        parts.append(rect(x(low), y - 3.5, x(high) - x(low), 7, f"split-{protocol} split-bar", 3))
    return parts


def protocol_mark(protocol: str, x: float, y: float) -> Markup:
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
    for index, (protocol, label) in enumerate(words.items()):
        x = _LEFT + 8 + 190 * index
        parts += [tag("g", tag("title", LETS_THROUGH[protocol]), protocol_mark(protocol, x, y)),
                  text(x + 14, y + 5, label, class_="tick")]
    return parts


def table(models: Sequence[Mapping[str, Any]], basis: Mapping[str, Any]) -> Table:
    """The picture in figures, with accuracy, since accuracy is what papers claim; basis: provenance of splits.json."""
    since = next(filter(None, map(without_speakers, models)), "")
    rows: list[tuple[Cell | str, ...]] = []
    for model in models:
        figures = {name: pick(model, "protocols", name) or {} for name in PROTOCOLS}
        rows.append((plain(model["model"]),
                     *(_figure_cell(figures[name], name, "uar") for name in PROTOCOLS),
                     Cell(pick(figures["paper"], "all_rows", "uar"), unit="share"),
                     *(Cell(_signed_or_none(leakage(model, name))) for name in ("random", "paper")),
                     *(_figure_cell(figures[name], name, "accuracy") for name in PROTOCOLS),
                     " / ".join(str(figures[name].get("n", "–")) for name in PROTOCOLS),
                     " / ".join(str(figures[name].get("speakers", "–")) for name in PROTOCOLS)))
    return Table(
        "splits", "UAR and accuracy under the three partition protocols",
        ("Model", "UAR, speaker", "UAR, random", "UAR, paper", "UAR, paper, all rows",
         "Random less speaker", "Leakage: paper less speaker", "Accuracy, speaker", "Accuracy, random",
         "Accuracy, paper", "Test utterances", "Test speakers"), tuple(rows),
        (*paper_page.interval_note(basis, {name: {"over": unit} for name, unit in UNITS.items()
                                                if not (since and unit == "speakers")}),
         *filter(None, [f"Under speaker no bounds: {since}." if since else ""]),
         "Test utterances and speakers: speaker / random / paper.",
         "Under `paper` the split is by row, so altered copies are among the test rows too (all rows); the figure "
         "before is of the unaltered ones alone, as under the other protocols."), protocols=PROTOCOLS)


def _figure_cell(figures: Mapping[str, Any], protocol: str, score: str) -> Cell:
    low, high = bounds(figures, protocol, score)
    return Cell(figures.get(score), unit="share", low=low, high=high)


def _speakers(figures: Mapping[str, Any]) -> str:
    low, high = figures.get("uar_low_speakers"), figures.get("uar_high_speakers")
    return f"[{number(low)}, {number(high)}]"


def signed(value: float) -> str:
    """A difference with its sign; what rounds to nothing has a plus.

    >>> signed(0.314), signed(-0.02), signed(-0.001)
    ('+0.31', '−0.02', '+0.00')
    """
    shown = f"{abs(value):.2f}"
    return f"{'−' if value < 0 and shown != '0.00' else '+'}{shown}"


def _signed_or_none(value: float | None) -> str | None:
    return None if value is None else signed(value)


if __name__ == "__main__":
    run(main)
