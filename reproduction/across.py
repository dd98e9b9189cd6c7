"""Across corpora: models trained on one corpus, or on all but one, tested on each, clean and in noise.

The stage writes reports/across.json and its page: a matrix for each model, trained on by tested on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
from markupsafe import Markup

from reproduction import paper_page
from reproduction.experiment import heard_by, provenance, variant_names, work_folder
from reproduction.paper_page import Cell, Page, Table, footnote_sign
from reproduction.settings import load_settings
from ser_ops.caveats import heard_in_training
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
HOW_TO_MAKE = "reports/across.json is not there: `ser-ops reproduce across` makes it"
CONDITIONS: dict[str, str] = {"clean": "clean speech", "noisy": "in noise, mean of the grid"}
SPLIT_WORDS: dict[str, str] = {
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


def main() -> None:
    """Test every model on the test part of every corpus, clean and in every cell of the grid; write the report."""
    params, reproduction = load_params(), load_settings()
    work, settings = params.paths.work, params.evaluate
    made = read_json(work_folder(params) / "corpora" / "runs.json")
    trainings = made["trainings"]
    manifest = validated_utterances(work)
    test_parts = {name: test_rows(params, manifest, name) for name in params.data.names}
    tested = sorted((row for rows in test_parts.values() for row in rows), key=lambda row: row.utterance)
    truth = np.array([EMOTIONS.index(row.emotion) for row in tested])
    folders = tuple((training["folder"], work_folder(params) / "corpora" / training["folder"])
                    for training in trainings)
    job = robustness.EvaluationJob(folders, work, tuple(row.utterance for row in tested), params.compute.device,
                                   settings.batch_size, params.augment.level, params.augment.silent_crop_dbfs)
    grid = predictions.noise_grid(validated_noise(work), settings)
    answers = robustness.predict_grid(job, [row.speaker for row in tested], truth, [CLEAN, *grid],
                                      params.compute.workers) if trainings else None
    classes = {name: {row.emotion for row in manifest if row.corpus == name} for name in test_parts}
    split_by = {name: partitions.split_units([row for row in manifest if row.corpus == name])[name]
                for name in test_parts}
    models: dict[str, dict[str, Any]] = {}
    for training in trainings:
        assert answers is not None
        known = {emotion for name in training["train_corpora"] for emotion in classes[name]}
        cells: list[dict[str, Any]] = [
            {"test": name, "seen": name in training["train_corpora"], "split": split_by[name]}
            | _corpus_figures(params, answers.of(training["folder"]), test_parts[name], known,
                              name in training["train_corpora"] and split_by[name] != "speaker")
            for name in test_parts]
        row = {name: training[name] for name in ("train", "train_corpora", "run_id", "validation_uar")} | {
            "train_lacks": _missing_emotions(known), "cells": cells}
        model = models.setdefault(training["model"], {
            "model": training["model"], "backbone": backbone_origin(params, training["model"]), "rows": []})
        model["rows"].append(row)
        with reopen(params, work_folder(params) / "corpora" / training["folder"] / "run.json") as record:
            for cell in cells:
                record.metrics({f"on_{cell['test']}/{name}": cell[name.split("/")[0]]["uar"]
                                for name in ("clean/uar", "noisy/uar", "worst_cell/uar")})
    heard = variant_names(params, reproduction.corpora.variants)
    basis = provenance(params, reproduction.seed, heard, {"speaker": []}) | {
        "seeds": list(settings.seeds), "heard": heard_by(folder for _, folder in folders)}
    content = {"provenance": basis, "corpora": list(test_parts), "models": list(models.values()),
               "lacking": made.get("lacking") or {}}
    write_json(params.paths.reports / "across.json", content)
    paper_page.build_page(page(content), params.paths.reports)
    print(f"across corpora: {len(trainings)} models on {len(test_parts)} corpora, {len(tested)} utterances under "
          f"{len(grid) + 1} conditions")


def test_rows(params: Params, manifest: Sequence[UtteranceRow], corpus: str) -> list[UtteranceRow]:
    """The test partition of one corpus divided by itself: what a model trained on it has not heard."""
    rows = [row for row in manifest if row.corpus == corpus]
    assigned = partitions.assign_partitions(rows, params.partitions.model_copy(update={"protocol": "speaker"}))
    return [row for row, partition in zip(rows, assigned, strict=True) if partition == "test"]


def _corpus_figures(params: Params, answers: Predictions, rows: Sequence[UtteranceRow], known: set[str],
                    speakers_heard: bool) -> dict[str, Any]:
    """Figures of one model on one corpus; those over the classes that both have where either lacks one.

    speakers_heard: whether training heard the corpus's test speakers in other recordings; intervals are over
    utterances then.
    """
    own = {row.utterance for row in rows}
    indices = [index for index, utterance in enumerate(answers.utterances) if utterance in own]
    own_answers = replace(answers, utterances=tuple(answers.utterances[index] for index in indices),
                          speakers=tuple(answers.speakers[index] for index in indices), true=answers.true[indices],
                          probabilities=answers.probabilities[:, :, indices],
                          snr=answers.snr[:, indices])
    summary = Summary(own_answers, params.evaluate, own_answers.speakers if speakers_heard else ())
    figures = summary.model(own_answers.models[0])
    heard = {EMOTIONS[label] for label in own_answers.true}
    common = [emotion for emotion in EMOTIONS if emotion in heard & known]
    return {"n": len(indices), "speakers": len(set(own_answers.speakers)), "test_lacks": _missing_emotions(heard),
            "intervals": summary.intervals(), "common": common, "clean": figures["clean"], "noisy": figures["noisy"],
            "worst_cell": figures["worst_cell"],
            "clean_common_uar": _common_uar(own_answers, common, [own_answers.conditions.index(CLEAN)]),
            "noisy_common_uar": _common_uar(own_answers, common, own_answers.noisy_indices())}


def _common_uar(answers: Predictions, common: Sequence[str], conditions: Sequence[int]) -> float | None:
    """Mean recall over the classes that both the training and the test set have; None when they share none."""
    right = answers.right[0, list(conditions)].mean(0)
    recalls = [float(right[answers.true == EMOTIONS.index(emotion)].mean()) for emotion in common]
    return float(np.mean(recalls)) if recalls else None


def _missing_emotions(known: set[str]) -> list[str]:
    return [emotion for emotion in EMOTIONS if emotion not in known]


def page(content: Mapping[str, Any]) -> Page:
    """The page reports/across: the matrices alone, with what their figures stand on."""
    provenance, models = content.get("provenance") or {}, content.get("models") or []
    backbones = {model["model"]: model["backbone"] for model in models if model.get("backbone")}
    runs = {f"{plain(model['model'])} on {row['train']}": row.get("run_id") for model in models
            for row in model["rows"]}
    splits = list(dict.fromkeys(sentence for model in models for sentence in _split_sentences(model)))
    return Page("across", TITLE, "Paper 1 claims that its model generalises across corpora and shows no figure of it.",
                paper_page.warnings(provenance, backbones),
                (("Partition protocol", " ".join(splits) or DASH),
                 *paper_page.facts(provenance, (), backbones or None, runs)), (), (), sections(content))


def sections(content: Mapping[str, Any] | None) -> tuple[dict[str, Any], ...]:
    """A section {"title", "words", "svg", "table"} for each model.

    Args:
        content: of across.json; None where it is not there: the section then says how to make it.
    """
    if content is None:
        return ({"title": TITLE, "words": [HOW_TO_MAKE], "svg": Markup(""), "table": None},)
    absent = paper_page.left_out(content)
    return (*(_section(content, model) for model in content.get("models") or []),
            *([{"title": f"{TITLE}: left out", "words": absent, "svg": Markup(""), "table": None}] if absent else []))


def _section(content: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    name = plain(model["model"])
    basis = content.get("provenance") or {}
    words = [finding(model), *filter(None, [heard_in_training(basis)]), *common_class_findings(model),
             *_split_sentences(model),
             "A solid frame: the corpus that was trained on. A dashed frame: the one corpus that was left out of "
             "training. Elsewhere the test corpus was among those trained on, or is another one altogether.",
             "Small figures are intervals; the table says what each is over.",
             *_footnote_sentences(model)]
    return {"title": f"{TITLE}: {name}", "words": words, "svg": picture(model, content.get("corpora") or []),
            "table": table(model, basis)}


def pairs(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Each (relation, row, cell) of a model's matrix.

    The relation of the test corpus to training: "within" (trained on it alone), "across" (trained on another one
    alone), "left out" (trained on all others) or "among" (trained on several, it among them).
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


def finding(model: Mapping[str, Any]) -> str:
    """One sentence that sums the matrix up, computed from it, with the chance level beside it."""
    clean, noisy = (mean_uars(model, condition) for condition in CONDITIONS)
    parts = []
    for relation, phrase in (("within", "on the corpus that it learned from"),
                             ("across", "on a corpus that it did not learn from"),
                             ("left out", "on the one corpus that was left out of all")):
        uar, count = clean[relation]
        if uar is not None:
            parts.append(f"{number(uar)} clean and {number(noisy[relation][0])} in noise {phrase} (n {count})")
    if not parts:
        return "reports/across.json holds no figure for this model."
    sentence = f"Mean UAR of {plain(model['model'])}: {'; '.join(parts)}; chance is {number(CHANCE)}"
    within, other = clean["within"][0], clean["across"][0]
    if within is not None and other is not None:
        lost = within - other
        sentence += f". Another corpus {'costs' if lost >= 0 else 'brings'} {number(abs(lost))} of clean UAR"
    return f"{sentence}."


def common_class_findings(model: Mapping[str, Any]) -> list[str]:
    """The same over the classes that both corpora hold, where that changes a figure."""
    if not any(_differs(cell) for _, _, cell in pairs(model)):
        return []
    clean, noisy = mean_uars(model, "clean_common_uar"), mean_uars(model, "noisy_common_uar")
    figures = [f"{number(clean[relation][0])} clean and {number(noisy[relation][0])} in noise {phrase}"
               for relation, phrase in (("within", "on the same corpus"), ("across", "on another"),
                                        ("left out", "on the one left out")) if clean[relation][0] is not None]
    return [f"Over the classes that training and test both hold: {'; '.join(figures)}."] if figures else []


def mean_uars(model: Mapping[str, Any], what: str = "clean") -> dict[str, tuple[float | None, int]]:
    """Mean UAR and number of cells of each relation.

    Args:
        model: of across.json.
        what: "clean" or "noisy"; or "clean_common_uar" or "noisy_common_uar", over the classes that both sides hold.
    """
    uars: dict[str, list[float]] = {relation: [] for relation in ("within", "across", "left out", "among")}
    for relation, _, cell in pairs(model):
        uar = pick(cell, what, "uar") if what in CONDITIONS else cell.get(what)
        if isinstance(uar, int | float):
            uars[relation].append(float(uar))
    return {relation: (fmean(values) if values else None, len(values)) for relation, values in uars.items()}


def splits_of_test_parts(model: Mapping[str, Any]) -> dict[str, list[str]]:
    """Corpora by the unit by which their test part was split: "speaker", "word" or "utterance"."""
    corpora_of: dict[str, list[str]] = {}
    for _, _, cell in pairs(model):
        corpora = corpora_of.setdefault(str(cell.get("split")), [])
        if cell["test"] not in corpora:
            corpora.append(cell["test"])
    return corpora_of


def _split_sentences(model: Mapping[str, Any]) -> list[str]:
    return [f"Test part of {', '.join(corpora)}: cut {SPLIT_WORDS.get(cut, cut)}."
            for cut, corpora in splits_of_test_parts(model).items()]


def footnotes(model: Mapping[str, Any]) -> dict[str, str]:
    """Footnotes {letter: sentence} for classes that training or test lacks, in the order of the rows."""
    sentences: list[str] = []
    for _, row, cell in pairs(model):
        sentences += [sentence for sentence in _missing_class_sentences(row, cell) if sentence not in sentences]
    return {footnote_sign(index): sentence for index, sentence in enumerate(sentences)}


def _missing_class_sentences(row: Mapping[str, Any], cell: Mapping[str, Any]) -> list[str]:
    sentences = []
    tested = [emotion for emotion in row.get("train_lacks") or [] if emotion not in (cell.get("test_lacks") or [])]
    if lacks := _join_classes(tested):
        sentences.append(f"{row['train']} holds no {lacks} in training: a test utterance of it is always taken for "
                         "another class")
    if lacks := _join_classes(cell.get("test_lacks")):
        sentences.append(f"{cell['test']} holds no {lacks} to test on: the mean is over the other classes")
    return sentences


def _footnote_sentences(model: Mapping[str, Any]) -> list[str]:
    return [f"{letter}: {sentence}." for letter, sentence in footnotes(model).items()]


def _join_classes(classes: Sequence[str] | None) -> str:
    named = [emotion for emotion in EMOTIONS if emotion in (classes or [])]
    return " and no ".join([", no ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def _footnote_letters(model: Mapping[str, Any], row: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    by_sentence = {sentence: letter for letter, sentence in footnotes(model).items()}
    return "".join(sorted(by_sentence[sentence] for sentence in _missing_class_sentences(row, cell)))


def _differs(cell: Mapping[str, Any]) -> bool:
    """Whether the mean over the common classes is another one than the mean over the test part's classes."""
    return any(pick(cell, kind, "uar") is not None and cell.get(f"{kind}_common_uar") is not None
               and abs(cell[f"{kind}_common_uar"] - cell[kind]["uar"]) > 5e-4 for kind in CONDITIONS)


def picture(model: Mapping[str, Any], corpora: Sequence[str]) -> Markup:
    """Two heat maps side by side, clean and in noise: rows trained on, columns tested on; all-but-one rows apart.

    corpora: the order of the columns; a corpus that only a cell names comes after them.
    """
    tests = list(dict.fromkeys([*corpora, *(cell["test"] for _, _, cell in pairs(model))]))
    tests = [test for test in tests if any(cell["test"] == test for _, _, cell in pairs(model))]
    if not tests:
        return Markup("")
    column_width = max(64, min(112, 400 // len(tests)))
    rows = [row for row in model["rows"] if not is_all_but(row)]
    apart = [row for row in model["rows"] if is_all_but(row)]
    span = column_width * len(tests)
    width = _LEFT + 2 * span + _GAP + 6
    parts = [tag("style", _STYLE)]
    for panel, words in enumerate(CONDITIONS.values()):
        left = _LEFT + panel * (span + _GAP)
        parts.append(text(left + span / 2, 16, f"UAR, {words}", "middle", "label"))
        parts += [_column_heading(left + column_width * (column + 0.5), test, column_width)
                  for column, test in enumerate(tests)]
    parts.append(text(_LEFT - 12, _HEAD - 8, "trained on \N{RIGHTWARDS ARROW} tested on", "end", "tick"))
    y = float(_HEAD)
    for group in (rows, apart):
        for row in group:
            parts.append(text(_LEFT - 12, y + _HIGH / 2 + 4, _short(row["train"], 26), "end", "label"))
            for panel, kind in enumerate(CONDITIONS):
                for column, test in enumerate(tests):
                    x = _LEFT + panel * (span + _GAP) + column_width * column
                    parts.append(_heat_cell(model, row, test, kind, x, y, column_width))
            y += _HIGH
        y += 16 if group and apart else 0
    return drawing(round(width), round(y) + 4, f"UAR of {plain(model['model'])} by corpus trained on and tested on, "
                   "clean and in noise", parts)


def _column_heading(x: float, test: str, width: float) -> Markup:
    """A corpus's name in at most three lines that fit a column; whole as the hover title."""
    lines: list[str] = []
    for word in plain(test).split():
        if lines and len(lines[-1]) + len(word) < width // 7:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    shown = [_short(line, int(width // 6)) for line in lines[:3]]
    return tag("g", tag("title", test), *(text(x, _HEAD - 8 - 13 * (len(shown) - 1 - row), line, "middle", "tick")
                                          for row, line in enumerate(shown)))


def _heat_cell(model: Mapping[str, Any], row: Mapping[str, Any], test: str, kind: str, x: float, y: float,
               width: float) -> Markup:
    cell = next((candidate for candidate in row.get("cells") or [] if candidate["test"] == test), None)
    value = pick(cell, kind, "uar")
    if cell is None or not isinstance(value, int | float):
        return tag("g", tag("title", f"trained on {row['train']}, tested on {test}: not measured"),
                   tag("rect", x=x + 2, y=y + 2, width=width - 4, height=_HIGH - 4.0, rx=5.0, class_="across-none"),
                   text(x + width / 2, y + _HIGH / 2 + 4, number(None), "middle", "tick"))
    colour, ink = cell_colour(value)
    frame = {"within": "across-own", "left out": "across-new"}.get(_relation(row, cell))
    inset = 4.5 if frame else 2.0  # a framed cell keeps a gap to its frame, so that the frame shows in grey print too
    content = [tag("title", _hover_title(row, cell, kind)),
               tag("rect", x=x + inset, y=y + inset, width=width - 2 * inset, height=_HIGH - 2 * inset, rx=4.0,
                   fill=colour, class_="across-cell")]
    if frame:
        content.append(tag("rect", x=x + 2, y=y + 2, width=width - 4, height=_HIGH - 4.0, rx=6.0, class_=frame))
    middle, letters = x + width / 2, _footnote_letters(model, row, cell)
    low, high = pick(cell, kind, "uar_low"), pick(cell, kind, "uar_high")
    bounded = low is not None and high is not None
    texts = [text(middle, y + (22 if bounded else 28), number(value), "middle", "across-value")]
    if bounded:
        texts.append(text(middle, y + 37, f"{number(low)}–{number(high)}", "middle", "across-small"))
    if letters:
        texts.append(text(x + width - 9, y + 17, letters, "end", "across-small"))
    return tag("g", *content, tag("g", *texts, class_=ink))


def _relation(row: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    return next(kind for kind, other_row, other_cell in pairs({"rows": [row]}) if other_row is row
                and other_cell is cell)


def _hover_title(row: Mapping[str, Any], cell: Mapping[str, Any], kind: str) -> str:
    """A cell's hover title."""
    figures = cell[kind]
    facts = [f"trained on {row['train']}, tested on {cell['test']}, {CONDITIONS[kind]}: UAR {interval(figures)}, "
             f"accuracy {number(figures.get('accuracy'))}, {cell.get('n', '?')} utterances of "
             f"{cell.get('speakers', '?')} speakers, interval over {pick(cell, 'intervals', 'over') or '?'}"]
    if cell.get("seen"):
        facts.append(f"test part cut {SPLIT_WORDS.get(str(cell.get('split')), str(cell.get('split')))}")
    else:
        facts.append("the corpus was not trained on")
    if _differs(cell):
        facts.append(f"over the {len(cell.get('common') or [])} classes that both hold: "
                     f"{number(cell.get(f'{kind}_common_uar'))}")
    if kind == "noisy" and cell.get("worst_cell"):
        worst = cell["worst_cell"]
        facts.append(f"worst: {cell_name(worst.get('cell'))}, UAR {number(worst.get('uar'))}")
    return "; ".join([*facts, *_missing_class_sentences(row, cell)])


def cell_colour(value: float) -> tuple[str, str]:
    """Fill of a cell and the class of its ink: pale at 0, dark at 1.

    >>> cell_colour(0.0), cell_colour(1.0)
    (('rgb(243,246,250)', 'across-ink'), ('rgb(11,44,96)', 'across-pale'))
    """
    position = min(max(value, 0.0), 1.0) * (len(_RAMP) - 1)
    first = min(int(position), len(_RAMP) - 2)
    red, green, blue = (round(a + (b - a) * (position - first))
                        for a, b in zip(_RAMP[first], _RAMP[first + 1], strict=True))
    light = sum(weight * (channel / 255) ** 2.2
                for weight, channel in zip((0.2126, 0.7152, 0.0722), (red, green, blue), strict=True))
    return f"rgb({red},{green},{blue})", "across-ink" if light > 0.18 else "across-pale"


def _short(words: str, length: int) -> str:
    return words if len(words) <= length else f"{words[:length - 1]}…"


def table(model: Mapping[str, Any], basis: Mapping[str, Any]) -> Table:
    """The matrix in figures: a row for each pair; basis: provenance of across.json."""
    relation = {"within": "the same corpus", "across": "another corpus", "left out": "the one left out",
                "among": "one of those trained on"}
    rows: list[tuple[Cell | str, ...]] = []
    for kind, row, cell in pairs(model):
        differs, letters = _differs(cell), _footnote_letters(model, row, cell)
        rows.append((
            str(row["train"]), f"{cell['test']} {letters}".strip(),
            f"{relation[kind]}, cut by {cell.get('split') or DASH}" if cell.get("seen") else relation[kind],
            Cell(cell.get("n"), unit="count"), pick(cell, "intervals", "over") or DASH,
            *(_uar_cell(cell.get(kind) or {}) for kind in CONDITIONS),
            *(Cell(cell.get(f"{kind}_common_uar") if differs else None, unit="share") for kind in CONDITIONS),
            Cell(pick(cell, "clean", "accuracy"), unit="share"),
            Cell(pick(cell, "worst_cell", "uar"), unit="share", mark=cell_name(pick(cell, "worst_cell", "cell"))
                 if pick(cell, "worst_cell", "cell") else "")))
    return Table(f"across_{model['model']}", f"Trained on by tested on: {plain(model['model'])}",
                 ("Trained on", "Tested on", "Which is", "Utterances", "Intervals over", "UAR, clean", "UAR, in noise",
                  "Common, clean", "Common, in noise", "Accuracy, clean", "Worst noise"),
                 tuple(rows), ("In noise: mean of the grid. Common: UAR over the classes that training and test both "
                               "hold, given where that is another figure.",
                               *paper_page.interval_note(basis, interval_units(model)), *_footnote_sentences(model)),
                 protocols=tuple(unit if unit == "speaker" else f"{unit} ({', '.join(corpora)})"
                                 for unit, corpora in splits_of_test_parts(model).items()))


def interval_units(model: Mapping[str, Any]) -> dict[str, Mapping[str, str]]:
    """What intervals are over, by test corpus; by training too where that differs between models of one test corpus."""
    trained: dict[str, dict[tuple[str, str], list[str]]] = {}
    for _, row, cell in pairs(model):
        over, instead = (str(pick(cell, "intervals", name) or "") for name in ("over", "instead"))
        trained.setdefault(cell["test"], {}).setdefault((over, instead), []).append(str(row["train"]))
    return {test if len(units) == 1 else f"{test} (trained on {', '.join(names)})": {"over": over, "instead": instead}
            for test, units in trained.items() for (over, instead), names in units.items()}


def _uar_cell(figures: Mapping[str, Any]) -> Cell:
    return Cell(figures.get("uar"), unit="share", low=figures.get("uar_low"), high=figures.get("uar_high"))


if __name__ == "__main__":
    run(main)
