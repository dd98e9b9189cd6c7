"""`ser-ops reproduce` through DVC on the embedded corpus: pages, tables, what a second call skips."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def reproductions(reproduced):
    """What each command printed with --json, in a workspace whose main graph has run."""
    answers = {}
    for paper in ("paper1", "paper2", "splits", "across"):
        done = reproduced.run("ser-ops", "reproduce", paper, "--json")
        answers[paper] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("paper", ["paper1", "paper2", "splits", "across"])
def test_every_table_is_filled_on_the_embedded_corpus(reproduced, reproductions, paper):
    answer = reproductions[paper]
    page = (reproduced.folder / answer["page"]).read_text()
    assert "SYNTHETIC" in page.upper() and "<script" not in page
    assert answer["tables"] >= {"paper1": 6, "paper2": 4, "splits": 1, "across": 1}[paper]
    content = json.loads((reproduced.folder / "reports" / paper / "tables.json").read_text())
    assert answer["missing"] == []
    for table in content["tables"]:
        assert table["rows"] and (table["filled"] or table["key"] in ("table_i", "figure_1", "figure_2")), table["key"]


def test_the_main_graph_does_not_run_them(reproduced, reproductions):
    done = reproduced.run("dvc", "repro")
    assert "papers" not in done.stdout and "Running stage" not in done.stdout


def test_a_second_call_does_nothing(reproduced, reproductions):
    again = json.loads(reproduced.run("ser-ops", "reproduce", "paper2", "--json").stdout)
    assert again["seconds"] == {} and again["tables"] == reproductions["paper2"]["tables"]


def test_every_table_lies_beside_the_page_as_csv(reproduced, reproductions):
    for paper, keys in (("paper1", ("table_i", "table_ii", "table_iii", "table_iv", "table_v", "table_vi")),
                        ("paper2", ("table_1", "table_2", "table_3", "table_4"))):
        for key in keys:
            assert (reproduced.folder / "reports" / paper / "tables" / f"{key}.csv").is_file(), key


def test_grad_cam_of_every_class_with_its_figures(reproduced, reproductions):
    found = json.loads((reproduced.folder / "reports" / "paper2" / "gradcam.json").read_text())
    text = json.dumps(found)
    for emotion in ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"):
        assert f'"{emotion}"' in text
    for name in ("confidence", "mean_activation", "max_activation", "activated_area_pct", "entropy",
                 "time_focus_range", "freq_focus_range", "confidence_drop", "probabilities"):
        assert f'"{name}"' in text


def test_without_its_checkpoint_row_a_and_all_that_needs_none_are_filled(clone):
    workspace = clone("without_hub")
    workspace.change(presets={"demo": {"wav2vec": {"checkpoint": "nobody/no-such-checkpoint", "revision": "0" * 40}}})
    done = workspace.run("ser-ops", "reproduce", "paper1", "--json", HF_HUB_OFFLINE="1")
    assert "fusion is left out: its checkpoint nobody/no-such-checkpoint cannot be had" in done.stderr
    tables = {table["key"]: table for table in json.loads(
        (workspace.folder / "reports/paper1/tables.json").read_text())["tables"]}
    assert {key for key, table in tables.items() if table["filled"]} == {"table_ii", "table_iii", "table_vi"}
    first, *others = tables["table_vi"]["rows"]
    accuracies = [tables["table_vi"]["columns"].index(name) for name in ("Clean acc.", "Noisy acc.")]
    assert all(isinstance(first[column]["ours"], float) for column in accuracies)
    assert all(row[column]["ours"] is None for row in others for column in accuracies)
    assert "nobody/no-such-checkpoint cannot be had" in tables["table_vi"]["missing"]
