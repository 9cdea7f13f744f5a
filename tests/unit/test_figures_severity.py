"""Figures of severity: histograms, scatter plots, Fig. 5."""

import json

import numpy as np
import pandas as pd
import pytest
from drawing import bare_axes, shown_points
from matplotlib.colors import to_hex

from lmcore.analysis.numbers import number_row, read_numbers, tabulate_numbers, write_numbers
from lmcore.figures.figure_5 import figure_5
from lmcore.figures.severity import (
    AGREEMENTS,
    agreement_text,
    draw_agreement,
    draw_distances,
    in_sample_text,
    plot_severity,
    read_severity,
)
from lmcore.figures.style import COLOURS

NAMES = ("z_particles", "z_rating", "particles_rating", "z_truth")


@pytest.fixture
def scored(tmp_path):
    """severity.csv and its numbers: groups b$b (controls, 6) and a (3, rated)."""
    z = np.array([1.0, 2, 3, 1, 2, 1, 4, 8, 6])
    group = ["b$b"] * 6 + ["a"] * 3
    table = pd.DataFrame({"subject": [f"0{k}" for k in range(9)], "split": "test", "group": group})
    table["z"], table["z_in_sample"] = z, [5 / np.sqrt(6)] * 6 + [9.0, 8, 7]
    table["z_particles"] = 10 * z
    table["rating"] = [np.nan] * 6 + [1.0, 2, 4]
    table.to_csv(tmp_path / "severity.csv", index=False)
    rows = [
        number_row("z_auc", 0.9, "", 9, (0.7, 0.95)),
        number_row("z_auc_p", 0.0004, "", 9),
        number_row("z_auc_in_sample_paper", 1, "", 9),
    ]
    for name in NAMES[:3]:
        rows.append(number_row(f"{name}_pearson", 0.5, "", 3, (0.25, 0.75)))
        rows.append(number_row(f"{name}_spearman", 0.4, "", 3, (0.2, 0.6)))
    write_numbers(tmp_path / "numbers.csv", rows)
    (tmp_path / "paper.csv").write_text(
        "experiment,name,value,unit,source\nm,z_rating_pearson,0.64,,4.2\n"
    )
    tabulate_numbers([tmp_path / "numbers.csv"], tmp_path / "paper.csv", "m", tmp_path / "all.csv")
    engine = {"engine": "cpd", "name": "point drift, not ShapeWorks"}
    (tmp_path / "engine.json").write_text(json.dumps(engine))
    return tmp_path


def drawn_counts(axes):
    return {
        patch.get_label(): np.diff(np.sort(patch.get_path().vertices[:, 1])).sum()
        for patch in axes.patches
        if not patch.get_label().startswith("_")
    }


def test_a_histogram_counts_each_group(scored):
    axes = bare_axes()
    draw_distances(axes, read_severity(scored / "severity.csv"), "z", "b$b")
    highest = drawn_counts(axes)
    # three controls at 1 and one case in a bin each; controls are drawn first, at the back
    assert highest == {r"b\$b, n = 6": 3, "a, n = 3": 1}
    # the controls have the first colour, whatever the names
    assert [to_hex(patch.get_edgecolor()).upper() for patch in axes.patches] == list(COLOURS[:2])
    assert axes.get_xlim()[0] < 1
    assert axes.get_xlim()[1] > 8


def test_a_scatter_is_normalised_by_the_maximum_of_those_shown(scored):
    table = read_severity(scored / "severity.csv")
    numbers = read_numbers(scored / "all.csv").set_index("name")
    axes = bare_axes()
    draw_agreement(axes, table, AGREEMENTS[1], numbers, "b$b")
    np.testing.assert_allclose(shown_points(axes), [[0.25, 0.5], [0.5, 1], [1, 0.75]])
    assert axes.get_xlabel() == "mean rating / maximum"
    assert axes.get_ylabel() == "Z of the landmarks / maximum"
    lines = axes.get_title().split("\n")
    assert lines == ["r = 0.50 [0.25, 0.75] (paper 0.64)", "ρ = 0.40 [0.20, 0.60], n = 3"]
    assert "paper" not in agreement_text("z_particles", numbers)


def test_the_in_sample_distances_are_called_degenerate_only_where_they_are(scored):
    table = read_severity(scored / "severity.csv")
    numbers = read_numbers(scored / "numbers.csv").set_index("name")
    text = in_sample_text(table, numbers, "b$b")
    assert "degenerate" in text
    assert "all 6 controls are at (N - 1) / √N = 2.04" in text
    table.loc[0, "z_in_sample"] = 2.1
    assert "degenerate" not in in_sample_text(table, numbers, "b$b")


def test_the_figure_of_severity_holds_what_there_is(scored, saved):
    files = scored / "severity.csv", scored / "numbers.csv", "b$b", [scored / "out.png"]
    plot_severity(*files, "given landmarks", scored / "engine.json")
    whole = saved[0]
    assert sum(ax.axison for ax in whole.axes) == 2 + 3
    assert "0.90 [0.70, 0.95], corrected p < 0.001" in whole.axes[0].get_title()
    footer = whole.get_supxlabel()
    assert footer == "particles: point drift, not ShapeWorks · given landmarks"
    numbers = pd.read_csv(scored / "numbers.csv")
    numbers[numbers["name"].str.startswith("z_auc")].to_csv(scored / "numbers.csv", index=False)
    plot_severity(*files, "given landmarks")
    assert len(saved[1].axes) == 2


def test_figure_5_has_a_histogram_and_three_scatter_plots(scored, saved):
    figure_5(
        scored / "severity.csv", scored / "all.csv", "b$b", [scored / "out.pdf"], "simulated",
        scored / "engine.json",
    )  # fmt: skip
    histogram, particles, rating, theirs = saved[0].axes
    assert drawn_counts(histogram)["a, n = 3"] == 1
    assert particles.get_xlabel() == "Z of the particles / maximum"
    assert "(paper 0.64)" in rating.get_title()
    assert theirs.get_ylabel() == "Z of the particles / maximum"
