"""The matrix across corpora: cells where they belong, classes that a corpus lacks, findings from the numbers."""

from typing import Any
from xml.etree import ElementTree

import pytest

from reproduction import across
from reproduction.paper_page import Cell
from ser_ops.emotions import EMOTIONS

CORPORA = ("ravdess", "crema_d", "tess")
LACKS = {"crema_d": ["surprise"]}
CUT = {"ravdess": "speaker", "crema_d": "speaker", "tess": "word"}


def scores(uar: float) -> dict[str, float]:
    return {"uar": uar, "uar_low": uar - 0.04, "uar_high": uar + 0.04, "accuracy": uar + 0.02, "f1": uar}


def row(train: str, trained: list[str], values: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """A row of across.json; values: test corpus to clean and noisy UAR."""
    held = [emotion for emotion in EMOTIONS if any(emotion not in LACKS.get(name, []) for name in trained)]
    cells = []
    for test, (clean, noisy) in values.items():
        common = [emotion for emotion in held if emotion not in LACKS.get(test, [])]
        there = len(EMOTIONS) - len(LACKS.get(test, []))
        cells.append({"test": test, "n": 100, "speakers": 4, "seen": test in trained, "split": CUT[test],
                      "test_lacks": LACKS.get(test, []), "common": common, "clean": scores(clean),
                      "noisy": scores(noisy), "worst_cell": {"cell": "children@0.75", "uar": noisy - 0.1},
                      "clean_common_uar": clean * there / len(common), "noisy_common_uar": noisy * there / len(common)})
        seen_by_word = test in trained and CUT[test] == "word"
        cells[-1]["intervals"] = {"over": "utterances" if seen_by_word else "speakers",
                                  "instead": "training heard 2 of the 2 speakers" if seen_by_word else ""}
    return {"train": train, "train_corpora": trained, "run_id": f"run_{train}", "validation_uar": 0.5,
            "train_lacks": [emotion for emotion in EMOTIONS if emotion not in held], "cells": cells}


def content() -> dict[str, Any]:
    alone = [row(name, [name], {test: (0.6, 0.5) if test == name else (0.3, 0.2) for test in CORPORA})
             for name in CORPORA]
    others = [row(f"all but {name}", [other for other in CORPORA if other != name],
                  {test: (0.36, 0.26) if test == name else (0.55, 0.45) for test in CORPORA}) for name in CORPORA]
    return {"provenance": {"corpora": list(CORPORA), "synthetic": ["tess"], "partial": ["ravdess"],
                           "missing": ["savee"], "preset": "small", "seeds": [1, 2, 3]}, "corpora": list(CORPORA),
            "models": [{"model": "fusion", "rows": [*alone, *others]}]}


def svg(section: dict[str, Any]) -> ElementTree.Element:
    """The drawing, parsed strictly; fails when it is not well-formed XML."""
    return ElementTree.fromstring(str(section["svg"]))


@pytest.fixture
def section() -> dict[str, Any]:
    return across.sections(content())[0]


def titles(root: ElementTree.Element) -> list[str]:
    return [title.text or "" for title in root.iter("title")]


def test_means_of_each_kind_of_pair():
    model = content()["models"][0]
    means = across.mean_uars(model)
    assert means["within"] == (pytest.approx(0.6), 3)
    assert means["across"] == (pytest.approx(0.3), 6)
    assert means["left out"] == (pytest.approx(0.36), 3)
    assert means["among"] == (pytest.approx(0.55), 6)
    assert across.mean_uars(model, "noisy")["across"] == (pytest.approx(0.2), 6)


def test_finding_is_computed_with_its_n():
    said = across.finding(content()["models"][0])
    assert "0.60 clean and 0.50 in noise on the corpus that it learned from (n 3)" in said
    assert "0.30 clean and 0.20 in noise on a corpus that it did not learn from (n 6)" in said
    assert "0.36 clean and 0.26 in noise on the one corpus that was left out of all (n 3)" in said
    assert "Another corpus costs 0.30 of clean UAR" in said and "chance is 0.14" in said


def test_finding_says_when_another_corpus_is_no_worse():
    model = {"model": "cnn", "rows": [row("tess", ["tess"], {"tess": (0.3, 0.3), "ravdess": (0.4, 0.3)})]}
    assert "brings 0.10" in across.finding(model)


def test_common_classes_by_hand():
    said = across.common_class_findings(content()["models"][0])
    # Across: CREMA-D's model on RAVDESS and TESS holds 6 of 7 classes, 0.3 * 7 / 6 = 0.35; the four others 0.30.
    clean, noisy = (2 * 0.35 + 4 * 0.3) / 6, (2 * 0.2 * 7 / 6 + 4 * 0.2) / 6
    assert said == ["Over the classes that training and test both hold: 0.60 clean and 0.50 in noise on the same "
                    f"corpus; {clean:.2f} clean and {noisy:.2f} in noise on another; 0.36 clean and 0.26 in noise on "
                    "the one left out."]


def test_classes_that_a_corpus_lacks_are_named_in_cell_title_and_note(section):
    said = " ".join(section["words"])
    assert "crema_d holds no surprise in training" in said and "crema_d holds no surprise to test on" in said
    of = next(title for title in titles(svg(section))
              if title.startswith("trained on crema_d, tested on ravdess, clean"))
    assert "crema_d holds no surprise in training" in of and "over the 6 classes that both hold: 0.35" in of
    letters = across.footnotes(content()["models"][0])
    assert len(letters) == 2
    trained = next(letter for letter, sentence in letters.items() if "in training" in sentence)
    cell = next(group for group in svg(section).iter("g") if (group.findtext("title") or "").startswith(
        "trained on crema_d, tested on ravdess, clean"))
    assert trained in [text.text for text in cell.iter("text")]


def test_a_class_that_neither_side_holds_costs_nothing(section):
    of = next(title for title in titles(svg(section))
              if title.startswith("trained on crema_d, tested on crema_d, clean"))
    assert "to test on" in of and "in training:" not in of


def test_every_pair_has_a_cell_clean_and_noisy(section):
    said = titles(svg(section))
    for model_row in content()["models"][0]["rows"]:
        for test in CORPORA:
            for words in across.CONDITIONS.values():
                assert sum(title.startswith(f"trained on {model_row['train']}, tested on {test}, {words}")
                           for title in said) == 1
    title = next(title for title in said if title.startswith("trained on tess, tested on tess, in noise"))
    assert "UAR 0.50 [0.46, 0.54]" in title and "children at 0.75, UAR 0.40" in title and "by word" in title


def test_frames_of_the_same_corpus_and_of_the_one_left_out(section):
    root = svg(section)
    framed = {name: [(group.findtext("title") or "").split(",")[:2] for group in root.iter("g")
                     if any(rect.get("class") == name for rect in group.findall("rect"))]
              for name in ("across-own", "across-new")}
    assert len(framed["across-own"]) == 6 and len(framed["across-new"]) == 6
    assert all(names[0].removeprefix("trained on ") == names[1].removeprefix(" tested on ")
               for names in framed["across-own"])
    assert all(names[0].removeprefix("trained on all but ") == names[1].removeprefix(" tested on ")
               for names in framed["across-new"])


def test_all_but_one_rows_stand_apart(section):
    root = svg(section)
    heights = {label.text: float(label.get("y", "nan")) for label in root.iter("text") if label.get("class") == "label"}
    steps = [heights["crema_d"] - heights["ravdess"], heights["tess"] - heights["crema_d"],
             heights["all but ravdess"] - heights["tess"]]
    assert steps[0] == steps[1] < steps[2]


def test_cuts_are_said(section):
    said = " ".join(section["words"])
    assert "Test part of ravdess, crema_d: cut by speaker" in said and "Test part of tess: cut by word" in said


def test_table_holds_the_same_figures(section):
    table = section["table"]
    assert len(table.rows) == 18 and all(len(cells) == len(table.columns) for cells in table.rows)
    pair = next(cells for cells in table.rows if cells[:2] == ("all but tess", "tess"))
    clean, common = (pair[table.columns.index(name)] for name in ("UAR, clean", "Common, clean"))
    assert isinstance(clean, Cell) and (clean.ours, clean.low, clean.high) == (0.36, 0.32, pytest.approx(0.40))
    assert isinstance(common, Cell) and common.ours is None, "given only where it differs"
    assert "the one left out" in pair


def test_every_row_says_what_its_intervals_are_over(section):
    table = section["table"]
    over = {cells[:2]: cells[table.columns.index("Intervals over")] for cells in table.rows}
    assert over[("tess", "tess")] == over[("all but ravdess", "tess")] == "utterances"
    assert over[("ravdess", "tess")] == over[("tess", "ravdess")] == "speakers"
    (note,) = [note for note in table.notes if note.startswith("In brackets")]
    assert "of ravdess, crema_d, tess (trained on ravdess, crema_d, all but tess) over speakers" in note
    assert "of tess (trained on tess, all but ravdess, all but crema_d) over utterances, since training heard 2" in note


def test_one_unit_is_said_once_with_its_level():
    made = content()
    made["provenance"] |= {"confidence": 0.95}
    for each in made["models"][0]["rows"]:
        for cell in each["cells"]:
            cell["intervals"] = {"over": "speakers", "instead": ""}
    assert "In brackets: 95\xa0% bootstrap intervals over speakers." in across.sections(made)[0]["table"].notes
    assert dict(across.page(made).facts)["Bootstrap intervals"] == "95\xa0%"


@pytest.mark.parametrize("heard, said", [
    ({"variants": ["original"], "noise": [], "intensity": None}, "Training heard original, without noise."),
    ({"variants": ["original", "noisy"], "noise": ["rain"], "intensity": [0.0, 0.75]}, "with rain at 0.00 to 0.75")])
def test_what_training_heard_is_said(heard, said):
    made = content()
    made["provenance"] |= {"heard": heard}
    assert said in " ".join(across.sections(made)[0]["words"])


def test_a_cell_that_was_not_measured_is_a_dash():
    made = content()
    made["models"][0]["rows"][0]["cells"].pop()
    root = svg(across.sections(made)[0])
    assert "trained on ravdess, tested on tess: not measured" in titles(root)


def test_shades_darken_with_uar_and_ink_keeps_its_contrast():
    def light(colour: str) -> float:
        red, green, blue = (int(channel) / 255 for channel in colour[4:-1].split(","))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    values = [light(across.cell_colour(step / 20)[0]) for step in range(21)]
    assert values == sorted(values, reverse=True)
    for step in range(21):
        colour, ink = across.cell_colour(step / 20)
        contrast = (light(colour) + 0.05) / 0.05 if ink == "across-ink" else 1.05 / (light(colour) + 0.05)
        assert contrast > 4.5


def test_without_the_file_it_says_how_to_make_it():
    made = across.sections(None)
    assert len(made) == 1 and made[0]["words"] == [across.HOW_TO_MAKE] and not made[0]["svg"]


def test_page_and_every_model():
    made = content()
    made["models"].append({"model": "cnn_lstm", "rows": made["models"][0]["rows"][:1]})
    page = across.page(made)
    assert page.name == "across" and len(page.sections) == 2
    assert page.sections[1]["title"].endswith("cnn lstm")
    assert any("SYNTHETIC" in warning for warning in page.warnings) and any("PARTIAL" in warning
                                                                            for warning in page.warnings)
    assert "run_all but tess" in dict(page.facts)["MLflow runs"]



def test_what_lacks_a_checkpoint_is_named():
    (section,) = across.sections({"models": [], "lacking": {"fusion": "no hub is in reach"}})
    assert section["words"] == ["Fusion was not trained: no hub is in reach."]


@pytest.mark.parametrize("count", [1, 2, 8])
def test_any_number_of_corpora(count):
    names = [f"synthetic_corpus_{number}" for number in range(count)]
    CUT.update(dict.fromkeys(names, "speaker"))
    rows = [row(name, [name], dict.fromkeys(names, (0.5, 0.4))) for name in names]
    root = svg(across.sections({"corpora": names, "models": [{"model": "cnn", "rows": rows}]})[0])
    assert sum("across-cell" in rect.get("class", "") for rect in root.iter("rect")) == 2 * count**2
