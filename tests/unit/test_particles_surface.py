import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from lmcore.particles.surface import (
    DistanceField,
    nearest_distances,
    sample_mesh,
    spacing_variation,
    spread_points,
)
from lmcore.population.segmentations import distance_transform

SHAPE, SPACING = (22, 30, 26), 1.5  # z, y, x
AXES = np.array([13.0, 16.0, 9.0])  # mm, x y z
CENTRE = np.array([18.0, 23.0, 14.5])


def ellipsoid():
    """First-order distance to an ellipsoid, off the grid's centre."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)
    points = (index[..., ::-1] * SPACING - CENTRE) / AXES
    reach = np.linalg.norm(points, axis=-1)
    slope = np.maximum(np.linalg.norm(points / AXES, axis=-1), 1e-9)
    return reach * (reach - 1) / slope


@pytest.fixture(scope="module")
def field():
    return DistanceField(ellipsoid(), SPACING)


@pytest.fixture(scope="module")
def blocks():
    """A distance transform of a mask with edges, steps and a slit one voxel wide."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:18, 6:24, 5:20] = 1
    mask[10:18, 6:15, 5:12] = 0
    mask[4:9, 20, 8:20] = 0
    return DistanceField(distance_transform(mask, SPACING), SPACING)


def test_values_are_trilinear_and_those_of_the_border_beyond_it(field):
    points = np.random.default_rng(0).uniform(-4, 46, (300, 3))
    index = (points / SPACING).T[::-1]
    expected = map_coordinates(field.distances, index, order=1, mode="nearest")
    np.testing.assert_allclose(field.distance(points), expected, atol=1e-9)
    np.testing.assert_allclose(field.value_and_gradient(points)[0], expected, atol=1e-9)
    assert field.distance(points.reshape(3, 100, 3)).shape == (3, 100)


def test_slopes_are_differences(field):
    points = np.random.default_rng(1).uniform(3, 28, (100, 3))
    _, gradient = field.value_and_gradient(points)
    step = 1e-6
    for axis, unit in enumerate(np.eye(3)):
        rise = field.distance(points + step * unit) - field.distance(points - step * unit)
        np.testing.assert_allclose(gradient[:, axis], rise / (2 * step), atol=1e-4)


def test_a_point_inside_is_negative(field):
    assert field.distance(CENTRE) < 0 < field.distance(CENTRE + (0, 0, 11.0))


def test_projection_lands_on_the_surface_near_the_point(field):
    directions = np.random.default_rng(2).normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    start = CENTRE + 1.15 * directions * AXES
    found = field.project(start)
    assert np.abs(field.distance(found)).max() < 2e-3 * SPACING
    on_surface = np.linalg.norm((found - CENTRE) / AXES, axis=1)
    np.testing.assert_allclose(on_surface, 1.0, atol=0.02)
    assert np.linalg.norm(found - start, axis=1).max() < 0.2 * AXES.max()


def test_projection_onto_steps_and_slits_is_within_a_tenth_of_a_voxel(blocks):
    points = np.random.default_rng(3).uniform(0, 40, (2000, 3))
    found = blocks.project(points)
    assert np.abs(blocks.distance(found)).max() < 2e-3 * SPACING


def test_edges_of_the_grid_cross_the_surface_where_they_are_zero(field):
    crossings = field.crossings()
    np.testing.assert_allclose(field.distance(crossings), 0.0, atol=1e-9)
    steps = np.abs(crossings / SPACING - np.round(crossings / SPACING)) > 1e-9
    assert (steps.sum(axis=1) <= 1).all()  # on an edge two of three are whole
    assert steps.any(axis=0).all()


def test_samples_of_a_mesh_are_uniform_by_area():
    import pyvista

    # two triangles of areas 1.5 and 6, far apart
    points = np.array([[0, 0, 0], [3, 0, 0], [0, 1, 0], [0, 0, 9], [3, 0, 9], [0, 4, 9]], float)
    mesh = pyvista.PolyData.from_regular_faces(points, np.array([[0, 1, 2], [3, 4, 5]]))
    samples = sample_mesh(mesh, 5000, 0)
    assert (samples[:, 2] == 0).sum() == 1000
    for height, area in ((0, (3, 1)), (9, (3, 4))):
        part = samples[samples[:, 2] == height, :2] / area
        assert (part >= 0).all()
        assert (part.sum(axis=1) <= 1 + 1e-9).all()
        np.testing.assert_allclose(part.mean(axis=0), 1 / 3, atol=0.02)


@pytest.mark.parametrize("count", [40, 250])
def test_spread_points_are_even_and_on_the_surface(field, blocks, count):
    for surface in (field, blocks):
        points = spread_points(surface, count, 1)
        assert points.shape == (count, 3)
        assert np.abs(surface.distance(points)).max() < 0.1 * SPACING
        assert spacing_variation(points) < 0.35
        np.testing.assert_array_equal(points, spread_points(surface, count, 1))


def test_spread_points_cover_the_surface(field):
    points = spread_points(field, 100, 1)
    gap = nearest_distances(points).mean()
    for axis, radius in enumerate(AXES):
        reach = np.abs(points[:, axis] - CENTRE[axis]).max()
        assert reach == pytest.approx(radius, abs=gap / 2)


def test_spacing_of_known_points():
    # nearest distances 1, 1, 2, 4
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, -4]])
    np.testing.assert_allclose(nearest_distances(points), [1, 1, 2, 4])
    assert spacing_variation(points) == pytest.approx(np.std([1, 1, 2, 4]) / 2)
    both = np.stack([points, 3 * points])
    np.testing.assert_allclose(nearest_distances(both)[1], [3, 3, 6, 12])
    np.testing.assert_allclose(spacing_variation(both), spacing_variation(points))
