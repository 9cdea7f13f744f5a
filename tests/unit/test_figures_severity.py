"""Figures of severity: histograms, scatter plots, Figs. 4 and 5."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from drawing import bare_axes, shown_points
from matplotlib.colors import to_hex

from lmcore.analysis.numbers import number_row, read_numbers, tabulate_numbers, write_numbers
from lmcore.errors import InputError
from lmcore.figures import figure_4 as fourth
from lmcore.figures import panels, slices
from lmcore.figures.figure_4 import figure_4
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


@pytest.fixture
def pairs(tmp_path):
    """Two pairs of one source on a grid of (z, y, x) = (12, 16, 10), and subjects.csv."""
    shape, random = (12, 16, 10), np.random.default_rng(0)
    z, y, x = np.mgrid[tuple(slice(0, size) for size in shape)]

    def ball(reach):
        return (((z - 6) / 4) ** 2 + ((y - 7) / 5) ** 2 + ((x - 5) / reach) ** 2 <= 1) * 1.0

    source, first, second = ball(3), ball(3.5), ball(2)
    points = random.uniform(-0.6, 0.6, (3, 4, 3))
    content = {
        "source": [source] * 2, "target": [first, second], "registered": [first, first],
        "source_points": points[[0, 0]], "target_points": points[1:],
        "source_segmentation": [source] * 2, "target_segmentation": [first, second],
        "registered_segmentation": [first, first], "numbers": [1, 2, 3, 4],
        "retained": [True, False, True, True], "oriented": [True, True], "spacing": 2.0,
        "affine": np.broadcast_to(np.diag([2.0, 2, 2, 1]), (2, 2, 4, 4)),
        "dice_before": [0.8, 0.7], "dice_after": [1.0, 0.6], "hd95_before": [4.0, 5.0],
        "hd95_after": [0.0, 3.25], "source_subjects": [b"s", b"s"],
        "target_subjects": [b"t", b"u"],
    }  # fmt: skip
    groups = {"subject": ["s", "t", "u"], "image": "x", "split": "test", "kind": ["m", "m", "c"]}
    pd.DataFrame(groups).to_csv(tmp_path / "subjects.csv", index=False)

    def write(without=()):
        with h5py.File(tmp_path / "pairs.h5", "w") as file:
            for name, values in content.items():
                if not any(part in name for part in without):
                    file[name] = values
        return tmp_path / "pairs.h5", tmp_path / "subjects.csv", "kind", [tmp_path / "out.png"]

    return write, content


def said(figure):
    return [part.get_suptitle() for part in subfigures(figure)]


def subfigures(figure):
    for part in figure.subfigs:
        yield part
        yield from subfigures(part)


def test_figure_4_holds_surfaces_slices_and_overlaps(pairs, saved, monkeypatch):
    write, content = pairs
    surfaces = []
    monkeypatch.setattr(
        fourth, "show_surface", lambda axes, *given, **_: surfaces.append((axes, *given))
    )
    figure_4(*write(), "simulated population")
    titles = said(saved[0])
    for title in (
        "source: m\ns", "target A: m\nt", "target B: c\nu",
        "registered to A\nDice 0.800 → 1.000, HD95 4.0 → 0.0 mm",
        "registered to B\nDice 0.700 → 0.600, HD95 5.0 → 3.2 mm",
    ):  # fmt: skip
        assert title in titles
    # the surface of each subject with its own retained landmarks, in mm
    for (_, _, _, at, numbers), own in zip(
        surfaces, [content["source_points"][0], *content["target_points"]], strict=True
    ):
        expected = (own[[0, 2, 3]] + 1) / 2 * np.array([9, 15, 11]) * 2.0
        np.testing.assert_allclose(at, expected)
        assert numbers.tolist() == [1, 3, 4]
    shown = [ax for ax in saved[0].axes if ax.images]
    assert len(shown) == 3 * 3 + 2 * 3
    # the overlap of target B on its axial slice, through its centre
    target, moved = content["target"][1], content["registered_segmentation"][1]
    voxel = slices.centre_voxel(target.shape, target)
    cuts = (slices.slice_of(x, slices.PLANES[0], voxel) for x in (target, target, moved))
    expected = panels.show_overlap(bare_axes(), *cuts, limits=panels.grey_limits(target))
    np.testing.assert_array_equal(shown[-3].images[0].get_array(), expected.get_array())


def test_figure_4_without_segmentations_shows_images_over_each_other(pairs, saved):
    write, content = pairs
    figure_4(*write(without=("segmentation", "dice", "hd95")), "simulated population")
    assert "registered to A" in said(saved[0])
    target, moved = content["target"][0], content["registered"][0]
    voxel = slices.centre_voxel(target.shape)
    cuts = [slices.slice_of(x, slices.PLANES[0], voxel) for x in (target, moved)]
    expected = panels.show_overlay(bare_axes(), *cuts, limits=panels.grey_limits(target))
    shown = [ax for ax in saved[0].axes if ax.images]
    np.testing.assert_array_equal(shown[9].images[0].get_array(), expected.get_array())


def test_figure_4_is_of_volumes(pairs):
    write, _ = pairs
    files = write()
    with h5py.File(files[0], "a") as file:
        flat = file["source"][:, 0]
        del file["source"]
        file["source"] = flat
    with pytest.raises(InputError, match="these are images"):
        figure_4(*files, "simulated population")
