"""Repeated cross-validation: what is held out, what it scores, and what the fit may see."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from lmcore.analysis.held_out import HeldOut, cross_validate
from lmcore.analysis.intervals import corrected_interval
from lmcore.analysis.perceptron import Perceptron

SMALL = Perceptron((6, 5, 4), (3, 6))
EACH = np.arange(60)  # subjects who are each another person


def two_groups(n=40, separation=1.5, dimension=7, seed=0):
    random = np.random.default_rng(seed)
    classes = random.permutation(np.repeat(["a", "b"], [n // 2 + 3, n - n // 2 - 3]))
    values = random.normal(size=(n, dimension))
    values[:, 2] += separation * (classes == "b")
    return values, classes


def test_every_subject_is_held_out_once_in_each_repeat_by_stratified_folds():
    values, classes = two_groups()
    known = classes, EACH[:40], 3
    found = cross_validate(values, *known, Perceptron((4,), (5,)), folds=4, repeats=3)
    assert found.folds.shape == (3, 40)
    for folds in found.folds:
        counts = np.array([np.bincount(folds[classes == name]) for name in "ab"])
        assert np.ptp(counts, axis=1).max() <= 1
    assert (found.folds[0] != found.folds[1]).any()
    np.testing.assert_allclose(found.probabilities.sum(axis=2), 1)
    again = cross_validate(2 * values, *known, Perceptron((3,), (5,)), folds=4, repeats=3)
    np.testing.assert_array_equal(again.folds, found.folds)  # another descriptor, the same splits


@pytest.mark.parametrize("names", [("no", "yes"), ("x", "y", "z")])
def test_scores_are_those_of_the_definitions(names):
    random = np.random.default_rng(4)
    classes = np.repeat(names, [14, 9, 12][: len(names)])
    within = np.concatenate([np.arange((classes == name).sum()) for name in names])
    folds = np.stack([within % 3, (within // 3) % 3])
    probabilities = random.dirichlet(np.ones(len(names)), (2, len(classes)))
    found = HeldOut(classes, folds, probabilities)
    scores = found.scores()
    for repeat, fold in np.ndindex(2, 3):
        inside = folds[repeat] == fold
        given, said = classes[inside], probabilities[repeat, inside]
        predicted = np.array(names)[said.argmax(axis=1)]
        assert scores["accuracy"][repeat, fold] == pytest.approx((predicted == given).mean())
        assert scores["balanced_accuracy"][repeat, fold] == pytest.approx(
            balanced_accuracy_score(given, predicted)
        )
        if len(names) == 2:
            area = roc_auc_score(given == "yes", said[:, 1])
        else:
            area = np.mean([roc_auc_score(given == n, said[:, k]) for k, n in enumerate(names)])
        assert scores["auc"][repeat, fold] == pytest.approx(area)
    table = found.table("landmarks", np.array([f"s{k}" for k in range(len(classes))]))
    assert len(table) == 2 * len(classes)
    row = table.iloc[len(classes) + 5]
    assert (row["subject"], row["repeat"], row["fold"]) == ("s5", 2, folds[1, 5] + 1)
    assert row["predicted"] == found.predicted[1, 5]
    assert table["probability"].isna().all() == (len(names) == 3)
    if len(names) == 2:
        assert row["probability"] == probabilities[1, 5, 1]


@pytest.mark.parametrize("components", [None, 3])
def test_a_held_out_subject_reaches_neither_scale_nor_components_nor_choice(components):
    """Another image of one subject changes what is said of it, and of nobody held out with it."""
    values, classes = two_groups()
    perceptron = Perceptron((5, 4, 3), (3, 6), components)
    settings = {"seed": 1, "perceptron": perceptron, "folds": 4, "repeats": 2}
    first = cross_validate(values, classes, EACH[:40], **settings)
    moved = values.copy()
    moved[7] += np.linspace(20, 60, 7)
    second = cross_validate(moved, classes, EACH[:40], **settings)
    for repeat in range(2):
        with_it = first.folds[repeat] == first.folds[repeat, 7]
        with_it[7] = False
        pair = (found.probabilities[repeat] for found in (first, second))
        before, after = pair
        np.testing.assert_array_equal(before[with_it], after[with_it])
        assert (before[~with_it] != after[~with_it]).any(axis=1).mean() > 0.9


def test_components_are_those_of_the_subjects_that_are_fitted():
    values, classes = two_groups(dimension=12)
    model, _ = Perceptron((4,), (5,), components=3).fit(values[:25], classes[:25], EACH[:25], 0)
    reduced = model[0].transform(values[25:])
    _, _, modes = np.linalg.svd(values[:25] - values[:25].mean(axis=0), full_matrices=False)
    expected = (values[25:] - values[:25].mean(axis=0)) @ modes[:3].T
    np.testing.assert_allclose(np.abs(reduced), np.abs(expected), atol=1e-9)
    few, _ = Perceptron((4,), (5,), components=30).fit(values[:8], classes[:8], EACH[:8], 0)
    assert few[0].n_components_ == 7
    # the folds inside, in which the optimiser's end is chosen, hold still fewer
    chosen, _ = Perceptron((4,), (2, 5), components=30).fit(values[:9], classes[:9], EACH[:9], 0)
    assert chosen.best_estimator_[0].n_components_ == 5


def test_the_optimiser_stops_where_the_training_subjects_say():
    """Late where the classes are apart, at once where labels are noise."""
    chosen = []
    for separation in (6, 0):
        values, classes = two_groups(60, separation)
        model, _ = Perceptron((8, 8, 8), (1, 40)).fit(values, classes, EACH, 0)
        chosen.append(model.best_params_["mlpclassifier__max_iter"])
    assert chosen == [40, 1]


def test_a_fit_says_whether_it_converged():
    values, classes = two_groups(60, 4)
    assert Perceptron((4,), (300,)).fit(values, classes, EACH, 0)[1]
    assert not Perceptron((4,), (3,)).fit(values, classes, EACH, 0)[1]
    assert SMALL.fit(values, classes, EACH, 0)[1]  # it was told to stop early


def test_corrected_interval_in_closed_form():
    scores = np.array([[0.5, 0.6, 0.7, 0.6], [0.8, 0.6, 0.5, 0.5]])
    low, high = corrected_interval(scores)
    assert (low + high) / 2 == pytest.approx(0.6)
    variance = np.sum((scores - 0.6) ** 2) / 7
    # t of 7 degrees of freedom at 97.5 %, from a printed table
    assert (high - low) / 2 == pytest.approx(2.3646 * np.sqrt(variance * (1 / 8 + 1 / 3)), rel=1e-4)
    assert corrected_interval(np.full((2, 5), 0.7)) == pytest.approx((0.7, 0.7))
    with pytest.raises(ValueError, match="fewer than two folds"):
        corrected_interval(np.ones((6, 1)))
