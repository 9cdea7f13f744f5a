import h5py
import numpy as np
import pandas as pd
import pytest
import pyvista
from real_data import real_data
from scipy.ndimage import map_coordinates

from lmcore.analysis import shape_model, shape_modes
from lmcore.analysis.numbers import read_numbers
from lmcore.analysis.shape_model import evaluate_shape_model
from lmcore.analysis.shape_modes import Frame
from lmcore.analysis.shape_statistics import (
    compactness,
    draw_shapes,
    generalization,
    leave_one_out,
    nearest_shape_distance,
    principal_modes,
    specificity,
)
from lmcore.analysis.shape_surfaces import (
    CarriedSurface,
    nearest_surface_distance,
    spline_basis,
    surface_distance,
    surface_points,
)
from lmcore.errors import InputError
from lmcore.figures.shape_model import plot_shape_model
from lmcore.files import write_csv, write_json
from lmcore.particles.shapeworks import read_particles
from lmcore.particles.surface import DistanceField
from lmcore.points.landmarks import landmark_table
from lmcore.points.procrustes import Rigid, align, generalised_procrustes
from lmcore.population.segmentations import distance_transform
from lmcore.population.store import Population, Record, write_population

SHAPES = np.random.default_rng(0).normal(size=(7, 6, 3)) * (9.0, 4.0, 2.0) + (1.0, 20.0, -5.0)
SHAPES[:, :, 0] += np.arange(6) * 30


def plain_modes(shapes):
    """Eigenvectors (columns) and values of numpy's own covariance, largest first."""
    flat = shapes.reshape(len(shapes), -1)
    values, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))  # divides by N - 1
    return flat.mean(axis=0), vectors[:, ::-1], values[::-1]


def plain_left_out_errors(shapes, most):
    """(N, most) mean distances of points, every step by plain numpy."""
    errors = []
    for left in range(len(shapes)):
        mean_shape, rest = generalised_procrustes(shapes[np.arange(len(shapes)) != left])
        shape = align(shapes[left], mean_shape)(shapes[left]).ravel()
        mean, vectors, _ = plain_modes(rest)
        row = []
        for count in range(1, most + 1):
            basis = vectors[:, :count]
            found = mean + basis @ (basis.T @ (shape - mean))
            row.append(np.linalg.norm((found - shape).reshape(-1, shapes.shape[2]), axis=1).mean())
        errors.append(row)
    return np.array(errors)


def test_modes_and_variances_are_those_of_numpys_covariance():
    model = principal_modes(SHAPES)
    mean, vectors, values = plain_modes(SHAPES)
    np.testing.assert_allclose(model.mean.ravel(), mean)
    np.testing.assert_allclose(model.variances, values[:6], rtol=1e-9)
    overlap = np.abs(model.modes.reshape(6, -1) @ vectors[:, :6])
    np.testing.assert_allclose(overlap, np.eye(6), atol=1e-7)
    assert len(principal_modes(SHAPES, 2).modes) == 2
    largest = np.abs(model.modes.reshape(6, -1)).argmax(axis=1)
    assert (model.modes.reshape(6, -1)[np.arange(6), largest] > 0).all()


def test_a_population_along_one_line_has_one_mode_of_known_variance():
    direction = np.zeros((4, 3))
    direction[1] = (0, 3, 4)
    steps = np.array([-1.0, 0.0, 1.0, 4.0])
    model = principal_modes(np.arange(12.0).reshape(4, 3) + steps[:, None, None] * direction)
    assert model.variances[0] == pytest.approx(25 * steps.var(ddof=1))
    np.testing.assert_allclose(model.variances[1:], 0, atol=1e-9)
    np.testing.assert_allclose(model.modes[0], direction / 5, atol=1e-9)


def test_all_modes_together_give_a_shape_back():
    model = principal_modes(SHAPES)
    *_, last = model.partial_sums(model.scores(SHAPES))
    np.testing.assert_allclose(last, SHAPES, atol=1e-9)


def test_compactness_is_the_share_of_the_variance_with_its_sampling_error():
    _, _, values = plain_modes(SHAPES)
    curve = compactness(SHAPES, 4)
    share = values.cumsum() / values.sum()
    np.testing.assert_allclose(curve.value, share[:4])
    # the error of a / (a + b) where a and b have independent errors
    a_error = np.sqrt(2 / 7 * np.square(values[:2]).sum())
    b_error = np.sqrt(2 / 7 * np.square(values[2:]).sum())
    expected = np.hypot((1 - share[1]) * a_error, share[1] * b_error) / values.sum()
    assert curve.error[1] == pytest.approx(expected)
    assert compactness(SHAPES, 6).error[5] == pytest.approx(0, abs=1e-7)


def test_generalization_is_that_of_plain_numpy_with_its_standard_error():
    errors = np.array([error for _, error in leave_one_out(SHAPES, 4)])
    plain = plain_left_out_errors(SHAPES, 4)
    np.testing.assert_allclose(errors, plain, rtol=1e-6)
    curve = generalization(errors)
    np.testing.assert_allclose(curve.value, plain.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(curve.error, plain.std(axis=0, ddof=1) / np.sqrt(7), rtol=1e-6)
    assert curve.n == 7


def test_a_left_out_shape_is_found_where_it_lies():
    """With a pose of its own; what its model cannot say is the same in either frame."""
    angle = 0.4
    turn = np.array(
        [[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    moved = SHAPES.copy()
    moved[3] = moved[3] @ turn + (100, 0, 5)
    for (found, error), shape in zip(leave_one_out(moved, 3), moved, strict=True):
        distances = np.linalg.norm(found - shape, axis=-1).mean(axis=-1)
        np.testing.assert_allclose(distances, error, rtol=1e-9)


def test_random_shapes_have_the_models_variances_whatever_their_number_of_modes():
    model = principal_modes(SHAPES, 3)
    drawn = list(draw_shapes(model, 4000, 1))
    assert len(drawn) == 3
    for count, shapes in enumerate(drawn, start=1):
        scores = model.scores(shapes)
        ratio = scores[:, :count].var(axis=0) / model.variances[:count]
        np.testing.assert_allclose(ratio, 1, atol=0.1)
        np.testing.assert_allclose(scores[:, count:], 0, atol=1e-9)
    np.testing.assert_array_equal(drawn[2], list(draw_shapes(model, 4000, 1))[2])


def test_specificity_is_the_distance_to_the_nearest_shape():
    drawn = SHAPES[[4, 1]] + np.array([[[0.3, 0.4, 0]], [[0, 0, -2.0]]])
    distances = nearest_shape_distance(drawn, SHAPES)
    np.testing.assert_allclose(distances, [0.5, 2.0])
    curve = specificity(np.array([[1.0, 2, 6], [0, 0, 3]]))
    np.testing.assert_allclose(curve.value, [3, 1])
    np.testing.assert_allclose(curve.error, np.array([np.sqrt(7), np.sqrt(3)]) / np.sqrt(3))
    assert curve.n == 3


@pytest.mark.parametrize("name", ["femur_cut", "left_atrium", "ellipsoid"])
def test_models_of_real_shapeworks_particles_equal_plain_numpy(name):
    _, particles = read_particles(real_data(f"shapeworks_particles/{name}"))
    every = principal_modes(particles).variances
    flat = particles.reshape(len(particles), -1)
    centred = flat - flat.mean(axis=0)
    # the same eigenvalues by the small matrix: 1536 coordinates make the large one slow
    values = np.linalg.eigvalsh(centred @ centred.T / (len(flat) - 1))[::-1]
    np.testing.assert_allclose(every, values[: len(every)], rtol=1e-7, atol=1e-9 * values[0])
    assert every.sum() == pytest.approx(flat.var(axis=0, ddof=1).sum())
    np.testing.assert_allclose(
        compactness(particles, 10).value, (values.cumsum() / values.sum())[:10], rtol=1e-9
    )
    few = particles[:8, ::16]
    errors = np.array([error for _, error in leave_one_out(few, 5)])
    np.testing.assert_allclose(errors, plain_left_out_errors(few, 5), rtol=1e-6)


@pytest.mark.parametrize(("kernel", "d"), [("paper", 2), ("paper", 3), ("thin_plate", 3)])
def test_a_spline_basis_solves_the_system_of_the_registration(kernel, d):
    random = np.random.default_rng(d)
    control, places = random.uniform(-1, 1, (9, d)), random.uniform(-1, 1, (20, d))

    def phi(a, b):
        r = np.linalg.norm(a[:, None] - b, axis=-1)
        if kernel == "thin_plate" and d == 3:
            return r
        return r**2 * np.log(np.where(r > 0, r, 1))

    ones = np.hstack([np.ones((9, 1)), control])
    system = np.block([[phi(control, control), ones], [ones.T, np.zeros((d + 1, d + 1))]])
    row = np.hstack([phi(places, control), np.ones((20, 1)), places])
    expected = (row @ np.linalg.inv(system))[:, :9]
    np.testing.assert_allclose(spline_basis(places, control, kernel), expected, atol=1e-7)


SHAPE, SPACING = (18, 24, 20), 2.0
SUBJECTS = [f"s{number}" for number in range(8)]
SPLITS = ["train"] * 6 + ["test", "validation"]
CENTRE = np.array([19.0, 23.0, 17.0])
DIRECTIONS = np.random.default_rng(4).normal(size=(40, 3))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def axes_of(number):
    """Semi-axes in mm; subjects differ along y mostly."""
    return np.array([11.0, 13.0 + 1.2 * (number % 4), 9.0 + 0.3 * (number % 3)])


def points_of(number):
    return CENTRE + DIRECTIONS * axes_of(number)


def write(folder, segmented=True, d=3):
    """A population of ellipsoids, and tables of points on them; in 2D, of blobs."""
    shape = SHAPE[-d:]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)[..., ::-1]
    spacing = SPACING if d == 3 else 1.0

    def record(number):
        axes, centre = axes_of(number)[:d] / SPACING, CENTRE[:d] / SPACING
        reach = np.linalg.norm((index - centre) / axes, axis=-1)
        image, affine = np.exp(-(reach**2))[None].astype(np.float32), np.eye(d + 1)
        if not segmented:
            return Record(image, affine, shape)
        inside = (reach < 1).astype(np.uint8)
        return Record(image, affine, shape, inside, distance_transform(inside, spacing))

    records = (record(number) for number in range(8))
    write_population(
        folder / "population.h5", SUBJECTS, shape, 1, {}, records, spacing=spacing,
        segmented=segmented,
    )  # fmt: skip
    splits = pd.DataFrame({"subject": SUBJECTS, "image": "x", "split": SPLITS})
    write_csv(folder / "subjects.csv", splits)
    last = np.array(shape[::-1]) - 1
    normalised = np.stack([points_of(n)[:, :d] for n in range(8)]) / SPACING / last * 2 - 1
    affines = np.stack([np.eye(d + 1)] * 8)
    few = normalised[:, :12] * 0.9
    landmarks = landmark_table(SUBJECTS, few, range(3, 15), shape, affines)
    write_csv(folder / "retained.csv", landmarks)
    write_csv(
        folder / "particles.csv", landmark_table(SUBJECTS, normalised, range(1, 41), shape, affines)
    )
    write_json(folder / "engine.json", {"engine": "cpd", "name": "not ShapeWorks"})
    return folder


def evaluate(folder, particles=True):
    extra = {}
    if particles:
        extra = {
            "particles_path": folder / "particles.csv",
            "engine_path": folder / "engine.json",
        }
    evaluate_shape_model(
        folder / "population.h5", folder / "subjects.csv", folder / "retained.csv", "thin_plate", 5,
        folder / "table.csv", folder / "numbers.csv", folder / "modes.h5", folder / "meshes",
        **extra,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    return evaluate(write(tmp_path_factory.mktemp("evaluated")))


def field(number):
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)[..., ::-1]
    reach = np.linalg.norm((index * SPACING - CENTRE) / axes_of(number), axis=-1)
    return DistanceField((reach - 1) * axes_of(number).mean(), SPACING)


def test_a_surface_is_carried_by_an_affine_map_exactly():
    vertices = surface_points(field(0), 1)
    matrix = np.array([[1.1, 0.2, 0], [0, 0.9, -0.1], [0.3, 0, 1.2]])
    carried = CarriedSurface(points_of(0), vertices)(points_of(0) @ matrix + 3)
    np.testing.assert_allclose(carried, vertices @ matrix + 3, atol=1e-6)
    many = CarriedSurface(points_of(0), vertices)(np.stack([points_of(0), points_of(2)]))
    np.testing.assert_allclose(many[0], vertices, atol=1e-6)
    # points on the other ellipsoid take the surface there
    assert surface_distance(field(2), many)[1] < 0.1 * surface_distance(field(2), many)[0]


def test_wrong_correspondence_that_points_do_not_see_is_seen_by_surfaces():
    """Points that slide on their own surfaces alike make a small point distance."""
    vertices = surface_points(field(0), 1)
    carried = CarriedSurface(points_of(0), vertices)
    swapped = points_of(2)[np.random.default_rng(0).permutation(40)]
    right, wrong = (
        surface_distance(field(2), carried(points)) for points in (points_of(2), swapped)
    )
    assert np.abs(field(2).distance(swapped)).max() < 0.5  # each is on the surface
    assert wrong > 4 * right


def test_the_nearest_of_several_surfaces_counts_in_its_own_frame():
    vertices = surface_points(field(1), 1)
    shift = np.array([5.0, -3.0, 2.0])
    poses = Rigid(np.stack([np.eye(3)] * 2), np.stack([shift, np.zeros(3)]))
    carried = np.stack([vertices + shift, vertices + 100])
    found = nearest_surface_distance(carried, [1, 2], poses, field)
    assert found[0] < 0.05
    assert found[1] > 20


def test_the_table_has_every_measure_of_both_point_sets(evaluated):
    table = pd.read_csv(evaluated / "table.csv", keep_default_na=False)
    assert list(table) == shape_model.COLUMNS
    measures = {"compactness", "generalization", "specificity"}
    measures |= {"generalization_surface", "specificity_surface"}
    for points, engine in (("landmarks", ""), ("particles", "cpd")):
        part = table[table["points"] == points]
        assert set(part["engine"]) == {engine}
        assert set(part["measure"]) == measures
        for _, curve in part.groupby("measure"):
            assert curve["modes"].tolist() == [1, 2, 3, 4]
    training = np.stack([points_of(number) for number in range(6)])
    errors = np.array([error for _, error in leave_one_out(training, 4)])
    chosen = (table["points"] == "particles") & (table["measure"] == "generalization")
    np.testing.assert_allclose(table.loc[chosen, "value"], errors.mean(axis=0), atol=1e-6)
    assert set(table.loc[chosen, "unit"]) == {"mm"}
    assert set(table.loc[chosen, "n"]) == {6}  # the training split alone


def test_surfaces_generalise_within_a_voxel(evaluated):
    table = pd.read_csv(evaluated / "table.csv", keep_default_na=False)
    surface = table[table["measure"].str.endswith("_surface")]
    assert (surface["value"] < SPACING).all()


def test_numbers_name_the_engine_and_know_the_spacing(evaluated):
    numbers = read_numbers(evaluated / "numbers.csv").set_index("name")
    assert not any(name.startswith("particles") and "cpd" not in name for name in numbers.index)
    gaps = []
    for number in range(8):
        points = points_of(number)
        distances = np.linalg.norm(points[:, None] - points, axis=-1) + np.eye(40) * 1e9
        gaps.append(distances.min(axis=1))
    spacing = numbers.loc["particles_cpd_spacing"]
    assert spacing["value"] == pytest.approx(np.mean(gaps), abs=1e-6)
    assert spacing["ci_low"] < spacing["value"] < spacing["ci_high"]
    variation = np.mean([gap.std() / gap.mean() for gap in gaps])
    assert numbers.loc["particles_cpd_spacing_variation", "value"] == pytest.approx(variation, 1e-6)
    with Population(evaluated / "population.h5") as population:
        distances = [
            np.abs(map_coordinates(one, points_of(n).T[::-1] / SPACING, order=1))
            for n, one in enumerate(population.distance_transforms(range(8)))
        ]
    for name, expected in (("", np.mean(distances)), ("_max", np.max(distances, axis=1).mean())):
        found = numbers.loc[f"particles_cpd_surface_distance{name}", "value"]
        assert found == pytest.approx(expected, rel=1e-4)
    assert numbers.loc["landmarks_modes", "value"] <= 4


def test_meshes_are_the_mean_and_both_sides_of_each_mode(evaluated):
    names = {path.name for path in (evaluated / "meshes").iterdir()}
    for label in ("landmarks", "particles_cpd"):
        assert f"{label}_mean.vtp" in names
        for mode in (1, 2, 3):
            assert {f"{label}_mode_{mode}_{s}_2sd.vtp" for s in ("minus", "plus")} <= names
    assert len(names) == 14
    mean = pyvista.read(evaluated / "meshes/particles_cpd_mean.vtp")
    plus = pyvista.read(evaluated / "meshes/particles_cpd_mode_1_plus_2sd.vtp")
    minus = pyvista.read(evaluated / "meshes/particles_cpd_mode_1_minus_2sd.vtp")
    np.testing.assert_allclose(
        plus.points - plus.point_data["displacement"], mean.points, atol=1e-4
    )
    np.testing.assert_allclose(plus.points + minus.points, 2 * mean.points, atol=1e-3)
    # about the grid's centre, as wide as the mean ellipsoid; the first mode is its length in y
    centre = CENTRE - (np.array(SHAPE[::-1]) - 1) * SPACING / 2
    np.testing.assert_allclose(mean.points.mean(axis=0), centre, atol=1.0)
    lengths = [np.ptp(mesh.points, axis=0) for mesh in (minus, mean, plus)]
    change = np.abs(lengths[2] - lengths[0])
    assert change[1] > 3 * change[[0, 2]].max()
    deviation = np.std([axes_of(n)[1] for n in range(6)], ddof=1)
    assert change[1] == pytest.approx(2 * 4 * deviation, rel=0.25)


def test_the_landmarks_mean_surface_is_the_mean_of_the_segmentations(evaluated):
    mean = pyvista.read(evaluated / "meshes/landmarks_mean.vtp")
    expected = 2 * np.mean([axes_of(number) for number in range(6)], axis=0)
    np.testing.assert_allclose(np.ptp(mean.points, axis=0), expected, atol=SPACING)


def test_an_image_is_pulled_to_its_landmarks(tmp_path):
    """Landmarks that move by two pixels take the image with them, the corners stay."""
    write(tmp_path, segmented=False, d=2)
    with Population(tmp_path / "population.h5") as population:
        image = population.images([0])[0, 0]
        frame = Frame(population, "paper")
        source = np.stack([[6.0, 8], [13, 8], [9, 11], [6, 15], [13, 15]])
        moved = frame.average([image], [source], source + (2, 0))
    peak = np.unravel_index(image.argmax(), image.shape)
    assert np.unravel_index(moved.argmax(), image.shape) == (peak[0], peak[1] + 2)
    assert moved[0, 0] == pytest.approx(image[0, 0], abs=1e-5)


@pytest.mark.parametrize(("segmented", "d"), [(True, 2), (False, 2), (False, 3)])
def test_without_surfaces_there_are_warped_images_and_point_distances_alone(tmp_path, segmented, d):
    evaluate(write(tmp_path, segmented, d), particles=False)
    table = pd.read_csv(tmp_path / "table.csv", keep_default_na=False)
    assert not table["measure"].str.endswith("_surface").any()
    assert set(table["unit"]) == {"share", "mm" if d == 3 else "px"}
    assert list((tmp_path / "meshes").iterdir()) == []
    with h5py.File(tmp_path / "modes.h5") as file:
        assert file["landmarks/warped"].shape == (3, 2, *SHAPE[-d:])
        mean, points = file["landmarks/mean"][:], file["landmarks/points"][:]
        np.testing.assert_allclose(points.mean(axis=1), np.stack([mean] * 3), atol=1e-9)
        share = file["landmarks/share"][:]
    assert share[0] > 0.8
    assert (np.diff(share) <= 0).all()


def test_the_same_files_give_the_same_bytes(evaluated, tmp_path):
    again = evaluate(write(tmp_path))
    for name in ("table.csv", "numbers.csv", "modes.h5", "meshes/landmarks_mode_2_plus_2sd.vtp"):
        assert (again / name).read_bytes() == (evaluated / name).read_bytes(), name


def test_too_few_training_subjects_are_refused(tmp_path):
    write(tmp_path)
    table = pd.read_csv(tmp_path / "subjects.csv")
    table.loc[:2, "split"] = "test"
    write_csv(tmp_path / "subjects.csv", table)
    with pytest.raises(InputError, match=r"shape_model needs 4 training subjects.* has 3"):
        evaluate(tmp_path)


def test_points_of_another_population_are_refused(tmp_path):
    write(tmp_path)
    table = pd.read_csv(tmp_path / "retained.csv").replace({"subject": {"s7": "stranger"}})
    write_csv(tmp_path / "retained.csv", table)
    table = pd.read_csv(tmp_path / "subjects.csv")
    table.loc[len(table)] = ["stranger", "x", "test"]
    write_csv(tmp_path / "subjects.csv", table)
    with pytest.raises(InputError, match="stranger is no subject"):
        evaluate(tmp_path)


def words(figure):
    texts = [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]
    return " | ".join(texts)


def test_the_figure_says_which_engine_made_the_particles(evaluated, tmp_path, saved):
    plot_shape_model(
        evaluated / "table.csv", evaluated / "modes.h5", [tmp_path / "a.png"], "origin"
    )
    text = words(saved[0])
    assert text.count("coherent point drift (biocpd), not ShapeWorks") >= 2  # legend and row
    assert "mode 1, + 2 SD" in text
    with h5py.File(evaluated / "modes.h5") as file:
        assert f"{file['landmarks/share'][0]:.0%} of variance" in text


@pytest.mark.parametrize("d", [2, 3])
def test_the_figure_of_images_is_drawn(tmp_path, saved, d):
    evaluate(write(tmp_path, segmented=False, d=d), particles=False)
    plot_shape_model(tmp_path / "table.csv", tmp_path / "modes.h5", [tmp_path / "a.png"], "origin")
    assert "ShapeWorks" not in words(saved[0])
    shown = [image for axes in saved[0].findobj(lambda part: hasattr(part, "get_images"))
             for image in axes.get_images()]  # fmt: skip
    assert len(shown) == 1 + 2 * shape_modes.SHOWN


def evaluate_given(folder, points):
    """The shape model of given landmarks (N, M, d), which have no population."""
    names = [f"g{number}" for number in range(len(points))]
    low, d = points.min(), points.shape[-1]
    affine = np.diag([np.ptp(points)] * d + [1.0])
    affine[:d, d] = low
    normalised = (points - low) / np.ptp(points) * 2 - 1
    numbers, affines = range(1, points.shape[1] + 1), np.stack([affine] * len(points))
    write_csv(
        folder / "retained.csv", landmark_table(names, normalised, numbers, (2,) * d, affines)
    )
    splits = {"subject": names, "image": "", "split": "held_out"}
    write_csv(folder / "subjects.csv", pd.DataFrame(splits))
    evaluate_shape_model(
        None, folder / "subjects.csv", folder / "retained.csv", "thin_plate", 5,
        folder / "table.csv", folder / "numbers.csv", folder / "modes.h5", folder / "meshes",
    )  # fmt: skip


def test_given_landmarks_make_a_model_without_a_population(tmp_path, saved):
    points = np.stack([points_of(number) for number in range(6)])
    evaluate_given(tmp_path, points)
    _, aligned = generalised_procrustes(points)
    variances = plain_modes(aligned)[2]
    table = pd.read_csv(tmp_path / "table.csv")
    found = table.query("measure == 'compactness'")["value"].to_numpy()
    expected = (variances.cumsum() / variances.sum())[: len(found)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert set(table["unit"]) == {"share", "mm"}
    assert set(table["n"]) == {6, 1000}  # everybody, though nobody is in a split; random shapes
    with h5py.File(tmp_path / "modes.h5") as file:
        assert not file.attrs["oriented"]
        assert len(file["landmarks/faces"]) == 0
        first = file["landmarks/moved"][0]
    step = 2 * np.sqrt(variances[0])
    assert np.linalg.norm(first[1] - first[0]) == pytest.approx(2 * step, rel=1e-6)
    mesh = pyvista.read(tmp_path / "meshes/landmarks_mode_1_plus_2sd.vtp")
    np.testing.assert_allclose(mesh.points, first[1], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(mesh.point_data["displacement"]), step, rtol=1e-5)
    plot_shape_model(tmp_path / "table.csv", tmp_path / "modes.h5", [tmp_path / "a.png"], "origin")
    text = words(saved[0])
    assert "mode 3, − 2 SD" in text
    assert {"x", "y", "z"} & set(text.split(" | "))  # directions that nobody knows


def test_directions_are_named_where_they_are_known(evaluated, tmp_path, saved):
    with h5py.File(evaluated / "modes.h5") as file:
        assert file.attrs["oriented"]
    plot_shape_model(
        evaluated / "table.csv", evaluated / "modes.h5", [tmp_path / "a.png"], "origin"
    )
    letters = set(words(saved[0]).split(" | "))
    assert letters & {"R", "L"}
    assert letters & {"S", "I"}
    assert not letters & {"x", "y", "z"}


def test_given_points_of_a_plane_have_no_shape_model(tmp_path):
    points = np.stack([points_of(number)[:, :2] for number in range(6)])
    with pytest.raises(InputError, match="shape_model needs points in 3D"):
        evaluate_given(tmp_path, points)
