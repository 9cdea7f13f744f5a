"""What charts and the figures of single analyses show: plotted data."""

import numpy as np
import pandas as pd
import pytest
from drawing import bare_axes, importance_table
from matplotlib.colors import to_rgb

from lmcore.figures import analyses, charts, experiment, style


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


def test_training_without_validation_has_no_panel_for_it(tmp_path, saved):
    table = pd.DataFrame(
        {"pairs": [10], "train_loss": [3.0], "validation_loss": [np.nan], "kappa": [2e3],
         "failures": [0], "kept": [1]}
    )  # fmt: skip
    table.to_csv(tmp_path / "history.csv", index=False)
    experiment.plot_training(tmp_path / "history.csv", [tmp_path / "out.png"], "mine")
    losses, kappa = saved[0].axes
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
    header = "epoch,pairs,train_loss,validation_loss,kappa,failures,kept\n"
    (tmp_path / "history.csv").write_text(header)
    experiment.plot_training(tmp_path / "history.csv", [tmp_path / "out.png"], "mine")
    assert "no training in this run" in [text.get_text() for text in saved[0].texts]


def test_training_curves_ring_whose_weights_are_kept_and_mark_failures(tmp_path, saved):
    table = pd.DataFrame(
        {"pairs": [10, 20, 30], "train_loss": [3, 2, 1.0], "validation_loss": [4, 2.5, 2.7],
         "kappa": [1e4, 5e3, 2e3], "failures": [0, 2, 0], "kept": [0, 0, 1]}
    )  # fmt: skip
    table.to_csv(tmp_path / "history.csv", index=False)
    experiment.plot_training(tmp_path / "history.csv", [tmp_path / "out.png"], "mine")
    training, validation, kappa = saved[0].axes
    assert training.lines[0].get_ydata().tolist() == [3, 2, 1]
    assert validation.lines[0].get_ydata().tolist() == [4, 2.5, 2.7]
    assert validation.lines[1].get_xydata().tolist() == [[30, 2.7]]
    assert [text.get_text() for text in validation.get_legend().texts] == ["weights kept"]
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
    classes = np.array(["b$b", "a", "b$b", "a", "c", "c"])
    charts.draw_class_means(axes, values, classes, np.arange(6))
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
        charts.draw_class_means(axes, right, classes, np.arange(109))
        ends.append([line.get_xdata().tolist() for line in axes.lines])
    assert ends[0] == ends[1]  # seeded
    wide, narrow = ends[0]
    # binomial: 0.8 -+ 1.96 * 0.04
    assert wide == pytest.approx([0.722, 0.878], abs=0.02)
    assert narrow == [0.5, 0.5]
    axes = bare_axes()
    charts.draw_class_means(axes, right, classes, np.arange(109) // 4)  # four scans a person
    assert np.ptp(axes.lines[0].get_xdata()) > 1.5 * np.ptp(wide)


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
