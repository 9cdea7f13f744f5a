"""What the figures show: pixels, plotted data, chosen subjects; and that files are reproducible."""

import h5py
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.figures import analyses, charts, experiment, panels, paper, selection, style
from lmcore.points.geometry import index_to_normalised
from lmcore.points.landmarks import landmark_table
from lmcore.population.store import write_population

SHAPES = {"portrait": (48, 20), "landscape": (22, 40)}


@pytest.fixture
def saved(monkeypatch):
    """The figures that were saved; nothing is rendered."""
    figures = []

    def keep(figure, path, **_):
        figures.append(figure)
        path.write_text("")

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def bare_axes(width=2.0, height=1.0):
    """Axes that fill a figure, 100 pixels an inch."""
    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    return figure.add_axes((0, 0, 1, 1))


def pixels(axes):
    axes.figure.canvas.draw()
    return np.asarray(axes.figure.canvas.buffer_rgba())[..., :3] / 255.0


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


def importance_table():
    after = [0.9, 1.2, 2.0, 5.0]
    before = [1.0, *after[:-1]]
    change = np.subtract(after, before)
    return pd.DataFrame(
        {"step": [1, 2, 3, 4], "landmark": [3, 1, 4, 2], "loss_before": before,
         "loss_after": after, "change": change}
    )  # fmt: skip


def test_importance_curve_is_the_table():
    axes = bare_axes()
    charts.draw_importance(axes, importance_table(), retained=2)
    curve, mark = axes.lines
    assert curve.get_xdata().tolist() == [4, 3, 2, 1, 0]
    assert curve.get_ydata().tolist() == [1.0, 0.9, 1.2, 2.0, 5.0]
    assert set(mark.get_xdata()) == {2}
    assert axes.get_xlim()[0] > axes.get_xlim()[1]


def test_removal_costs_are_the_table_with_falls_as_rings():
    axes = bare_axes()
    charts.draw_removal_costs(axes, importance_table(), retained=2)
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["removed"].get_xdata().tolist() == [1]
    assert lines["removed"].get_ydata() == pytest.approx([0.3])
    assert lines["retained"].get_xdata().tolist() == [2, 3]
    assert lines["retained"].get_ydata() == pytest.approx([0.8, 3.0])
    assert lines["loss fell"].get_xdata().tolist() == [0]
    assert lines["loss fell"].get_ydata() == pytest.approx([0.1])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["3", "1", "4", "2"]


def test_regularization_curve_is_mean_and_standard_error_of_the_folds():
    rows = [(0.0, 0, 9.0), (0.0, 1, np.nan), (1e-4, 0, 3.0), (1e-4, 1, 5.0), (1e-2, 0, 6.0),
            (1e-2, 1, 6.5)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["weight", "fold", "registration_loss"])
    axes = bare_axes()
    charts.draw_regularization(axes, table, chosen=1e-4)
    curve, chosen, broken = axes.lines
    assert curve.get_xdata().tolist() == [1e-4, 1e-2]
    assert curve.get_ydata().tolist() == [4.0, 6.25]
    assert (chosen.get_xdata()[0], chosen.get_ydata()[0]) == (1e-4, 4.0)
    assert broken.get_xdata().tolist() == [1e-5]  # 0, a decade below the smallest other
    band = axes.collections[0].get_paths()[0].vertices
    # standard error of 3 and 5 is 1, of 6 and 6.5 is 0.25
    at = {x: band[np.isclose(band[:, 0], x), 1] for x in (1e-4, 1e-2)}
    assert (at[1e-4].min(), at[1e-4].max()) == pytest.approx((3, 5))
    assert (at[1e-2].min(), at[1e-2].max()) == pytest.approx((6, 6.5))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1e-04", "1e-02"]


def test_one_weight_in_one_fold_is_drawn():
    axes = bare_axes()
    table = pd.DataFrame({"weight": [1e-3], "fold": [0], "registration_loss": [2.0]})
    charts.draw_regularization(axes, table, chosen=1e-3)
    assert axes.lines[0].get_ydata().tolist() == [2.0]


def test_legend_of_the_regularization_curve_is_above_the_panel():
    table = pd.DataFrame({"weight": [1e-3, 1e-2, 1e-1] * 2, "fold": [0] * 3 + [1] * 3})
    table["registration_loss"] = [2.0, 1, 3, 4, 3, 3]
    with style.saved_figure([], style.SINGLE, 2.5) as figure:
        axes = figure.subplots()
        charts.draw_regularization(axes, table, chosen=1e-2)
        figure.draw_without_rendering()
    legend, panel = axes.get_legend().get_window_extent(), axes.get_window_extent()
    assert legend.y0 >= panel.y1
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1


def test_training_without_validation_has_one_curve_and_no_kept_state():
    table = pd.DataFrame(
        {"pairs": [10], "train_loss": [3.0], "validation_loss": [np.nan], "kappa": [2e3],
         "failures": [0]}
    )  # fmt: skip
    losses, kappa = bare_axes(), bare_axes()
    charts.draw_losses(losses, table)
    charts.draw_kappa(kappa, table)
    assert [line.get_label() for line in losses.lines] == ["training: match + λ κ(A)"]
    assert losses.lines[0].get_xydata().tolist() == [[10, 3]]
    assert losses.lines[0].get_marker() == "o"  # or one row would not be seen
    assert kappa.lines[0].get_xydata().tolist() == [[10, 2000]]


@pytest.mark.parametrize(("numbers", "scale"), [((9e2, 12e2), "linear"), ((9e2, 9e3), "log")])
def test_condition_numbers_over_a_decade_have_a_logarithmic_axis(numbers, scale):
    axes = bare_axes()
    table = pd.DataFrame({"pairs": [1, 2], "kappa": numbers, "failures": 0})
    charts.draw_kappa(axes, table)
    assert axes.get_yscale() == scale


def test_a_history_without_rows_says_that_nothing_was_trained(tmp_path, saved):
    header = "epoch,pairs,train_loss,validation_loss,kappa,failures\n"
    (tmp_path / "history.csv").write_text(header)
    experiment.plot_training(tmp_path / "history.csv", [tmp_path / "out.png"], "mine")
    assert "no training in this run" in [text.get_text() for text in saved[0].texts]


def test_training_curve_rings_the_lowest_validation_loss_and_marks_failures():
    table = pd.DataFrame(
        {"pairs": [10, 20, 30], "train_loss": [3, 2, 1.0], "validation_loss": [4, 2.5, 2.7],
         "kappa": [1e4, 5e3, 2e3], "failures": [0, 2, 0]}
    )  # fmt: skip
    losses, kappa = bare_axes(), bare_axes()
    charts.draw_losses(losses, table)
    charts.draw_kappa(kappa, table)
    assert losses.lines[0].get_ydata().tolist() == [3, 2, 1]
    assert losses.lines[1].get_ydata().tolist() == [4, 2.5, 2.7]
    assert (losses.lines[2].get_xdata()[0], losses.lines[2].get_ydata()[0]) == (20, 2.5)
    assert kappa.lines[0].get_ydata().tolist() == [1e4, 5e3, 2e3]
    assert kappa.lines[1].get_xdata().tolist() == [20]


def test_confusion_writes_the_counts_and_colours_by_the_share_of_the_row():
    axes = bare_axes()
    charts.draw_confusion(axes, np.array([[3, 1], [0, 5]]), ["a", "b"], [1, 2])
    share = axes.collections[0].get_array()
    assert share.reshape(2, 2).tolist() == [[0.75, 0.25], [0, 1]]
    assert {t.get_position(): t.get_text() for t in axes.texts} == {
        (0.5, 0.5): "3", (1.5, 0.5): "1", (0.5, 1.5): "0", (1.5, 1.5): "5",
    }  # fmt: skip


def test_class_means_are_means_in_the_order_and_colours_of_the_classes():
    axes = bare_axes()
    values = np.array([1.0, 0.2, 0.0, 0.4, 0.5, np.nan])
    charts.draw_class_means(axes, values, np.array(["b$b", "a", "b$b", "a", "c", "c"]))
    bars = sorted((bar for group in axes.containers for bar in group), key=lambda bar: bar.get_y())
    assert [bar.get_width() for bar in bars] == pytest.approx([0.3, 0.5, 0.5])
    expected = [to_rgb(style.class_style(place)[0]) for place in range(3)]
    assert [bar.get_facecolor()[:3] for bar in bars] == expected
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", r"b\$b", "c"]


def test_interval_of_a_class_mean_is_a_bootstrap_over_its_subjects():
    right, classes = (
        np.array([1.0] * 80 + [0.0] * 20 + [0.5] * 9),
        np.array(["a"] * 100 + ["b"] * 9),
    )
    ends = []
    for _ in range(2):
        axes = bare_axes()
        charts.draw_class_means(axes, right, classes)
        ends.append([line.get_xdata().tolist() for line in axes.lines])
    assert ends[0] == ends[1]  # seeded
    wide, narrow = ends[0]
    # binomial: 0.8 -+ 1.96 * 0.04
    assert wide == pytest.approx([0.722, 0.878], abs=0.02)
    assert narrow == [0.5, 0.5]


def classification_table(folder, predicted):
    path = folder / "classification.csv"
    classes = ["NA", "b$b", "NA", "b$b", "c", "NA"]
    splits = ["train"] * 2 + ["test"] * 4
    table = {"subject": range(6), "split": splits, "class": classes, "predicted": predicted}
    pd.DataFrame(table | {"cv_accuracy": [1, 0.25, 0.5, 0.75, 0, 0]}).to_csv(path, index=False)
    return path


def test_classification_figure_counts_test_subjects_and_averages_all(tmp_path, saved):
    # nobody is predicted c, which has its column still; a class may be called NA
    path = classification_table(tmp_path, ["", "", "NA", "NA", "b$b", "NA"])
    analyses.plot_classification(path, [tmp_path / "out.png"], "mine")
    confusion, means = saved[0].axes
    counts = np.array([int(text.get_text()) for text in confusion.texts]).reshape(3, 3)
    assert counts.tolist() == [[2, 0, 0], [1, 0, 0], [0, 1, 0]]
    names = ["NA", r"b\$b", "c"]
    assert [label.get_text() for label in confusion.get_yticklabels()] == names
    assert [label.get_text() for label in confusion.get_xticklabels()] == names
    assert confusion.get_title() == "test split, n = 4"
    assert (confusion.get_xlabel(), confusion.get_ylabel()) == ("predicted class", "class")
    bars = sorted((bar for group in means.containers for bar in group), key=lambda bar: bar.get_y())
    assert [bar.get_width() for bar in bars] == pytest.approx([0.5, 0.5, 0])
    assert means.get_title().endswith("n = 6")
    assert means.get_xlim() == (0, 1)


def test_classification_figure_without_test_predictions_keeps_the_cross_validation(tmp_path, saved):
    path = classification_table(tmp_path, [""] * 6)
    analyses.plot_classification(path, [tmp_path / "out.png"], "mine")
    confusion, means = saved[0].axes
    assert [text.get_text() for text in confusion.texts] == ["no prediction for test subjects"]
    assert len(means.containers) == 3


def test_confusion_of_many_classes_is_named_without_counts():
    axes = bare_axes(4, 4)
    names = [f"class {k}" for k in range(30)]
    charts.draw_confusion(axes, np.eye(30, dtype=int), names, names)
    assert not axes.texts
    for labels, places in (
        (axes.get_yticklabels(), axes.get_yticks()),
        (axes.get_xticklabels(), axes.get_xticks()),
    ):
        assert len(labels) >= 10
        expected = [names[int(place)] for place in places]
        assert [label.get_text() for label in labels] == expected


def test_clusters_have_the_style_of_the_class_whose_number_they_have():
    table = pd.DataFrame(
        {"class": ["b", "b", "a", "a"], "cluster": [2, 2, 1, 3], "component_1": [1.0, 2, 3, 4],
         "component_2": [5.0, 6, 7, 8]}
    )  # fmt: skip
    by_class, by_cluster = bare_axes(), bare_axes()
    analyses.draw_class_and_cluster(by_class, by_cluster, table)
    assert [c.get_label() for c in by_class.collections] == ["a", "b"]
    assert [c.get_label() for c in by_cluster.collections] == [f"cluster {k}" for k in (1, 2, 3)]
    b, second = by_class.collections[1], by_cluster.collections[1]
    assert b.get_offsets().tolist() == second.get_offsets().tolist() == [[1, 5], [2, 6]]
    assert b.get_facecolors().tolist() == second.get_facecolors().tolist()


def test_class_styles_differ():
    assert len({style.class_style(position) for position in range(88)}) == 88


def test_subjects_are_spread_over_classes_and_within_them():
    table = pd.DataFrame({"subject": list("abcdefghij"), "kind": ["x"] * 6 + ["y"] * 3 + ["w"]})
    assert selection.spread_over_classes(table, "kind", 5) == ["j", "b", "e", "g", "i"]
    assert selection.spread_over_classes(table, None, 2) == ["c", "h"]
    assert sorted(selection.spread_over_classes(table, "kind", 99)) == list("abcdefghij")


def test_the_split_that_proves_most_is_shown():
    table = pd.DataFrame({"subject": list("abc"), "split": ["train", "validation", "train"]})
    shown, split = selection.shown_split(table)
    assert (shown["subject"].tolist(), split) == (["b"], "validation")


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


@pytest.fixture(params=SHAPES)
def run(request, tmp_path):
    """Files of a small run: 12 subjects, 2 classes (one with a $), 5 landmarks, 3 retained."""
    shape, random = SHAPES[request.param], np.random.default_rng(1)
    names = [f"a_subject_with_quite_a_long_name_{number:02d}" for number in range(12)]
    images = random.random((12, 1, *shape), dtype=np.float32)
    affine = np.eye(3)
    write_population(
        tmp_path / "population.h5", names, shape, 1, {}, ((i, affine, shape) for i in images)
    )
    splits = ["train"] * 6 + ["test"] * 6
    kinds = ["b$b", "a"] * 6
    table = pd.DataFrame({"subject": names, "image": "x.png", "split": splits, "kind": kinds})
    table.to_csv(tmp_path / "subjects.csv", index=False)
    points, affines = random.uniform(-0.9, 0.9, (12, 5, 2)), np.stack([affine] * 12)
    for name, kept in (("all", [0, 1, 2, 3, 4]), ("retained", [1, 3, 4])):
        frame = landmark_table(names, points[:, kept], [k + 1 for k in kept], shape, affines)
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path, shape, names, images, points


def shown_points(axes):
    return axes.collections[0].get_offsets().data


def on_pixels(points, shape):
    return (points + 1) / 2 * (np.array(shape[::-1]) - 1)


def test_landmark_figure_shows_test_subjects_with_their_own_image_and_points(run, saved):
    folder, shape, names, images, points = run
    experiment.plot_landmarks(
        folder / "population.h5", folder / "subjects.csv", folder / "retained.csv",
        [folder / "out.png"], "simulated population", "kind", count=2,
    )  # fmt: skip
    first, second = saved[0].axes
    # one of each class, from the middle of its test subjects: a is odd, b even
    for axes, number, label in ((first, 9, "a"), (second, 8, r"b\$b")):
        assert axes.get_title().startswith(f"{label}\na_sub")
        assert axes.get_title().endswith(names[number][-3:])
        expected = panels.show_image(bare_axes(), images[number]).get_array()
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        np.testing.assert_allclose(
            shown_points(axes), on_pixels(points[number, [1, 3, 4]], shape), rtol=1e-6
        )
    assert saved[0].get_supxlabel() == "subjects of the test split · simulated population"


def test_population_figure_shows_all_splits(run, saved):
    folder, _, names, images, _ = run
    experiment.plot_population(
        folder / "population.h5", folder / "subjects.csv", [folder / "out.png"], "table of mine"
    )
    axes = [ax for ax in saved[0].axes if ax.images]
    assert len(axes) == 12
    for ax, image, name in zip(axes, images, names, strict=True):
        expected = panels.show_image(bare_axes(), image).get_array()
        np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        assert ax.get_title().endswith(name[-3:])
    assert saved[0].get_supxlabel() == "12 of 12 subjects after preprocessing · table of mine"


def test_figure_2_compares_four_landmark_sets_on_one_image(run, saved):
    folder, shape, _, images, points = run
    frame = pd.read_csv(folder / "all.csv")
    frame[["x", "y"]] *= 0.1  # crowded
    frame.to_csv(folder / "crowded.csv", index=False)
    paper.figure_2(
        folder / "population.h5", folder / "subjects.csv", folder / "crowded.csv",
        folder / "all.csv", folder / "retained.csv", [folder / "out.pdf"], "simulated", "kind",
    )  # fmt: skip
    before, after, unregularized, regularized = saved[0].axes
    expected = panels.show_image(bare_axes(), images[9]).get_array()
    for axes, chosen, count in (
        (before, points[9], 5),
        (after, points[9, [1, 3, 4]], 3),
        (unregularized, points[9] * 0.1, 5),
        (regularized, points[9], 5),
    ):
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        np.testing.assert_allclose(shown_points(axes), on_pixels(chosen, shape), rtol=1e-6)
        assert axes.get_title().endswith(f"{count} landmarks")


def analysis_files(folder, names):
    pd.DataFrame(
        {"subject": names, "split": "train", "class": ["b$b", "a"] * 6, "cluster": [2, 1] * 6,
         "component_1": range(12), "component_2": 3.0}
    ).to_csv(folder / "clustering.csv", index=False)  # fmt: skip
    rows = [number_row("adjusted_rand_index", 0.5, "index", 12, (0.25, 0.75)),
            number_row("component_1_variance_share", 0.4, "share"),
            number_row("component_2_variance_share", 0.2, "share")]  # fmt: skip
    write_numbers(folder / "clustering.numbers.csv", rows)
    table = pd.DataFrame({"weight": [1e-5, 1e-5, 1e-3, 1e-3], "fold": [0, 1, 0, 1]})
    table.assign(registration_loss=[2, 4, 1, 2]).to_csv(folder / "weights.csv", index=False)
    (folder / "choice.json").write_text('{"weight": 0.001, "at_grid_end": true}')


def test_figure_3_holds_images_the_curve_and_both_scatter_plots(run, saved):
    folder, shape, names, images, points = run
    analysis_files(folder, names)
    paper.figure_3(
        folder / "population.h5", folder / "subjects.csv", folder / "retained.csv", "kind",
        folder / "weights.csv", folder / "choice.json", folder / "clustering.csv",
        folder / "clustering.numbers.csv", [folder / "out.png"], "simulated population",
    )  # fmt: skip
    pictures = [ax for ax in saved[0].axes if ax.images]
    for axes, number in zip(pictures, (9, 8), strict=True):
        expected = panels.show_image(bare_axes(), images[number]).get_array()
        np.testing.assert_array_equal(axes.images[0].get_array(), expected)
        np.testing.assert_allclose(
            shown_points(axes), on_pixels(points[number, [1, 3, 4]], shape), rtol=1e-6
        )
    curve, by_class, by_cluster = [ax for ax in saved[0].axes if ax not in pictures]
    assert curve.lines[0].get_ydata().tolist() == [3, 1.5]
    assert by_class.collections[0].get_offsets()[:, 0].tolist() == [1, 3, 5, 7, 9, 11]
    assert by_cluster.get_title() == "by spectral cluster\nARI 0.50 [0.25, 0.75]"
    assert by_cluster.get_xlabel() == "component 1 (40%)"
    # the block of images is as high as the figure, but for the footer
    FigureCanvasAgg(saved[0]).draw()
    boxes = [ax.get_tightbbox().transformed(saved[0].transFigure.inverted()) for ax in pictures]
    assert max(box.y1 for box in boxes) - min(box.y0 for box in boxes) > 0.85


def test_registration_figure_shows_each_pair(run, saved):
    folder, shape, names, images, points = run
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    grid = index_to_normalised(np.stack([x, y], axis=-1), shape)
    with h5py.File(folder / "examples.h5", "w") as file:
        file["source"], file["target"] = images[:4, 0], images[4:8, 0]
        file["registered"] = images[8:, 0]
        file["source_points"], file["target_points"] = points[:4], points[4:8]
        file["numbers"], file["retained"] = np.arange(1, 6), np.isin(np.arange(5), [1, 3, 4])
        file["grid_points"] = np.stack([grid] * 4)
        for name, chosen in (("source_subjects", names[:4]), ("target_subjects", names[4:8])):
            file.create_dataset(name, data=chosen, dtype=h5py.string_dtype())
    experiment.plot_registration(folder / "examples.h5", [folder / "out.png"], "simulated")
    axes = [ax for ax in saved[0].axes if ax.get_title()]
    titles = list(experiment.KINDS)
    if shape[1] > shape[0]:  # else the panels are too narrow for it
        titles[4:6] = "|source - target|", "|registered - target|"
    assert [ax.get_title() for ax in axes] == titles * 4
    assert saved[0].get_figheight() <= style.TALLEST
    for pair in range(4):
        source, target, registered, _, before, after, mesh = axes[7 * pair : 7 * pair + 7]
        for ax, subject in ((source, pair), (target, pair + 4), (registered, pair + 8)):
            expected = panels.show_image(bare_axes(), images[subject]).get_array()
            np.testing.assert_array_equal(ax.images[0].get_array(), expected)
        removed, kept = (group.get_offsets().data for group in target.collections)
        np.testing.assert_allclose(kept, on_pixels(points[pair + 4, [1, 3, 4]], shape), rtol=1e-6)
        np.testing.assert_allclose(removed, on_pixels(points[pair + 4, [0, 2]], shape), rtol=1e-6)
        difference = np.abs(images[pair, 0] - images[pair + 4, 0])
        np.testing.assert_allclose(before.images[0].get_array(), difference, rtol=1e-6)
        difference = np.abs(images[pair + 8, 0] - images[pair + 4, 0])
        np.testing.assert_allclose(after.images[0].get_array(), difference, rtol=1e-6)
        assert before.images[0].get_clim() == after.images[0].get_clim()
        assert mesh.collections[0].get_segments()[0][-1].tolist() == [shape[1] - 1, 0]


def test_every_figure_is_rendered_without_a_warning(run, recwarn):
    folder, _, names, _, _ = run
    analysis_files(folder, names)
    pd.DataFrame(
        {"epoch": [1], "pairs": [40], "train_loss": [1.0], "validation_loss": [np.nan],
         "kappa": [1e4], "failures": [0]}
    ).to_csv(folder / "history.csv", index=False)  # fmt: skip
    importance_table().to_csv(folder / "importance.csv", index=False)
    population, subjects = folder / "population.h5", folder / "subjects.csv"
    retained = folder / "retained.csv"
    png = "{}.png".format

    def to(name):
        return [folder / png(name)]

    experiment.plot_population(population, subjects, to("population"), "mine", "kind", count=5)
    experiment.plot_landmarks(population, subjects, retained, to("landmarks"), "mine", count=1)
    experiment.plot_training(folder / "history.csv", to("training"), "mine")
    experiment.plot_importance(folder / "importance.csv", 2, to("importance"), "mine")
    analyses.plot_clustering(folder / "clustering.csv", to("clustering"), "mine")
    for name, predicted in (("tested", ["", "", "NA", "c", "c", "NA"]), ("untested", [""] * 6)):
        analyses.plot_classification(classification_table(folder, predicted), to(name), "mine")
    weights, choice = folder / "weights.csv", folder / "choice.json"
    analyses.plot_regularization(weights, choice, to("regularization"), "mine")
    paper.figure_2(
        population, subjects, folder / "all.csv", folder / "all.csv", retained, to("figure_2"), ""
    )
    paper.figure_3(
        population, subjects, retained, "kind", weights, choice, folder / "clustering.csv",
        folder / "clustering.numbers.csv", to("figure_3"), "mine",
    )  # fmt: skip
    assert not recwarn.list
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert image.width <= 7.2 * style.DPI
            assert image.height <= style.TALLEST * style.DPI
            assert np.asarray(image.convert("L")).std() > 10
