import numpy as np
import pytest

from lmcore.points.geometry import apply_affine, index_to_normalised, normalised_to_index


def test_corners_are_voxel_centres_and_x_is_the_last_axis():
    points = np.array([[-1, -1], [1, 1], [1, -1], [0, 0], [-0.5, 0.5]])
    index = normalised_to_index(points, (5, 9))
    np.testing.assert_allclose(index, [[0, 0], [8, 4], [8, 0], [4, 2], [2, 3]])


def test_index_in_three_dimensions():
    index = normalised_to_index(np.array([[1.0, -1.0, 0.0]]), (3, 5, 11))
    np.testing.assert_allclose(index, [[10, 0, 1]])


@pytest.mark.parametrize("shape", [(7, 20), (4, 9, 30)])
def test_round_trip(shape):
    points = np.random.default_rng(0).uniform(-1.5, 1.5, (3, 6, len(shape)))
    back = index_to_normalised(normalised_to_index(points, shape), shape)
    np.testing.assert_allclose(back, points, atol=1e-12)


def test_half_a_voxel_beyond_the_centre_is_the_image_edge():
    np.testing.assert_allclose(index_to_normalised([[-0.5, 4.5]], (5, 11)), [[-1.1, 1.25]])


def test_affine_scales_turns_and_shifts():
    affine = np.array([[0, -2, 10], [3, 0, 20], [0, 0, 1]])
    np.testing.assert_allclose(apply_affine(affine, [[1, 0], [0, 1]]), [[10, 23], [8, 20]])


def test_each_subject_has_its_own_affine():
    affines = np.stack([np.eye(4), np.diag([2.0, 3.0, 4.0, 1.0])])
    affines[1, :3, 3] = [1, 0, -1]
    points = np.tile([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], (2, 1, 1))
    expected = [[[1, 2, 3], [0, 0, 0]], [[3, 6, 11], [1, 0, -1]]]
    np.testing.assert_allclose(apply_affine(affines, points), expected)


def test_dimensions_that_differ_are_named():
    with pytest.raises(ValueError, match=r"\(1, 3\).*\(5, 9\)"):
        normalised_to_index(np.zeros((1, 3)), (5, 9))
    with pytest.raises(ValueError, match=r"\(3, 3\).*\(1, 3\)"):
        apply_affine(np.eye(3), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="two voxels"):
        index_to_normalised(np.zeros((1, 2)), (1, 9))
