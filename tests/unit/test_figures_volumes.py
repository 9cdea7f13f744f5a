"""The figures of volumes, and `inspect`: slices of which subjects, outlines, letters, Dice."""

import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lmcore import __main__ as command
from lmcore.errors import InputError
from lmcore.figures import experiment, montages, panels, registration, style
from lmcore.points.geometry import normalised_to_index
from lmcore.points.landmarks import landmark_table
from lmcore.population.store import Record, write_population

SHAPE = (12, 20, 16)  # z, y, x
NAMES = [f"s{number}" for number in range(6)]
SPACING = 2.5


def box_around(centre):
    """A segmentation of 5 x 7 x 3 voxels along x, y, z around an (x, y, z)."""
    x, y, z = centre
    inside = np.zeros(SHAPE, dtype=np.uint8)
    inside[z - 1 : z + 2, y - 3 : y + 4, x - 2 : x + 3] = 1
    return inside


@pytest.fixture
def volumes(tmp_path):
    """Population, table and landmarks of 6 subjects; s1 has no segmentation, s3 is mirrored."""
    random = np.random.default_rng(0)
    images = random.random((6, 1, *SHAPE), dtype=np.float32)
    centres = [(5 + k, 6 + k, 3 + k) for k in range(6)]
    affine = np.diag([SPACING, SPACING, SPACING, 1])
    records = []
    for number, (image, centre) in enumerate(zip(images, centres, strict=True)):
        inside = None if number == 1 else box_around(centre)
        distance = None if inside is None else 0.5 - inside.astype(np.float32)
        mirror = np.diag([-1.0 if number == 3 else 1.0, 1, 1, 1])
        records.append(Record(image, affine @ mirror, SHAPE, inside, distance))
    mask = np.zeros(SHAPE, dtype=np.float32)
    mask[:, 4:9, 2:14] = 1
    write_population(
        tmp_path / "population.h5", NAMES, SHAPE, 1, {}, records, spacing=SPACING, segmented=True,
        mask=mask,
    )  # fmt: skip
    bare = [record[:3] for record in records]
    write_population(tmp_path / "bare.h5", NAMES, SHAPE, 1, {}, bare, spacing=SPACING)
    splits = ["train", "train", "test", "test", "test", "held_out"]
    table = {"subject": NAMES, "image": "x.nii.gz", "split": splits, "kind": ["b", "a"] * 3}
    pd.DataFrame(table).to_csv(tmp_path / "subjects.csv", index=False)
    points = random.uniform(-0.9, 0.9, (6, 5, 3))
    affines = np.stack([record.affine for record in records])
    frame = landmark_table(NAMES, points, [1, 2, 4, 7, 9], SHAPE, affines)
    frame.to_csv(tmp_path / "landmarks.csv", index=False)
    return tmp_path, images[:, 0], centres, points


def titles(figure):
    """The subjects of a montage: parts in parts, where there is a legend below."""
    parts = figure.subfigs[0].subfigs if figure.subfigs[0].subfigs else figure.subfigs
    return {part.get_suptitle(): part.axes for part in parts if part.axes}


def through(volume, voxel):
    """The three slices, by indexing."""
    x, y, z = voxel
    return volume[z], volume[:, y], volume[:, :, x]


def assert_slices(axes, volume, voxel):
    limits = np.percentile(volume, [0.5, 99.5])
    for ax, expected in zip(axes, through(volume, voxel), strict=True):
        shown = np.clip((expected - limits[0]) / np.ptp(limits), 0, 1)
        np.testing.assert_allclose(ax.images[0].get_array(), shown, atol=1e-6)
        assert ax.xaxis_inverted()
        assert not ax.yaxis_inverted()


def test_population_of_volumes_is_shown_by_class_and_split(volumes, saved):
    folder, images, centres, _ = volumes
    montages.plot_population(
        folder / "population.h5", folder / "subjects.csv", [folder / "out.png"], "mine", "kind"
    )
    shown = titles(saved[0])
    assert list(shown) == [
        "a · train · s1", "a · test · s3 · mirrored", "a · held_out · s5",
        "b · train · s0", "b · test · s2", "b · test · s4",
    ]  # fmt: skip
    assert_slices(shown["b · test · s2"], images[2], centres[2])
    assert_slices(shown["a · train · s1"], images[1], (8, 10, 6))  # no segmentation: the middle
    outlines = {title: [len(ax.collections) for ax in axes] for title, axes in shown.items()}
    assert outlines.pop("a · train · s1") == [1, 0, 1]  # the mask; y = 10 is beyond it
    assert outlines.pop("b · train · s0") == [2, 2, 2]
    line = shown["b · test · s2"][0].collections[0].get_paths()[0].vertices
    assert line.min(axis=0) == pytest.approx([4.5, 4.5])  # x from 5 to 9, y from 5 to 11
    assert line.max(axis=0) == pytest.approx([9.5, 11.5])
    letters = {title: axes[0].texts[0].get_text() for title, axes in shown.items()}
    assert letters.pop("a · test · s3 · mirrored") == "L"
    assert set(letters.values()) == {"R"}
    assert saved[0].get_supxlabel() == (
        "6 of 6 subjects after preprocessing · mine · "
        "axial, coronal, sagittal slices in radiological convention"
    )
    legend = saved[0].subfigs[1].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["segmentation", "mask"]


def test_landmarks_on_volumes_are_those_near_the_slices_and_all_on_the_surface(volumes, saved):
    folder, images, centres, points = volumes
    experiment.plot_landmarks(
        folder / "population.h5", folder / "subjects.csv", folder / "landmarks.csv",
        [folder / "out.png"], "mine", "kind",
    )  # fmt: skip
    shown = titles(saved[0])
    assert list(shown) == ["a · s3 · mirrored", "b · s2", "b · s4"]
    *flat, solid = shown["b · s4"]
    assert_slices(flat, images[4], centres[4])
    index = normalised_to_index(points[4], SHAPE)
    for ax, through_axis, kept in zip(flat, (2, 1, 0), ((0, 1), (0, 2), (1, 2)), strict=True):
        near = np.abs(index[:, through_axis] - centres[4][through_axis]) <= 0.6  # 0.03 of 20
        *_, far_dots, near_dots = ax.collections
        np.testing.assert_allclose(near_dots.get_offsets().reshape(-1, 2), index[near][:, kept])
        np.testing.assert_allclose(far_dots.get_offsets().reshape(-1, 2), index[~near][:, kept])
    assert solid.images[0].get_array().std() > 0.1
    legend = [text.get_text() for text in saved[0].subfigs[1].legends[0].get_texts()]
    assert legend[0] == "landmark within 1.5 mm of the slice"


def test_landmarks_without_segmentations_have_no_surface(volumes, saved):
    folder, images, _, _ = volumes
    experiment.plot_landmarks(
        folder / "bare.h5", folder / "subjects.csv", folder / "landmarks.csv",
        [folder / "out.png"], "mine",
    )  # fmt: skip
    shown = titles(saved[0])
    assert list(shown) == ["s2", "s3 · mirrored", "s4"]
    assert_slices(shown["s2"], images[2], (8, 10, 6))


def test_volumes_of_unknown_orientation_have_no_letters_of_the_body(volumes, saved):
    folder = volumes[0]
    with h5py.File(folder / "population.h5", "a") as file:
        file.attrs["oriented"] = False
    population, subjects = folder / "population.h5", folder / "subjects.csv"
    montages.plot_population(population, subjects, [folder / "out.png"], "mine", "kind")
    experiment.plot_landmarks(
        population, subjects, folder / "landmarks.csv", [folder / "out.png"], "mine"
    )
    montages.inspect_population(population, folder / "out.png", count=2)
    flat = (["x", "y"], ["x", "z"], ["y", "z"])
    for figure in saved:
        assert "x-y, x-z, y-z slices, orientation unknown" in figure.get_supxlabel()
        for title, axes in titles(figure).items():
            assert title.endswith("mirrored") == ("s3" in title)
            words = [[text.get_text() for text in ax.texts] for ax in axes]
            letters = [[word for word in each if word.isalpha()] for each in words]
            assert tuple(letters[:3]) == flat
            assert set().union(*letters[3:]) <= set("xyz")  # the surface's little axes


@pytest.fixture
def pairs(volumes):
    """examples.h5 of two pairs; the registered segmentation of the first is the target's."""
    folder, images, centres, points = volumes
    boxes = np.stack([box_around(centre) for centre in centres]).astype(np.float32)
    content = {
        "source": images[:2], "target": images[2:4], "registered": images[4:],
        "source_points": points[:2], "target_points": points[2:4],
        "numbers": np.array([1, 2, 4, 7, 9]), "retained": np.array([1, 0, 1, 1, 0], dtype=bool),
        "oriented": np.array([True, True]),
        "source_segmentation": boxes[:2], "target_segmentation": boxes[2:4],
        "registered_segmentation": np.stack([0.7 * boxes[2], boxes[4]]),
    }  # fmt: skip
    with h5py.File(folder / "examples.h5", "w") as file:
        for name, values in content.items():
            file[name] = values
        for name, chosen in (("source_subjects", NAMES[:2]), ("target_subjects", NAMES[2:4])):
            file.create_dataset(name, data=chosen, dtype=h5py.string_dtype())
    return folder, content, centres


def test_registered_volumes_are_shown_with_overlap_and_dice(pairs, saved):
    folder, content, centres = pairs
    registration.plot_registration(folder / "examples.h5", [folder / "out.png"], "mine")
    first, second, _ = saved[0].subfigs
    assert first.get_suptitle() == "s0 → s2"
    grid = np.reshape(first.axes, (3, 7))
    # boxes of 5 x 7 x 3, moved by 2 along each axis, share 3 x 5 x 1 of 105 voxels
    assert [ax.get_title() for ax in grid[0]] == [
        "source", "target", "registered", "|source - target|", "|registered - target|",
        f"overlap before\nDice {15 / 105:.3f}", "overlap after\nDice 1.000",
    ]  # fmt: skip
    assert f"Dice {4 * 6 * 2 / 105:.3f}" in second.axes[6].get_title()  # moved by 1
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["axial", "coronal", "sagittal"]
    voxel = centres[2]  # of the target
    assert_slices(grid[:, 1], content["target"][0], voxel)
    assert_slices(grid[:, 0], content["source"][0], voxel)
    after = np.abs(content["registered"][0] - content["target"][0])
    for ax, expected in zip(grid[:, 4], through(after, voxel), strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), expected, atol=1e-6)
    limits = {ax.images[0].get_clim() for part in (first, second) for ax in part.axes[3:5]}
    assert len(limits) == 1


def test_registered_volumes_of_unknown_orientation_name_slices_by_their_axes(pairs, saved):
    folder = pairs[0]
    with h5py.File(folder / "examples.h5", "a") as file:
        file["oriented"][:] = False
    registration.plot_registration(folder / "examples.h5", [folder / "out.png"], "mine")
    grid = np.reshape(saved[0].subfigs[0].axes, (3, 7))
    assert [ax.get_ylabel() for ax in grid[:, 0]] == ["x-y", "x-z", "y-z"]
    letters = [[text.get_text() for text in ax.texts] for ax in grid[:, 2]]
    assert letters == [["x", "y"], ["x", "z"], ["y", "z"]]
    assert saved[0].get_supxlabel() == "x-y, x-z, y-z slices, orientation unknown · mine"


def test_overlap_before_is_of_the_source_and_after_of_the_registered(pairs, saved, monkeypatch):
    folder, content, centres = pairs
    drawn = []
    monkeypatch.setattr(
        panels, "show_overlap", lambda axes, *cut, limits: drawn.append((axes, *cut))
    )
    registration.plot_registration(folder / "examples.h5", [folder / "out.png"], "mine")
    for k, name in enumerate(("source", "registered") * 3):
        _, image, target, moved = drawn[k]
        for shown, kind in ((image, "target"), (target, "target_segmentation"),
                            (moved, f"{name}_segmentation")):  # fmt: skip
            np.testing.assert_array_equal(shown, through(content[kind][0], centres[2])[k // 2])


def test_volumes_without_segmentations_have_an_overlay_of_images(pairs, saved):
    folder, content, _ = pairs
    with h5py.File(folder / "examples.h5", "a") as file:
        for name in ("source", "target", "registered"):
            del file[f"{name}_segmentation"]
    registration.plot_registration(folder / "examples.h5", [folder / "out.png"], "mine")
    grid = np.reshape(saved[0].subfigs[0].axes, (3, 6))
    assert grid[0, 5].get_title() == "overlay"
    assert_slices(grid[:, 1], content["target"][0], (8, 10, 6))
    limits = np.percentile(content["target"][0], [0.5, 99.5])
    red = np.clip((content["registered"][0][6] - limits[0]) / np.ptp(limits), 0, 1)
    np.testing.assert_allclose(grid[0, 5].images[0].get_array()[..., 0], red, atol=1e-6)


def test_inspect_shows_subjects_evenly_with_outlines(volumes, saved):
    folder, images, centres, _ = volumes
    montages.inspect_population(folder / "population.h5", folder / "out.png", count=3)
    shown = titles(saved[0])
    assert list(shown) == ["s1", "s3 · mirrored", "s5"]
    assert_slices(shown["s5"], images[5], centres[5])
    assert saved[0].get_supxlabel().startswith("3 of 6 subjects · 16 x 20 x 12 voxels of 2.5 mm · ")


def test_inspect_of_images_outlines_segmentation_and_mask(tmp_path, saved):
    shape = (14, 22)
    images = np.random.default_rng(0).random((2, 1, *shape), dtype=np.float32)
    inside = np.zeros(shape, dtype=np.uint8)
    inside[3:8, 10:20] = 1
    records = [
        Record(images[0], np.eye(3), shape, inside, 0.5 - inside.astype(np.float32)),
        Record(images[1], np.eye(3), shape),
    ]
    mask = np.zeros(shape, dtype=np.float32)
    mask[:6] = 1
    write_population(
        tmp_path / "p.h5", ["a", "b"], shape, 1, {}, records, segmented=True, mask=mask
    )
    montages.inspect_population(tmp_path / "p.h5", tmp_path / "out.pdf")
    first, second = saved[0].axes
    line = first.collections[0].get_paths()[0].vertices
    assert line.min(axis=0) == pytest.approx([9.5, 2.5])
    assert line.max(axis=0) == pytest.approx([19.5, 7.5])
    assert (len(first.collections), len(second.collections)) == (2, 1)
    assert saved[0].get_supxlabel() == "2 of 2 subjects · 22 x 14 pixels"


def test_inspect_writes_its_montage_from_the_command_line(volumes, monkeypatch):
    folder = volumes[0]
    arguments = ["inspect", str(folder / "population.h5"), "--output", str(folder / "m.png")]
    monkeypatch.setattr(sys, "argv", ["lmcore", *arguments])
    with pytest.raises(SystemExit) as done:
        command.main()
    assert done.value.code == 0
    assert Image.open(folder / "m.png").width == round(style.DOUBLE * style.DPI)


@pytest.mark.parametrize(
    ("population", "output", "named"),
    [("population.h5", "out.gif", "out.gif"), ("nothing.h5", "out.png", "nothing.h5")],
)
def test_inspect_refuses_in_one_line(volumes, population, output, named):
    folder = volumes[0]
    with pytest.raises(InputError, match=named) as refused:
        montages.inspect_population(folder / population, folder / output)
    assert "\n" not in str(refused.value)
    assert not (folder / output).exists()


def test_figures_of_volumes_are_rendered_on_a_page_without_a_warning(pairs, recwarn):
    folder = pairs[0]
    population, subjects = folder / "population.h5", folder / "subjects.csv"
    montages.plot_population(population, subjects, [folder / "population.png"], "mine", "kind")
    landmarks = folder / "landmarks.csv"
    experiment.plot_landmarks(population, subjects, landmarks, [folder / "landmarks.png"], "mine")
    registration.plot_registration(folder / "examples.h5", [folder / "registration.png"], "mine")
    assert not recwarn.list
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            assert image.width == round(style.DOUBLE * style.DPI)
            assert image.height <= style.TALLEST * style.DPI
            assert np.asarray(image.convert("L")).std() > 10
