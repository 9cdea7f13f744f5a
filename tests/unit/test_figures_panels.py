"""Panels of images and the look of all figures: pixels, and that files are reproducible."""

import numpy as np
import pytest
from drawing import bare_axes, pixels
from matplotlib.colors import to_rgb
from PIL import Image

from lmcore.figures import panels, style
from lmcore.points.geometry import index_to_normalised


def test_a_landmark_is_drawn_at_its_pixel_in_its_colour_and_nowhere_else():
    shape = (20, 40)
    axes = bare_axes()
    panels.show_image(axes, np.zeros(shape))
    before = pixels(axes)
    # index (x, y) = (30, 4): right of the middle and above it
    points = index_to_normalised(np.array([[30.0, 4.0]]), shape)
    panels.draw_landmarks(axes, points, [3], shape, extent=144)
    after = pixels(axes)
    # the image's 40 x 20 pixels fill 200 x 100: 5 each, centres at 5 k + 2.5
    row, column = 22, 152
    assert after[row, column] == pytest.approx(to_rgb(style.landmark_colour(3)), abs=0.01)
    changed = np.argwhere((before != after).any(axis=-1))
    assert np.abs(changed - (row, column)).max() < 20
    edge = after[row - 5 : row + 6, column - 5 : column + 6].min(axis=-1)
    assert edge.max() > 0.7  # white edge, smoothed


def test_landmarks_keep_their_colour_when_others_are_removed():
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (5, 2))
    numbers = np.array([1, 4, 9, 12, 13])
    kept = np.array([1, 3, 4])
    drawn = []
    for chosen in (np.arange(5), kept):
        axes = bare_axes()
        panels.draw_landmarks(axes, points[chosen], numbers[chosen], (20, 40), extent=144)
        drawn.append((axes.collections[0].get_facecolors(), [t.get_text() for t in axes.texts]))
    np.testing.assert_array_equal(drawn[0][0][kept], drawn[1][0])
    assert drawn[0][1] == ["1", "4", "9", "12", "13"]
    assert drawn[1][1] == ["4", "12", "13"]


def test_numbers_are_left_out_where_they_would_collide():
    axes = bare_axes()
    points = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    panels.draw_landmarks(axes, points, range(1, 61), (20, 40), extent=144)
    assert len(axes.collections[0].get_offsets()) == 60
    assert not axes.texts


def test_labels_avoid_the_neighbour_and_the_edge():
    size, reach = np.array([100.0, 60.0]), np.array([6.0, 6.0])
    left, right = panels.label_offsets(np.array([[50.0, 30.0], [56.0, 30.0]]), size, reach)
    assert left[0] < 0 < right[0]
    corner = panels.label_offsets(np.array([[1.0, 1.0]]), size, reach)[0]
    assert (corner > 0).all()


def test_grey_image_is_stretched_between_its_percentiles():
    image = np.linspace(-3, 5, 20 * 30).reshape(1, 20, 30)
    shown = panels.show_image(bare_axes(), image).get_array()
    assert shown.shape == (20, 30)
    assert (shown.min(), shown.max()) == (0, 1)
    assert shown[10, 0] == pytest.approx((image[0, 10, 0] + 2.96) / 7.92, abs=1e-9)


def test_colour_image_and_constant_image():
    image = np.random.default_rng(0).random((3, 5, 8))
    assert panels.show_image(bare_axes(), image).get_array().shape == (5, 8, 3)
    assert (panels.show_image(bare_axes(), np.full((5, 8), 7.0)).get_array() == 0).all()


def test_overlay_has_the_target_in_green_and_the_registered_image_in_red():
    target, registered = np.zeros((10, 20)), np.zeros((10, 20))
    target[2, 3], registered[7, 15] = 1, 1
    target[5, 5] = registered[5, 5] = 1
    shown = panels.show_overlay(bare_axes(), target, registered).get_array()
    assert shown[2, 3].tolist() == [0, 1, 0]
    assert shown[7, 15].tolist() == [1, 0, 0]
    assert shown[5, 5].tolist() == [1, 1, 0]


def test_difference_is_absolute_and_on_the_given_scale():
    shown = panels.show_difference(bare_axes(), np.full((2, 3), 1.0), np.full((2, 3), 3.5), 4.0)
    assert (shown.get_array() == 2.5).all()
    assert shown.get_clim() == (0, 4)


@pytest.mark.parametrize("brightness", [0.0, 1.0])
def test_rings_of_removed_landmarks_show_on_dark_and_on_light(brightness):
    shape = (20, 40)
    axes = bare_axes()
    axes.set(xlim=(-0.5, 39.5), ylim=(19.5, -0.5), facecolor=(brightness,) * 3)
    panels.draw_removed(axes, index_to_normalised(np.array([[30.0, 4.0]]), shape), shape)
    grey = pixels(axes)[17:28, 147:158].mean(axis=-1)  # around row 22, column 152
    assert np.abs(grey - brightness).max() > 0.4
    assert grey[5, 5] == pytest.approx(brightness, abs=0.35)  # hollow


def test_deformation_lines_lie_where_the_map_sends_the_grid():
    shape = (17, 33)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    axes = bare_axes()
    panels.draw_deformation(axes, index_to_normalised(np.stack([x + 2, y / 2], -1), shape), lines=4)
    segments = axes.collections[0].get_segments()
    rows, columns = segments[:3], segments[3:]
    assert [line[0].tolist() for line in rows] == [[2, 0], [2, 4], [2, 8]]
    assert [line[-1].tolist() for line in columns] == [[2 + k, 8] for k in (0, 8, 16, 24, 32)]


def test_class_styles_differ():
    assert len({style.class_style(position) for position in range(88)}) == 88


def test_columns_that_fit_makes_panels_as_large_as_possible():
    gap = 2 * style.PAD
    assert style.columns_that_fit(4, 4.0, 8, 4 + gap, 0) == (4, pytest.approx(1))
    assert style.columns_that_fit(4, 1.0, 4, 4, 0) == (2, pytest.approx(2 - gap))
    assert style.columns_that_fit(1, 0.5, 3, 9, 0) == (1, pytest.approx(3 - gap))


def test_columns_that_fit_leaves_few_cells_empty():
    gap = 2 * style.PAD
    # 8 squares: 3 columns would be larger by a sixth, with an empty cell
    assert style.columns_that_fit(8, 1.0, 7.2, 6.3, 0) == (4, pytest.approx(1.8 - gap))
    # 7 have no full grid but strips of a row or a column
    assert style.columns_that_fit(7, 1.0, 7.2, 6.3, 0)[0] == 4


def test_long_names_keep_their_ends():
    assert style.shortened("abcdefghij", 5) == "ab…ij"
    assert style.shortened("abc", 5) == "abc"
    assert style.shortened("a$b$c", 9) == r"a\$b\$c"


def test_a_failing_figure_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "figure.png"
    path.write_text("earlier")
    with pytest.raises(RuntimeError), style.saved_figure([path], 1, 1):
        raise RuntimeError
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_files_have_the_same_bytes_on_every_run_and_the_asked_size(tmp_path):
    contents = []
    for name in ("a", "b"):
        folder = tmp_path / name
        outputs = [folder / "figure.png", folder / "figure.pdf"]
        with style.saved_figure(outputs, 2.5, 1.5, "simulated population") as figure:
            axes = figure.subplots()
            panels.show_image(axes, np.random.default_rng(0).random((20, 30)))
            panels.draw_landmarks(axes, np.zeros((1, 2)), [1], (20, 30))
        contents.append([path.read_bytes() for path in outputs])
    assert contents[0] == contents[1]
    assert b"CreationDate" not in contents[0][1]
    assert Image.open(tmp_path / "a/figure.png").size == (500, 300)
