import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lmcore.points.procrustes import Rigid, align, generalised_procrustes

RANDOM = np.random.default_rng(3)
SHAPE = RANDOM.normal(size=(9, 3)) * (5.0, 2.0, 1.0) + (30.0, -4.0, 7.0)


def turned(shape, degrees, shift):
    return Rotation.from_euler("xyz", degrees, degrees=True).apply(shape) + shift


def test_a_moved_shape_comes_back_exactly():
    moved = turned(SHAPE, (25, -40, 110), (3.0, 50.0, -8.0))
    pose = align(moved, SHAPE)
    np.testing.assert_allclose(pose(moved), SHAPE, atol=1e-10)
    np.testing.assert_allclose(pose.inverse(SHAPE), moved, atol=1e-10)


def test_the_rotation_is_scipys_for_noisy_shapes():
    noisy = turned(SHAPE, (10, 20, 30), (1.0, 2.0, 3.0)) + RANDOM.normal(size=SHAPE.shape)
    centred, target = noisy - noisy.mean(axis=0), SHAPE - SHAPE.mean(axis=0)
    expected, _ = Rotation.align_vectors(target, centred)
    np.testing.assert_allclose(align(noisy, SHAPE).rotation.T, expected.as_matrix(), atol=1e-8)


def test_size_is_kept():
    pose = align(2.5 * SHAPE, SHAPE)
    size = np.linalg.norm(np.ptp(SHAPE, axis=0))
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
    spread = np.linalg.norm(pose(2.5 * SHAPE) - SHAPE.mean(axis=0), axis=1)
    assert spread.max() > 0.5 * size  # a scaled one would have been shrunk
    np.testing.assert_allclose(
        spread, 2.5 * np.linalg.norm(SHAPE - SHAPE.mean(axis=0), axis=1), rtol=1e-9
    )


def test_a_mirror_image_is_not_turned_into_the_shape():
    pose = align(SHAPE * (-1, 1, 1), SHAPE)
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
    assert np.abs(pose(SHAPE * (-1, 1, 1)) - SHAPE).max() > 0.5


def test_many_shapes_are_aligned_as_each_alone():
    shapes = np.stack([turned(SHAPE, (k, 5 * k, -3 * k), k) for k in range(4)])
    poses = align(shapes, SHAPE)
    for k, shape in enumerate(shapes):
        alone = align(shape, SHAPE)
        np.testing.assert_allclose(poses.rotation[k], alone.rotation, atol=1e-12)
        np.testing.assert_allclose(poses(shapes)[k], alone(shape), atol=1e-10)


def test_two_dimensions_work_as_three():
    flat = SHAPE[:, :2]
    angle = 0.7
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(align(flat @ turn + 4, flat)(flat @ turn + 4), flat, atol=1e-10)


def test_shapes_that_differ_in_points_are_refused():
    with pytest.raises(ValueError, match=r"\(5, 3\).*\(9, 3\)"):
        align(SHAPE[:5], SHAPE)


def test_copies_in_any_pose_have_the_shape_as_their_mean():
    poses = [((0, 0, 0), 0), ((9, -5, 3), 2), ((-9, 5, -3), -2)]
    shapes = np.stack([turned(SHAPE, degrees, shift) for degrees, shift in poses])
    mean, aligned = generalised_procrustes(shapes)
    np.testing.assert_allclose(align(SHAPE, mean)(SHAPE), mean, atol=1e-6)
    np.testing.assert_allclose(aligned, np.broadcast_to(mean, aligned.shape), atol=1e-6)


def test_the_mean_is_the_mean_of_the_aligned_and_lies_as_the_plain_mean():
    shapes = np.stack([
        turned(SHAPE + 0.3 * RANDOM.normal(size=SHAPE.shape), RANDOM.uniform(-9, 9, 3), k)
        for k in range(6)
    ])  # fmt: skip
    mean, aligned = generalised_procrustes(shapes)
    plain = shapes.mean(axis=0)
    np.testing.assert_allclose(mean.mean(axis=0), plain.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(align(mean, plain).rotation, np.eye(3), atol=1e-6)
    # alignment to their own mean leaves the aligned where they are, up to the mean's own turn
    np.testing.assert_allclose(align(aligned, mean)(aligned), aligned, atol=1e-8)
    np.testing.assert_allclose(aligned.mean(axis=0), mean, atol=1e-6)


def test_a_rigid_map_acts_on_row_vectors():
    quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
    pose = Rigid(quarter, np.array([10.0, 20.0]))
    np.testing.assert_allclose(pose(np.array([[1.0, 0.0], [0.0, 2.0]])), [[10, 21], [8, 20]])


def test_means_of_groups_are_aligned_with_each_other_when_all_are_with_the_mean():
    random = np.random.default_rng(5)
    shapes = random.normal(size=(12, 9, 3)) + 6 * random.normal(size=(9, 3))
    shapes[8:, :4] += (2.0, -1.0, 3.0)
    turns = Rotation.from_rotvec(random.uniform(-0.4, 0.4, (12, 3))).as_matrix()
    _, aligned = generalised_procrustes(shapes @ turns + random.normal(size=(12, 1, 3)))
    pose = align(aligned[8:].mean(axis=0), aligned[:8].mean(axis=0))
    np.testing.assert_allclose(pose.rotation, np.eye(3), atol=1e-7)
    np.testing.assert_allclose(pose.shift, 0, atol=1e-7)
