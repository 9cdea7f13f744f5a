import sys

import numpy as np
import pytest

from lmcore.particles import cpd
from lmcore.particles.surface import (
    DistanceField,
    nearest_distances,
    sample_mesh,
    spacing_variation,
    spread_points,
)
from lmcore.particles.table import NAMES
from lmcore.points.procrustes import align
from lmcore.points.thinning import farthest_points

SHAPE, SPACING = (20, 26, 22), 2.0  # z, y, x
# semi-axes in mm, x y z; the last is of nobody's training
AXES = np.array(
    [[12, 17, 10], [14, 16, 10], [13, 19, 11], [11, 18, 12], [13, 17, 9.0], [16, 14, 13]]
)
SHIFTS = np.array([[0, 0, 0], [1, -2, 0], [-1, 1, 1], [0, 2, -1], [2, 0, 1], [-2, 2, 0.0]])
CENTRES = np.array([21.0, 25.0, 19.0]) + SHIFTS
SUBJECTS = list("abcdef")
TRAINING = [0, 1, 2, 3, 4]
COUNT = 64


def field_of(subject):
    """First-order distance to an ellipsoid."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    points = (index[..., ::-1] * SPACING - CENTRES[subject]) / AXES[subject]
    reach = np.linalg.norm(points, axis=-1)
    slope = np.maximum(np.linalg.norm(points / AXES[subject], axis=-1), 1e-9)
    return DistanceField(reach * (reach - 1) / slope, SPACING)


def even(subject, count):
    """(count, 3) points on a subject's surface, in the order of farthest points."""
    cloud = sample_mesh(field_of(subject).mesh(), 4 * count, 0)
    return cloud[farthest_points(cloud, count)]


@pytest.fixture(scope="module")
def found():
    return cpd.correspond(field_of, SUBJECTS, TRAINING, 1, COUNT, seed=5)


def test_points_lie_on_every_surface_and_evenly(found):
    assert found.points.shape == (len(AXES), COUNT, 3)
    for subject, points in enumerate(found.points):
        assert np.abs(field_of(subject).distance(points)).max() < 0.1 * SPACING
    assert spacing_variation(found.points).max() < 0.35
    assert 1 <= found.rounds <= cpd.ROUNDS


def test_points_correspond(found):
    """Where ellipsoids differ by their axes, the same point has the same coordinates over axes."""
    same = (found.points - CENTRES[:, None]) / AXES[:, None]
    errors = np.linalg.norm((same - same[TRAINING].mean(axis=0)) * AXES.mean(axis=0), axis=-1)
    gap = nearest_distances(found.points).mean()
    assert errors.mean() < 0.25 * gap
    assert np.percentile(errors, 95) < 0.5 * gap


def test_others_change_nothing_for_the_training_nor_for_each_other(found):
    alone = cpd.correspond(field_of, SUBJECTS[:5], TRAINING, 1, COUNT, seed=5)
    np.testing.assert_array_equal(alone.points, found.points[TRAINING])


def test_threads_change_nothing(found):
    again = cpd.correspond(field_of, SUBJECTS, TRAINING, 1, COUNT, seed=5, workers=3)
    np.testing.assert_array_equal(again.points, found.points)


@pytest.mark.parametrize("carriers", [512, 50])
def test_points_correspond_whether_all_or_some_carry_the_deformation(monkeypatch, carriers):
    monkeypatch.setattr(cpd, "CARRIERS", carriers)
    template, target = spread_points(field_of(0), 90, 0), even(2, 360)
    points = cpd.register(template, target, field_of(2))
    expected = (template - CENTRES[0]) / AXES[0] * AXES[2] + CENTRES[2]
    errors = np.linalg.norm(points - expected, axis=1)
    before = np.linalg.norm(template - expected, axis=1)
    assert errors.mean() < 0.7 * SPACING < before.mean()
    assert np.abs(field_of(2).distance(points)).max() < 0.1 * SPACING


def test_a_turned_and_shifted_subject_gets_its_own_points_back(monkeypatch):
    # far from round, so that every turn shows
    monkeypatch.setattr(sys.modules[__name__], "AXES", np.array([[8.0, 19.0, 13.0]]))
    points = spread_points(field_of(0), COUNT, 0)
    angle = np.radians(12)
    turn = np.array(
        [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    start = (points - CENTRES[0]) @ turn + CENTRES[0] + (3, -2, 1)
    back = cpd.register(start, even(0, 4 * COUNT), field_of(0))
    moved = np.linalg.norm(start - points, axis=1).mean()
    assert np.linalg.norm(back - points, axis=1).mean() < 0.5 * moved
    left = np.abs(align(back, points).rotation - np.eye(3)).max()
    assert left < 0.25 * np.sin(angle)


def test_the_engine_says_what_it_is_and_is_not():
    assert NAMES["cpd"] == "coherent point drift (biocpd), not ShapeWorks"
    assert {"stiffness", "width", "rounds_at_most"} <= set(cpd.parameters())
