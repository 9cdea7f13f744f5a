"""Studies: the table of several runs, and its figure."""

import numpy as np
import pandas as pd
import pytest
from drawing import bare_axes

from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.analysis.studies import STUDY_COLUMNS, tabulate_study
from lmcore.errors import InputError
from lmcore.figures.studies import draw_study_panel, plot_study

RUNS = {"a/variants/half": 50, "a": 100, "a/variants/none": 0, "b": 100}
PANELS = {"Dice": ["dice_before", "dice_after"], "accuracy": ["cv_accuracy", "dice_after"]}


@pytest.fixture
def numbers(tmp_path):
    """numbers.csv of four runs, of which b is not classified."""
    paths = []
    for place, run in enumerate(RUNS):
        rows = [number_row("dice_after", 0.7 + place / 100, "", 20, (0.6, 0.8 + place / 100))]
        rows += [number_row("folded_share", 0.1, "", 20), number_row("dice_before", 0.5, "", 20)]
        if run != "b":
            rows.append(number_row("cv_accuracy", 0.6, "share", 9, (0.5, 0.7)))
        paths.append(tmp_path / f"{place}.csv")
        write_numbers(paths[-1], rows)
    return paths


def test_a_study_holds_the_asked_numbers_of_its_runs(numbers, tmp_path):
    tabulate_study(RUNS, numbers, PANELS, tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    assert table.columns.tolist() == STUDY_COLUMNS
    asked = ["dice_before", "dice_after", "cv_accuracy"]
    assert table["name"].tolist() == asked * 3 + asked[:2]
    assert table["run"].tolist() == [run for run in RUNS for _ in asked][:-1]
    assert table["x"].tolist() == [50] * 3 + [100] * 3 + [0] * 3 + [100] * 2
    assert table["experiment"].tolist() == ["a"] * 9 + ["b"] * 2
    row = table.iloc[7]
    assert row[["value", "n", "ci_low", "ci_high"]].tolist() == pytest.approx([0.72, 20, 0.6, 0.82])


def test_a_number_that_no_run_has_is_said(numbers, tmp_path):
    with pytest.raises(InputError, match="no run of a/variants/half, a, .* has the number dice_x"):
        tabulate_study(RUNS, numbers, {"Dice": ["dice_after", "dice_x"]}, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


def lines_of(axes):
    return {
        group.get_label(): (group[0].get_xdata(), group[0].get_ydata(), group[2][0].get_segments())
        for group in axes.containers
    }


def test_a_panel_has_a_line_for_each_number_of_each_experiment(numbers, tmp_path):
    tabulate_study(RUNS, numbers, PANELS, tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    axes = bare_axes()
    draw_study_panel(axes, table[table["name"].isin(PANELS["accuracy"])], PANELS["accuracy"])
    lines = lines_of(axes)
    assert list(lines) == ["a: cv accuracy", "a: dice after", "b: dice after"]
    x, y, bars = lines["a: dice after"]
    np.testing.assert_allclose(x, [0, 50, 100], atol=4)  # in order, a little apart from others
    np.testing.assert_allclose(y, [0.72, 0.7, 0.71])
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [(0.6, 0.82), (0.6, 0.8), (0.6, 0.81)])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "50", "100"]
    assert len({x[0] for x, *_ in lines.values()}) == 3


def test_words_stand_one_after_the_other_and_a_missing_interval_is_none(numbers, tmp_path):
    runs = {"a": "MIND", "a/variants/none": "L2"}
    tabulate_study(runs, numbers[:2], PANELS, tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    axes = bare_axes()
    draw_study_panel(axes, table[table["name"].isin(PANELS["Dice"])], PANELS["Dice"])
    x, y, bars = lines_of(axes)["dice before"]  # of one experiment, which needs no name
    np.testing.assert_allclose(x, [0, 1], atol=0.04)
    assert "-" not in {line.get_linestyle() for line in axes.get_lines()}  # words have no slope
    assert [np.ptp(bar[:, 1]) for bar in bars] == [0, 0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["MIND", "L2"]


def test_runs_at_one_place_stand_side_by_side_on_a_line_through_their_mean(numbers, tmp_path):
    runs = {"a": 100, "a/variants/half": 0, "a/variants/none": 100}
    tabulate_study(runs, numbers[:3], PANELS, tmp_path / "s.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    axes = bare_axes()
    draw_study_panel(axes, table[table["name"] == "dice_after"], ["dice_after"])
    x, y, _ = lines_of(axes)["dice after"]
    np.testing.assert_allclose(x - x[0], [0, 100 - (x[2] - x[1]) / 2, 100 + (x[2] - x[1]) / 2])
    assert 1 < x[2] - x[1] < 5
    np.testing.assert_allclose(y, [0.71, 0.7, 0.72])
    (line,) = (one for one in axes.get_lines() if one.get_linestyle() == "-")
    np.testing.assert_allclose(line.get_xydata(), [[0, 0.71], [100, 0.71]])
    assert axes.get_legend() is None


def test_the_figure_has_a_panel_a_group(numbers, tmp_path, saved):
    tabulate_study(RUNS, numbers, PANELS, tmp_path / "s.csv")
    plot_study(tmp_path / "s.csv", "How much?", "share (%)", PANELS, [tmp_path / "s.png"], "here")
    (figure,) = saved
    assert figure.get_suptitle() == "How much?"
    assert [ax.get_ylabel() for ax in figure.axes] == ["Dice", "accuracy"]
    assert {ax.get_xlabel() for ax in figure.axes} == {"share (%)"}
