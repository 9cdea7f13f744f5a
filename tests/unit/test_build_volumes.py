import re
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image
from real_data import real_data
from scipy.ndimage import gaussian_filter

from lmcore.errors import InputError
from lmcore.points.geometry import apply_affine
from lmcore.population.build import preprocess_population
from lmcore.population.checks import DEFAULTS, check_settings, parse_spacing
from lmcore.population.prepare import read_and_prepare
from lmcore.population.preprocessing import Preprocessing
from lmcore.population.segmentations import centroid, distance_transform
from lmcore.population.splits import read_splits
from lmcore.population.store import Population
from lmcore.population.survey import Survey, aligned_boxes, choose_preprocessing
from lmcore.population.table import read_subjects
from lmcore.population.volume_preprocessing import VolumePreprocessing

FRACTIONS = {"train": 0.6, "validation": 0.2, "test": 0.2}
SETTINGS = {
    "size": [24, 32, 40],
    "spacing": 2.0,
    "align": "segmentation",
    "intensity": "percentile",
}


def affine_of(n: int) -> np.ndarray:
    """Turned about z, left-handed for odd n, each scan elsewhere in the world."""
    angle = 0.1 * n
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] *= [-1.5 if n % 2 else 1.5, 1.2, 2.4]
    affine[:3, 3] = 20 * n, -30, 7 * n
    return affine


def object_of(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(x, y, z) scan and labels: 1 an ellipsoid, 2 a bump on its side of greater x in RAS."""
    affine, shape = affine_of(n), (44, 50 + n, 24)
    index = np.indices(shape).reshape(3, -1).T
    middle = apply_affine(affine, [(np.array(shape) - 1) / 2 + [3, -2, 1]])
    x, y, z = (apply_affine(affine, index) - middle).T
    side = -1 if n % 3 == 0 else 1  # those of the right look the other way
    body = (x / 14) ** 2 + (y / 18) ** 2 + (z / 12) ** 2 < 1
    bump = (x - side * 15) ** 2 + (y - 6) ** 2 + z**2 < 5**2
    labels = (body + 2 * (bump & ~body)).reshape(shape).astype(np.uint8)
    scan = 300 * gaussian_filter((labels > 0).astype(np.float32), 0.7) + 10 * n
    return scan.astype(np.int16), labels


@pytest.fixture
def table(tmp_path):
    """Ten scans of classes a and b; every third is of the right side; the last has no labels."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["subject,image,segmentation,side,kind"]
    for n in range(10):
        scan, labels = object_of(n)
        nibabel.Nifti1Image(scan, affine_of(n)).to_filename(folder / f"{n}.nii")
        nibabel.Nifti1Image(labels, affine_of(n)).to_filename(folder / f"{n}_labels.nii.gz")
        segmentation = "" if n == 9 else f"{n}_labels.nii.gz"
        rows.append(f"s{n},{n}.nii,{segmentation},{'L' if n % 3 else 'R'},{'b' if n == 8 else 'a'}")
    (folder / "subjects.csv").write_text("\n".join(rows) + "\n")
    return folder / "subjects.csv"


def build(table: Path, folder: Path, settings: dict | None = None, **arguments) -> Population:
    paths = folder / "population.h5", folder / "subjects.csv"
    arguments = {"class_column": "kind"} | arguments
    preprocess_population(
        table, None, SETTINGS | (settings or {}), FRACTIONS, seed=7, population_path=paths[0],
        subjects_path=paths[1], **arguments,
    )  # fmt: skip
    return Population(paths[0])


def fault(table: Path, folder: Path, settings: dict | None = None, **arguments) -> str:
    with pytest.raises(InputError) as error:
        build(table, folder, settings, **arguments)
    text = str(error.value)
    assert "\n" not in text
    assert not list(folder.glob("*.h5"))
    assert not list(folder.glob("subjects.csv"))
    return text


def test_a_population_of_volumes(table, tmp_path, caplog):
    with build(table, tmp_path, {"reflect": "R"}, digest="d") as population:
        assert population.shape == (24, 32, 40)
        assert (population.spacing, population.digest) == (2.0, "d")
        assert population.oriented
        assert population.segmented.tolist() == [True] * 9 + [False]
        assert "1 subjects without a segmentation are aligned by intensity: s9" in caplog.text
        assert population.original_shapes[3].tolist() == [24, 53, 44]
        images, masks = population.images(range(10)), population.segmentations(range(10))
        distances = population.distance_transforms(range(10))
        for n in range(10):
            affine = population.affines[n]
            reflected = n % 3 == 0
            assert (np.linalg.det(affine) < 0) == reflected
            bright = images[n, 0] > 0.5
            # in the original scan's millimetres, reflection included
            scan, labels = object_of(n)
            place = centroid((labels > 0).T, affine_of(n))
            np.testing.assert_allclose(centroid(bright, affine), place, atol=0.4)
            # every bump lies on the side of greater x, at one place
            np.testing.assert_allclose(
                centroid(bright, np.eye(4)), centroid(images[1, 0] > 0.5, np.eye(4)), atol=0.3
            )
            columns = np.flatnonzero(bright.any(axis=(0, 1)))
            assert columns.max() - 19.5 > 19.5 - columns.min() + 0.5
            if n < 9:
                overlap = 2 * (bright * masks[n]).sum() / (bright.sum() + masks[n].sum())
                assert overlap > 0.97
                assert distances[n][masks[n] == 0].min() > 0
                assert -12 < distances[n].min() < -8  # half the shortest axis
        assert not masks[9].any()
        assert not distances[9].any()
        assert population.medoid in population.subjects
        content = population.preprocessing
    settings = Preprocessing.from_dict(content)
    assert (settings.align, settings.reflect, settings.size) == ("segmentation", "R", (24, 32, 40))


def test_orientation_is_unknown_where_one_scan_does_not_tell(table, tmp_path):
    with h5py.File(table.parent / "4.h5", "w") as file:
        for name, array in zip(("image", "label"), object_of(4), strict=True):
            file[name] = array
    lines = table.read_text().replace("4.nii,4_labels.nii.gz", "4.h5:/image,4.h5:/label")
    lines = [f"{line},{'1.5 1.2 2.4' * ('4.h5' in line)}" for line in lines.splitlines()[1:]]
    table.write_text("\n".join(["subject,image,segmentation,side,kind,spacing", *lines]) + "\n")
    with build(table, tmp_path) as population:
        assert not population.oriented
        # mm along the file's own axes, from the centre of its first voxel
        _, labels = object_of(4)
        place = centroid((labels > 0).T, np.diag([1.5, 1.2, 2.4, 1.0]))
        middle = (np.array(population.shape[::-1]) - 1) / 2
        ends = apply_affine(population.affines[4], [middle, middle + [1, 0, 0], middle + [0, 0, 1]])
        np.testing.assert_allclose(ends[1:] - ends[0], [[2, 0, 0], [0, 0, 2]], atol=1e-9)
        apart = ends[0] - place - population.preprocessing["centre"]
        np.testing.assert_allclose(apart, 0, atol=1e-6)


def test_a_new_scan_is_prepared_as_the_population(table, tmp_path):
    with build(table, tmp_path, {"reflect": "R"}) as population:
        settings = Preprocessing.from_dict(population.preprocessing)
        for n, subject in enumerate(read_subjects(table)):
            image, affine = read_and_prepare(
                subject.image_path, settings, segmentation=subject.segmentation_path,
                reflect=subject.side == "R",
            )  # fmt: skip
            np.testing.assert_array_equal(image, population.images([n])[0])
            np.testing.assert_array_equal(affine, population.affines[n])
        # without its segmentation it lands close by: the offset is known
        image, affine = read_and_prepare(table.parent / "1.nii", settings)
        np.testing.assert_allclose(affine, population.affines[1], atol=0.5)
        assert np.abs(image - population.images([1])[0]).mean() < 0.02


def test_a_pretrained_preprocessing_is_taken_as_it_is(table, tmp_path):
    pretrained = VolumePreprocessing(
        (20, 24, 30), 2.5, centre=(1.0, 2.0, 3.0), align="intensity", reflect="R",
        intensity="z_score", range=(5.0, 250.0),
    )  # fmt: skip
    arguments = {"pretrained": pretrained.to_dict()}
    with build(table, tmp_path, {"intensity": "border"}, **arguments) as population:
        assert Preprocessing.from_dict(population.preprocessing) == pretrained
        assert population.shape == (20, 24, 30)
        image, affine = read_and_prepare(table.parent / "3.nii", pretrained, reflect=True)
        np.testing.assert_array_equal(population.images([3])[0], image)
        np.testing.assert_array_equal(population.affines[3], affine)
    plain = {"size": [32, 32], "intensity": "border"}
    assert "trained on 2D images, the table holds volumes" in fault(
        table, tmp_path / "out", pretrained=plain
    )


def test_threads_do_not_change_the_bytes(table, tmp_path):
    for workers in (1, 4):
        build(table, tmp_path / str(workers), workers=workers).close()
    for name in ("population.h5", "subjects.csv"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "4" / name).read_bytes()


def test_the_box_around_the_segmentations(table, tmp_path):
    settings = {"size": None, "spacing": 1.0, "crop": {"margin": 3}, "reflect": "R"}
    with build(table, tmp_path, settings) as population:
        # body 36 mm along y, body and bump 34 along x, 24 along z; edges and 6 mm of margin
        assert population.shape == (32, 48, 48)
        masks = population.segmentations(range(9)).any(axis=0)
        touched = [np.flatnonzero(masks.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        for places, n in zip(touched, population.shape, strict=True):
            assert abs(places.min() - (n - 1 - places.max())) <= 2  # in the middle
    with build(table, tmp_path, {"size": None, "spacing": None, "align": "image"}) as population:
        assert max(population.shape) == 64
        assert all(n % 16 == 0 for n in population.shape)


def test_one_label_of_several(table, tmp_path, caplog):
    settings = {"align": "image", "spacing": 1.5, "size": [32, 56, 56]}
    with build(table, tmp_path, settings, segmentation_label=2) as population:
        volume = population.segmentations([1])[0].sum() * 1.5**3
        expected = (object_of(1)[1] == 2).sum() * 1.5 * 1.2 * 2.4
        np.testing.assert_allclose(volume, expected, rtol=0.15)
    assert "has no label 5; it holds 0, 1, 2" in fault(table, tmp_path / "x", segmentation_label=5)
    caplog.clear()
    build(table, tmp_path, {"size": [24, 32, 10]}).close()  # 20 mm along x
    assert "the common box cuts the segmentations of s0, s1" in caplog.text


def test_intensities_over_the_training_split(table, tmp_path):
    settings = {"intensity": "z_score", "intensity_over": "training"}
    with build(table, tmp_path, settings) as population:
        splits = read_splits(tmp_path / "subjects.csv")["split"]
        low, high = population.preprocessing["range"]
        scans = [object_of(n)[0].astype(float) for n in range(10) if splits[n] == "train"]
        assert len(scans) == 6
        np.testing.assert_allclose((low + high) / 2, np.mean([s.mean() for s in scans]), rtol=1e-5)
        np.testing.assert_allclose(high - low, 6 * np.mean([s.std() for s in scans]), rtol=1e-5)
        images = population.images(range(10))
        expected = (10 * 7 - low) / (high - low)  # the background of the scan
        np.testing.assert_allclose(images[7, 0, 0, 0, 0], expected, atol=1e-4)


def test_offset_and_intensities_are_the_training_splits_and_the_grid_is_everybodys():
    def survey(offset, ends, segmented=True):
        """Of a scan from 0 to 60, -20 to 80 and 0 to 40 mm whose intensity centre is 10, 20, 30."""
        by_intensity = np.array([10.0, 20, 30])
        centre = by_intensity + offset if segmented else by_intensity
        box = np.stack([centre - [4, 5, 6], centre + [7, 5, 6]]) if segmented else None
        field = np.array([[0.0, -20, 0], [60, 80, 40]])
        return Survey(field, centre, by_intensity, box, ends)

    surveys = [
        survey([1, 2, 3], (0, 10)),
        survey([-3, 4, 5], (2, 20)),  # reflected: 3, 4, 5
        survey([5, 9, 4], (4, 30)),
        survey([90, 90, 90], (50, 90)),  # not in the training split
        survey(None, (6, 40), segmented=False),
    ]
    settings = DEFAULTS | {
        "align": "segmentation", "intensity_over": "training", "crop": {"margin": 2},
        "spacing": 1.0, "reflect": "R",
    }  # fmt: skip
    reflected, training = [False, True, False, False, False], [True, True, True, False, True]
    found = choose_preprocessing(surveys, reflected, training, settings, None)
    assert found.offset == (3, 4, 4)
    assert found.range == (3, 25)
    # Aligned and reflected, x of the segmentations is from -4 to 7, and from -7 to 4
    assert found.centre == (0, 0, 0)
    assert found.size == (32, 32, 32)
    fields, segmentations = aligned_boxes(surveys, reflected, np.array([3.0, 4, 4]))
    np.testing.assert_allclose(segmentations[1], [[-7, -5, -6], [4, 5, 6]])
    np.testing.assert_allclose(fields[4], [[-13, -44, -34], [47, 56, 6]])
    np.testing.assert_allclose(fields[1], [[7 - 60, -44, -35], [7, 56, 5]])
    assert segmentations[4] is None
    fields, _ = aligned_boxes(surveys[4:], [True], np.array([3.0, 4, 4]))
    np.testing.assert_allclose(fields[0], [[7 - 60, -44, -34], [7, 56, 6]])


def test_ct_window_and_region(table, tmp_path):
    region = {"low": [-0.5, -0.5, 0], "high": [0.5, 0.5, 1], "blur": 4}
    settings = {"intensity": "window", "window": [50, 250], "region": region}
    with build(table, tmp_path, settings) as population:
        assert population.mask.shape == population.shape
        np.testing.assert_allclose(population.mask[-1, 16, 20], 1, atol=0.02)
        np.testing.assert_allclose(population.mask[0, 0, 0], 0, atol=1e-3)
        image = population.images([2])[0, 0]
        assert image[0, 0, 0] == 0
        np.testing.assert_allclose(image.max(), 1)


def test_training_on_controls(table, tmp_path):
    with build(table, tmp_path, control="a", train_on="control") as population:
        splits = read_splits(tmp_path / "subjects.csv").set_index("subject")["split"]
        assert splits["s8"] == "held_out"
        assert sorted(splits.drop("s8")) == ["test"] * 2 + ["train"] * 5 + ["validation"] * 2
        assert splits[population.medoid] == "train"
    assert "population.control: no subject's kind is 'c'; it is a, b" in fault(
        table, tmp_path / "x", control="c", train_on="control"
    )
    assert "needs population.class and .control" in fault(
        table, tmp_path / "x", control=None, train_on="control"
    )
    lines = table.read_text().splitlines()
    given = ["train"] * 5 + ["validation"] * 2 + ["test"] * 3
    rows = [f"{line},{split}" for line, split in zip(lines[1:], given, strict=True)]
    table.write_text("\n".join([lines[0] + ",split", *rows]) + "\n")
    assert "the table gives a split to s8" in fault(
        table, tmp_path / "x", control="a", train_on="control"
    )


def replace(table: Path, old: str, new: str) -> None:
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new))


def test_all_unusable_subjects_are_named_at_once(table, tmp_path):
    folder = table.parent
    scan, labels = object_of(1)
    nibabel.Nifti1Image(labels[1:], affine_of(1)).to_filename(folder / "1_labels.nii.gz")
    nibabel.Nifti1Image(object_of(2)[1] * 0, affine_of(2)).to_filename(folder / "2_labels.nii.gz")
    (folder / "3.nii").write_bytes((folder / "3.nii").read_bytes()[:5000])
    nibabel.Nifti1Image(scan * np.float32("nan"), affine_of(1)).to_filename(folder / "4.nii")
    nibabel.Nifti1Image(np.stack([scan] * 2, -1), affine_of(1)).to_filename(folder / "5.nii")
    nibabel.Nifti1Image(object_of(6)[1], affine_of(5)).to_filename(folder / "6_labels.nii.gz")
    text = fault(table, tmp_path / "out")
    assert text.startswith("6 of 10 images cannot be used: s1 (the segmentation ")
    for part in (
        r"1_labels\.nii\.gz has 43 x 51 x 24 voxels, its image \S*1\.nii 44 x 51 x 24",
        r"s2 \(the segmentation \S*2_labels\.nii\.gz is empty",
        r"s3 \(\S*3\.nii: truncated",
        r"s4 \(\S*4\.nii: the volume holds nothing but NaN",
        r"s5 \(\S*5\.nii: 44 x 51 x 24 x 2 is a series",
        r"s6 \(the segmentation \S*6_labels\.nii\.gz lies elsewhere",
    ):
        assert re.search(part, text), part


def test_a_segmentation_that_lies_elsewhere(table, tmp_path):
    nibabel.Nifti1Image(object_of(6)[1], affine_of(5)).to_filename(table.parent / "6_labels.nii.gz")
    text = fault(table, tmp_path / "out")
    assert re.search(
        r"s6 \(.*6_labels\.nii\.gz lies elsewhere than its image \S*6\.nii: their", text
    )


def test_segmentations_outside_the_box(table, tmp_path):
    _, labels = object_of(4)
    far = np.zeros_like(labels)
    far[0:2, 0:2, 0:2] = 1
    nibabel.Nifti1Image(far, affine_of(4)).to_filename(table.parent / "4_labels.nii.gz")
    text = fault(
        table, tmp_path / "out", {"align": "image", "crop": {"box": [50, 50, 40]}, "spacing": None}
    )
    assert "1 of 10 images cannot be used: s4 (the segmentation" in text
    assert "is empty on the common grid" in text


def test_scans_outside_the_box(table, tmp_path):
    text = fault(table, tmp_path / "out", {"align": "world"})
    assert "scans that lie outside the common box: s1 (" in text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"size": [32, 40]}, "preprocess.size: [32, 40] is not a depth"),
        ({"margin": 0.1}, "preprocess.margin is for 2D images, and the table holds volumes"),
        ({"spacing": 0}, "preprocess.spacing: 0 mm"),
        ({"spacing": -1.0}, "preprocess.spacing: -1.0 mm"),
        ({"reflect": "right"}, "preprocess.reflect: no subject's side is 'right'; they are L, R"),
        ({"intensity": "window"}, "preprocess.window, [low, high], goes with"),
        ({"window": [0, 1]}, "preprocess.window, [low, high], goes with"),
        ({"intensity": "window", "window": [9, 1]}, "preprocess.window: [9, 1] is not"),
        ({"crop": {"margin": -1}}, "preprocess.crop.margin: -1"),
        ({"crop": {"box": [1, 2]}}, "preprocess.crop.box: [1, 2]"),
        ({"crop": {"box": [1, 2, 3], "margin": 1}}, "is neither {margin: mm} nor"),
    ],
)
def test_settings_that_do_not_suit_volumes(table, tmp_path, settings, expected):
    assert expected in fault(table, tmp_path / "out", settings)


def test_tables_that_do_not_suit_the_settings(table, tmp_path):
    text = table.read_text()
    replace(table, ",R,", ",,")
    assert "the table gives no side for s0, s3, s6, s9" in fault(table, tmp_path, {"reflect": "R"})
    table.write_text(re.sub(r"\d_labels.nii.gz", "", text))
    assert "preprocess.align: segmentation" in fault(table, tmp_path / "x")
    assert "preprocess.crop.margin needs" in fault(
        table, tmp_path / "x", {"align": "image", "crop": {"margin": 3}}
    )
    with build(table, tmp_path, {"align": "image"}) as population:
        assert not population.segmented.any()
    Image.fromarray(np.eye(40, dtype=np.uint8)).save(table.parent / "a.png")
    table.write_text(text.replace("7.nii,", "a.png,"))
    assert "mixes 2D images (s7) and volumes (s0, s1," in fault(table, tmp_path / "x")
    table.write_text(text.replace("7_labels.nii.gz", "a.png"))
    assert "one of image and segmentation is a volume, the other is not: s7" in fault(
        table, tmp_path / "x"
    )
    table.write_text(text.replace("7.nii,", "../7.nii,"))
    (tmp_path / "7.nii").touch()
    assert "paths that leave" in fault(table, tmp_path / "x")


def test_spacings_of_the_table(table):
    lines = table.read_text().splitlines()
    spacings = ["0.5", "1 2 3", "", "0", "-1", "1 2", "x", "nan", " ", "inf"]
    rows = [f"{line},{spacing}" for line, spacing in zip(lines[1:], spacings, strict=True)]
    table.write_text("\n".join([lines[0] + ",spacing", *rows]) + "\n")
    subjects = read_subjects(table)
    assert [parse_spacing(subjects[n]) for n in (0, 1, 2, 8)] == [(0.5,) * 3, (1, 2, 3), None, None]
    with pytest.raises(InputError) as error:
        check_settings(subjects, {})
    assert "the table's spacing of s3 is '0'; give mm above 0" in str(error.value)
    assert "s9 is 'inf'" in str(error.value)  # the sixth


@pytest.fixture
def flat_table(tmp_path):
    """Ten 2D images with label images of 0, 1 and 2, of several modes."""
    folder = tmp_path / "flat"
    folder.mkdir()
    rows = ["subject,image,segmentation"]
    for n in range(10):
        labels = np.zeros((60, 90 + n), np.uint8)
        labels[20:40, 30 : 60 + n] = 1
        labels[20:30, 30:40] = 2
        Image.fromarray(labels * 50 + 40).save(folder / f"{n}.png")
        image = Image.fromarray(labels)
        if n % 2:
            image.putpalette(bytes(range(200, 140, -1)))
        image.save(folder / f"{n}_labels.{('png', 'png', 'tif')[n % 3]}")
        rows.append(f"s{n},{n}.png,{n}_labels.{('png', 'png', 'tif')[n % 3]}")
    (folder / "subjects.csv").write_text("\n".join(rows) + "\n")
    return folder / "subjects.csv"


FLAT = dict.fromkeys(SETTINGS) | {"size": [48, 64], "align": "image", "intensity": "percentile"}


def test_segmentations_of_2d_images(flat_table, tmp_path):
    with build(flat_table, tmp_path, FLAT, class_column=None) as population:
        assert population.spacing == 1.0
        assert population.segmented.all()
        masks = population.segmentations(range(8))
        bright = population.images(range(8))[:, 0] > 0.25
        assert (masks != bright).mean() < 0.01
        distance = population.distance_transforms([3])[0]
        assert set(np.unique(distance[masks[3] == 1] <= 0)) == {True}
        for n in (0, 7):
            place = centroid(masks[n][None], np.eye(4))[:2]
            found = apply_affine(population.affines[n], place[None])[0]
            np.testing.assert_allclose(found, [(30 + 60 + n - 1) / 2, 29.5], atol=0.6)
    arguments = {"class_column": None, "segmentation_label": 2}
    with build(flat_table, tmp_path, FLAT, **arguments) as population:
        mask = population.segmentations([0])[0]
        np.testing.assert_allclose(mask.sum() / masks[0].sum(), 100 / 600, rtol=0.2)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"spacing": 1.0}, "preprocess.spacing is for volumes"),
        ({"align": "intensity"}, "preprocess.align is for volumes"),
        ({"crop": {"margin": 2}}, "preprocess.crop is for volumes"),
        ({"intensity_over": "training"}, "preprocess.intensity_over is for volumes"),
        ({"intensity": "z_score"}, "preprocess.intensity: 'z_score' is for volumes"),
        ({"size": [32, 32, 32]}, "preprocess.size: [32, 32, 32] is not a height"),
    ],
)
def test_settings_that_do_not_suit_2d_images(flat_table, tmp_path, settings, expected):
    assert expected in fault(flat_table, tmp_path / "x", FLAT | settings, class_column=None)


def test_2d_segmentations_that_cannot_be_used(flat_table, tmp_path):
    folder = flat_table.parent
    Image.fromarray(np.zeros((60, 90), np.uint8)).save(folder / "0_labels.png")
    Image.fromarray(np.ones((61, 91), np.uint8)).save(folder / "1_labels.png")
    Image.fromarray(np.ones((60, 92, 3), np.uint8)).save(folder / "2_labels.tif")
    Image.fromarray(np.full((60, 93), 0.5, np.float32)).save(folder / "3.tif")
    (folder / "3.tif").rename(folder / "3_labels.png")
    text = fault(flat_table, tmp_path / "x", FLAT, class_column=None)
    assert "4 of 10 images cannot be used: s0 (the segmentation" in text
    assert "0_labels.png is empty" in text
    assert "has 91 x 61 pixels, its image" in text
    assert "this is TIFF in mode RGB" in text
    assert "3_labels.png: a segmentation holds whole numbers" in text


@pytest.mark.parametrize("name", ["hippocampus", "left_atrium_lge"])
def test_real_scans(tmp_path, name):
    folder = real_data(name)
    lines = (folder / "subjects.csv").read_text().splitlines()
    table = tmp_path / "subjects.csv"
    table.write_text("\n".join([lines[0], *lines[1:7]]) + "\n")
    settings = {"size": [32, 48, 48], "align": "segmentation", "crop": {"margin": 5}}
    paths = tmp_path / "population.h5", tmp_path / "splits.csv"
    split = {"train": 0.34, "validation": 0.33, "test": 0.33}
    preprocess_population(table, folder, settings, split, None, 1, *paths)
    with Population(paths[0]) as population:
        assert population.segmented.all()
        masks, images = population.segmentations(range(6)), population.images(range(6))
        share = masks.mean(axis=0)
        assert share.max() == 1  # aligned, all of them overlap
        for n in range(6):
            found = centroid(masks[n], np.eye(4))
            np.testing.assert_allclose(found, centroid(masks[0], np.eye(4)), atol=0.5)
            # the background is 1/2, and there is something to see
            assert images[n, 0][masks[n] == 1].std() > 0.01
        assert not masks[:, 0].any()
        assert not masks[..., -1].any()


def test_distance_is_zero_between_the_voxels_of_both_sides():
    mask = np.zeros((9, 10, 14), dtype=np.uint8)
    mask[2:7, 3:7, 4:11] = 1
    distance = distance_transform(mask, 1.5)
    # along x through the middle: half a voxel either side of the border at 3.5 and 10.5
    along = 1.5 * (np.abs(np.arange(14) - 7.0) - 3.5)
    np.testing.assert_allclose(distance[4, 5, [2, 3, 4, 10, 11, 12]], along[[2, 3, 4, 10, 11, 12]])
