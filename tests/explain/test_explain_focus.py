"""The metric table of paper 2 against values worked out by hand."""

import math

import numpy as np
import pytest

from ser_ops.explain.grad_cam_picture import activated_area, entropy, frame_borders, mask_area, measure_focus

SECONDS, HERTZ = np.array([0.0, 0.5, 1.5, 2.5, 3.0]), np.array([10.0, 100.0, 250.0, 600.0])


def test_the_table_by_hand():
    values = np.array([[0.0, 0.1, 0.0, 0.0],
                       [0.0, 0.4, 0.8, 0.0],
                       [0.0, 0.3, 0.4, 0.0]])
    figures = measure_focus(values, SECONDS, HERTZ)
    assert figures.mean_activation == pytest.approx(2.0 / 12)
    assert figures.max_activation == 0.8
    assert figures.activated_area_pct == pytest.approx(100 * 3 / 12)  # at or above 0.4, half of the maximum, not of 1
    assert figures.entropy == pytest.approx(-sum(p * math.log(p) for p in (0.05, 0.2, 0.4, 0.15, 0.2)))
    assert figures.time_focus_range == (0.5, 2.5)
    assert figures.freq_focus_range == (100.0, 600.0)


def test_a_uniform_map_has_the_entropy_of_the_number_of_its_cells():
    figures = measure_focus(np.full((3, 4), 0.7), SECONDS, HERTZ)
    assert figures.entropy == pytest.approx(math.log(12)) and figures.activated_area_pct == 100
    assert figures.time_focus_range == (0.0, 3.0) and figures.freq_focus_range == (10.0, 600.0)
    assert entropy(np.ones((128, 128))) == pytest.approx(9.704, abs=1e-3)   # the paper's largest is 9.310


def test_a_single_cell_has_no_entropy_and_the_extent_of_its_frame_and_band():
    values = np.zeros((3, 4))
    values[1, 2] = 0.2
    figures = measure_focus(values, SECONDS, HERTZ)
    assert figures.entropy == 0 and figures.time_focus_range == (1.5, 2.5)
    assert figures.freq_focus_range == (100.0, 250.0)


def test_a_map_of_zeros_has_no_ranges():
    figures = measure_focus(np.zeros((3, 4)), SECONDS, HERTZ)
    assert (figures.mean_activation, figures.max_activation, figures.activated_area_pct) == (0, 0, 0)
    assert figures.entropy is figures.time_focus_range is figures.freq_focus_range is None
    assert not activated_area(np.zeros((3, 4))).any()


def test_figures_do_not_depend_on_the_scale_but_for_the_activations():
    values = np.random.default_rng(1).random((3, 4))
    whole, half = measure_focus(values, SECONDS, HERTZ), measure_focus(values / 2, SECONDS, HERTZ)
    assert half.mean_activation == pytest.approx(whole.mean_activation / 2)
    assert half.entropy == pytest.approx(whole.entropy) and half.activated_area_pct == whole.activated_area_pct
    assert half.time_focus_range == whole.time_focus_range


def test_frames_answer_for_half_a_hop_on_each_side_within_the_window():
    np.testing.assert_allclose(frame_borders(79, 0.032, 2.5)[[0, 1, 2, 78, 79]], [0, 0.016, 0.048, 2.48, 2.5])


def test_masking_takes_the_mean_of_what_was_said():
    mel = np.array([[1.0, 3.0, -80.0], [5.0, 9.0, -80.0]], np.float32)
    valid, area = np.array([True, True, False]), np.array([[True, False, True], [False, True, False]])
    np.testing.assert_allclose(mask_area(mel, area, valid, each_band=True), [[2.0, 3.0, 2.0], [5.0, 7.0, -80.0]])
    np.testing.assert_allclose(mask_area(mel, area, valid, each_band=False), [[4.5, 3.0, 4.5], [5.0, 4.5, -80.0]])
    np.testing.assert_array_equal(mask_area(mel, np.zeros_like(area), valid, True), mel)
    assert mask_area(mel, area, valid, True).dtype == np.float32
