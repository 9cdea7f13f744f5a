"""Mean shapes of two groups on a population whose bump is known, from file to file."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import pyvista
from scipy.ndimage import map_coordinates
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from lmcore.analysis.mean_shapes import compare_mean_shapes
from lmcore.analysis.numbers import read_numbers
from lmcore.analysis.true_bump import bump_numbers, carry, read_truth, strongest_outward
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.files import write_points
from lmcore.points.geometry import apply_affine, index_to_normalised
from lmcore.points.landmarks import landmark_table
from lmcore.points.procrustes import Rigid
from lmcore.population.given import import_landmarks
from lmcore.population.segmentations import distance_transform
from lmcore.population.store import Population, Record, write_population

SHAPE, SPACING = (28, 24, 26), 2.0  # z, y, x
SEMI_AXES = np.array([13.0, 11.0, 16.0])
AT = np.array([0.5, 0.7, 0.5]) / np.linalg.norm([0.5, 0.7, 0.5])  # of the bump
WIDTH = 0.4  # radians, standard deviation
HEIGHTS = (2.5, 3.0, 3.5, 3.0)
CONTROLS = 10


def directions(count):
    """(count, 3) spread evenly over the sphere (Fibonacci's lattice)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    return np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], -1)


def share_of(unit):
    return np.exp(-(np.arccos(np.clip(unit @ AT, -1, 1)) ** 2) / (2 * WIDTH**2))


def radius(unit, height):
    """Of an ellipsoid with a bump along the rays from its centre."""
    return 1 / np.linalg.norm(unit / SEMI_AXES, axis=-1) + height * share_of(unit)


def segment(height, turn, shift):
    """(z, y, x) of the shape turned about its centre, which is `shift` mm from the grid's."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij")[::-1], axis=-1)
    centre = (np.array(SHAPE[::-1]) - 1) * SPACING / 2 + shift
    points = (index * SPACING - centre) @ turn  # the rotation's inverse
    apart = np.linalg.norm(points, axis=-1)
    return (apart < radius(points / np.maximum(apart, 1e-9)[..., None], height)).astype(np.uint8)


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    """Ten controls and four cases with a bump, each in its pose, every third one mirrored."""
    folder = tmp_path_factory.mktemp("bump")
    random = np.random.default_rng(5)
    heights = [0.0] * CONTROLS + list(HEIGHTS)
    names = [f"s{number:02d}" for number in range(len(heights))]
    unit = directions(500)
    centre = (np.array(SHAPE[::-1]) - 1) * SPACING / 2
    records, on_grid, world = [], [], []
    for number, height in enumerate(heights):
        turn = Rotation.from_rotvec(random.uniform(-0.08, 0.08, 3)).as_matrix()
        shift = random.uniform(-2, 2, 3)
        inside = segment(height, turn, shift)
        points = (radius(unit, height)[:, None] * unit) @ turn.T + centre + shift
        affine = np.diag([-SPACING if number % 3 == 0 else SPACING, SPACING, SPACING, 1.0])
        affine[:3, 3] = random.uniform(-50, 50, 3)
        image = inside[None].astype(np.float32)
        distances = distance_transform(inside, SPACING)
        records.append(Record(image, affine, SHAPE, inside, distances))
        on_grid.append(points / SPACING)
        world.append(apply_affine(affine, points / SPACING))
    write_population(
        folder / "population.h5", names, SHAPE, 1, {}, records, spacing=SPACING, segmented=True
    )
    points = index_to_normalised(np.array(on_grid)[:, ::12], SHAPE)
    points += random.normal(0, 0.03, points.shape)  # 0.7 mm
    affines = np.stack([record.affine for record in records])
    table = landmark_table(names, points, range(1, len(points[0]) + 1), SHAPE, affines)
    write_csv(folder / "retained.csv", table)
    splits = (["train"] * 4 + ["test"]) * 3
    groups = ["control"] * CONTROLS + ["cam"] * len(HEIGHTS)
    subjects = {"subject": names, "image": "x.nii.gz", "split": splits[: len(names)]}
    write_csv(folder / "subjects.csv", pd.DataFrame(subjects | {"group": groups}))
    write_csv(folder / "truth.csv", pd.DataFrame({"subject": names, "bump_height": heights}))
    with h5py.File(folder / "surface.h5", "w") as file:
        file["subject"] = names[::-1]  # another order than the population's
        file["points"] = np.float32(world[::-1])
        file["bump"] = share_of(unit) > 0.5
        file["cut"] = unit[:, 2] < -0.85
        file["triangles"] = ConvexHull(unit).simplices
    return folder


def write_points_of(folder, names, shapes):
    for name, points in zip(names, shapes, strict=True):
        write_points(folder / f"{name}.txt", points)


def compare(folder, out, **changes):
    out.mkdir(exist_ok=True)
    settings = {
        "population_path": folder / "population.h5",
        "subjects_path": folder / "subjects.csv",
        "landmarks_path": folder / "retained.csv",
        "class_column": "group",
        "control": "control",
        "kernel": "thin_plate",
        "seed": 3,
        "output": out / "mean_shapes.csv",
        "numbers": out / "mean_shapes.numbers.csv",
        "content": out / "mean_shapes.h5",
        "meshes": out / "surfaces",
        "truth_path": folder / "truth.csv",
        "surface_path": folder / "surface.h5",
    }
    compare_mean_shapes(**settings | changes)
    return read_numbers(out / "mean_shapes.numbers.csv").set_index("name")["value"]


@pytest.fixture(scope="module")
def compared(population, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared")
    return compare(population, out), out


def test_a_known_bump_is_found_where_it_is_and_as_high_as_it_is(compared):
    values, _ = compared
    assert values["bump_overlap"] > 0.88  # but for vertices on the rim
    assert values["bump_height_true_mm"] == pytest.approx(np.mean(HEIGHTS))
    assert abs(values["bump_height_error_mm"]) < 0.5  # a quarter of a voxel
    assert values["bump_height_error_mm"] == pytest.approx(
        values["bump_height_estimated_mm"] - np.mean(HEIGHTS), abs=1e-6
    )
    assert values["largest_outward_mm"] == pytest.approx(values["bump_height_estimated_mm"])
    # the cap where the share is above a half, of a sphere's surface
    cap = (1 - np.cos(WIDTH * np.sqrt(2 * np.log(2)))) / 2
    assert 0.9 * cap < values["bump_share"] < 1.3 * cap  # of an ellipsoid, a part cut off


def test_the_test_at_each_vertex_finds_the_bump_and_hardly_more(compared):
    values, out = compared
    assert values["different_share"] > values["bump_share"]
    assert values["different_on_bump"] > 0.4  # the spline carries it a little beyond
    assert values["smallest_corrected_p"] < 0.02
    with h5py.File(out / "mean_shapes.h5") as file:
        found = {name: file[name][:] for name in file}
    on, counted = found["bump"] & found["counted"], found["counted"]
    assert (found["corrected_p"][on] < 0.05).mean() > 0.95
    assert found["difference"][on].mean() < -1.5
    assert (found["p"][~counted] == 1).all()
    assert not counted.all()
    away = counted & (found["distance"] > -0.4)
    assert np.abs(found["distance"][away]).mean() < 0.2


def test_mahalanobis_distances_are_of_all_subjects_and_tell_a_bump(compared, population):
    values, out = compared
    table = pd.read_csv(out / "mean_shapes.csv")
    subjects = pd.read_csv(population / "subjects.csv")
    assert list(table.columns) == [
        "subject", "split", "group", "mahalanobis", "mahalanobis_in_sample",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(table.iloc[:, :3], subjects[["subject", "split", "group"]])
    cases = table["group"] == "cam"
    assert values["mahalanobis_auc"] == 1.0
    assert table.loc[cases, "mahalanobis"].min() > table.loc[~cases, "mahalanobis"].max()
    degenerate = (CONTROLS - 1) / np.sqrt(CONTROLS)
    assert values["mahalanobis_modes_in_sample"] == CONTROLS - 1
    np.testing.assert_allclose(table.loc[~cases, "mahalanobis_in_sample"], degenerate, rtol=1e-6)


def test_meshes_lie_about_the_centre_and_carry_the_distance(compared):
    values, out = compared
    control = pyvista.read(out / "surfaces" / "control_mean.vtp")
    case = pyvista.read(out / "surfaces" / "case_mean.vtp")
    assert set(control.point_data) == {"distance", "difference", "p", "corrected_p"}
    np.testing.assert_allclose(np.ptp(control.points, axis=0), 2 * SEMI_AXES, atol=1.0)
    assert np.abs(control.center).max() < 2.0
    far = control.points[control["distance"].argmin()]
    assert control["distance"].min() == pytest.approx(-values["largest_outward_mm"], abs=1e-5)
    assert far @ AT / np.linalg.norm(far) > 0.9
    assert case.volume > control.volume + 100


def test_without_truth_there_are_no_numbers_of_a_bump(population, tmp_path):
    values = compare(population, tmp_path, truth_path=None, surface_path=None)
    assert not [name for name in values.index if "bump" in name]
    with h5py.File(tmp_path / "mean_shapes.h5") as file:
        assert "bump" not in file
        assert file["counted"][:].all()  # nothing reaches the grid's end


def test_truth_of_mirrored_scans_is_carried_to_the_common_grid(population):
    """On the grid every subject has the bump on the side of AT, mirrored scans included."""
    with Population(population / "population.h5") as store:
        names, rows = store.subjects, np.array([3, 13, 4])
        truth = read_truth(
            population / "surface.h5", population / "truth.csv", [names[row] for row in rows]
        )
        still = Rigid(np.stack([np.eye(3)] * 3), np.zeros((3, 3)))
        points = carry(truth, store, rows, still)
        mirrored = np.linalg.det(store.affines[rows][:, :3, :3]) < 0
        distances = store.distance_transforms(rows)
    assert mirrored.tolist() == [True, False, False]
    for one, transform in zip(points, distances, strict=True):
        off = map_coordinates(transform, one.T[::-1] / SPACING, order=1)
        assert np.abs(off).max() < 0.75 * SPACING  # on the surface of the prepared segmentation
        towards = one[truth.bump].mean(axis=0) - one.mean(axis=0)
        assert towards @ AT / np.linalg.norm(towards) > 0.98


def relabelled(folder, out, labels):
    table = pd.read_csv(folder / "subjects.csv", dtype=str)
    table["group"] = labels
    write_csv(out / "subjects.csv", table)
    return out / "subjects.csv"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["control"] * 9 + ["a", "b", "b", "a", "a"], "a, b, control"),
        (["control"] * 3 + ["cam"] * 11, "needs 4 subjects of control, there are 3"),
        (["control"] * 13 + ["cam"], "needs 2 subjects of cam, there are 1"),
        (["normal"] * 8 + ["cam"] * 6, "control and one other"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(population, tmp_path, labels, message):
    table = relabelled(population, tmp_path, labels)
    with pytest.raises(InputError, match=message) as error:
        compare(population, tmp_path, subjects_path=table)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "mean_shapes.csv").exists()


def test_a_group_without_a_segmentation_is_refused(population, tmp_path):
    shutil.copy(population / "population.h5", tmp_path / "population.h5")
    with h5py.File(tmp_path / "population.h5", "a") as file:
        file["segmented"][CONTROLS:] = False
    with pytest.raises(InputError, match="no subject of cam has one"):
        compare(population, tmp_path, population_path=tmp_path / "population.h5")


def test_truth_of_other_subjects_is_refused_and_no_bump_is_none(population, tmp_path):
    paths = population / "surface.h5", population / "truth.csv"
    assert read_truth(*paths, ["s12", "s00"]).heights.tolist() == [3.5, 0.0]
    with pytest.raises(InputError, match=r"surface\.h5: no truth of subject stranger"):
        read_truth(*paths, ["s01", "stranger"])
    with h5py.File(tmp_path / "surface.h5", "w") as file:
        file["points"] = np.zeros((1, 2, 3))
    assert read_truth(tmp_path / "surface.h5", population / "truth.csv", ["s00"]) is None


def test_the_strongest_outward_region_has_the_area_asked_for():
    distance = np.array([-3.0, 1.0, -5.0, -4.0, -9.0, 0.0])
    areas = np.array([2.0, 1.0, 1.0, 2.0, 9.0, 1.0])
    counted = np.array([True, True, True, True, False, True])
    chosen = strongest_outward(distance, areas, counted, 3.0)
    assert np.flatnonzero(chosen).tolist() == [2, 3]
    assert np.flatnonzero(strongest_outward(distance, areas, counted, 0.1)).tolist() == [2]
    bump = np.array([True, False, True, False, True, False])  # 3 mm^2 of 7 count
    rows = {
        row["name"]: row for row in bump_numbers(distance, areas, bump, counted, np.array(HEIGHTS))
    }
    assert rows["bump_share"]["value"] == pytest.approx(3 / 7)
    assert rows["bump_overlap"]["value"] == pytest.approx(1 / 3)
    assert rows["bump_height_estimated_mm"]["value"] == 5.0
    assert bump_numbers(distance, areas, ~counted, counted, np.array([1.0])) == []


def test_given_points_that_differ_by_a_bump_are_told_apart(tmp_path):
    random = np.random.default_rng(2)
    unit = directions(300)
    shapes, labels = [], []
    for height in [0.0] * 14 + [2.0] * 7:
        points = (radius(unit, height)[:, None] * unit) + random.normal(0, 0.2, (300, 3))
        turn = Rotation.from_rotvec(random.uniform(-0.3, 0.3, 3)).as_matrix()
        shapes.append(points @ turn + random.normal(0, 20, 3))
        labels.append("b" if height else "a")
    names = [f"p{number}" for number in range(21)]
    write_points_of(tmp_path, names, shapes)
    table = {"subject": names, "landmarks": [f"{name}.txt" for name in names], "group": labels}
    write_csv(tmp_path / "table.csv", pd.DataFrame(table))
    outputs = tmp_path / "retained.csv", tmp_path / "subjects.csv"
    import_landmarks(tmp_path / "table.csv", None, "group", *outputs)
    given = {"population_path": None, "truth_path": None, "surface_path": None}
    values = compare(tmp_path, tmp_path / "out", control="a", **given)
    outputs = [tmp_path / "out" / f"mean_shapes{end}" for end in (".csv", ".numbers.csv", ".h5")]
    assert list((tmp_path / "out/surfaces").iterdir()) == []
    assert values["mahalanobis_auc"] > 0.95
    with h5py.File(outputs[2]) as file:
        assert "faces" not in file
        difference, different = file["difference"][:], file["corrected_p"][:] < 0.05
    bump = share_of(unit) > 0.5
    assert different[bump].all()
    assert different[share_of(unit) < 0.01].mean() < 0.1
    assert -2.2 < difference[bump].min() < -1.6
