"""The picture of what the split is worth: every model, hand-checked gaps, and what is missing."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from reproduction import splits
from reproduction.paper_page import Cell

ALL = ("fusion", "concat", "wav2vec", "spectral", "cnn", "lstm", "cnn_lstm", "vit", "beit")


def figures(uar: float, half: float = 0.03, **more: Any) -> dict[str, Any]:
    return {"uar": uar, "uar_low": uar - half, "uar_high": uar + half, "uar_low_speakers": uar - 2 * half,
            "uar_high_speakers": uar + 2 * half, "accuracy": uar + 0.01, "accuracy_low": uar - half,
            "accuracy_high": uar + half, "accuracy_low_speakers": uar - 2 * half,
            "accuracy_high_speakers": uar + 2 * half, "f1": uar, "precision": uar, "n": 280, "speakers": 4,
            "no_speakers": "", "fold": None, "all_rows": None} | more


FEW = {"uar_low_speakers": None, "uar_high_speakers": None, "accuracy_low_speakers": None,
       "accuracy_high_speakers": None, "speakers": 1,
       "no_speakers": "of 1 speaker there is no interval over speakers (3 are needed)"}


def content(*models: tuple[str, float, float, float], **provenance: Any) -> dict[str, Any]:
    """splits.json of (name, speaker, random, paper)."""
    return {"provenance": {"corpora": ["ravdess"], "synthetic": [], "partial": [], "missing": ["tess"],
                           "preset": "small", "seed": 1, "declared": {}} | provenance,
            "models": [{"model": name, "family": "paper 1" if name in ALL[:4] else "paper 2", "run_id": f"run_{name}",
                        "protocols": {"speaker": figures(speaker), "random": figures(random),
                                      "paper": figures(paper, all_rows=figures(paper + 0.05, n=1100))}}
                       for name, speaker, random, paper in models]}


def every() -> dict[str, Any]:
    return content(*((name, 0.4 + 0.02 * number, 0.5 + 0.02 * number, 0.71)
                     for number, name in enumerate(reversed(ALL))))


def svg(section: dict[str, Any]) -> ElementTree.Element:
    """The drawing, parsed strictly; fails when it is not well-formed XML."""
    return ElementTree.fromstring(str(section["svg"]))


def texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter("text")]


def test_every_model_is_in_the_picture_and_the_table():
    made = splits.section(every())
    root = svg(made)
    assert {name.replace("_", " ") for name in ALL} <= set(texts(root))
    assert [row[0] for row in made["table"].rows] == [model["model"].replace("_", " ")
                                                      for model in splits.models_by_family(every())]
    assert all(len(row) == len(made["table"].columns) for row in made["table"].rows)


def test_models_stand_by_family():
    families = [model["family"] for model in splits.models_by_family(every())]
    assert families == ["paper 1"] * 4 + ["paper 2"] * 5
    names = [model["model"] for model in splits.models_by_family(every())]
    assert names[:4] == ["spectral", "wav2vec", "concat", "fusion"], "within a family as they stand in the file"


def test_leakage_is_paper_less_speaker():
    made = splits.section(content(("lstm", 0.42, 0.60, 0.73), ("vit", 0.50, 0.48, 0.49)))
    shown = texts(svg(made))
    assert "leakage: +0.31 UAR" in shown and "leakage: −0.01 UAR" in shown
    gap = made["table"].columns.index("Leakage: paper less speaker")
    assert [row[gap].ours for row in made["table"].rows] == ["+0.31", "−0.01"]


def test_findings_are_computed():
    said = splits.findings(splits.models_by_family(content(("lstm", 0.40, 0.60, 0.70), ("vit", 0.50, 0.50, 0.60))))
    assert len(said) == 1
    assert "2 models: mean UAR 0.45 by speaker, 0.55 at random, 0.65 as papers do it" in said[0]
    assert "worth +0.20 UAR, from +0.10 (vit) to +0.30 (lstm)" in said[0]
    assert "+0.10 for voices" in said[0] and "+0.10 more" in said[0]
    assert "apart for 2 of 2" in said[0]


@pytest.mark.parametrize(("paper", "apart"), [(0.44, False), (0.48, False), (0.50, True)])
def test_overlap_of_intervals(paper, apart):
    """Over speakers under speaker, half width 0.06, and over utterances under paper, 0.03: they touch at 0.09."""
    made = content(("cnn", 0.40, 0.41, paper))
    assert splits.intervals_overlap(made["models"][0]) is not apart
    assert any(("intervals apart" if apart else "intervals overlap") in label
               for label in texts(svg(splits.section(made))))


def test_the_table_has_each_protocols_own_intervals():
    made = splits.section(content(("cnn", 0.40, 0.50, 0.60), confidence=0.95))["table"]
    cells = dict(zip(made.columns, made.rows[0], strict=True))
    for protocol, half in (("speaker", 0.06), ("random", 0.03), ("paper", 0.03)):
        for score in ("UAR", "Accuracy"):
            cell = cells[f"{score}, {protocol}"]
            assert isinstance(cell, Cell) and cell.low is not None and cell.high is not None
            assert (cell.high - cell.low) / 2 == pytest.approx(half), (score, protocol)
    assert ("In brackets: 95\xa0% bootstrap intervals; of speaker over speakers; of random, paper over utterances."
            in made.notes)


def test_of_too_few_voices_nothing_is_judged():
    made = content(("cnn", 0.10, 0.50, 0.90), ("lstm", 0.11, 0.50, 0.90))
    for model in made["models"]:
        model["protocols"]["speaker"] |= FEW
    section = splits.section(made)
    assert "cannot be told: of 1 speaker there is no interval over speakers" in section["words"][0]
    assert any("cannot tell" in label for label in texts(svg(section)))
    assert not any("intervals apart" in label for label in texts(svg(section)))
    cell = dict(zip(section["table"].columns, section["table"].rows[0], strict=True))["UAR, speaker"]
    assert isinstance(cell, Cell) and (cell.ours, cell.low, cell.high) == (0.10, None, None)
    assert "Under speaker no bounds: of 1 speaker there" in " ".join(section["table"].notes)
    assert "over speakers." not in section["table"].notes[0]


def test_a_fold_says_who_is_tested_and_that_the_other_way_round_is_not_measured():
    made = content(("cnn", 0.40, 0.50, 0.60))
    assert not splits.one_direction(made["models"])
    made["models"][0]["protocols"]["speaker"]["fold"] = {"number": 1, "of": 2, "tested": ["YAF"]}
    said = " ".join(splits.section(made)["words"])
    assert "Tested by speaker: YAF, whom training never heard, in fold 1 of 2" in said
    assert "other way round is not measured" in said


def test_what_training_heard_is_said():
    heard = {"variants": ["original", "noisy"], "noise": ["children", "fish_market"], "intensity": [0.0, 0.75]}
    said = splits.section(content(("cnn", 0.4, 0.5, 0.6), heard=heard))["words"]
    assert "Training heard original, noisy, with children, fish market at 0.00 to 0.75 of the speech's peak." in said


def test_a_missing_protocol_is_said_and_in_no_mean():
    made = content(("cnn", 0.4, 0.5, 0.6), ("vit", 0.1, 0.1, 0.1))
    del made["models"][1]["protocols"]["paper"]
    section = splits.section(made)
    assert "not trained: paper" in texts(svg(section))
    said = " ".join(section["words"])
    assert "One model: mean UAR 0.40 by speaker" in said and "vit (paper)" in said
    cell = section["table"].rows[1][section["table"].columns.index("UAR, paper")]
    assert isinstance(cell, Cell) and cell.ours is None


def test_three_marks_of_three_shapes_each_with_a_title():
    root = svg(splits.section(content(("cnn", 0.4, 0.5, 0.6))))
    marks = [mark for mark in root.iter() if "split-mark" in mark.get("class", "")]
    assert {mark.tag for mark in marks} == {"circle", "rect", "polygon"}, "shape alone tells them apart"
    titles = [title.text or "" for title in root.iter("title")]
    assert any("speaker: UAR 0.40, over speakers [0.34, 0.46]" in title for title in titles)
    assert any("random: UAR 0.50 [0.47, 0.53], over speakers [0.44, 0.56]" in title for title in titles)
    bars = [bar.get("class", "") for bar in root.iter("rect") if "split-bar" in bar.get("class", "")]
    assert len(bars) == 2 and not any("split-speaker" in bar for bar in bars), "people are no matter of utterances"
    for protocol in splits.PROTOCOLS:
        assert any(title.startswith(f"cnn, {protocol}: UAR") for title in titles)
    assert any("chance" in title for title in titles)


def test_marks_stand_where_the_figures_say():
    root = svg(splits.section(content(("cnn", 0.0, 0.5, 1.0))))
    circle = [circle for circle in root.iter("circle") if "split-mark" in circle.get("class", "")][-1]
    ticks = {tick.text: float(tick.get("x", "nan")) for tick in root.iter("text") if tick.text in ("0", "1")}
    assert float(circle.get("cx", "nan")) == ticks["0"]
    square = [square for square in root.iter("rect") if "split-mark" in square.get("class", "")][-1]
    assert float(square.get("x", "nan")) + 5 == pytest.approx((ticks["0"] + ticks["1"]) / 2, abs=0.2)


def test_words_say_what_each_protocol_lets_through():
    said = " ".join(splits.section(every())["words"])
    assert "voices leak" in said and "altered copies of a test utterance are trained on" in said


def test_without_the_file_it_says_how_to_make_it():
    made = splits.section(None)
    assert made["words"] == [splits.HOW_TO_MAKE] and "ser-ops reproduce splits" in splits.HOW_TO_MAKE
    assert not made["svg"] and made["table"] is None


def test_names_from_a_file_are_escaped():
    made = content(("cnn", 0.4, 0.5, 0.6))
    made["models"][0]["model"] = "<b>&"
    assert "<b>&" in texts(svg(splits.section(made)))
    assert "<b>" not in str(splits.section(made)["svg"])


def test_page_names_what_it_stands_on():
    made = splits.page(content(("cnn", 0.4, 0.5, 0.6), synthetic=["ravdess"], declared={
        "random": ["speakers in train and test"]}))
    assert (made.name, made.title) == ("splits", "What the split is worth")
    assert any("SYNTHETIC" in warning for warning in made.warnings)
    facts = dict(made.facts)
    assert "speakers in train and test" in facts["Partition protocol random"]
    assert "run_cnn" in facts["MLflow runs"] and "TESS" in facts["Missing"]
    assert len(made.sections) == 1 and re.search("leakage", str(made.sections[0]["svg"]))
