"""Figures of registered pairs of volumes: Figs. 4 and 9."""

import h5py
import numpy as np
import pandas as pd
import pytest
from drawing import bare_axes

from lmcore.errors import InputError
from lmcore.figures import pairs as pairs_of
from lmcore.figures import panels, slices
from lmcore.figures.figure_4 import figure_4
from lmcore.figures.figure_9 import LEVELS, figure_9


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
        "retained": [True, False, True, True], "oriented": [True, True], "spacing": [2.0, 2.0],
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
        pairs_of, "show_surface", lambda axes, *given, **_: surfaces.append((axes, *given))
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
    for (_, _, _, at, numbers, _), own in zip(
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


def test_figure_9_shows_both_scans_and_what_registration_changed(pairs, saved, monkeypatch):
    write, content = pairs
    surfaces = []
    monkeypatch.setattr(
        pairs_of, "show_surface", lambda axes, *given, **_: surfaces.append(given[3].tolist())
    )
    examples, *_, outputs = write()
    figure_9(examples, outputs, "simulated population")
    titles = said(saved[0])
    for title in (
        "source: s", "target: t", "registered to the target\nDice 0.800 → 1.000, HD95 4.0 → 0.0 mm"
    ):  # fmt: skip
        assert title in titles
    assert surfaces == [[1, 3, 4]] * 2
    shown = [ax for ax in saved[0].axes if ax.images]
    over, scans = shown[:6], shown[6:]
    # before and after, over the target: the first moves nothing, the second is the target's own
    target = content["target"][0]
    voxel = slices.centre_voxel(target.shape, target)
    for ax, moved in zip((over[0], over[3]), (content["source"][0], target), strict=True):
        cuts = (slices.slice_of(x, slices.PLANES[0], voxel) for x in (target, target, moved))
        expected = panels.show_overlap(bare_axes(), *cuts, limits=panels.grey_limits(target))
        np.testing.assert_array_equal(ax.images[0].get_array(), expected.get_array())
    assert [over[0].get_ylabel(), over[3].get_ylabel()] == ["before", "after"]
    # planes 2 to 10 hold the balls, whose centre is at 6; voxels are 2 mm
    assert len(scans) == 2 * len(LEVELS)
    assert [ax.get_title() for ax in scans[:5]] == ["-6 mm", "-4 mm", "+0 mm", "+4 mm", "+6 mm"]
    for ax, plane in zip(scans[5:], (3, 4, 6, 8, 9), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), target[plane])
    assert [ax.get_ylabel() for ax in scans[::5]] == ["source", "target"]


def test_figure_9_without_segmentations_goes_through_the_whole_scan(pairs, saved):
    write, content = pairs
    examples, *_, outputs = write(without=("segmentation", "dice", "hd95"))
    figure_9(examples, outputs, "simulated population")
    assert "registered to the target" in said(saved[0])
    scans = [ax for ax in saved[0].axes if ax.images][6:]
    for ax, plane in zip(scans[:5], (1, 3, 6, 8, 10), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), content["source"][0][plane])
    words = [text.get_text() for ax in saved[0].axes for text in ax.texts]
    assert words.count("no segmentation") == 2


@pytest.mark.parametrize("figure", [lambda e, s, c, o, w: figure_9(e, o, w), figure_4])
def test_figures_of_volumes_refuse_images(pairs, figure):
    write, _ = pairs
    files = write()
    with h5py.File(files[0], "a") as file:
        flat = file["source"][:, 0]
        del file["source"]
        file["source"] = flat
    with pytest.raises(InputError, match="these are images"):
        figure(*files, "simulated population")
