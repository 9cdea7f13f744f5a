import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from real_data import real_data
from scans import rotation, write
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

import lmcore.__main__ as command_line
from lmcore.discovery import apply
from lmcore.discovery.apply import discover_images, subject_names
from lmcore.discovery.apply_registration import Scan, register_images, register_scan
from lmcore.discovery.checkpoint import save_encoder
from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.discovery.inference import discover_landmarks
from lmcore.errors import InputError
from lmcore.points.geometry import apply_affine, index_to_normalised, normalised_to_index
from lmcore.population.build import preprocess_population
from lmcore.population.grids import grid_affine
from lmcore.population.store import Population
from lmcore.population.volume_preprocessing import VolumePreprocessing
from lmcore.registration import spline

SIZE = (24, 32, 40)
CORNERS = spline.corners(3).numpy()
PREPROCESSING = VolumePreprocessing(
    SIZE, spacing=2.5, align="image", reflect="R", intensity="percentile"
).to_dict()
# Files of scans of other grids: sizes (x, y, z), mm, angles, and where in mm from its centre
SCANS = {
    "a.nii.gz": ((44, 40, 26), (2.0, 1.7, 3.1), (10, -20, 15), (14, -9, 6)),
    "b.nrrd": ((30, 50, 38), (-2.9, 1.6, 2.2), (0, 12, -8), (-11, 10, 5)),
    "c.mgz": ((36, 33, 42), (2.2, -2.5, 1.9), (-15, 5, 10), (8, 6, -9)),
    "dicom": ((40, 36, 30), (2.1, 2.1, 2.7), (0, 0, 20), (-12, -8, -7)),
    "e.h5:/scan/t1": ((42, 46, 24), (2.3, 1.8, 3.0), (0, 0, 0), (-6, 11, 8)),
}
SPACING = SCANS["e.h5:/scan/t1"][1]


def affine_of(shape, spacing, angles) -> np.ndarray:
    """Oblique, with its first voxel at the origin if it is a plain one, else away from it."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) * spacing
    affine[:3, 3] = np.array([31.0, -17.0, 60.0]) * any(angles)
    return affine


def write_blob(folder: Path, name: str) -> tuple[Path, np.ndarray, np.ndarray]:
    """A bright ball in a dark scan: its file, the scan's affine, and RAS mm of the ball."""
    shape, spacing, angles, offset = SCANS[name]
    affine = affine_of(shape, spacing, angles)
    ball = apply_affine(affine, [(np.array(shape) - 1) / 2])[0] + offset
    mesh = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    squared = ((apply_affine(affine, mesh.reshape(-1, 3)) - ball) ** 2).sum(axis=-1)
    array = np.int16(np.round(-900 + 1500 * np.exp(-squared / (2 * 7.0**2)))).reshape(shape)
    if ":" not in name:
        return write(folder / name, array, affine), affine, ball
    with h5py.File(folder / "e.h5", "w") as file:
        file["scan/t1"] = array
    return folder / name, affine, ball


class BlobFinder:
    """In the place of an encoder: one landmark on the ball, five around it."""

    def __call__(self, images):
        weight = (images[:, 0] - 0.2).clamp_min(0)
        total = weight.sum((1, 2, 3))
        axes = [torch.linspace(-1, 1, n) for n in images.shape[:1:-1]]  # x, y, z
        at = torch.stack(
            [(weight.sum(others) @ axis) / total for others, axis in zip(OTHERS, axes, strict=True)]
        )
        around = [[0, 0, 0], [0.2, 0.1, 0], [-0.1, 0.2, 0.1], [0, -0.2, 0.2], [0.1, 0, -0.3]]
        return at.T[:, None] + torch.tensor(around)


OTHERS = ((1, 2), (1, 3), (2, 3))


@pytest.fixture
def blob_finder(monkeypatch):
    content = {"preprocessing": PREPROCESSING, "kernel": "paper"}
    monkeypatch.setattr(apply, "load_encoder", lambda path: (BlobFinder(), content))


def save_model(path: Path, preprocessing: dict) -> Path:
    """An encoder of random weights, whose landmarks depend on the image."""
    torch.manual_seed(0)
    encoder = LandmarkEncoder(tuple(preprocessing["size"]), 5, widths=(2, 2, 2, 2), hidden=4)
    torch.nn.init.normal_(encoder.linear[-1].weight, std=2)
    save_encoder(path, encoder, kernel="thin_plate", preprocessing=preprocessing)
    return path


@pytest.fixture
def model(tmp_path):
    return save_model(tmp_path / "encoder.pt", PREPROCESSING)


def brightest(path: Path) -> np.ndarray:
    """RAS mm of the centre of the ball, from the file alone."""
    file = nibabel.load(path)
    weight = np.clip(file.get_fdata() + 600, 0, None)
    index = np.stack(np.nonzero(weight), axis=-1)
    return np.average(apply_affine(file.affine, index), axis=0, weights=weight[weight > 0])


@pytest.mark.parametrize(
    ("source", "target", "reflected"),
    [
        ("a.nii.gz", "b.nrrd", (False, False)),
        ("c.mgz", "dicom", (True, True)),
        ("dicom", "a.nii.gz", (False, True)),
        ("e.h5:/scan/t1", "c.mgz", (True, False)),
        ("b.nrrd", "e.h5:/scan/t1", (False, False)),
    ],
)
def test_the_source_moves_to_the_targets_place_in_the_world(
    tmp_path, blob_finder, source, target, reflected
):
    source_path, _, _ = write_blob(tmp_path, source)
    target_path, affine, ball = write_blob(tmp_path, target)
    output = tmp_path / "made" / "out.nii.gz"
    spacing = [SPACING if "h5" in name else None for name in (source, target)]
    register_images("e.pt", source_path, target_path, output, *spacing, *reflected)
    file = nibabel.load(output)
    np.testing.assert_allclose(file.affine, affine, atol=1e-4)
    assert file.shape == SCANS[target][0]
    assert file.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(brightest(output), ball, atol=1.0)
    assert -900.01 < file.get_fdata().min() < -890
    assert 500 < file.get_fdata().max() < 600.01
    written = output.read_bytes()
    register_images("e.pt", source_path, target_path, output, *spacing, *reflected)
    assert output.read_bytes() == written


def test_voxels_by_scipys_spline_and_interpolation():
    random = np.random.default_rng(1)
    scans = []
    for n, (shape, angles) in enumerate(
        [((26, 31, 38), (9, -20, 30)), ((38, 44, 50), (-15, 5, 8))]
    ):
        affine = affine_of(shape, ((1.9, 1.4, 1.2), (1.8, -1.5, 2.3))[n], angles)
        centre = apply_affine(affine, [(np.array(shape[::-1]) - 1) / 2])[0]
        prepared = grid_affine(SIZE, 2.0, (1.0, -2.0, 3.0), centre, reflected=n == 0)
        landmarks = 0.6 * np.sin(np.arange(21).reshape(7, 3) * 1.7) + random.normal(0, 0.07, (7, 3))
        array = random.normal(100, 20, shape).astype(np.float32)
        scans.append(Scan(f"{n}.nii", array, affine, landmarks, prepared))
    source, target = scans
    assert target.array.size > spline.GRID_POINTS  # more than one part
    found = register_scan(source, target, SIZE, "thin_plate")

    index = random.integers(0, target.array.shape, (3000, 3))  # z, y, x
    world = apply_affine(target.affine, index[:, ::-1])
    at = index_to_normalised(apply_affine(np.linalg.inv(target.prepared), world), SIZE)
    ends = [np.concatenate([scan.landmarks, CORNERS]) for scan in (target, source)]
    moved = RBFInterpolator(*ends, kernel="linear", degree=1)(at)
    world = apply_affine(source.prepared, normalised_to_index(moved, SIZE))
    at_source = apply_affine(np.linalg.inv(source.affine), world)[:, ::-1]
    last = np.array(source.array.shape) - 1
    inside = ((at_source >= 0) & (at_source <= last)).all(axis=1)
    beyond = ((at_source < -0.51) | (at_source > last + 0.51)).any(axis=1)
    assert inside.mean() > 0.1
    assert beyond.mean() > 0.2
    expected = map_coordinates(source.array, at_source[inside].T, order=1)
    values = found[tuple(index.T)]
    np.testing.assert_allclose(values[inside], expected, atol=0.02)
    np.testing.assert_array_equal(values[beyond], source.array.min())


def test_a_scan_registers_to_itself_unchanged(tmp_path, model):
    array = np.random.default_rng(0).normal(-200, 300, (36, 33, 42)).astype(np.float32)
    path = tmp_path / "a.nii"
    nibabel.Nifti1Image(array, affine_of(array.shape, (2.2, -2.5, 1.9), (-15, 5, 10))).to_filename(
        path
    )
    register_images(model, path, path, tmp_path / "out.nii")
    found = nibabel.load(tmp_path / "out.nii").get_fdata()
    np.testing.assert_allclose(found, array, atol=0.5)


@pytest.mark.parametrize("reflected", ["source", "target"])
def test_a_mirror_image_registers_to_its_original(tmp_path, model, reflected):
    array = np.random.default_rng(0).normal(-200, 300, (36, 33, 42)).astype(np.float32)
    affine = affine_of(array.shape, (2.2, -2.5, 1.9), (-15, 5, 10))
    nibabel.Nifti1Image(array, affine).to_filename(tmp_path / "left.nii")
    nibabel.Nifti1Image(array, np.diag([-1, 1, 1, 1]) @ affine).to_filename(tmp_path / "right.nii")
    paths = [tmp_path / "right.nii", tmp_path / "left.nii"]
    paths = paths if reflected == "source" else paths[::-1]
    output = tmp_path / "out.nii"
    register_images(model, *paths, output, **{f"reflect_{reflected}": True})
    np.testing.assert_allclose(nibabel.load(output).get_fdata(), array, atol=0.5)
    register_images(model, *paths, output)
    assert np.abs(nibabel.load(output).get_fdata() - array).mean() > 100


def test_landmarks_that_coincide(tmp_path, blob_finder, monkeypatch):
    monkeypatch.setattr(BlobFinder, "__call__", lambda self, images: torch.zeros(1, 5, 3))
    path, _, _ = write_blob(tmp_path, "a.nii.gz")
    with pytest.raises(InputError, match=r"the landmarks of .*a\.nii\.gz coincide"):
        register_images("e.pt", path, path, tmp_path / "out.nii")
    assert not (tmp_path / "out.nii").exists()


@pytest.mark.parametrize("reflect", [False, True])
def test_landmarks_in_the_world_of_each_scan(tmp_path, blob_finder, reflect):
    names = [name for name in SCANS if "h5" not in name]
    written = [write_blob(tmp_path, name) for name in names]
    discover_images("e.pt", [path for path, *_ in written], tmp_path / "l.csv", reflect=reflect)
    found = pd.read_csv(tmp_path / "l.csv").query("landmark == 1")
    assert found["subject"].tolist() == ["a", "b", "c", "dicom"]
    balls = np.stack([ball for *_, ball in written])
    np.testing.assert_allclose(found[["world_x", "world_y", "world_z"]], balls, atol=1.0)


def test_the_spacing_of_hdf5_is_given(tmp_path, blob_finder):
    path, _, ball = write_blob(tmp_path, "e.h5:/scan/t1")
    discover_images("e.pt", [path], tmp_path / "l.csv", spacing=SPACING)
    found = pd.read_csv(tmp_path / "l.csv").query("landmark == 1")
    np.testing.assert_allclose(found[["world_x", "world_y", "world_z"]], [ball], atol=1.0)


def test_command_line_finds_what_the_workflow_finds(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    rows = ["subject,image,segmentation,side"]
    for name in "abcdefgh":
        shape, spacing, angles, offset = SCANS["a.nii.gz"]
        affine = affine_of(shape, spacing, angles)
        affine[:3, 3] += 10 * ord(name)
        inside = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
        inside = (((inside - (20, 18, 14)) / (9 + ord(name) % 5, 8, 5)) ** 2).sum(-1) < 1
        scan = 300 * inside + np.random.default_rng(ord(name)).normal(0, 20, shape)
        nibabel.Nifti1Image(scan.astype(np.int16), affine).to_filename(folder / f"{name}.nii")
        labels = nibabel.Nifti1Image(inside.astype(np.uint8), affine)
        labels.to_filename(folder / f"{name}_labels.nii.gz")
        rows.append(f"{name},{name}.nii,{name}_labels.nii.gz,{'R' if name in 'bde' else 'L'}")
    (folder / "subjects.csv").write_text("\n".join(rows) + "\n")
    population, shares = tmp_path / "p.h5", {"train": 0.5, "validation": 0.25, "test": 0.25}
    settings = {"size": [32, 32, 48], "align": "segmentation", "reflect": "R"}
    preprocess_population(
        folder / "subjects.csv", None, settings, shares, None, 0, population, tmp_path / "s.csv"
    )
    with Population(population) as opened:
        model = save_model(tmp_path / "encoder.pt", opened.preprocessing)
    discover_landmarks(population, model, tmp_path / "all.csv", tmp_path / "timings.csv")
    expected = pd.read_csv(tmp_path / "all.csv")
    for side, names in (("L", "acfgh"), ("R", "bde")):
        segmentations = [f"--segmentation={folder / name}_labels.nii.gz" for name in names]
        output = tmp_path / f"{side}.csv"
        arguments = ["discover", model, *(folder / f"{name}.nii" for name in names), *segmentations]
        reflect = ["--reflect"] if side == "R" else []
        code = run(monkeypatch, *arguments, *reflect, "--output", output)
        assert code == 0
        same_side = expected[expected["subject"].isin(list(names))].reset_index(drop=True)
        found = pd.read_csv(output)
        assert len(found) == 5 * len(names)
        pd.testing.assert_frame_equal(found, same_side, atol=1e-3, rtol=0)
    assert expected.groupby("landmark")["x"].std().min() > 1e-3


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["lmcore", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return ended.value.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["discover", "{a}", "{png}"], r"p.png: the encoder .*encoder.pt was trained on volumes"),
        (["discover", "{a}", "{gone}"], r"gone.nii: no such file"),
        (["discover", "{h5}"], r"e.h5:/scan/t1: the file does not say how large its voxels are"),
        (["discover", "{h5}", "--spacing", "wide"], r"spacing 'wide': give mm"),
        (["discover", "{h5}", "--spacing", "1 2"], r"spacing '1 2': give mm"),
        (["discover", "{h5}", "--spacing", "0"], r"0.0.* mm is no size of a voxel"),
        (["discover", "{a}", "--spacing", "2"], r"a.nii.gz: the file has voxels of 2 x 1.7 x 3.1"),
        (["discover", "{a}", "--segmentation", "{a}"], r"encoder.pt aligns scans by image"),
        (["register", "{a}", "{png}"], r"p.png: the encoder .* trained on volumes"),
        (["register", "{a}", "{a}", "--output", "{out}.mgz"], r"out.mgz: .* \.nii or \.nii\.gz"),
    ],
)
def test_a_users_error_is_one_line(tmp_path, monkeypatch, capsys, model, arguments, message):
    paths = {
        "a": write_blob(tmp_path, "a.nii.gz")[0],
        "h5": write_blob(tmp_path, "e.h5:/scan/t1")[0],
        "png": tmp_path / "p.png",
        "gone": tmp_path / "gone.nii",
        "out": tmp_path / "out",
    }
    paths["png"].touch()
    command, *others = [argument.format(**paths) for argument in arguments]
    if "--output" not in others:
        others += ["--output", f"{paths['out']}.{'csv' if command == 'discover' else 'nii'}"]
    assert run(monkeypatch, command, model, *others) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    pd.testing.assert_series_equal(
        pd.Series(captured.err).str.contains(message, regex=True), pd.Series([True])
    )
    assert not list(tmp_path.glob("out*"))


def test_what_an_encoder_has_no_use_for(tmp_path):
    settings = PREPROCESSING | {"reflect": None, "align": "segmentation"}
    path, _, _ = write_blob(tmp_path, "a.nii.gz")
    model = save_model(tmp_path / "encoder.pt", settings)
    with pytest.raises(InputError, match=r"was trained without preprocess\.reflect"):
        discover_images(model, [path], tmp_path / "l.csv", reflect=True)
    with pytest.raises(InputError, match="2 segmentations for 1 scans"):
        discover_images(model, [path], tmp_path / "l.csv", segmentations=[path, path])


@pytest.mark.parametrize("moved", ["source", "target"])
def test_a_scan_registers_by_its_segmentation_as_training_had_it(tmp_path, caplog, moved):
    settings = PREPROCESSING | {"reflect": None, "align": "segmentation", "segmentation_label": 2}
    model = save_model(tmp_path / "encoder.pt", settings)
    shape, spacing, angles, _ = SCANS["b.nrrd"]
    affine = affine_of(shape, spacing, angles)
    scan = np.random.default_rng(0).normal(100, 30, shape).astype(np.float32)
    labels = np.zeros(shape, np.uint8)
    labels[9:17, 22:40, 12:20] = 2
    labels[:3] = 1  # of something else
    nibabel.Nifti1Image(scan, affine).to_filename(tmp_path / "whole.nii")
    nibabel.Nifti1Image(labels, affine).to_filename(tmp_path / "whole_labels.nii")
    part = np.diag([1.0, 1, 1, 1])
    part[:3, 3] = (0, 8, 3)  # the same scan with a smaller field of view has another centre
    for name, array in (("part", scan), ("part_labels", labels)):
        cut = nibabel.Nifti1Image(array[:, 8:, 3:], affine @ part)
        cut.to_filename(tmp_path / f"{name}.nii")
    names = ["part", "whole"] if moved == "source" else ["whole", "part"]
    paths = [tmp_path / f"{name}.nii" for name in names]
    both = [tmp_path / f"{name}_labels.nii" for name in names]
    landmarks = [
        Scan.of(apply.Model(model), path, segmentation=labels_path)
        for path, labels_path in zip(paths, both, strict=True)
    ]
    centres = [scan.prepared[:3, :3] @ (np.array(SIZE[::-1]) - 1) / 2 for scan in landmarks]
    centres = [at + scan.prepared[:3, 3] for at, scan in zip(centres, landmarks, strict=True)]
    np.testing.assert_allclose(*centres, atol=1e-6)
    output = tmp_path / "out.nii"
    keys = ("source_segmentation", "target_segmentation")
    register_images(model, *paths, output, **dict(zip(keys, both, strict=True)))
    assert not caplog.records
    register_images(model, *paths, output)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "aligned by intensity" in caplog.text


def test_names_of_files_folders_and_datasets(tmp_path, monkeypatch):
    (tmp_path / "scan.v2").mkdir()
    monkeypatch.chdir(tmp_path / "scan.v2")
    files = ["in/a.b.nii.gz", "B.NII", "../c.mgz", "d.photo.png", ".", "one.h5:/t1"]
    several = ["two.h5:/x/t1", "two.h5:/y/t1"]
    assert subject_names(files + several) == [
        *("a.b", "B", "c", "d.photo", "scan.v2", "one"),
        *("two-x-t1", "two-y-t1"),
    ]
    with pytest.raises(InputError, match="two images are named a: rename one"):
        subject_names(["1/a.nii", "2/a.nii.gz"])


def test_real_scans(tmp_path, monkeypatch):
    folder = real_data("hippocampus")
    first, second = pd.read_csv(folder / "subjects.csv")["image"][:2]
    settings = {"align": "intensity", "reflect": None, "spacing": 2.0}
    model = save_model(tmp_path / "encoder.pt", PREPROCESSING | settings)
    same, other = tmp_path / "same.nii.gz", tmp_path / "other.nii.gz"
    for target, output in ((first, same), (second, other)):
        arguments = [folder / first, folder / target, "--output", output]
        assert run(monkeypatch, "register", model, *arguments) == 0
        scan, found = nibabel.load(folder / target), nibabel.load(output)
        np.testing.assert_allclose(found.affine, scan.affine, atol=1e-4)
        assert found.shape == scan.shape
    source = nibabel.load(folder / first).get_fdata()
    np.testing.assert_allclose(nibabel.load(same).get_fdata(), source, atol=1e-3 * np.ptp(source))
