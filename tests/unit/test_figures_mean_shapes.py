"""Figures of mean shapes, and Figs. 6 to 8: what is coloured, outlined, counted and said."""

import h5py
import numpy as np
import pandas as pd
import pytest
from drawing import bare_axes, pixels

from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.errors import InputError
from lmcore.figures import localized, mean_shapes, surfaces
from lmcore.figures.mean_shapes import MeanShapes, draw_rim
from lmcore.figures.rendering import View
from lmcore.figures.surfaces import ANTERIOR, POSTERIOR, surface_of
from lmcore.population.store import Record, write_population

SHAPE, SPACING = (14, 12, 16), 2.0  # z, y, x
CONTROLS, CASES = 6, 3


def block(shift=0):
    inside = np.zeros(SHAPE, np.float32)
    inside[3:11, 3:9, 4 + shift : 12 + shift] = 1
    return inside


@pytest.fixture
def files(tmp_path):
    """Analysis files of a block whose front (anterior) half bulges by 2 mm."""
    surface = surface_of(block(), SPACING)
    vertices = surface.vertices
    front = vertices[:, 1] > 14
    found = {
        "vertices": vertices,
        "faces": surface.faces,
        "distance": np.where(front, -2.0, 0.5),
        "difference": np.where(front, -1.0, 0.1),
        "p": np.where(front, 0.001, 0.9),
        "corrected_p": np.where(front, 0.004, 0.95),
        "areas": np.ones(len(vertices)),
        "counted": vertices[:, 2] > 8,
        "bump": front,
    }
    attributes = {"control": "normal", "case": "a$cam", "oriented": True}
    write(tmp_path / "mean_shapes.h5", found, attributes)
    names = [f"s{number}" for number in range(CONTROLS + CASES)]
    scores = np.r_[np.linspace(1, 2, CONTROLS), 2.5, 3, 9]
    table = {"subject": names, "split": "test", "mahalanobis": scores}
    table |= {"group": ["normal"] * CONTROLS + ["a$cam"] * CASES}
    table |= {"mahalanobis_in_sample": np.r_[[5 / np.sqrt(6)] * CONTROLS, 3, 4, 5]}
    pd.DataFrame(table).to_csv(tmp_path / "mean_shapes.csv", index=False)
    rows = [number_row("mahalanobis_auc", 0.875, "", 9, (0.5, 0.96)),
            number_row("mahalanobis_auc_p", 0.04, "", 9),
            number_row("mahalanobis_modes_in_sample", CONTROLS - 1, "modes", 9)]  # fmt: skip
    write_numbers(tmp_path / "mean_shapes.numbers.csv", rows)
    return tmp_path, found, attributes


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    for module in (mean_shapes, surfaces):
        monkeypatch.setattr(module, "DPI", 60)


def write(path, found, attributes=()):
    with h5py.File(path, "w") as file:
        for name, values in found.items():
            file[name] = values
        file.attrs.update(attributes)


@pytest.fixture
def registered(tmp_path):
    """Files of two pairs of which the last, s7 to s1, is a case to a control."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 2, 5, 3))
    content = {
        "source": block(1), "target": block(), "registered": block(),
        "source_segmentation": block(1), "target_segmentation": block(),
        "registered_segmentation": block(), "oriented": True, "spacing": SPACING,
        "affine": np.stack([np.diag([SPACING] * 3 + [1])] * 2),
    }  # fmt: skip
    content = {name: np.stack([values] * 2) for name, values in content.items()} | {
        "source_points": points[0], "target_points": points[1], "numbers": np.arange(1, 6),
        "retained": np.array([True, True, False, True, True]),
        "source_subjects": [b"s7", b"s7"], "target_subjects": [b"s8", b"s1"],
    }  # fmt: skip
    groups = {"subject": ["s7", "s8", "s1"], "image": "x", "split": "test"}
    table = pd.DataFrame(groups | {"kind": ["a$cam", "a$cam", "normal"]})
    table.to_csv(tmp_path / "subjects.csv", index=False)
    write(tmp_path / "pairs.h5", content)
    return content, (tmp_path / "pairs.h5", tmp_path / "subjects.csv", "kind")


def population_of(folder, **changes):
    mask = np.zeros(SHAPE, np.float32)
    mask[5:12, 2:8, 3:9] = 1
    records = [
        Record(block(shift)[None], np.diag([SPACING] * 3 + [1]), SHAPE, block(shift), block(shift))
        for shift in (0, 1)
    ]
    settings = {"segmented": True, "mask": mask, "medoid": lambda: "s1"} | changes
    path = folder / "population.h5"
    write_population(path, ["s7", "s1"], SHAPE, 1, {}, records, spacing=SPACING, **settings)
    return path


def three_files(folder):
    return [folder / f"mean_shapes{end}" for end in (".h5", ".csv", ".numbers.csv")]


def test_outward_is_red_inward_blue_and_what_is_cut_grey(files):
    folder, found, _ = files
    means = MeanShapes(folder / "mean_shapes.h5")
    assert means.limit() == 2.0
    shades, counted = means.shades("distance"), found["counted"]
    outward, inward = counted & found["bump"], counted & ~found["bump"]
    assert (shades[outward, 0] > shades[outward, 2] + 0.2).all()
    assert (shades[inward, 2] > shades[inward, 0] + 0.05).all()
    assert (shades[~counted] == mean_shapes.SAME).all()


def test_the_front_is_seen_in_front_and_not_from_behind(files):
    folder, *_ = files
    means = MeanShapes(folder / "mean_shapes.h5")
    redness = []
    for direction in (ANTERIOR, POSTERIOR):
        axes = bare_axes(1.0, 1.0)
        means.draw(axes, direction, means.shades("distance"), 1.0)
        middle = pixels(axes)[40:50, 40:60].mean(axis=(0, 1))
        redness.append(middle[0] - middle[2])
    assert redness[0] > 0.2
    assert redness[1] < 0


def test_the_rim_of_a_region_is_drawn_on_the_side_that_is_seen(files):
    _, found, _ = files
    surface = surface_of(block(), SPACING)
    upper = surface.vertices[:, 2] > 14  # a level line around the block
    view = View(
        np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]]), surface.vertices.mean(axis=0), 4, 99
    )
    for faces in (surface.faces, surface.faces[:, ::-1]):  # whichever way triangles turn
        axes = bare_axes()
        draw_rim(axes, view, type(surface)(surface.vertices, faces), upper)
        (lines,) = axes.collections
        drawn = np.array(lines.get_segments())
        crossed = upper[faces].any(axis=1) & ~upper[faces].all(axis=1)
        middles = surface.vertices[faces[crossed]].mean(axis=1)
        front = surface.normals()[faces[crossed]].mean(axis=1)[:, 1] > 0.1
        assert len(drawn) >= front.sum() > 4
        rows = drawn[..., 1].mean()
        height = view.project(middles)[:, 1].mean()
        assert rows == pytest.approx(height, abs=4)
        assert len(drawn) < 0.7 * crossed.sum()


def test_the_figure_says_what_is_degenerate_and_what_is_chance(files, saved):
    folder, found, attributes = files
    mean_shapes.plot_mean_shapes(*three_files(folder), [folder / "x.png"], "fish")
    top, middle, bottom = saved[0].subfigs
    assert "black: rim of the true bump" in top.get_suptitle()
    assert r"a\$cam" in top.get_suptitle()
    assert "more than chance where coloured" in middle.get_suptitle()
    paper, honest = bottom.axes
    assert "degenerate: the 6 controls of the fit agree by construction" in paper.get_title()
    assert "AUC" not in paper.get_title()
    assert "AUC 0.88 [0.50, 0.96]" in honest.get_title()
    heights = [bar.get_height() for bar in paper.patches]
    assert heights[0] == CONTROLS  # all in one bin
    assert sum(heights) == CONTROLS + CASES

    found["corrected_p"][:] = 0.2
    write(folder / "mean_shapes.h5", found, attributes)
    mean_shapes.plot_mean_shapes(*three_files(folder), [folder / "x.png"], "fish")
    middle = saved[1].subfigs[1]
    assert "more than chance nowhere" in middle.get_suptitle()
    assert "smallest corrected p 0.2" in middle.get_suptitle()
    picture = np.asarray(middle.axes[1].images[0].get_array())
    assert np.ptp(picture, axis=-1).max() < 1e-6  # grey all over


def test_points_without_a_surface_are_spheres(files, saved):
    folder, found, attributes = files
    kept = slice(None, None, 9)
    del found["faces"], found["bump"]
    points = {name: values[kept] for name, values in found.items()}
    write(folder / "mean_shapes.h5", points, attributes | {"oriented": False})
    mean_shapes.plot_mean_shapes(*three_files(folder), [folder / "x.png"], "fish")
    top = saved[0].subfigs[0]
    assert "along its normals" in top.get_suptitle()
    assert {text.get_text() for text in top.axes[1].texts} == {"x", "z"}  # no letters of a body
    picture = np.asarray(top.axes[0].images[0].get_array())
    assert 0.02 < (picture < 1).any(axis=-1).mean() < 0.6


def test_figure_8_has_four_views_and_both_histograms(files, saved):
    folder, *_ = files
    mean_shapes.figure_8(*three_files(folder), [folder / "x.png", folder / "x.pdf"], "fish")
    left, right = saved[0].subfigs
    titles = [axes.get_title() for axes in left.axes[:4]]
    assert titles == ["antero-superior", "anterior", "superior", "posterior"]
    assert left.axes[4].get_ylabel() == r"mm, negative: a\$cam outward"
    assert "degenerate" in right.axes[0].get_title()
    assert saved[0] is saved[1]


def test_figure_6_shows_the_mask_on_the_median_control(files, saved):
    folder, *_ = files
    path = population_of(folder)
    localized.figure_6(path, folder / "mean_shapes.h5", [folder / "x.png"], "fish")
    top, bottom = saved[0].subfigs
    pathology, masked = top.subfigs
    assert pathology.axes[0].get_title() == r"the true bump of a\$cam, on the mean control"
    assert masked.axes[0].get_title() == "mask on the median control s1"
    picture = np.asarray(masked.axes[0].images[0].get_array())
    seen = (picture < 0.99).any(axis=-1)
    blue = (picture[..., 2] > picture[..., 0] + 0.1) & seen
    assert 0.1 < blue.sum() / seen.sum() < 0.9  # a part of it
    with h5py.File(path) as file:
        mask = file["mask"][:]
    both = np.argwhere((mask >= 0.5) & (block(1) > 0)).mean(axis=0).round().astype(int)
    for axes, axis in zip(bottom.axes[:3], (0, 1, 2), strict=True):
        veil = np.asarray(axes.images[1].get_array())[..., 3]
        np.testing.assert_allclose(veil, 0.4 * np.take(mask, both[axis], axis=axis), atol=1e-6)
        assert axes.xaxis_inverted()
        assert not axes.yaxis_inverted()


@pytest.mark.parametrize("changes", [{"mask": None}, {"medoid": None}])
def test_figure_6_needs_a_mask_and_a_control(files, changes):
    folder, *_ = files
    path = population_of(folder, **changes)
    with pytest.raises(InputError, match="figure 6 shows the mask on the median control"):
        localized.figure_6(path, folder / "mean_shapes.h5", [folder / "x.png"], "fish")


def test_figure_7_zooms_into_the_region(registered, tmp_path, saved):
    path = population_of(tmp_path)
    localized.figure_7(path, *registered[1], [tmp_path / "x.png"], "fish")
    top, _, below, _ = saved[0].subfigs
    assert [axes.get_title() for axes in top.axes] == [r"source: a\$cam s7", "target: normal s1"]
    before, after = below.axes[:3], below.axes[3:]
    assert before[0].get_title() == "before, axial"
    assert after[2].get_title() == "after, sagittal"
    # the mask holds columns 3 to 8, rows 2 to 7, planes 5 to 11; the margin is cut by the grid
    assert before[0].get_xlim() == (10, 1)
    assert before[0].get_ylim() == (0, 9)
    assert before[1].get_ylim() == (3, 13)
    only_moved = [
        (np.abs(np.asarray(axes.images[0].get_array())[..., 0] * 1.0
                - np.asarray(after[0].images[0].get_array())[..., 0]) > 0.1).any()
        for axes in (before[0], after[0])
    ]  # fmt: skip
    assert only_moved == [True, False]


def test_figure_7_needs_segmentations(registered, tmp_path):
    content, files = registered
    write(files[0], {k: v for k, v in content.items() if k != "registered_segmentation"})
    with pytest.raises(InputError, match="figure 7 needs segmentations"):
        localized.figure_7(population_of(tmp_path), *files, ["x.png"], "fish")
