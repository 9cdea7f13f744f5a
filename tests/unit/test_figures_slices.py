"""Slices of volumes: which voxels they hold, which way they hang, what is drawn on them."""

import numpy as np
import pytest
from drawing import bare_axes, pixels
from matplotlib.colors import to_rgb

from lmcore.figures import panels, slices, style
from lmcore.points.geometry import index_to_normalised

SHAPE = (10, 20, 40)  # z, y, x
AXIAL, CORONAL, SAGITTAL = slices.PLANES


def test_a_slice_runs_through_the_voxel():
    z, y, x = np.mgrid[:4, :5, :6]
    volume, voxel = 100 * z + 10 * y + x, (1, 2, 3)
    np.testing.assert_array_equal(slices.slice_of(volume, AXIAL, voxel), volume[3])
    np.testing.assert_array_equal(slices.slice_of(volume, CORONAL, voxel), volume[:, 2])
    np.testing.assert_array_equal(slices.slice_of(volume, SAGITTAL, voxel), volume[:, :, 1])
    for plane in slices.PLANES:
        assert plane.size(volume.shape) == slices.slice_of(volume, plane, voxel).shape


@pytest.mark.parametrize(
    ("plane", "figure", "row", "column"),
    [
        # voxels of 5 pixels; right, anterior and superior, of high index, are left and above
        (AXIAL, (2.0, 1.0), 5 * (19 - 4), 5 * (39 - 30)),
        (CORONAL, (2.0, 0.5), 5 * (9 - 7), 5 * (39 - 30)),
        (SAGITTAL, (1.0, 0.5), 5 * (9 - 7), 5 * (19 - 4)),
    ],
)
def test_slices_hang_as_radiologists_see_them(plane, figure, row, column):
    volume, voxel = np.zeros(SHAPE), (30, 4, 7)
    volume[voxel[::-1]] = 1
    axes = bare_axes(*figure)
    slices.show_slice(axes, volume, plane, voxel, (0.0, 1.0))
    found = np.argwhere(pixels(axes)[..., 0] > 0.5)
    assert found.min(axis=0).tolist() == [row, column]
    assert found.max(axis=0).tolist() == [row + 4, column + 4]


def test_landmarks_near_a_slice_are_at_their_voxel_and_others_are_left_out():
    axes = bare_axes()
    voxel = (20, 10, 5)
    slices.show_slice(axes, np.zeros(SHAPE), AXIAL, voxel, (0.0, 1.0))
    # near is 0.03 of the longest side's 40, 1.2 voxels
    index = np.array([[30.0, 4, 6], [10.0, 15, 7]])
    points = index_to_normalised(index, SHAPE)
    slices.draw_slice_landmarks(axes, points, [3, 4], SHAPE, AXIAL, voxel, extent=144)
    drawn = pixels(axes)
    assert drawn[5 * 15 + 2, 5 * 9 + 2] == pytest.approx(to_rgb(style.landmark_colour(3)), abs=0.04)
    assert drawn[5 * 4 - 8 : 5 * 4 + 12, 5 * 29 - 8 : 5 * 29 + 12].max() == 0
    assert [text.get_text() for text in axes.texts] == ["3"]


def test_distant_landmarks_are_small_and_without_a_number():
    axes = bare_axes()
    slices.show_slice(axes, np.zeros(SHAPE), CORONAL, (20, 10, 5), (0.0, 1.0))
    points = index_to_normalised(np.array([[30.0, 9, 7], [12.0, 2, 3]]), SHAPE)
    slices.draw_slice_landmarks(
        axes, points, [3, 4], SHAPE, CORONAL, (20, 10, 5), extent=144, distant=True
    )
    far, near = axes.collections
    np.testing.assert_allclose(far.get_offsets(), [[12, 3]])
    np.testing.assert_allclose(near.get_offsets(), [[30, 7]])
    assert far.get_sizes()[0] < near.get_sizes()[0] / 3
    assert far.get_facecolors()[0, :3] == pytest.approx(to_rgb(style.landmark_colour(4)))
    assert [text.get_text() for text in axes.texts] == ["3"]


def test_numbers_stay_inside_a_panel_whose_axes_run_backwards():
    axes = bare_axes()
    slices.show_slice(axes, np.zeros(SHAPE), AXIAL, (20, 10, 5), (0.0, 1.0))
    # high x and y: at the upper left of the panel, so that its number is to the right and below
    points = index_to_normalised(np.array([[39.0, 19, 5]]), SHAPE)
    slices.draw_slice_landmarks(axes, points, [7], SHAPE, AXIAL, (20, 10, 5), extent=144)
    right, up = axes.texts[0].xyann
    assert right > 0 > up


def test_rings_are_drawn_near_the_slice_only():
    axes = bare_axes()
    points = index_to_normalised(np.array([[30.0, 4, 7], [12.0, 9, 3]]), SHAPE)
    slices.draw_slice_removed(axes, points, SHAPE, SAGITTAL, (11, 0, 0))
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[9, 3]])


@pytest.mark.parametrize(
    ("affine", "letters", "mirrored"),
    [
        (np.diag([2.0, 3, 4, 1]), "RAS", False),
        (np.diag([-2.0, 3, 4, 1]), "LAS", True),
        (np.diag([-2.0, -3, 4, 1]), "LPS", False),
        # x runs to superior, y to the left, z to posterior, all a little oblique
        (np.array([[0.1, -2, 0, 5], [0, 0.2, -3, 6], [1, 0, 0.3, 7], [0, 0, 0, 1]]), "SLP", False),
    ],
)
def test_letters_say_where_the_axes_run_in_the_body(affine, letters, mirrored):
    assert slices.direction_letters(affine) == letters
    assert slices.is_mirrored(affine) == mirrored


def test_axes_of_unknown_orientation_have_no_direction_in_the_body():
    assert [plane.title() for plane in slices.PLANES] == ["axial", "coronal", "sagittal"]
    assert [plane.title(False) for plane in slices.PLANES] == ["x-y", "x-z", "y-z"]
    assert slices.convention(False) == "x-y, x-z, y-z slices, orientation unknown"
    axes = bare_axes()
    slices.show_slice(axes, np.zeros(SHAPE), SAGITTAL, (20, 10, 5), (0.0, 1.0))
    slices.write_letters(axes, SAGITTAL, None)
    assert {text.get_text(): text.get_position() for text in axes.texts} == {
        "y": (0.02, 0.5), "z": (0.5, 0.98),
    }  # fmt: skip


def test_letters_stand_at_the_edge_to_which_the_axis_runs():
    axes = bare_axes()
    slices.show_slice(axes, np.zeros(SHAPE), AXIAL, (20, 10, 5), (0.0, 1.0))
    slices.write_letters(axes, AXIAL, np.diag([-1.0, 1, 1, 1]))
    assert {text.get_text(): text.get_position() for text in axes.texts} == {
        "L": (0.02, 0.5), "A": (0.5, 0.98),
    }  # fmt: skip


def test_slices_run_through_the_segmentation_or_the_middle():
    segmentation = np.zeros(SHAPE)
    assert slices.centre_voxel(SHAPE) == (20, 10, 5)
    assert slices.centre_voxel(SHAPE, segmentation) == (20, 10, 5)
    segmentation[1:4, 10:17, 30:39] = 1
    assert slices.centre_voxel(SHAPE, segmentation) == (34, 13, 2)


def test_an_outline_lies_between_voxels_and_is_closed_at_the_edge():
    area = np.zeros((10, 20))
    area[2:5, 12:] = 1
    axes = bare_axes()
    panels.show_image(axes, area)
    limits = axes.get_xlim(), axes.get_ylim()
    panels.draw_outline(axes, area)
    line = axes.collections[0].get_paths()[0].vertices
    assert line.min(axis=0) == pytest.approx([11.5, 1.5])
    assert line.max(axis=0) == pytest.approx([19.5, 4.5])
    assert line[0] == pytest.approx(line[-1])
    assert (axes.get_xlim(), axes.get_ylim()) == limits


def test_nothing_is_outlined_where_there_is_nothing():
    axes = bare_axes()
    panels.draw_outline(axes, np.full((10, 20), 0.3))
    assert not axes.collections


def test_overlap_has_a_colour_for_each_alone_and_for_both_and_leaves_the_rest_grey():
    target, moved = np.zeros((4, 6)), np.zeros((4, 6))
    target[1, 1:4] = 1
    moved[1, 3:5] = 0.5  # interpolated: inside from 0.5 on
    moved[3, 3] = 0.49
    image = np.tile(np.linspace(0, 1, 6), (4, 1))
    shown = panels.show_overlap(bare_axes(), image, target, moved, (0.0, 1.0)).get_array()
    under = 0.6 * 0.2 * image[1, :, None]
    for columns, colour in (
        ([1, 2], panels.ONLY_TARGET),
        ([3], panels.IN_BOTH),
        ([4], panels.ONLY_MOVED),
    ):
        np.testing.assert_allclose(
            shown[1, columns], 0.8 * np.array(to_rgb(colour)) + under[columns]
        )
    np.testing.assert_allclose(shown[3], 0.6 * np.repeat(image[3, :, None], 3, axis=1))
