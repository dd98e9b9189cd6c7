"""Metrics against scikit-learn and against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import metrics

labels = st.integers(1, 60).flatmap(lambda n: st.tuples(
    arrays.arrays(np.int64, n, elements=st.integers(0, 6)), arrays.arrays(np.int64, n, elements=st.integers(0, 6))))


@given(labels)
@settings(max_examples=150)
def test_scores_are_those_of_scikit_learn(pair):
    true, predicted = pair
    present = np.unique(true)
    ours = metrics.scores(true, predicted)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        true, predicted, labels=present, average="macro", zero_division=0)
    assert ours == pytest.approx({"accuracy": reference.accuracy_score(true, predicted), "precision": precision,
                                  "recall": recall, "f1": f1, "uar": recall})


@given(labels)
@settings(max_examples=50)
def test_confusion_and_classes_are_those_of_scikit_learn(pair):
    true, predicted = pair
    counts = metrics.confusion_matrix(true, predicted)
    assert (counts == reference.confusion_matrix(true, predicted, labels=range(7))).all()
    expected = reference.precision_recall_fscore_support(true, predicted, labels=range(7), zero_division=0)
    each = metrics.class_scores(counts)
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(each[name], values)


@given(labels)
@settings(max_examples=30)
def test_scores_of_many_are_the_scores_of_each(pair):
    true, predicted = pair
    both = np.stack([metrics.confusion_matrix(true, predicted), metrics.confusion_matrix(true, true)])
    scores = metrics.scores_from_counts(both)
    assert scores["f1"][0] == pytest.approx(metrics.scores(true, predicted)["f1"])
    assert scores["uar"][1] == scores["accuracy"][1] == 1


def test_absent_classes_are_left_out_of_the_mean():
    """CREMA-D: no surprise. Two classes of two, one angry taken for surprise: UAR (1/2 + 1) / 2."""
    ours = metrics.scores(np.array([0, 0, 1, 1]), np.array([0, 6, 1, 1]))
    assert ours["uar"] == 0.75 and ours["precision"] == 1.0 and ours["accuracy"] == 0.75


def test_per_class_names_all_seven():
    scores = metrics.per_class(metrics.confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1])))
    assert tuple(scores) == EMOTIONS
    assert scores["angry"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert scores["sad"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


@pytest.mark.parametrize(("true", "predicted"), [([0, 1], [0]), ([7], [0]), ([0], [-1]), ([[0]], [[0]])])
def test_labels_that_are_none_are_refused(true, predicted):
    with pytest.raises(ValueError, match=r"one label each|class indices"):
        metrics.confusion_matrix(np.array(true), np.array(predicted))


@given(st.integers(1, 200), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_calibration_error_is_that_of_a_calibration_curve(n, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(7, 0.4), n)
    true = rng.integers(0, 7, n)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == true
    share, mean = calibration_curve(right, confidence, n_bins=15)
    weights = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    expected = (weights[weights > 0] / n * np.abs(share - mean)).sum()
    assert metrics.calibration_error(true, probabilities) == pytest.approx(expected, abs=1e-9)


def test_calibration_of_certainty():
    certain = np.eye(7)[[0, 1, 2, 3]]
    assert metrics.calibration_error(np.array([0, 1, 2, 3]), certain) == 0
    assert metrics.calibration_error(np.array([0, 1, 2, 4]), certain) == pytest.approx(0.25)
