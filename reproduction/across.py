"""across: models trained on one corpus or all but one, tested on each, clean and in noise, into reports/across.json.

Across corpora: what a model that learned from one corpus, or from all but one, is worth on each, as a matrix.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
from markupsafe import Markup

from reproduction import paper_page
from reproduction.experiment import folder, provenance
from reproduction.paper_page import Cell, Page, Table
from reproduction.settings import load_settings
from ser_ops.config.params import Params, load_params
from ser_ops.corpora import partitions
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import predictions, robustness
from ser_ops.evaluation.predictions import CLEAN, Predictions
from ser_ops.evaluation.summary import Summary
from ser_ops.files import write_json
from ser_ops.manifest import UtteranceRow, validated_noise, validated_utterances
from ser_ops.pages import CHANCE, DASH, cell_name, drawing, interval, number, pick, plain, tag, text
from ser_ops.stages import run
from ser_ops.stages.training_run import backbone_origin
from ser_ops.tracking.runs import reopen

TITLE = "Across corpora"
HOW = "reports/across.json is not there: `ser-ops reproduce across` makes it"
KINDS: dict[str, str] = {"clean": "clean speech", "noisy": "in noise, mean of the grid"}
CUTS: dict[str, str] = {
    "speaker": "by speaker: no test speaker is in that corpus's training part",
    "word": "by word: its test speakers are in its training part too, their test words are not",
    "utterance": "by utterance: its test speakers are in its training part too"}

_LEFT, _GAP, _HIGH, _HEAD = 190, 36, 46, 66
# One hue from light to dark: the order survives grey print. Ink turns where both contrasts are equal.
_RAMP = ((243, 246, 250), (150, 193, 232), (38, 98, 172), (11, 44, 96))
_STYLE = (".across-cell{stroke:none}.across-own,.across-new{fill:none;stroke:var(--ink,#16202b);stroke-width:2}"
          ".across-new{stroke-dasharray:4 3}"
          ".across-none{fill:none;stroke:var(--rule,#dde3ea)}"
          "svg text.across-value{font-weight:700;font-size:15px;fill:inherit}"
          "svg text.across-small{font-size:11px;fill:inherit}.across-pale{fill:#fff}.across-ink{fill:#000}")


def sections(content: Mapping[str, Any] | None) -> tuple[dict[str, Any], ...]:
    """{"title", "words", "svg", "table"} for each model, from what across.json holds; None: how to make it."""
    if content is None:
        return ({"title": TITLE, "words": [HOW], "svg": Markup(""), "table": None},)
    return tuple(_section(content, model) for model in content.get("models") or [])


def _section(content: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    name = plain(model["model"])
    words = [finding(model), *findings_common(model), *_cuts(model),
             "A solid frame: the corpus that was trained on. A dashed frame: the one corpus that was left out of "
             "training. Elsewhere the test corpus was among those trained on, or is another one altogether.",
             *_lacking(model)]
    return {"title": f"{TITLE}: {name}", "words": words, "svg": picture(model, content.get("corpora") or []),
            "table": table(model)}


def page(content: Mapping[str, Any]) -> Page:
    """reports/across.html: the matrices alone, with what they stand on."""
    provenance, models = content.get("provenance") or {}, content.get("models") or []
    backbones = {one["model"]: one["backbone"] for one in models if one.get("backbone")}
    runs = {f"{plain(one['model'])} on {row['train']}": row.get("run_id") for one in models for row in one["rows"]}
    parts = list(dict.fromkeys(sentence for one in models for sentence in _cuts(one)))
    return Page("across", TITLE, "Paper 1 claims that its model generalises across corpora and shows no figure of it.",
                paper_page.warnings(provenance, backbones.values()),
                (("Partition protocol", " ".join(parts) or DASH),
                 *paper_page.facts(provenance, (), backbones or None, runs)), (), (), sections(content))


def pairs(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """(kind, row, cell) of a model: "within" (trained on that corpus alone), "across" (trained on another one alone),
    "left out" (trained on all but that corpus), "among" (trained on several, it among them).
    """
    for row in model.get("rows") or []:
        alone = len(row.get("train_corpora") or [row["train"]]) == 1 and not is_all_but(row)
        for cell in row.get("cells") or []:
            if cell.get("seen"):
                yield "within" if alone else "among", row, cell
            else:
                yield "across" if alone else "left out", row, cell


def is_all_but(row: Mapping[str, Any]) -> bool:
    """Whether the row's model was trained on all corpora but one.

    >>> is_all_but({"train": "all but tess"}), is_all_but({"train": "tess"})
    (True, False)
    """
    return str(row["train"]).startswith("all but ")


def means(model: Mapping[str, Any], what: str = "clean") -> dict[str, tuple[float | None, int]]:
    """Mean UAR and number of cells of each kind of pair.

    what: "clean" or "noisy", or "clean_common_uar" or "noisy_common_uar", over the classes that both sides hold.
    """
    found: dict[str, list[float]] = {kind: [] for kind in ("within", "across", "left out", "among")}
    for kind, _, cell in pairs(model):
        value = pick(cell, what, "uar") if what in KINDS else cell.get(what)
        if isinstance(value, int | float):
            found[kind].append(float(value))
    return {kind: (fmean(values) if values else None, len(values)) for kind, values in found.items()}


def finding(model: Mapping[str, Any]) -> str:
    """What the matrix says in one sentence, computed from it; chance is said beside it."""
    said = {kind: means(model, kind) for kind in KINDS}
    parts = []
    for kind, phrase in (("within", "on the corpus that it learned from"),
                         ("across", "on a corpus that it did not learn from"),
                         ("left out", "on the one corpus that was left out of all")):
        clean, count = said["clean"][kind]
        if clean is not None:
            parts.append(f"{number(clean)} clean and {number(said['noisy'][kind][0])} in noise {phrase} (n {count})")
    if not parts:
        return "reports/across.json holds no figure for this model."
    sentence = f"Mean UAR of {plain(model['model'])}: {'; '.join(parts)}; chance is {number(CHANCE)}"
    within, other = said["clean"]["within"][0], said["clean"]["across"][0]
    if within is not None and other is not None:
        lost = within - other
        sentence += f". Another corpus {'costs' if lost >= 0 else 'brings'} {number(abs(lost))} of clean UAR"
    return f"{sentence}."


def findings_common(model: Mapping[str, Any]) -> list[str]:
    """The same over the classes that both corpora hold, where that changes a figure."""
    if not any(_differs(cell) for _, _, cell in pairs(model)):
        return []
    clean, noisy = means(model, "clean_common_uar"), means(model, "noisy_common_uar")
    said = [f"{number(clean[kind][0])} clean and {number(noisy[kind][0])} in noise {phrase}"
            for kind, phrase in (("within", "on the same corpus"), ("across", "on another"),
                                 ("left out", "on the one left out")) if clean[kind][0] is not None]
    return [f"Over the classes that training and test both hold: {'; '.join(said)}."] if said else []


def cuts(model: Mapping[str, Any]) -> dict[str, list[str]]:
    """How test parts were cut ("speaker", "word", "utterance"), and of which corpora."""
    found: dict[str, list[str]] = {}
    for _, _, cell in pairs(model):
        corpora = found.setdefault(str(cell.get("split")), [])
        if cell["test"] not in corpora:
            corpora.append(cell["test"])
    return found


def _cuts(model: Mapping[str, Any]) -> list[str]:
    return [f"Test part of {', '.join(corpora)}: cut {CUTS.get(cut, cut)}." for cut, corpora in cuts(model).items()]


def notes_of(model: Mapping[str, Any]) -> dict[str, str]:
    """Footnotes {letter: sentence} for classes that training or test lacks, in the order of the rows."""
    found: list[str] = []
    for _, row, cell in pairs(model):
        found += [one for one in _lacks(row, cell) if one not in found]
    return {_letter(place): one for place, one in enumerate(found)}


def _lacks(row: Mapping[str, Any], cell: Mapping[str, Any]) -> list[str]:
    said = []
    tested = [one for one in row.get("train_lacks") or [] if one not in (cell.get("test_lacks") or [])]
    if lacks := _named(tested):
        said.append(f"{row['train']} holds no {lacks} in training: a test utterance of it is always taken for another "
                    "class")
    if lacks := _named(cell.get("test_lacks")):
        said.append(f"{cell['test']} holds no {lacks} to test on: the mean is over the other classes")
    return said


def _lacking(model: Mapping[str, Any]) -> list[str]:
    return [f"{letter}: {sentence}." for letter, sentence in notes_of(model).items()]


def _named(classes: Sequence[str] | None) -> str:
    there = [emotion for emotion in EMOTIONS if emotion in (classes or [])]
    return " and no ".join([", no ".join(there[:-1]), there[-1]] if len(there) > 1 else there)


def _letter(place: int) -> str:
    """a, b, ..., z, aa, ab.

    >>> _letter(0), _letter(27)
    ('a', 'ab')
    """
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(97 + rest) + letters
    return letters


def _letters(model: Mapping[str, Any], row: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    by_sentence = {sentence: letter for letter, sentence in notes_of(model).items()}
    return "".join(sorted(by_sentence[one] for one in _lacks(row, cell)))


def _differs(cell: Mapping[str, Any]) -> bool:
    """Whether the mean over the common classes is another one than the mean over the test part's classes."""
    return any(pick(cell, kind, "uar") is not None and cell.get(f"{kind}_common_uar") is not None
               and abs(cell[f"{kind}_common_uar"] - cell[kind]["uar"]) > 5e-4 for kind in KINDS)


def picture(model: Mapping[str, Any], corpora: Sequence[str]) -> Markup:
    """Two heat maps side by side, clean and in noise: rows trained on, columns tested on; all-but-one rows apart.

    corpora: the order of the columns; a corpus that only a cell names comes after them.
    """
    tests = list(dict.fromkeys([*corpora, *(cell["test"] for _, _, cell in pairs(model))]))
    tests = [one for one in tests if any(cell["test"] == one for _, _, cell in pairs(model))]
    if not tests:
        return Markup("")
    wide = max(64, min(112, 400 // len(tests)))
    rows = [row for row in model["rows"] if not is_all_but(row)]
    apart = [row for row in model["rows"] if is_all_but(row)]
    span = wide * len(tests)
    width = _LEFT + 2 * span + _GAP + 6
    parts = [tag("style", _STYLE)]
    for place, words in enumerate(KINDS.values()):
        left = _LEFT + place * (span + _GAP)
        parts.append(text(left + span / 2, 16, f"UAR, {words}", "middle", "label"))
        parts += [_heading(left + wide * (column + 0.5), test, wide) for column, test in enumerate(tests)]
    parts.append(text(_LEFT - 12, _HEAD - 8, "trained on \N{RIGHTWARDS ARROW} tested on", "end", "tick"))
    y = float(_HEAD)
    for group in (rows, apart):
        for row in group:
            parts.append(text(_LEFT - 12, y + _HIGH / 2 + 4, _short(row["train"], 26), "end", "label"))
            for place, kind in enumerate(KINDS):
                for column, test in enumerate(tests):
                    x = _LEFT + place * (span + _GAP) + wide * column
                    parts.append(_square(model, row, test, kind, x, y, wide))
            y += _HIGH
        y += 16 if group and apart else 0
    return drawing(round(width), round(y) + 4, f"UAR of {plain(model['model'])} by corpus trained on and tested on, "
                   "clean and in noise", parts)


def _heading(x: float, test: str, wide: float) -> Markup:
    """A corpus's name in at most three lines that fit a column; whole as the hover title."""
    lines: list[str] = []
    for word in plain(test).split():
        if lines and len(lines[-1]) + len(word) < wide // 7:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    shown = [_short(one, int(wide // 6)) for one in lines[:3]]
    return tag("g", tag("title", test), *(text(x, _HEAD - 8 - 13 * (len(shown) - 1 - place), one, "middle", "tick")
                                          for place, one in enumerate(shown)))


def _square(model: Mapping[str, Any], row: Mapping[str, Any], test: str, kind: str, x: float, y: float,
            wide: float) -> Markup:
    cell = next((one for one in row.get("cells") or [] if one["test"] == test), None)
    value = pick(cell, kind, "uar")
    if cell is None or not isinstance(value, int | float):
        return tag("g", tag("title", f"trained on {row['train']}, tested on {test}: not measured"),
                   tag("rect", x=x + 2, y=y + 2, width=wide - 4, height=_HIGH - 4.0, rx=5.0, class_="across-none"),
                   text(x + wide / 2, y + _HIGH / 2 + 4, number(None), "middle", "tick"))
    colour, ink = shade(value)
    frame = {"within": "across-own", "left out": "across-new"}.get(_kind(row, cell))
    inset = 4.5 if frame else 2.0  # a framed cell keeps a gap to its frame, so that the frame shows in grey print too
    content = [tag("title", _said(row, cell, kind)),
               tag("rect", x=x + inset, y=y + inset, width=wide - 2 * inset, height=_HIGH - 2 * inset, rx=4.0,
                   fill=colour, class_="across-cell")]
    if frame:
        content.append(tag("rect", x=x + 2, y=y + 2, width=wide - 4, height=_HIGH - 4.0, rx=6.0, class_=frame))
    middle, letters = x + wide / 2, _letters(model, row, cell)
    low, high = pick(cell, kind, "uar_low"), pick(cell, kind, "uar_high")
    bounded = low is not None and high is not None
    said = [text(middle, y + (22 if bounded else 28), number(value), "middle", "across-value")]
    if bounded:
        said.append(text(middle, y + 37, f"{number(low)}–{number(high)}", "middle", "across-small"))
    if letters:
        said.append(text(x + wide - 9, y + 17, letters, "end", "across-small"))
    return tag("g", *content, tag("g", *said, class_=ink))


def _kind(row: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    return next(kind for kind, one, other in pairs({"rows": [row]}) if one is row and other is cell)


def _said(row: Mapping[str, Any], cell: Mapping[str, Any], kind: str) -> str:
    """A cell's hover title."""
    figures = cell[kind]
    said = [f"trained on {row['train']}, tested on {cell['test']}, {KINDS[kind]}: UAR {interval(figures)}, "
            f"accuracy {number(figures.get('accuracy'))}, {cell.get('n', '?')} utterances of "
            f"{cell.get('speakers', '?')} speakers"]
    if cell.get("seen"):
        said.append(f"test part cut {CUTS.get(str(cell.get('split')), str(cell.get('split')))}")
    else:
        said.append("the corpus was not trained on")
    if _differs(cell):
        said.append(f"over the {len(cell.get('common') or [])} classes that both hold: "
                    f"{number(cell.get(f'{kind}_common_uar'))}")
    if kind == "noisy" and cell.get("worst_cell"):
        worst = cell["worst_cell"]
        said.append(f"worst: {cell_name(worst.get('cell'))}, UAR {number(worst.get('uar'))}")
    return "; ".join([*said, *_lacks(row, cell)])


def shade(value: float) -> tuple[str, str]:
    """Fill of a cell and the class of its ink: pale at 0, dark at 1.

    >>> shade(0.0), shade(1.0)
    (('rgb(243,246,250)', 'across-ink'), ('rgb(11,44,96)', 'across-pale'))
    """
    place = min(max(value, 0.0), 1.0) * (len(_RAMP) - 1)
    first = min(int(place), len(_RAMP) - 2)
    red, green, blue = (round(a + (b - a) * (place - first))
                        for a, b in zip(_RAMP[first], _RAMP[first + 1], strict=True))
    light = sum(weight * (channel / 255) ** 2.2
                for weight, channel in zip((0.2126, 0.7152, 0.0722), (red, green, blue), strict=True))
    return f"rgb({red},{green},{blue})", "across-ink" if light > 0.18 else "across-pale"


def table(model: Mapping[str, Any]) -> Table:
    """The matrix in figures: a row for each pair."""
    relation = {"within": "the same corpus", "across": "another corpus", "left out": "the one left out",
                "among": "one of those trained on"}
    rows: list[tuple[Cell | str, ...]] = []
    for kind, row, cell in pairs(model):
        differs, letters = _differs(cell), _letters(model, row, cell)
        rows.append((
            str(row["train"]), f"{cell['test']} {letters}".strip(),
            f"{relation[kind]}, cut by {cell.get('split') or DASH}" if cell.get("seen") else relation[kind],
            Cell(cell.get("n"), unit="count"), *(_bounded(cell.get(one) or {}) for one in KINDS),
            *(Cell(cell.get(f"{one}_common_uar") if differs else None, unit="share") for one in KINDS),
            Cell(pick(cell, "clean", "accuracy"), unit="share"),
            Cell(pick(cell, "worst_cell", "uar"), unit="share", mark=cell_name(pick(cell, "worst_cell", "cell"))
                 if pick(cell, "worst_cell", "cell") else "")))
    return Table(f"across_{model['model']}", f"Trained on by tested on: {plain(model['model'])}",
                 ("Trained on", "Tested on", "Which is", "Utterances", "UAR, clean", "UAR, in noise", "Common, clean",
                  "Common, in noise", "Accuracy, clean", "Worst noise"),
                 tuple(rows), ("In noise: mean of the grid. Common: UAR over the classes that training and test both "
                               "hold, given where that is another figure.", *_lacking(model)), protocols=tuple(
                     cut if cut == "speaker" else f"{cut} ({', '.join(corpora)})"
                     for cut, corpora in cuts(model).items()))


def _bounded(figures: Mapping[str, Any]) -> Cell:
    return Cell(figures.get("uar"), unit="share", low=figures.get("uar_low"), high=figures.get("uar_high"))


def _short(words: str, length: int) -> str:
    return words if len(words) <= length else f"{words[:length - 1]}…"


def main() -> None:
    """Every model answers the test part of every corpus, clean and in every cell of the noise grid."""
    params = load_params()
    work, settings = params.paths.work, params.evaluate
    trainings = read_json(folder(params) / "corpora" / "runs.json")["trainings"]
    manifest = validated_utterances(work)
    parts = {name: test_part(params, manifest, name) for name in params.data.names}
    tested = sorted((row for rows in parts.values() for row in rows), key=lambda row: row.utterance)
    truth = np.array([EMOTIONS.index(row.emotion) for row in tested])
    models = tuple((one["folder"], folder(params) / "corpora" / one["folder"]) for one in trainings)
    job = robustness.EvaluationJob(models, work, tuple(row.utterance for row in tested), params.compute.device,
                                   settings.batch_size, params.augment.level, params.augment.silent_crop_dbfs)
    grid = predictions.noise_grid(validated_noise(work), settings)
    found = robustness.predict(job, truth, [CLEAN, *grid], params.compute.workers)
    classes = {name: {row.emotion for row in manifest if row.corpus == name} for name in parts}
    ways = {name: partitions.split_units([row for row in manifest if row.corpus == name])[name] for name in parts}
    models: dict[str, dict[str, Any]] = {}
    for one in trainings:
        known = {emotion for name in one["train_corpora"] for emotion in classes[name]}
        cells: list[dict[str, Any]] = [{"test": name, "seen": name in one["train_corpora"], "split": ways[name]}
                                       | _cell(params, found.of(one["folder"]), parts[name], known) for name in parts]
        row = {name: one[name] for name in ("train", "train_corpora", "run_id", "validation_uar")} | {
            "train_lacks": _absent(known), "cells": cells}
        models.setdefault(one["model"], {"model": one["model"], "backbone": backbone_origin(params, one["model"]),
                                         "rows": []})["rows"].append(row)
        with reopen(params, folder(params) / "corpora" / one["folder"] / "run.json") as record:
            for cell in cells:
                record.metrics({f"on_{cell['test']}/{name}": cell[name.split("/")[0]]["uar"]
                                for name in ("clean/uar", "noisy/uar", "worst_cell/uar")})
    content = {"provenance": provenance(params, load_settings().seed, params.augment.variants, {"speaker": []})
               | {"seeds": list(settings.seeds)}, "corpora": list(parts), "models": list(models.values())}
    write_json(params.paths.reports / "across.json", content)
    paper_page.build(page(content), params.paths.reports)
    print(f"across corpora: {len(trainings)} models on {len(parts)} corpora, {len(tested)} utterances under "
          f"{len(grid) + 1} conditions")


def test_part(params: Params, manifest: Sequence[UtteranceRow], corpus: str) -> list[UtteranceRow]:
    """The test partition of one corpus divided by itself: what a model trained on it has not heard."""
    own = [row for row in manifest if row.corpus == corpus]
    places = partitions.assign_partitions(own, params.partitions.model_copy(update={"protocol": "speaker"}))
    return [row for row, place in zip(own, places, strict=True) if place == "test"]


def _absent(known: set[str]) -> list[str]:
    return [emotion for emotion in EMOTIONS if emotion not in known]


def _cell(params: Params, found: Predictions, rows: Sequence[UtteranceRow], known: set[str]) -> dict[str, Any]:
    """Figures of one model on one corpus; those over the classes that both have where either lacks one."""
    speaker = {row.utterance: row.speaker for row in rows}
    places = [place for place, utterance in enumerate(found.utterances) if utterance in speaker]
    here = replace(found, utterances=tuple(found.utterances[place] for place in places), true=found.true[places],
                   probabilities=found.probabilities[:, :, places], snr=found.snr[:, places])
    summary = Summary(here, [speaker[one] for one in here.utterances], params.evaluate)
    own = summary.model(here.models[0])
    heard = {EMOTIONS[label] for label in here.true}
    common = [emotion for emotion in EMOTIONS if emotion in heard & known]
    return {"n": len(places), "speakers": len(set(speaker.values())), "test_lacks": _absent(heard), "common": common,
            "clean": own["clean"], "noisy": own["noisy"], "worst_cell": own["worst_cell"],
            "clean_common_uar": _common(here, common, [here.conditions.index(CLEAN)]),
            "noisy_common_uar": _common(here, common, here.noisy_indices())}


def _common(found: Predictions, common: Sequence[str], conditions: Sequence[int]) -> float | None:
    """Mean recall over the classes that both the training and the test set have; None when they share none."""
    right = found.right[0, list(conditions)].mean(0)
    recalls = [float(right[found.true == EMOTIONS.index(emotion)].mean()) for emotion in common]
    return float(np.mean(recalls)) if recalls else None


if __name__ == "__main__":
    run(main)
