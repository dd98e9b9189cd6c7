"""The paper's numbers as printed, and the marks on those that cannot be right."""

import pytest

from ser_ops.evaluation import published


def test_table_v_has_the_whole_grid_and_the_mean_that_the_protocol_quotes():
    assert len(published.TABLE_V) == 18 and published.TABLE_V_DEVIATIONS.keys() == published.TABLE_V.keys()
    assert sum(row["accuracy"] for row in published.TABLE_V.values()) / 18 == pytest.approx(93.48, abs=0.01)


def test_ten_rows_have_an_f1_that_cannot_be():
    marks = published.impossible_figures()
    assert set(marks["IV"]) == {"tess"}
    assert set(marks["V"]) == {"white@0.75", "pink@0.50", "brown@0.25", "railway_engine@0.75", "children@0.25",
                               "children@0.50", "children@0.75", "fish_market@0.25", "fish_market@0.75"}
    assert len(marks["IV"]) + len(marks["V"]) == 10


def test_table_vi_gaps_are_distances_to_row_d():
    best = published.TABLE_VI["D"]
    for row in ("A", "B", "C"):
        for condition in ("clean", "noisy"):
            gap = best[f"{condition}_accuracy"] - published.TABLE_VI[row][f"{condition}_accuracy"]
            assert published.TABLE_VI[row][f"{condition}_gap_to_d"] == pytest.approx(gap, abs=0.006)


def test_table_vi_noisy_of_d_is_a_cell_of_table_v():
    assert published.TABLE_VI["D"]["noisy_accuracy"] == published.TABLE_V["railway_engine@0.25"]["accuracy"]
    assert published.impossible_figures()["VI"]["D.noisy_accuracy"] == published.IS_A_CELL
