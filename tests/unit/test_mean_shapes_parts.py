"""Parts of the comparison of two groups against closed forms and oracles."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from lmcore.analysis.descriptors import Descriptors
from lmcore.analysis.group_difference import (
    corrected_p_values,
    of_persons,
    permutation_p_values,
    score_groups,
)
from lmcore.analysis.mahalanobis import Estimator
from lmcore.analysis.mean_surfaces import (
    AlignedFrame,
    level_surface,
    point_normals,
    signed_distance,
    vertex_areas,
)
from lmcore.analysis.separation import auc_interval
from lmcore.analysis.two_groups import Groups
from lmcore.points.procrustes import align, generalised_procrustes
from lmcore.population.store import Population, Record, write_population

SHAPE, SPACING = (30, 24, 27), 1.5  # z, y, x
CENTRE = np.array([19.0, 17.0, 22.5])  # x, y, z mm


def on_grid():
    """(z, y, x, 3) mm of the voxels."""
    index = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")[::-1]
    return np.stack(index, axis=-1) * SPACING


def ellipsoid(semi_axes):
    """(z, y, x) in [0, 1], 1/2 on an ellipsoid, as a mean of many segmentations would be."""
    apart = np.linalg.norm((on_grid() - CENTRE) / semi_axes, axis=-1)
    return np.clip(0.5 - (apart - 1) * min(semi_axes) / SPACING / 2, 0, 1).astype(np.float32)


def test_spheres_differ_by_their_radii_and_outward_is_negative():
    small, large = (level_surface(ellipsoid((r, r, r)), SPACING) for r in (10.0, 12.5))
    outward = signed_distance(large, small)
    assert outward.shape == (small.n_points,)
    np.testing.assert_allclose(outward, -2.5, atol=0.2)
    assert outward.mean() == pytest.approx(-2.5, abs=0.1)
    np.testing.assert_allclose(signed_distance(small, large), 2.5, atol=0.2)


def test_ellipsoids_differ_by_their_semi_axes_at_the_tips():
    normal, cam = np.array([10.0, 12.0, 14.0]), np.array([13.0, 12.0, 12.0])
    surface = level_surface(ellipsoid(normal), SPACING)
    found = signed_distance(level_surface(ellipsoid(cam), SPACING), surface)
    for axis, expected in enumerate((-3.0, 0.0, 2.0)):
        for side in (-1, 1):
            tip = CENTRE + side * normal * np.eye(3)[axis]
            nearest = np.linalg.norm(surface.points - tip, axis=1).argmin()
            assert found[nearest] == pytest.approx(expected, abs=0.2)


def test_a_surface_is_closed_where_the_grid_cuts_it_and_faces_outward():
    column = np.zeros(SHAPE, np.float32)
    column[:, 6:18, 4:20] = 1
    mesh = level_surface(column, SPACING)
    assert mesh.n_open_edges == 0
    low, high = mesh.points.min(axis=0), mesh.points.max(axis=0)
    expected = np.array([3.5, 5.5, -0.5]), np.array([19.5, 17.5, SHAPE[0] - 0.5])
    np.testing.assert_allclose([low, high], np.array(expected) * SPACING, atol=0.2)
    away = mesh.points - (low + high) / 2
    assert np.einsum("vd,vd->v", away, mesh.point_data["Normals"]).min() > 0
    areas = vertex_areas(np.asarray(mesh.points, float), mesh.regular_faces)
    assert areas.sum() == pytest.approx(mesh.area, rel=1e-5)
    edges = np.array([16, 12, SHAPE[0]]) * SPACING
    box = 2 * (edges[0] * edges[1] + edges[1] * edges[2] + edges[0] * edges[2])
    assert areas.sum() == pytest.approx(box, rel=0.06)  # its edges are rounded


def test_normals_of_points_on_a_torus_point_out_of_its_tube():
    around, across = np.meshgrid(np.arange(60) / 60, np.arange(20) / 20)
    around, across = 2 * np.pi * around.ravel(), 2 * np.pi * across.ravel()
    ring = np.stack([np.cos(around), np.sin(around), 0 * around], axis=1)
    out = np.cos(across)[:, None] * ring + np.sin(across)[:, None] * (0, 0, 1)
    points = 12 * ring + 4 * out + (50, 7, -3)
    # at the inner side "away from the centre" is the wrong way
    assert np.einsum("md,md->m", point_normals(points), out).min() > 0.95


def test_pose_is_no_part_of_a_mean_shape(tmp_path):
    random = np.random.default_rng(0)
    semi_axes, aligned, masks = np.array([9.0, 7.0, 12.0]), [], []
    unit = random.normal(size=(25, 3))
    landmarks = semi_axes * unit / np.linalg.norm(unit, axis=1, keepdims=True)
    for _ in range(8):
        turn = Rotation.from_rotvec(random.uniform(-0.15, 0.15, 3)).as_matrix()
        shift = CENTRE + random.uniform(-2, 2, 3)
        inside = np.linalg.norm((on_grid() - shift) @ turn / semi_axes, axis=-1) < 1
        masks.append(inside.astype(np.uint8))
        aligned.append(landmarks @ turn.T + shift)
    shapes = np.array(aligned)
    records = [Record(mask[None].astype(np.float32), np.eye(4), SHAPE) for mask in masks]
    names = [f"s{number}" for number in range(8)]
    path = tmp_path / "population.h5"
    write_population(path, names, SHAPE, 1, {}, records, spacing=SPACING)
    mean, _ = generalised_procrustes(shapes)
    poses = align(shapes, mean)
    with Population(path) as population:
        frame = AlignedFrame(population, "thin_plate")
        average = frame.mean_segmentation(iter(masks), poses(shapes), poses)
    mesh = level_surface(average, SPACING)
    turned = align(landmarks, mean)
    own = turned.inverse(np.asarray(mesh.points, float)) / semi_axes
    off = (np.linalg.norm(own, axis=1) - 1) * semi_axes.mean()
    assert np.abs(off).mean() < 0.1 * SPACING
    assert np.abs(off).max() < 0.4 * SPACING


def test_p_values_are_those_of_all_permutations():
    random = np.random.default_rng(1)
    values, cases = random.normal(size=(8, 5)), np.arange(8) < 3
    values[:3, 0] += 3
    values[:, 4] = 7.0  # nothing differs
    every = np.array(list(itertools.combinations(range(8), 3)))
    apart = np.array(
        [values[list(c)].mean(0) - np.delete(values, c, axis=0).mean(0) for c in every]
    )
    exact = (np.abs(apart) >= np.abs(apart[0]) - 1e-12).mean(axis=0)
    found = permutation_p_values(values, cases, 0)
    np.testing.assert_allclose(found, exact, atol=4 * np.sqrt(0.25 / 10_000))
    assert found[4] == 1.0
    np.testing.assert_array_equal(found, permutation_p_values(values, cases, 0))


def test_p_values_are_uniform_under_the_null_and_smallest_where_groups_lie_apart():
    random = np.random.default_rng(4)
    values, cases = random.standard_normal((24, 1500)), np.arange(24) % 4 == 0
    found = permutation_p_values(values, cases, 1, permutations=1000)
    assert kstest(found, "uniform").pvalue > 0.01
    assert 0.03 < (found < 0.05).mean() < 0.07
    assert corrected_p_values(found).min() > 0.05
    values[cases, 7] += 50
    found = permutation_p_values(values, cases, 1, permutations=1000)
    assert found.argmin() == 7
    assert found[7] == pytest.approx(1 / 1001, rel=2)  # a permutation may be the observed one


def test_corrected_p_values_by_hand():
    found = corrected_p_values(np.array([0.01, 0.5, 0.04, 0.03]))
    np.testing.assert_allclose(found, [0.04, 0.5, 0.16 / 3, 0.16 / 3])


def test_sides_of_a_person_are_averaged_within_a_group():
    values = np.array([[1.0, 2], [3, 4], [5, 6], [9, 8]])
    means, cases = of_persons(values, [True, False, False, True], np.array(["b", "a", "a", "c"]))
    np.testing.assert_allclose(means, [[4, 5], [1, 2], [9, 8]])
    assert cases.tolist() == [False, True, True]
    # one side of b is normal: it stays a control
    means, cases = of_persons(values, [True, False, False, True], np.array(["b", "b", "a", "b"]))
    np.testing.assert_allclose(means, [[5, 6], [3, 4], [5, 5]])
    assert cases.tolist() == [False, False, True]


def groups_of(shapes, cases, persons=None):
    names = np.array([f"s{number:02d}" for number in range(len(shapes))], dtype=object)
    classes = np.where(cases, "cam", "control").astype(object)
    persons = names if persons is None else np.asarray(persons, dtype=object)
    values, splits = shapes.reshape(len(shapes), -1), np.full(len(shapes), "train", object)
    return Groups.of(Descriptors(names, values, classes, splits, persons), shapes, "control")


def named(rows):
    return {row["name"]: row for row in rows}


def test_the_papers_distances_are_degenerate_with_few_controls():
    shapes = np.random.default_rng(0).normal(size=(17, 9, 3)) + 30 * np.eye(9, 3)
    table, rows = score_groups(groups_of(shapes, np.arange(17) >= 12))
    found = named(rows)
    assert found["mahalanobis_modes_in_sample"]["value"] == 11
    np.testing.assert_allclose(table["mahalanobis_in_sample"][:12], 11 / np.sqrt(12))
    assert (
        found["mahalanobis_auc_in_sample"]["value"]
        == (table["mahalanobis_in_sample"][12:] > 3.2).mean()
    )
    assert 0.1 < found["mahalanobis_auc"]["value"] < 0.9
    assert found["mahalanobis_auc_p"]["value"] > 0.05


def test_a_control_and_its_other_side_are_left_out_of_what_they_are_held_against():
    random = np.random.default_rng(3)
    controls = random.normal(size=(12, 1, 20, 3)) + 0.2 * random.normal(size=(12, 2, 20, 3))
    others = random.normal(size=(6, 20, 3)) * np.sqrt(1.04)
    base = 15 * random.normal(size=(20, 3))
    shapes = base + np.concatenate([controls.reshape(24, 20, 3), others])
    cases, persons = np.arange(30) >= 24, np.r_[np.repeat(np.arange(12), 2), np.arange(12, 18)]
    table, rows = score_groups(groups_of(shapes, cases, persons))
    reference = Estimator().fit(shapes[(persons != 4) & ~cases])
    np.testing.assert_allclose(table["mahalanobis"][8:10], reference(shapes[8:10]))
    honest = named(rows)["mahalanobis_auc"]
    assert 0.2 < honest["value"] < 0.8
    leaking = named(score_groups(groups_of(shapes, cases))[1])["mahalanobis_auc"]
    assert leaking["value"] == 1.0  # of groups that do not differ
    # both sides of a person tell no more than one: 12 and 6 people
    assert (honest["ci_low"], honest["ci_high"]) == auc_interval(honest["value"], 12, 6)
