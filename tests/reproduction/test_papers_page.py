"""A paper's page: every table and figure on it, self-contained, escaped, the same figures as JSON and CSV."""

import json
import math
import re
from html.parser import HTMLParser

import pytest

from reproduction.paper_page import (
    FIELDS,
    Cell,
    Figure,
    Page,
    Table,
    availability,
    blocks,
    build_page,
    facts,
    format_figure,
    how_to_get,
    interval_note,
    numbered_title,
    protocol_sentence,
    warnings,
)
from ser_ops.documents import read_json
from ser_ops.imports import closure
from ser_ops.pages import drawing, text
from ser_ops.tables import read_csv

VOID = {"meta", "link", "img", "br", "input", "hr", "line", "rect", "circle", "polygon", "polyline"}
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c636060606000"
                    "00000500018d9be7b40000000049454e44ae426082")
WRONG = "it <b>cannot</b> be right"
TABLE = Table("table_1", "Accuracy", ("Model", "Layers", "Accuracy", "F1"), (
    ("CNN", Cell("Conv1d", "Conv1D layer"), Cell(61.844, "95.30%", "percent", 55.2, 66.1, 2.345, WRONG),
     Cell(0.61844, 0.9537, "share")),
    ("LSTM", Cell(None, "LSTM layer"), Cell(None, "98%", "percent", mark=WRONG), Cell(math.nan, 0.9857, "share"))),
    ("A note & more.",), "TESS is not here", ("random",))


def made(**changes):
    svg = drawing(100, 50, "a picture", [text(1, 2, "x < y")])
    values = {
        "name": "paper9", "title": "Paper 9", "reference": "Somebody <i>",
        "warnings": ("SYNTHETIC SPEECH: all of it.",),
        "facts": (("Partition protocol random", "speakers leak"), ("Commit", "0123")),
        "tables": (TABLE, Table("figure_2", "Report", ("Class", "F1"), (("angry", Cell(0.5, "0.99", "share")),)),
                   Table("table_ii", "Empty", ("A",), (), missing="no corpus: add one")),
        "figures": (Figure("figure_10", "Ten", ("ten.png",), "caption ten"),
                    Figure("figure_2", "Two", ("two.png", "gone.png"), "caption two"),
                    Figure("figure_3", "Three", (), "", "no model: train one")),
        "sections": ({"title": "Last", "words": ["said <so>"], "svg": svg, "table": None},
                     {"title": "Glance", "first": True, "words": [], "svg": None,
                      "table": Table("matrix", "Matrix", ("A", "B"), (("a", Cell(1.0, unit="share")),))})}
    return Page(**(values | changes))


class Read(HTMLParser):
    """Tags, whether they nest, and the words that a reader sees."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture
def reports(tmp_path):
    (tmp_path / "paper9").mkdir()
    for name in ("ten.png", "two.png"):
        (tmp_path / "paper9" / name).write_bytes(PNG)
    return tmp_path


@pytest.fixture
def html(reports):
    return build_page(made(), reports).read_text(encoding="utf-8")


def test_every_table_figure_section_warning_and_fact_is_there(html):
    page = Read(html)
    assert not page.open
    for words in ("Paper 9", "Somebody <i>", "SYNTHETIC SPEECH", "All of it.", "speakers leak", "0123",
                  "Table 1. Accuracy", "Table II. Empty", "no corpus: add one", "A note & more.", "TESS is not here",
                  "Figure 2. Two", "Figure 2. Report", "Figure 3. Three", "no model: train one", "Figure 10. Ten",
                  "caption ten", "caption two", "Last", "said <so>", "Glance", "Matrix", "x < y"):
        assert words in page.text, words
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert ids == ["basis", "section_2", "table_1", "table_ii", "figure_2", "figure_3", "figure_10", "section_1"]
    links = [attributes["href"].removeprefix("#") for tag, attributes in page.tags if tag == "a"]
    assert sorted(links) == sorted(ids)


def test_it_holds_all_that_it_shows(html):
    page = Read(html)
    names = [tag for tag, _ in page.tags]
    assert "script" not in names and "iframe" not in names
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), attributes[name]
    assert "http://" not in html and "https://" not in html and "url(" not in html
    assert "default-src 'none'" in html
    assert html.count("data:image/png;base64,") == 2
    assert "the picture gone.png" in page.text


def test_ours_and_the_papers_stand_in_each_cell(html):
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html, re.DOTALL)
    accuracy = next(cell for cell in cells if "61.84" in cell)
    assert re.search(r'class="ours-is">61\.84\xa0%</span>', accuracy)
    assert "±\xa02.35" in accuracy or "±\xa02.34" in accuracy
    assert "[55.20, 66.10]" in accuracy
    assert re.search(r'class="claimed"><i>paper</i> 95\.30%<sup>a</sup>', accuracy)
    assert WRONG not in html and html.count("cannot&lt;/b&gt; be right") == 1   # one footnote for both marks
    dashes = [cell for cell in cells if 'ours-is">–<' in cell]
    assert len(dashes) == 3 and any("98%" in cell for cell in dashes) and any("0.9857" in cell for cell in dashes)
    assert "Partition protocol of ours: random." in html


def test_the_same_as_json_and_csv(reports, html):
    content = read_json(reports / "paper9" / "tables.json")
    json.dumps(content, allow_nan=False)
    assert [table["key"] for table in content["tables"]] == ["table_1", "figure_2", "table_ii"]
    cnn, lstm = content["tables"][0]["rows"]
    assert cnn[0] == "CNN"
    assert cnn[2] == {"ours": 61.844, "low": 55.2, "high": 66.1, "spread": 2.345, "paper": 95.3, "unit": "percent",
                      "mark": WRONG}
    assert lstm[3]["ours"] is None and lstm[1]["paper"] == "LSTM layer"
    assert content["sections"][1]["table"]["key"] == "matrix"
    rows = read_csv(reports / "paper9" / "tables" / "table_1.csv")
    assert tuple(rows[0]) == FIELDS and len(rows) == 6
    assert rows[1] == {"row": "CNN", "column": "Accuracy", "ours": "61.844", "low": "55.2", "high": "66.1",
                       "spread": "2.345", "paper": "95.3", "unit": "percent", "mark": WRONG}
    assert rows[4]["ours"] == "" and rows[4]["paper"] == "98.0"
    assert {file.name for file in (reports / "paper9" / "tables").iterdir()} == {
        "table_1.csv", "figure_2.csv", "table_ii.csv", "matrix.csv"}


def test_again_the_same_bytes_and_nothing_of_before_or_beside(reports, html):
    build_page(made(tables=()), reports)
    assert not (reports / "paper9" / "tables" / "table_1.csv").exists()
    assert build_page(made(), reports).read_text(encoding="utf-8") == html
    assert not list(reports.rglob(".*"))


def test_a_row_of_another_length_is_refused_before_anything_is_written(tmp_path):
    crooked = Table("table_1", "A", ("Model", "B"), (("CNN",),))
    with pytest.raises(ValueError, match="table_1: a row of 1 entries under 2 columns"):
        build_page(made(tables=(crooked,)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_picture_outside_the_folder_is_as_good_as_missing(reports):
    (reports / "secret.png").write_bytes(PNG)
    html = build_page(made(figures=(Figure("figure_1", "One", ("../secret.png",), ""),)), reports).read_text()
    assert "data:image/png" not in html and "the picture ../secret.png" in html


def test_blocks_by_number_and_headings():
    tables, figures = blocks(made())
    assert [block.short for block in tables] == ["Table 1", "Table II"]
    assert [block.short for block in figures] == ["Figure 2", "Figure 3", "Figure 10"]
    assert [len(block.tables) for block in figures] == [1, 0, 0]
    assert numbered_title("table_iv", "Table IV. As it says") == "Table IV. As it says"
    assert numbered_title("matrix", "Across") == "Across"


def test_captions_name_the_protocol_only_where_ours_are():
    known = (("Partition protocol random", "x"), ("Partition protocol speaker", "y"))
    table = Table("t", "T", ("A",), ((Cell(1.0),),))
    assert protocol_sentence(table, known) == "Partition protocols of ours: random, speaker."
    assert protocol_sentence(Table("t", "T", ("A",), ((Cell(None, 1.0),),)), known) == ""


@pytest.mark.parametrize("value, unit, words", [
    (0.5, "share", "0.500"), (12.5, "millions", "12.5\xa0M"), (0.59, "millions", "0.590\xa0M"), (3, "count", "3"),
    (8.311, "", "8.311"), (0.0001, "", "0.0001"), ("0.001", "", "0.001"), (0.0, "percent", "0.00\xa0%"), ("", "", "–"),
    (-0.54, "percent", "-0.54\xa0%"), (math.inf, "percent", "–")])
def test_figures_in_words(value, unit, words):
    assert format_figure(value, unit) == words


PROVENANCE = {"corpora": ["synthetic_ravdess", "mine"], "synthetic": ["synthetic_ravdess"], "partial": ["mine"],
              "missing": ["tess"], "preset": "small", "variants": ["original"],
              "counts": {"random": 5, "word": 0}, "seed": 7, "commit": "abc",
              "dirty": "true", "data_md5": "f00", "declared": {"random": ["speakers are in several partitions"]}}


def test_warnings_name_what_a_reader_must_know():
    said = warnings(PROVENANCE, {"cnn": "none", "vit": "random weights", "beit": "random weights"})
    assert [sentence.partition(":")[0] for sentence in said] == ["SYNTHETIC SPEECH", "PARTIAL CORPUS",
                                                                 "RANDOM-WEIGHT BACKBONE"]
    assert "part of the speech" in said[0] and "synthetic_ravdess" in said[0] and "mine is not the full" in said[1]
    assert "that of vit, beit is not pretrained (random weights)" in said[2]
    assert warnings({"corpora": ["tess"]}, {"cnn": "none", "vit": "checkpoint x", "fusion": None}) == ()


def test_facts_say_protocols_corpora_and_runs():
    said = dict(facts(PROVENANCE, ("random", "speaker"), {"cnn": "none", "vit": "random weights"}, {"cnn": "run1"}))
    assert "speakers are in several partitions" in said["Partition protocol random"]
    assert said["Missing"] == "TESS" and said["Commit"] == "abc with changes"
    assert said["Folds"] == "random: 5, word: not admitted by these corpora"
    assert said["Backbone"] == "cnn: none; vit: random weights" and said["MLflow runs"] == "cnn: run1"
    assert dict(facts({}))["Corpora"] == "none"


@pytest.mark.parametrize("protocol, words", [
    ("word", ["no test word"]), ("utterance", ["by utterance"]), ("utterance and word", ["by utterance", "by word"])])
def test_every_protocol_in_force_is_explained(protocol, words):
    said = dict(facts({}, (protocol,)))[f"Partition protocol {protocol}"]
    assert all(each in said for each in words) and "own stage" not in said and "no speaker" not in said


def test_the_level_of_intervals_stands_on_the_page(reports):
    level = dict(facts({"confidence": 0.9, "resamples": 2000}))["Bootstrap intervals"]
    assert level == "90\xa0%, 2,000 resamples" and "Bootstrap intervals" not in dict(facts({}))
    built = build_page(made(facts=facts({"confidence": 0.9, "resamples": 2000})), reports).read_text(encoding="utf-8")
    assert "[bootstrap interval: 90\xa0%, 2,000 resamples]" in built


def test_brackets_say_what_they_are_over():
    of_people, few = {"over": "speakers", "instead": ""}, {"over": "utterances", "instead": "of 1 speaker is none"}
    assert interval_note({"confidence": 0.95}, {"ravdess": of_people, "crema_d": of_people}) == (
        "In brackets: 95\xa0% bootstrap intervals over speakers.",)
    (mixed,) = interval_note({"confidence": 0.95}, {"ravdess": of_people, "savee": few, "crema_d": of_people})
    assert "of ravdess, crema_d over speakers" in mixed and "of savee over utterances, since of 1 speaker" in mixed
    assert interval_note({}, {}) == interval_note({}, {"ravdess": {}}) == ()


@pytest.mark.parametrize("provenance, state", [
    ({"corpora": ["tess"], "synthetic": [], "missing": []}, "here"),
    ({"corpora": ["tess", "synthetic_tess"], "synthetic": ["synthetic_tess"], "missing": []}, "here"),
    ({"corpora": ["synthetic_tess", "ravdess"], "synthetic": ["synthetic_tess"], "missing": []}, "synthetic"),
    ({"corpora": ["ravdess"], "synthetic": [], "missing": ["tess"]}, "missing"), ({}, "missing")])
def test_whether_a_corpus_is_here(provenance, state):
    assert availability(provenance, "tess") == state


def test_how_to_get_says_the_command_and_the_source():
    remedy = how_to_get("crema_d")
    assert "ser-ops corpora add crema_d" in remedy and "docs/reference/corpora.md" in remedy


@pytest.mark.parametrize("stage", ["variants", "features", "folds", "corpora"])
def test_how_a_page_looks_reruns_no_training(stage):
    assert not any(file.suffix in (".css", ".j2") for file in closure(f"reproduction.{stage}"))
