"""Paper 1's page from made-up files: numbers in the right cells, and what is missing said with how to get it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from reproduction import paper1, paper1_figures, paper1_tables, paper_page
from reproduction.paper_page import Cell, Table
from ser_ops.config.params import Params, load_params, load_preset
from ser_ops.corpora.corpus import LAYOUTS
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.published import TABLE_IV, TABLE_V, TABLE_V_DEVIATIONS, TABLE_VI, impossible_figures
from ser_ops.files import sha256, write_json
from ser_ops.manifest import UtteranceRow, write_rows

PUBLISHED = {"table_iv": TABLE_IV, "table_v": TABLE_V, "table_v_deviations": TABLE_V_DEVIATIONS, "table_vi": TABLE_VI,
             "marks": impossible_figures()}
PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
                      "0000000c49444154789c63606060000000040001f61738550000000049454e44ae426082")


def corpus(layout: str, kind: str = "complete") -> dict[str, Any]:
    """An entry of corpora.json: complete, partial (half of it) or synthetic."""
    full = LAYOUTS[layout].expected()
    emotions = full if kind == "complete" else {name: count // 2 for name, count in full.items()}
    synthetic = kind == "synthetic"
    return {"layout": layout, "synthetic": synthetic, "complete": kind == "complete", "found": sum(emotions.values()),
            "expected": None if synthetic else sum(full.values()), "emotions": emotions,
            "speakers": LAYOUTS[layout].speakers if kind == "complete" else 1, "expected_emotions": full}


def model(row: str, accuracy: float, millions: float, speed: float) -> dict[str, Any]:
    def scores(value: float) -> dict[str, float]:
        return {"accuracy": value, "precision": value - 0.01, "recall": value - 0.02, "f1": value - 0.03,
                "uar": value - 0.02, "accuracy_low": value - 0.05, "accuracy_high": value + 0.05}
    cells = {}
    for cell in TABLE_V:
        cells[cell] = scores(accuracy - 0.1 * float(cell[-4:])) | {"snr_db": 4.17}
        for name in ("accuracy", "precision", "recall", "f1"):
            value = cells[cell][name]
            cells[cell] |= {f"{name}_std": 0.011, f"{name}_low": value - 0.03, f"{name}_high": value + 0.03}
    by_snr = [{"low_db": 0, "high_db": 5, "n": 90, "uar": 0.4, "uar_low": 0.3, "uar_high": 0.5, "accuracy": 0.41,
               "accuracy_low": 0.31, "accuracy_high": 0.51}]
    return {"row": row, "by_snr": by_snr, "clean": scores(accuracy), "noisy": scores(accuracy - 0.2), "cells": cells,
            "parameters_millions": millions, "samples_per_second": {"clean": speed, "noisy": speed - 10}}


def metrics() -> dict[str, Any]:
    return {"provenance": {"corpora": ["ravdess", "synthetic_tess"], "synthetic": ["synthetic_tess"],
                           "partial": ["ravdess"], "protocol": "speaker", "seeds": [1, 2, 3], "test_utterances": 240,
                           "test_speakers": 4, "backbone": "random weights, small configuration", "preset": "small",
                           "heard": {"variants": ["original", "noisy"], "noise": ["rain", "white"],
                                     "intensity": [0.0, 1.0]},
                           "intervals": {"over": "utterances", "instead": "of 2 speakers there is none over speakers"}},
            "models": {"fusion": model("D", 0.62, 0.92, 66), "spectral": model("A", 0.57, 0.31, 310),
                       "wav2vec": model("B", 0.33, 0.61, 84), "concat": model("C", 0.65, 0.90, 70)}}


def across() -> dict[str, Any]:
    def cell(test: str, accuracy: float, seen: bool = True) -> dict[str, Any]:
        return {"test": test, "n": 120, "speakers": 2, "seen": seen, "split": "word" if "tess" in test else "speaker",
                "clean": {"accuracy": accuracy, "precision": 0.5, "recall": 0.51, "f1": 0.49, "uar": 0.51,
                          "accuracy_low": 0.4, "accuracy_high": 0.8, "uar_low": 0.45, "uar_high": 0.58},
                "noisy": {"uar": 0.3}}
    rows = [{"train": "ravdess", "train_corpora": ["ravdess"], "run_id": "run_r",
             "cells": [cell("ravdess", 0.61), cell("synthetic_tess", 0.2, seen=False)]},
            {"train": "synthetic_tess", "train_corpora": ["synthetic_tess"], "run_id": "run_t",
             "cells": [cell("ravdess", 0.21, seen=False), cell("synthetic_tess", 0.71)]}]
    return {"corpora": ["ravdess", "synthetic_tess"], "models": [{"model": "cnn", "rows": []},
                                                                 {"model": "fusion", "rows": rows}]}


@pytest.fixture
def sources() -> paper1_tables.Sources:
    return paper1_tables.Sources(PUBLISHED, {"ravdess": corpus("ravdess", "partial"),
                                             "synthetic_tess": corpus("tess", "synthetic")},
                                 metrics(), across(), {"ravdess": "M/F"}, {"ravdess": 2})


def row(table: Table, name: str, *more: str) -> dict[str, Any]:
    rows = [cells for cells in table.rows if cells[0] == name and all(word in cells for word in more)]
    assert len(rows) == 1, f"{name} stands {len(rows)} times"
    return dict(zip(table.columns, rows[0], strict=True))


def test_one_seed_has_no_deviation_and_a_missing_intensity_is_named(sources):
    content = metrics()
    content["provenance"]["seeds"] = [1]
    cells = content["models"]["fusion"]["cells"]
    for cell in [cell for cell in cells if cell.endswith("@0.50") or cell.startswith("pink")]:
        del cells[cell]
    table = paper1_tables.table_v(dataclasses.replace(sources, metrics=content))
    entry = row(table, "White noise", "low (0.25)")["Accuracy (%)"]
    assert entry.ours is not None and entry.spread is None and entry.low is not None
    assert "not measured: pink: bring recordings in" in table.missing
    assert "not measured at 0.50: name the intensities under evaluate" in table.missing and "white" not in table.missing
    assert "no deviation" in table.notes[0] and "1 seed of the noise" in table.notes[0]


def test_every_row_is_as_long_as_its_columns(sources):
    keys = [table.key for table in paper1_tables.tables(sources)]
    assert keys == [f"table_{number}" for number in ("i", "ii", "iii", "iv", "v", "v_by_snr", "vi")]
    for table in paper1_tables.tables(sources):
        assert table.rows and all(len(entries) == len(table.columns) for entries in table.rows)


def test_table_i_is_the_papers_alone():
    table = paper1_tables.table_i()
    assert [int(entry[0].split("]")[0][1:]) for entry in table.rows if isinstance(entry[0], str)] == [*range(24, 37)]
    assert not any(isinstance(entry, Cell) for entries in table.rows for entry in entries)
    assert any("[25] 2006" in note and "[35] 2021" in note for note in table.notes)


def test_table_ii_has_what_is_there_beside_the_full_corpus(sources):
    table = paper1_tables.table_ii(sources)
    ravdess = row(table, "RAVDESS")
    assert (ravdess["Samples"].ours, ravdess["Samples"].paper) == (720, 1440)
    assert (ravdess["Speakers"].ours, ravdess["Speakers"].paper) == (1, 24)
    assert ravdess["Gender"].ours == "M/F" and ravdess["Key characteristics"].ours == "PARTIAL: 720 of 1,440"
    assert row(table, "TESS (synthetic_tess)")["Key characteristics"].ours == "synthetic speech"
    assert row(table, "CREMA-D")["Samples"] == Cell("absent", 7442, "count")
    assert [entry.ours for entry in list(row(table, "SAVEE").values())[1:]] == ["absent"] * 4
    assert (row(table, "Total")["Samples"].ours, row(table, "Total")["Samples"].paper) == (720 + 1400, 12162)
    assert row(table, "Total")["Speakers"].paper == 121
    assert "corpora add crema_d" in table.missing and "corpora add savee" in table.missing
    assert "corpora add ravdess" not in table.missing
    assert any("validation then left out 2 of ravdess" in note for note in table.notes)


def test_table_iii_by_class(sources):
    table = paper1_tables.table_iii(sources)
    neutral, surprise = row(table, "Neutral"), row(table, "Surprise")
    assert (neutral["RAVDESS, PARTIAL"].ours, neutral["RAVDESS, PARTIAL"].paper) == (144, 288)
    assert (neutral["TESS, synthetic"].ours, neutral["TESS, synthetic"].paper) == (200, 400)
    assert neutral["CREMA-D, absent"] == Cell(None, 1087, "count") and surprise["CREMA-D, absent"].paper is None
    assert table.columns[4] == "SAVEE, absent"
    assert (neutral["Total"].ours, neutral["Total"].paper) == (344, 1895)
    assert (surprise["Total"].ours, surprise["Total"].paper) == (296, 652)
    assert [entry[0] for entry in table.rows] == [*(name.capitalize() for name in EMOTIONS), "TOTAL"]
    assert row(table, "TOTAL")["Total"] == Cell(720 + 1400, 12162, "count")


def test_real_and_synthetic_of_one_layout_stand_apart():
    corpora = {"tess": corpus("tess"), "synthetic_tess": corpus("tess", "synthetic"),
               "mine": corpus("savee") | {"layout": "manifest", "expected": None}}
    table = paper1_tables.table_iii(paper1_tables.Sources(PUBLISHED, corpora))
    assert "TESS" in table.columns and "TESS (synthetic_tess), synthetic" in table.columns and "mine" in table.columns
    assert row(table, "TOTAL")["mine"].paper is None


def test_a_fifth_corpus_in_the_core_changes_no_printed_figure(sources, monkeypatch):
    before = [paper1_tables.tables(each) for each in (sources, paper1_tables.Sources(PUBLISHED))]
    monkeypatch.setitem(LAYOUTS, "fifth", LAYOUTS["tess"])
    assert [paper1_tables.tables(each) for each in (sources, paper1_tables.Sources(PUBLISHED))] == before


def test_printed_counts_are_those_of_the_corpora_as_published():
    """Where the paper and the core's expected counts agree, neither may be changed alone."""
    for name in ("ravdess", "crema_d", "tess", "savee"):
        counts = LAYOUTS[name].expected()
        assert {emotion: paper1_tables.TABLE_III[emotion][name] for emotion in counts} == counts
        assert paper1_tables.TABLE_II[name][:3:2] == (LAYOUTS[name].speakers, sum(counts.values()))
        assert paper1_tables.TABLE_III["total"][name] == sum(counts.values())


def test_table_iv_takes_the_fusion_alone_on_its_own_corpus(sources):
    table = paper1_tables.table_iv(sources)
    ravdess = row(table, "RAVDESS, PARTIAL: 720 of 1,440")
    assert (ravdess["Acc. (%)"].ours, ravdess["Acc. (%)"].paper) == (61, 91.28)
    assert (ravdess["Acc. (%)"].low, ravdess["Acc. (%)"].high) == (40, 80)
    assert (ravdess["Recall"].ours, ravdess["Recall"].paper) == (0.51, 0.9175)
    assert ravdess["Test utterances"].ours == 120 and ravdess["F1-score"].mark == ""
    tess = row(table, "TESS (synthetic_tess), synthetic speech")
    assert tess["Acc. (%)"].ours == pytest.approx(71) and "F1 above" in tess["F1-score"].mark
    assert row(table, "SAVEE, absent")["Acc. (%)"] == Cell(None, 88.32, "percent")
    assert any("synthetic_tess (by word)" in note for note in table.notes)
    assert "corpora add savee" in table.missing


@pytest.mark.parametrize("units, said", [
    ({"ravdess": ("speakers", ""), "synthetic_tess": ("utterances", "training heard 2 of the 2 speakers")},
     "In brackets: 90\xa0% bootstrap intervals; of ravdess over speakers; of synthetic_tess over utterances, since "
     "training heard 2 of the 2 speakers."),
    ({"ravdess": ("speakers", ""), "synthetic_tess": ("speakers", "")},
     "In brackets: 90\xa0% bootstrap intervals over speakers.")])
def test_table_iv_says_what_the_brackets_of_each_corpus_are_over(sources, units, said):
    content = across() | {"provenance": {"confidence": 0.9}}
    for each in content["models"][1]["rows"]:
        for cell in each["cells"]:
            over, instead = units[cell["test"]]
            cell["intervals"] = {"over": over, "instead": instead}
    assert said in paper1_tables.table_iv(dataclasses.replace(sources, across=content)).notes


def test_every_table_with_intervals_says_their_level_and_what_they_are_over(sources):
    content = metrics()
    content["provenance"] |= {"confidence": 0.95, "intervals": {"over": "speakers", "instead": ""}}
    for table in paper1_tables.tables(dataclasses.replace(sources, metrics=content, across=None)):
        if any(isinstance(entry, Cell) and entry.low is not None for entries in table.rows for entry in entries):
            assert "In brackets: 95\xa0% bootstrap intervals over speakers." in table.notes, table.key


@pytest.mark.parametrize("key", ["table_v", "table_v_by_snr", "table_vi"])
def test_what_training_heard_stands_beside_every_table_of_noise(sources, key):
    table = next(table for table in paper1_tables.tables(sources) if table.key == key)
    assert "Training heard original, noisy, with rain, white at 0.00 to 1.00 of the speech's peak." in table.notes


@pytest.mark.parametrize("states, late", [("statistics", True), ("last", False), ("weighted", False)])
def test_row_d_is_called_what_it_is(sources, states, late):
    settings = load_preset("small", Path(__file__).parents[2] / "params.yaml")
    preset = settings.model_copy(update={"wav2vec": settings.wav2vec.model_copy(update={"states": states})})
    assert paper1_tables.fuses_late(preset.model_dump(mode="json")) is late
    by_key = {table.key: table for table in paper1_tables.tables(dataclasses.replace(sources, late=late))}
    title = str(by_key["table_vi"].rows[3][0])
    assert title.startswith("D.") and "Proposed: hybrid, attentive pooling" in title, "the paper's label stands there"
    assert ("late fusion" in title) is late
    for key in ("table_iv", "table_v", "table_v_by_snr", "table_vi"):
        assert ("equations 20 and 21 is no part of it" in " ".join(by_key[key].notes)) is late, key


@pytest.mark.parametrize("levels, seeds, said", [
    (("0.25", "0.50", "0.75"), [1, 2, 3], "mean of 18 cells of table V, 3 seeds each."),
    (("0.25", "0.75"), [1], "mean of 12 cells of table V, 1 seed each: 6 of the paper's 18 cells were not measured.")])
def test_table_vi_says_of_how_many_cells_its_noisy_is_the_mean(sources, levels, seeds, said):
    content = metrics()
    content["provenance"]["seeds"] = seeds
    for each in content["models"].values():
        each["cells"] = {cell: figures for cell, figures in each["cells"].items() if cell.endswith(levels)}
    notes = paper1_tables.table_vi(dataclasses.replace(sources, metrics=content)).notes
    assert any(note.endswith(said) for note in notes), notes


def test_table_v_cell_by_cell(sources):
    table = paper1_tables.table_v(sources)
    assert len(table.rows) == 18
    noisy = row(table, "Fish market", "high (0.75)")
    assert noisy["Accuracy (%)"].ours == pytest.approx(100 * (0.62 - 0.075))
    assert noisy["Accuracy (%)"].spread == pytest.approx(1.1) and noisy["Accuracy (%)"].paper == "82.79 ± 1.12"
    assert noisy["F1-score"].ours == pytest.approx(0.545 - 0.03) and noisy["F1-score"].paper == "0.8312 ± 0.14"
    assert "F1 above" in noisy["F1-score"].mark
    assert row(table, "White noise", "low (0.25)")["Accuracy (%)"].paper == "98.29 ± 0.075"
    assert sum(bool(entries[-2].mark) for entries in table.rows if isinstance(entries[-2], Cell)) == 9
    assert noisy["Mean SNR (dB)"].ours == "4.2"
    assert all((entry.low, entry.high) == pytest.approx((entry.ours - 3 * unit, entry.ours + 3 * unit))
               for name, unit in (("Accuracy (%)", 1), ("Precision", 0.01), ("Recall", 0.01), ("F1-score", 0.01))
               for entry in [noisy[name]]), "every printed metric has its interval"
    assert any("intervals over utterances, since of 2 speakers" in note for note in table.notes)
    assert "Training heard original, noisy, with rain, white at 0.00 to 1.00 of the speech's peak." in table.notes
    assert [entries[0] for entries in table.rows[::3]] == ["White noise", "Pink noise", "Brown noise", "Railway engine",
                                                           "Children playing", "Fish market"]
    assert not table.missing and table.protocols == ("speaker",)
    assert any("3 seeds" in note for note in table.notes) and any("ravdess (PARTIAL)" in note for note in table.notes)


def test_table_v_names_noise_that_is_not_there_and_shows_what_the_paper_lacks(sources):
    cells = sources.metrics["models"]["fusion"]["cells"]
    for level in ("0.25", "0.50", "0.75"):
        del cells[f"children@{level}"]
    cells["traffic@0.50"] = cells["white@0.50"]
    table = paper1_tables.table_v(sources)
    assert "not measured: children" in table.missing and "noise add" in table.missing
    assert row(table, "Children playing", "low (0.25)")["F1-score"].ours is None
    assert row(table, "Traffic", "medium (0.50)")["F1-score"].paper is None


def test_table_v_stands_by_snr_too(sources):
    table = paper1_tables.table_v_by_snr(sources)
    (name, mixtures, uar, accuracy), = table.rows
    assert (name, mixtures.ours, uar.ours, uar.low, uar.high) == ("0 to 5 dB", 90, 0.4, 0.3, 0.5)
    assert (accuracy.ours, accuracy.low, accuracy.high) == pytest.approx((41, 31, 51))
    assert paper_page.paper_number(table.key) == "Table V"


def test_table_vi_by_row(sources):
    table = paper1_tables.table_vi(sources)
    a, c, d = (next(dict(zip(table.columns, entries, strict=True)) for entries in table.rows
                    if str(entries[0]).startswith(f"{letter}.")) for letter in "ACD")
    assert (a["Params"].ours, a["Params"].paper) == (0.31, 11.9) and "20.2 M" in a["Params"].mark
    assert a["Clean gap to D"].ours == pytest.approx(5) and a["Clean gap to D"].paper == 4.97
    assert c["Clean gap to D"].ours == pytest.approx(-3), "C is better than D here, and the sign says so"
    assert d["Clean gap to D"] == Cell(None, None, "percent")
    assert d["Noisy acc."].ours == pytest.approx(42) and d["Noisy acc."].paper == 97.28
    assert "railway engine" in d["Noisy acc."].mark and not c["Noisy acc."].mark
    assert (d["Noisy acc."].low, d["Noisy acc."].high) == (pytest.approx(37), pytest.approx(47))
    assert (a["Clean speed"].ours, a["Noisy speed"].ours, a["Noisy speed"].paper) == (310, 300, 137)
    assert d["Clean to noisy"].ours == pytest.approx(20) and d["Clean to noisy"].paper is None
    said = " ".join(table.notes).replace("\N{NO-BREAK SPACE}", " ")
    assert "row D has 62.0 %, the best other row C 65.0 % (-3.0 points; C lies within D's interval)" in said


def test_missing_models_are_said_not_filled(sources):
    del sources.metrics["models"]["concat"]
    table = paper1_tables.table_vi(sources)
    assert "not trained: concat" in table.missing and "ablations.models" in table.missing
    c = next(entries for entries in table.rows if str(entries[0]).startswith("C."))
    assert all(entry.ours is None for entry in c[1:] if isinstance(entry, Cell))


def test_a_row_without_its_checkpoint_is_named_with_the_reason(sources):
    del sources.metrics["models"]["concat"], sources.metrics["models"]["wav2vec"]
    sources.metrics["provenance"]["lacking"] = {"concat": "no hub is in reach"}
    missing = paper1_tables.table_vi(sources).missing
    assert "concat was not trained: no hub is in reach" in missing
    assert "not trained: wav2vec: name it under ablations.models" in missing, "the other was not asked for"


def row_a() -> dict[str, Any]:
    """row_a.json: metrics.json of the spectral branch alone."""
    content = metrics()
    return {"provenance": content["provenance"] | {"backbone": "none"}, "run_id": "run_a",
            "models": {"spectral": content["models"]["spectral"]}}


def test_row_a_alone_fills_its_row_and_nothing_else(sources):
    made = dataclasses.replace(sources, metrics=row_a(), lacking="fusion cannot be trained: no hub is in reach")
    by_key = {table.key: table for table in paper1_tables.tables(made)}
    first, *others = by_key["table_vi"].rows
    assert [entry.ours is not None for entry in first[1:] if isinstance(entry, Cell)] == [
        True, True, True, False, True, True, True, False, True, True], "all but the gaps to row D"
    assert all(entry.ours is None for entries in others for entry in entries if isinstance(entry, Cell))
    for key in ("table_v", "table_v_by_snr", "table_vi"):
        assert "fusion cannot be trained: no hub is in reach" in by_key[key].missing
        assert "ablations.models" not in by_key[key].missing and "train.model" not in by_key[key].missing
    assert not by_key["table_v"].filled and not any("Ours" in note or "Training heard" in note
                                                    for note in by_key["table_v"].notes)
    said = " ".join(by_key["table_vi"].notes)
    assert "mean of 18 cells of table V" in said and "Row A is trained with the settings of section train" in said
    assert "figure 1" not in said.lower(), "there is none without the main model"


def test_another_main_model_is_said_with_what_to_set():
    content = metrics()
    content["models"] = {"cnn": model("", 0.5, 0.2, 100)}
    sources = paper1_tables.Sources(PUBLISHED, {}, content, {"models": [{"model": "cnn", "rows": []}]}, main="cnn")
    tables = paper1_tables.tables(sources)
    for table in tables[4:]:
        assert "train.model is cnn: set it to fusion" in table.missing
        assert all(entry.ours is None for entries in table.rows for entry in entries if isinstance(entry, Cell))
    assert "corpora.models does not name fusion: add it in reproduction/params.yaml" in tables[3].missing


def test_without_any_file_nothing_but_the_papers_numbers():
    for table in paper1_tables.tables(paper1_tables.Sources(PUBLISHED))[1:]:
        assert table.missing
        assert all(entry.ours is None for entries in table.rows for entry in entries if isinstance(entry, Cell))
    assert paper1_tables.NO_ACROSS in paper1_tables.tables(paper1_tables.Sources(PUBLISHED))[3].missing


def card(layout: str = "frames") -> dict[str, Any]:
    preset = load_preset("small", Path(__file__).parents[2] / "params.yaml").model_dump(mode="json")
    return {"model": "fusion", "preset": "small", "parameters": 377479,
            "backbone": "random weights, small configuration",
            "preset_settings": preset | {"features": preset["features"] | {"layout": layout}},
            "backbone_config": {"hidden_size": 64, "num_hidden_layers": 2, "conv_kernel": [400, 4, 4]}}


def explanations(reports: Path) -> dict[str, Any]:
    """explanations.json with two clips of a class, and its pictures."""
    clips = []
    for emotion in ("neutral", "angry", "disgust"):
        for number in (1, 2):
            name = f"figures/explanations/scorecam_{emotion}_{number}.png"
            (reports / name).parent.mkdir(parents=True, exist_ok=True)
            (reports / name).write_bytes(PIXEL + f"{emotion}{number}".encode())
            clips.append({"utterance": f"{emotion}_{number}", "emotion": emotion, "predicted": "angry",
                          "confidence": 0.5, "figure": name,
                          "scorecam": {"values": [0.0, 1.0], "share_in_padding": 0.25}})
    (reports / "figures/explanations/shap_global.png").write_bytes(PIXEL)
    return {"model": "fusion", "methods": ["scorecam", "shap"], "not_admitted": {}, "clips": clips,
            "shap": {"figure": "figures/explanations/shap_global.png", "utterances": 14, "background": 32,
                     "top": [{"feature": "MFCC 3 at 1.92 s"}]}}


def with_figures(content: dict[str, Any], reports: Path) -> dict[str, Any]:
    """The same run with paper 1's figures of single clips, and its SHAP panels of fear."""
    def drawn_as(name: str) -> str:
        (reports / "figures/explanations" / name).write_bytes(PIXEL + name.encode())
        return f"figures/explanations/{name}"

    heard = []
    for emotion, number, predicted in (("fear", 1, "sad"), ("fear", 2, "fear"), ("surprise", 1, "surprise"),
                                       ("surprise", 2, "happy"), ("happy", 1, "happy"), ("angry", 1, "angry")):
        clip = {"utterance": f"{emotion}_{number}", "emotion": emotion, "predicted": predicted, "confidence": 0.5}
        keys = ("figure_2", "figure_3ab", "figure_3c", "figure_3d", "figure_3e", "figure_5")
        made = {key: drawn_as(f"{emotion}_{number}_{key}.png") for key in keys}
        heard.append(clip | {"noise": "clean", "figures": made})
        heard.append(clip | {"noise": "white", "figures": {}})
    return content | {"heard": heard, "shap": content["shap"] | {
        "figures": {f"figure_4{panel}_fear": drawn_as(f"shap_4{panel}.png") for panel in "bcd"}}}


def drawn(content: dict[str, Any] | None, made: dict[str, Any] | None, reports: Path) -> dict[str, Any]:
    folder = reports / "paper1"
    folder.mkdir(parents=True, exist_ok=True)
    return {figure.key: figure for figure in paper1_figures.figures(content, made, reports, folder)}


def test_pictures_are_copied_and_named(tmp_path):
    figures = drawn(explanations(tmp_path), card(), tmp_path)
    assert figures["figure_2"].files == ("figure_2_neutral.png", "figure_2_angry.png", "figure_2_disgust.png")
    assert (tmp_path / "paper1/figure_3a.png").read_bytes().endswith(b"angry2"), "another clip than figure 2's"
    assert "neutral, taken for angry with 50" in figures["figure_2"].caption and "25" in figures["figure_3b"].caption
    assert figures["figure_4"].files == ("figure_4a.png",) and "MFCC 3 at 1.92 s" in figures["figure_4"].caption
    assert "Panels b, c, d" in figures["figure_4"].missing and "older" in figures["figure_4"].missing
    for key in ("figure_3c", "figure_3d", "figure_3e", "figure_5"):
        assert not figures[key].files and "older than the figures" in figures[key].missing
    assert all(figure.files or figure.missing for figure in figures.values())


def test_figures_of_single_clips_are_the_papers_classes(tmp_path):
    figures = drawn(with_figures(explanations(tmp_path), tmp_path), card(), tmp_path)
    folder = tmp_path / "paper1"
    assert (folder / "figure_3c_fear.png").read_bytes().endswith(b"fear_2_figure_3c.png"), "recognised first"
    assert (folder / "figure_3d_surprise.png").read_bytes().endswith(b"surprise_1_figure_3d.png")
    assert figures["figure_3e"].files == ("figure_3e.png",) and "random orders" in figures["figure_3e"].caption
    assert figures["figure_5"].files == ("figure_5_fear.png", "figure_5_surprise.png", "figure_5_surprise_2.png",
                                         "figure_5_happy.png")
    assert "surprise, taken for happy" in figures["figure_5"].caption
    assert figures["figure_4"].files == ("figure_4a.png", "figure_4b.png", "figure_4c.png", "figure_4d.png")
    assert (folder / "figure_3a.png").read_bytes().endswith(b"angry_1_figure_3ab.png")
    for key in ("figure_3a", "figure_3c", "figure_3d", "figure_3e", "figure_4", "figure_5"):
        assert not figures[key].missing, key
    assert "Importance and waveform" in figures["figure_3b"].caption, "no clip of disgust: the heat map stands in"


def test_a_class_that_was_not_explained_is_named(tmp_path):
    content = with_figures(explanations(tmp_path), tmp_path)
    content["heard"] = [clip for clip in content["heard"] if clip["emotion"] in ("fear", "angry")]
    (tmp_path / "figures/explanations/shap_4c.png").unlink()
    figures = drawn(content, card(), tmp_path)
    assert "No clip of surprise, happy has it" in figures["figure_5"].missing
    assert figures["figure_5"].files == ("figure_5_fear.png",)
    assert not figures["figure_3d"].files and "No clip of surprise" in figures["figure_3d"].missing
    assert "Panels c of fear" in figures["figure_4"].missing and len(figures["figure_4"].files) == 3


def test_architecture_is_drawn_from_the_card(tmp_path):
    figure = drawn(None, card(), tmp_path)["figure_1"]
    assert imread(tmp_path / "paper1" / "figure_1.png").ndim == 3
    for words in ("0.377 M", "115.3 M", "80 log-mel bands", "3 members, each: 4 Conv2D 24, 48, 96, 128, k 3 x 3",
                  "Conv1D 64, k 3", "attentive mean and deviation", "2 transformer layers of 64", "concatenation, 192",
                  "82 channels over time", "mean of 3 such heads"):
        assert words in figure.caption
    paper = load_preset("paper", Path(__file__).parents[2] / "params.yaml").model_dump(mode="json")
    stream = " ".join(paper1_figures.layers(card() | {"preset_settings": paper})[1])
    assert all(words in stream for words in ("one serial vector", "Conv1D 512, k 5", "Conv1D 128, k 3", "flatten"))
    config = {"model_type": "whisper-encoder", "mel_bins": 80, "hidden_size": 384, "num_hidden_layers": 3,
              "published_layers": 4}
    cpu = load_preset("papers_cpu", Path(__file__).parents[2] / "params.yaml").model_dump(mode="json")
    first, second, joined = paper1_figures.layers(card() | {
        "preset_settings": cpu, "backbone_config": config, "stream_weights": {"wav2vec": 1.147, "spectral": 0.283}})
    assert first[1].startswith("Whisper's encoder: 80 log-mel bands, 2 convolutions, 3 transformer layers of 384, the "
                               "first of 4")
    assert not any("attentive" in words or "Wav2Vec" in words for words in (*first, *joined)), "nothing is pooled"
    assert first[-1] == second[-1] and "Linear 7" in first[-1], "each stream answers"
    assert joined[0] == "log probabilities of both, weighted: waveform 1.15 and spectral 0.28"
    assert "train.model is cnn" in drawn(None, {"model": "cnn"}, tmp_path)["figure_1"].missing


def test_the_same_card_gives_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        drawn(None, card(), tmp_path / name)
    first, second = (tmp_path / name / "paper1" / "figure_1.png" for name in ("first", "second"))
    assert sha256(first) == sha256(second)


def test_what_a_model_does_not_admit_is_said(tmp_path):
    content = explanations(tmp_path)
    content |= {"model": "wav2vec", "methods": ["occlusion"], "shap": None, "clips": [
        {"emotion": "fear", "predicted": "fear", "confidence": 0.4, "utterance": "x", "occlusion": {"values": [1]},
         "figure": "figures/explanations/shap_global.png"}],
        "not_admitted": {"scorecam": "the model has no spectral stream", "shap": "the model has no spectral stream"}}
    figures = drawn(content, None, tmp_path)
    for key in ("figure_2", "figure_3a", "figure_4"):
        assert "no spectral stream" in figures[key].missing and not figures[key].files
    assert "older than the figures" in figures["figure_3c"].missing and "no spectral" in figures["figure_5"].missing
    later = drawn(with_figures(explanations(tmp_path), tmp_path) | {
        "model": "wav2vec", "methods": ["occlusion"], "not_admitted": content["not_admitted"]}, None, tmp_path)
    assert later["figure_3c"].files == ("figure_3c_fear.png",) and "These are of wav2vec" in later["figure_3c"].missing
    assert "explain" in drawn(None, None, tmp_path)["figure_2"].missing


def test_a_picture_outside_the_reports_is_as_good_as_missing(tmp_path):
    (tmp_path / "secret.png").write_bytes(PIXEL)
    reports = tmp_path / "reports"
    content = explanations(reports)
    for clip in content["clips"]:
        clip["figure"] = "../secret.png"
    figures = drawn(content, card(), reports)
    assert not figures["figure_2"].files and "dvc repro explain" in figures["figure_2"].missing


def test_genders_and_quarantine():
    rows = [UtteranceRow("a/1", "a", gender="female"), UtteranceRow("a/2", "a", gender="male"),
            UtteranceRow("b/1", "b")]
    assert paper1.genders_by_corpus(rows) == {"a": "M/F"}
    assert paper1.quarantined_by_corpus({"quarantined": [{"kind": "utterance", "id": "a/x/1"},
                                                         {"kind": "noise", "id": "n/1"}]}
                              ) == {"a": 1}


@pytest.fixture
def project(tmp_path) -> Params:
    """Parameters whose work/ and reports/ hold what the pipeline has made."""
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    paths = params.paths.model_copy(update={"work": tmp_path / "work", "reports": tmp_path / "reports"})
    write_json(tmp_path / "work/ingest/corpora.json", {"ravdess": corpus("ravdess", "partial")})
    write_json(tmp_path / "work/models/fusion/model.json", card())
    write_json(tmp_path / "work/models/fusion/run.json", {"run_id": "main_run"})
    write_json(tmp_path / "reports/metrics.json", metrics())
    write_json(tmp_path / "reports/explanations.json", explanations(tmp_path / "reports"))
    return params.model_copy(update={"paths": paths})


def test_page_is_built_whole(project, tmp_path):
    folder = tmp_path / "reports" / "paper1"
    folder.mkdir()
    made = paper1.page(project, 100, folder)
    built = paper_page.build_page(made, tmp_path / "reports").read_text(encoding="utf-8")
    assert any("PARTIAL" in warning for warning in made.warnings)
    assert "main_run" in dict(made.facts)["MLflow runs"] and "1, 2, 3" in dict(made.facts)["Seeds"]
    assert [section["title"] for section in made.sections] == ["What the split is worth", "Across corpora"]
    assert "ser-ops reproduce splits" in built and "ser-ops reproduce across" in built
    assert built.count("data:image/png") == 1 + 3 + 2 + 1
    content = read_json(folder / "tables.json")
    assert len(content["tables"]) == 7 and json.dumps(content, allow_nan=False)


def write_validated(params: Params, texts: tuple[str, ...]) -> None:
    """TESS alone as validation let it through: two speakers who say the same words."""
    write_rows(params.paths.work / "validated" / "manifest.csv", [
        UtteranceRow(f"tess/{speaker}/{number}", "tess", "tess", emotion="sad", speaker=speaker, text=text)
        for speaker in ("OAF", "YAF") for number, text in enumerate(texts)], UtteranceRow)


@pytest.mark.parametrize("texts, protocol, said", [(("back", "bar", "base"), "word", "no test word is trained on"),
                                                   (("", "", ""), "utterance", "by utterance")])
def test_page_without_a_hub_names_the_protocol_in_force(project, tmp_path, monkeypatch, texts, protocol, said):
    monkeypatch.setattr(paper1, "lacking_checkpoints", lambda params, models: {"fusion": "no hub is in reach"})
    write_validated(project, texts)
    write_json(tmp_path / "reports/leak_audit.json", {"protocol": "speaker", "declared": ["of other settings"]})
    folder = tmp_path / "reports" / "paper1"
    folder.mkdir()
    facts = dict(paper1.page(project, 100, folder).facts)
    assert said in facts[f"Partition protocol {protocol}"] and "Partition protocol speaker" not in facts
    assert "of other settings" not in str(facts)


@pytest.mark.parametrize("name, late", [("papers_cpu", True), ("small", False)])
def test_what_row_d_is_comes_from_the_card_or_else_from_the_preset(project, tmp_path, name, late):
    other = load_preset(name, Path(__file__).parents[2] / "params.yaml").model_dump(mode="json")
    folder = tmp_path / "reports" / "paper1"
    folder.mkdir()
    write_json(tmp_path / "work/models/fusion/model.json", card() | {"preset_settings": other})
    assert ("late fusion" in str(paper1.page(project, 100, folder).tables[-1].rows)) is late
    (tmp_path / "work/models/fusion/model.json").unlink()
    wav2vec = project.wav2vec.model_copy(update={"states": other["wav2vec"]["states"]})
    without = paper1.page(project.model_copy(update={"wav2vec": wav2vec}), 100, folder)
    assert ("late fusion" in str(without.tables[-1].rows)) is late


def test_page_without_the_checkpoint_shows_nothing_of_other_settings(project, tmp_path, monkeypatch):
    monkeypatch.setattr(paper1, "lacking_checkpoints", lambda params, models: {"fusion": "no hub is in reach"})
    folder = tmp_path / "reports" / "paper1"
    folder.mkdir()
    made = paper1.page(project, 100, folder)
    by_key = {table.key: table for table in made.tables}
    for key in ("table_v", "table_vi"):
        assert not by_key[key].filled and "fusion cannot be trained: no hub is in reach" in by_key[key].missing
    assert by_key["table_ii"].filled and by_key["table_iii"].filled, "what needs no checkpoint is filled"
    assert "main_run" not in str(made.facts)
    write_json(tmp_path / "reports/row_a.json", row_a())
    made = paper1.page(project, 100, folder)
    assert made.tables[-1].filled and "row A: run_a" in dict(made.facts)["MLflow runs"]


def test_an_ablation_without_its_checkpoint_leaves_the_main_models_figures(project, tmp_path, monkeypatch):
    monkeypatch.setattr(paper1, "lacking_checkpoints", lambda params, models: {
        model: "no hub is in reach" for model in models if model == "concat"})
    folder = tmp_path / "reports" / "paper1"
    folder.mkdir()
    made = paper1.page(project, 100, folder)
    assert next(table for table in made.tables if table.key == "table_v").filled and "main_run" in str(made.facts)


def test_page_without_anything_still_stands(tmp_path, project):
    for path in ("reports/metrics.json", "reports/explanations.json", "work/models/fusion/model.json",
                 "work/models/fusion/run.json"):
        (tmp_path / path).unlink()
    folder = tmp_path / "reports" / "paper1"
    folder.mkdir()
    made = paper1.page(project, 100, folder)
    assert paper_page.build_page(made, tmp_path / "reports").is_file()
    assert all(table.missing for table in made.tables[1:])
