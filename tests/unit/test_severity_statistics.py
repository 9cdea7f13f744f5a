"""Distances from controls, areas under the curve and correlations, against closed forms."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, pearsonr, spearmanr

from lmcore.analysis.correlation import correlation_rows, midranks, pearson, resampling_units
from lmcore.analysis.mahalanobis import WEIGHTS, Estimator, cross_fit, shrinkage_weight
from lmcore.analysis.separation import auc, auc_interval, holm, separation_p
from lmcore.analysis.shape_statistics import principal_modes

FULL = Estimator(1.0, procrustes=False)
SHRUNK = Estimator(None, procrustes=False)


def drawn(n, points, d, seed=0, scale=None):
    """(n, points, d) normal shapes about an uneven mean, of other variance in each coordinate."""
    random = np.random.default_rng(seed)
    scale = np.linspace(0.5, 3, points * d) if scale is None else scale
    values = random.standard_normal((n, points * d)) * scale + np.arange(points * d)
    return values.reshape(n, points, d)


def rotation(degrees, axis):
    a, b = [k for k in range(3) if k != axis]
    turned, angle = np.eye(3), np.deg2rad(degrees)
    turned[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return turned


def test_the_full_covariance_gives_the_textbook_distance():
    shapes, others = drawn(30, 2, 3), drawn(4, 2, 3, seed=5)
    flat, new = shapes.reshape(30, 6), others.reshape(4, 6)
    off = new - flat.mean(axis=0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", off, np.linalg.inv(np.cov(flat.T)), off))
    np.testing.assert_allclose(FULL.fit(shapes)(others), expected, rtol=1e-10)


def test_leaving_out_is_the_closed_form_of_the_in_sample_distance():
    n, shapes = 25, drawn(26, 2, 3)
    is_control = np.arange(26) != 7
    squared = FULL.fit(shapes[is_control])(shapes[is_control]) ** 2
    # Sherman and Morrison's downdate of mean and scatter
    expected = (n - 2) * n**2 * squared / ((n - 1) ** 3 - n * (n - 1) * squared)
    fit = cross_fit(shapes, is_control, FULL, "shapes")
    np.testing.assert_allclose(fit.controls**2, expected, rtol=1e-9)
    refitted = FULL.fit(np.delete(shapes[is_control], 3, axis=0))(shapes[[7]])
    np.testing.assert_allclose(fit.others[3], refitted, rtol=1e-12)
    scores = fit.scores(is_control)
    np.testing.assert_allclose(scores[7], fit.others.mean(), rtol=1e-12)
    np.testing.assert_array_equal(scores[is_control], fit.controls)


@pytest.mark.parametrize("procrustes", [False, True])
def test_all_of_the_variance_puts_every_control_at_one_distance(procrustes):
    shapes = drawn(12, 9, 3)
    reference = Estimator(1.0, procrustes).fit(shapes)
    np.testing.assert_allclose(reference(shapes), 11 / np.sqrt(12), rtol=1e-9)
    assert (reference(shapes + drawn(12, 9, 3, seed=4, scale=np.ones(27))) > 11 / 12**0.5).all()


def test_a_share_keeps_the_first_components_that_reach_it():
    # scores 4, 2, 1 along three axes, orthogonal: variances in the ratio 16 : 4 : 1
    signs = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    shapes = (signs * (4, 2, 1)).reshape(4, 1, 3).astype(float)
    for share, kept in ((0.76, 1), (0.77, 2), (20 / 21, 2), (0.96, 3), (1.0, 3)):
        assert len(Estimator(share, False).fit(shapes).model.variances) == kept
    far = np.array([[[4.0, 6.0, 100.0]]])
    expected = np.sqrt(4**2 / (64 / 3) + 6**2 / (16 / 3))
    np.testing.assert_allclose(Estimator(0.9, False).fit(shapes)(far), expected, rtol=1e-12)


def test_the_shrunk_distance_is_that_of_the_shrunk_matrix():
    shapes, others = drawn(8, 5, 3), drawn(3, 5, 3, seed=2)
    reference = SHRUNK.fit(shapes)
    weight = shrinkage_weight(principal_modes(shapes), shapes)
    assert weight in WEIGHTS
    covariance = np.cov(shapes.reshape(8, 15).T)
    covariance = (1 - weight) * covariance + weight * np.trace(covariance) / 15 * np.eye(15)
    off = others.reshape(3, 15) - shapes.reshape(8, 15).mean(axis=0)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off))
    np.testing.assert_allclose(reference(others), expected, rtol=1e-9)


@pytest.mark.parametrize(("n", "points"), [(9, 5), (40, 2)])
def test_the_weight_is_the_likeliest_for_controls_left_out(n, points):
    shapes = drawn(n, points, 3, seed=n)
    flat = shapes.reshape(n, -1)
    size = np.trace(np.cov(flat.T)) / flat.shape[1]
    losses = []
    for weight in WEIGHTS:
        likelihood = 0.0
        for k, row in enumerate(flat):
            rest = np.delete(flat, k, axis=0)
            matrix = (1 - weight) * np.cov(rest.T) + weight * size * np.eye(flat.shape[1])
            likelihood += multivariate_normal(rest.mean(axis=0), matrix).logpdf(row)
        losses.append(-likelihood)
    assert shrinkage_weight(principal_modes(shapes), shapes) == WEIGHTS[np.argmin(losses)]


def test_pose_is_no_distance_unless_asked_for():
    shapes, seed = drawn(20, 6, 3), np.random.default_rng(3)
    moved = np.stack(
        [
            shape @ rotation(seed.uniform(-9, 9), k % 3).T + seed.uniform(-5, 5, 3)
            for k, shape in enumerate(shapes)
        ]
    )
    is_control = np.arange(20) < 15
    aligned = Estimator(0.9, procrustes=True)
    still, turned = (cross_fit(x, is_control, aligned, "x") for x in (shapes, moved))
    np.testing.assert_allclose(turned.controls, still.controls, rtol=1e-6)
    np.testing.assert_allclose(turned.others, still.others, rtol=1e-6)
    plain = cross_fit(moved, is_control, Estimator(0.9, procrustes=False), "x")
    assert np.abs(plain.controls / still.controls - 1).max() > 0.05


def test_the_scans_of_a_person_are_left_out_together():
    random = np.random.default_rng(1)
    people = drawn(16, 8, 3, seed=1)
    sides = people[:, None] + 0.05 * random.standard_normal((16, 2, 8, 3))
    shapes = np.concatenate([sides[:8].reshape(16, 8, 3), sides[8:, 0]])
    is_control = np.arange(24) < 16
    persons = np.concatenate([np.repeat(np.arange(8), 2), np.arange(8, 16)])
    alone = cross_fit(shapes, is_control, SHRUNK, "x")
    together = cross_fit(shapes, is_control, SHRUNK, "x", persons)
    assert auc(alone.controls, alone.others) == 1.0  # though nothing sets the groups apart
    assert 0.2 < auc(together.controls, together.others) < 0.8
    without = SHRUNK.fit(shapes[2:16])
    np.testing.assert_allclose(together.controls[:2], without(shapes[:2]), rtol=1e-12)
    # a case who is also a control, by the other side: only the model without that person counts
    persons[20] = 0
    shared = cross_fit(shapes, is_control, SHRUNK, "x", persons)
    np.testing.assert_allclose(shared.others[:, 4], without(shapes[20:21])[0], rtol=1e-12)
    np.testing.assert_array_equal(shared.others[:, 5], together.others[:, 5])


def test_nothing_is_found_where_nothing_is():
    areas, found = [], 0
    for seed in range(40):
        shapes = drawn(24, 6, 3, seed=seed + 100)
        is_control = np.arange(24) < 16
        fit = cross_fit(shapes, is_control, SHRUNK, "x")
        areas.append(auc(fit.controls, fit.others))
        scores = fit.scores(is_control)
        found += separation_p(scores[is_control], scores[~is_control]) < 0.05
    # the standard error of one area is 0.13 here, of their mean 0.02
    assert abs(np.mean(areas) - 0.5) < 0.06
    assert found <= 6


def test_too_little_to_fit_is_said():
    with pytest.raises(ValueError, match="2 shapes make no covariance"):
        FULL.fit(drawn(2, 3, 3))
    with pytest.raises(ValueError, match="do not vary"):
        SHRUNK.fit(np.repeat(drawn(1, 4, 3), 5, axis=0))


def test_areas_by_hand():
    assert auc([1, 2, 3], [2, 4]) == pytest.approx((2 * 3 - 1 - 0.5) / 6)
    assert auc([1, 2], [[0, 3], [2, 1]]) == pytest.approx((0 + 1 + 0.5 + 0) / 4)
    assert auc([0], [1]) == 1


def test_the_interval_of_an_area():
    quantile = 1.959963984540054
    low, high = auc_interval(0.8, 12, 7)
    for bound in (low, high):
        star = (12 + 7) / 2 - 1
        spread = 1 + star * (1 - bound) / (2 - bound) + star * bound / (1 + bound)
        assert (0.8 - bound) ** 2 == pytest.approx(
            quantile**2 * bound * (1 - bound) * spread / 84, rel=1e-9
        )
    assert low < 0.8 < high
    assert auc_interval(0.2, 12, 7) == pytest.approx((1 - high, 1 - low))
    low, high = auc_interval(1.0, 10, 27)
    assert high == 1
    assert 0.8 < low < 0.95  # a bootstrap would say 1
    assert auc_interval(0.0, 10, 27)[0] == 0


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04]), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1, 1])
    assert len(holm([])) == 0


def test_correlations_agree_with_scipy_on_every_resample():
    random = np.random.default_rng(0)
    x, y = random.integers(0, 6, 15).astype(float), random.standard_normal(15)
    weights = random.multinomial(15, np.full(15, 1 / 15), size=4).astype(float)
    by_value = pearson(x, y, weights)
    by_rank = pearson(midranks(x, weights), midranks(y, weights), weights)
    for k, counts in enumerate(weights.astype(int)):
        again = np.repeat(x, counts), np.repeat(y, counts)
        assert by_value[k] == pytest.approx(pearsonr(*again)[0])
        assert by_rank[k] == pytest.approx(spearmanr(*again)[0])


def test_rows_of_a_correlation_are_of_those_who_have_both():
    x = np.array([1, 2, 3, 4, np.nan, 6, 7])
    y = np.array([2, 4, 6, 8, 10, np.nan, 21])
    first, second = correlation_rows("a", x, y, seed=1)
    assert (first["name"], second["name"]) == ("a_pearson", "a_spearman")
    assert (first["n"], second["value"]) == (5, 1)
    assert first["value"] == pytest.approx(pearsonr(x[[0, 1, 2, 3, 6]], y[[0, 1, 2, 3, 6]])[0])
    assert first["ci_low"] <= first["value"] <= first["ci_high"] + 1e-12
    assert correlation_rows("a", x[:3], y[:3], seed=1) == []
    assert correlation_rows("a", np.ones(9), np.arange(9.0), seed=1) == []


def test_two_scans_of_each_person_make_the_interval_no_narrower():
    random = np.random.default_rng(2)
    x = random.standard_normal(30)
    y = x + random.standard_normal(30)
    once = correlation_rows("a", x, y, seed=3)[0]
    twice = [np.repeat(values, 2) for values in (x, y, np.arange(30))]
    again = correlation_rows("a", *twice[:2], seed=3, persons=twice[2])[0]
    assert (again["ci_low"], again["ci_high"]) == pytest.approx((once["ci_low"], once["ci_high"]))
    groups, persons = np.array(["a", "a", "b", "a"]), np.array([5, 2, 5, 5])
    strata, unit_of = resampling_units(groups, persons)
    assert strata.tolist() == [0, 0, 1]
    assert unit_of.tolist() == [1, 0, 2, 1]
