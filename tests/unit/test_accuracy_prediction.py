"""What descriptors tell, and the baselines, against closed forms and oracles."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from benchmarks import baselines, prediction
from lmcore.discovery.settings import TrainingSettings


@pytest.fixture
def quick(monkeypatch):
    """One candidate of the classifier, and fewer repeats."""
    monkeypatch.setattr(prediction, "CLASS_REPEATS", 2)
    monkeypatch.setattr(prediction, "COSTS", (10.0,))
    monkeypatch.setattr(prediction, "GAMMAS", (0.5,))


def test_splits_score_everybody_once_a_repeat_and_never_the_fitted():
    for annotated in (None, 5):
        splits = prediction.regression_splits(23, annotated, seed=3)
        assert len(splits) == prediction.REPEATS * prediction.FOLDS
        scored = np.concatenate([scored for _, scored in splits])
        assert (np.bincount(scored) == prediction.REPEATS).all()
        for fitted, scored in splits:
            assert not set(fitted) & set(scored)
            assert len(fitted) == (5 if annotated else 23 - len(scored))
    again = prediction.regression_splits(23, 5, seed=3)
    assert all((a[0] == b[0]).all() for a, b in zip(splits, again, strict=True))
    few = prediction.regression_splits(4, None, seed=3)
    assert len(few) == prediction.REPEATS * 4


def test_true_landmarks_have_no_regression_error():
    random = np.random.default_rng(1)
    points = random.normal(0, 20, (25, 3, 2)) + [300, 100]
    values = points.reshape(25, 6) @ random.normal(size=(6, 9)) + 7  # any linear image of them
    splits = prediction.regression_splits(25, None, seed=2)
    errors = prediction.regression_errors(values, points, splits)
    mean = prediction.regression_errors(None, points, splits)
    assert errors.max() < 0.01
    assert 15 < mean.mean() < 40
    noise = prediction.regression_errors(random.normal(size=(25, 9)), points, splits)
    assert mean.mean() * 0.9 < noise.mean() < mean.mean() * 1.2


def test_mean_landmarks_by_hand():
    points = np.array([[[0.0, 0.0]], [[6.0, 8.0]], [[3.0, 4.0]]])
    splits = [(np.array([1, 2]), np.array([0])), (np.array([0]), np.array([1, 2]))]
    errors = prediction.regression_errors(None, points, splits)
    np.testing.assert_allclose(errors, [7.5, 10, 5])


def test_ridge_learns_along_a_large_common_direction():
    """Among many small directions of noise the large one is found only if scales are kept."""
    random = np.random.default_rng(4)
    signal = random.normal(size=(14, 1))
    values = np.hstack([10 * signal, random.normal(size=(14, 40))])
    model = prediction.tuned_ridge(values, signal)
    assert isinstance(model["scale"], prediction.CommonScaler)
    fresh = random.normal(size=(50, 1))
    predicted = model.predict(np.hstack([10 * fresh, random.normal(size=(50, 40))]))
    assert np.corrcoef(predicted.ravel(), fresh.ravel())[0, 1] > 0.95


def test_common_scaler_keeps_ratios():
    values = np.array([[0.0, 5.0], [2.0, 11.0], [4.0, 17.0]])
    scaled = prediction.CommonScaler().fit_transform(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    assert scaled.var(axis=0).mean() == pytest.approx(1)
    assert np.ptp(scaled[:, 1]) == pytest.approx(3 * np.ptp(scaled[:, 0]))
    constant = prediction.CommonScaler().fit_transform(np.full((3, 2), 7.0))
    assert (constant == 0).all()


def test_box_diagonal_is_a_mean_over_subjects():
    points = np.array([[[0, 0], [3, 4]], [[10, 20], [16, 28]]], dtype=float)
    assert prediction.box_diagonal(points) == 7.5


def test_classifier_tells_what_can_be_told(quick):
    random = np.random.default_rng(5)
    classes = np.array(["a"] * 40 + ["b"] * 15 + ["c"] * 8)
    centres = {"a": (0, 0), "b": (9, 0), "c": (0, 9)}
    values = np.array([centres[name] for name in classes]) + random.normal(size=(63, 2))
    right = prediction.classification_shares(values, classes, 6, "test")
    assert prediction.balanced_accuracy(right, classes) > 0.97
    right = prediction.classification_shares(random.normal(size=(63, 2)), classes, 6, "test")
    assert 0.1 < prediction.balanced_accuracy(right, classes) < 0.6


def test_smallest_class_allowed_is_classified(quick):
    random = np.random.default_rng(7)
    classes = np.array(["a"] * 9 + ["b"] * 3)
    values = np.where(classes == "a", 0.0, 8.0)[:, None] + random.normal(size=(12, 3))
    right = prediction.classification_shares(values, classes, 8, "test")
    assert prediction.balanced_accuracy(right, classes) > 0.9


def test_balanced_accuracy_weighs_classes_alike():
    right = np.array([1, 1, 1, 1, 0.5])
    assert prediction.balanced_accuracy(right, np.array(["a", "a", "a", "a", "b"])) == 0.75


def test_pixel_pca_is_principal_component_analysis():
    random = np.random.default_rng(9)
    seen, unseen = random.normal(size=(12, 1, 5, 8)), random.normal(size=(7, 1, 5, 8))
    found = baselines.pixel_pca(seen, unseen, 6)
    oracle = PCA(6).fit(seen.reshape(12, -1)).transform(unseen.reshape(7, -1))
    np.testing.assert_allclose(np.abs(found), np.abs(oracle), atol=1e-9)
    assert baselines.pixel_pca(seen, unseen, 40).shape == (7, 11)
    doubled = np.concatenate([seen[:4], seen[:4], seen[:4]])
    assert baselines.pixel_pca(doubled, unseen, 40).shape == (7, 3)


def test_supervised_encoder_learns_where_the_blob_is(monkeypatch):
    monkeypatch.setattr(baselines, "SUPERVISED_STEPS", 60)
    random = np.random.default_rng(10)
    points = random.uniform(-0.5, 0.5, (40, 1, 2))
    y, x = np.mgrid[-1:1:16j, -1:1:32j]
    distance = ((x - points[..., :1]) * 2) ** 2 + (y - points[..., 1:]) ** 2
    images = torch.from_numpy(0.5 + 0.5 * np.exp(-distance / 0.1)).float()[:, None]
    settings = TrainingSettings(9, 0.0, widths=(8, 8, 16, 16), hidden=32)
    torch.manual_seed(0)
    found = baselines.supervised_landmarks(images[:30], points[:30], images[30:], settings, seed=1)
    assert found.shape == (10, 1, 2)
    error = np.linalg.norm(found - points[30:], axis=-1).mean()
    spread = np.linalg.norm(points[30:] - points[:30].mean(axis=0), axis=-1).mean()
    assert error < 0.5 * spread
