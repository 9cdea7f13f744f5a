"""The simulated left atria: anatomy, truth, recurrence and what the scans look like."""

import dataclasses

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import distance_transform_edt, map_coordinates

from lmcore.errors import InputError
from lmcore.simulation import atrium, atrium_anatomy, atrium_shape, scanner, solids

SIZE = (40, 44, 48)  # three lengths, so that a mixed-up axis shows
SPACING = 3.0
STILL = dict.fromkeys(("rotation", "shift", "irregularity", "vein_bend", "appendage_turn"), (0, 0))
STILL |= dict.fromkeys(("heart_size", "vein_radius", "appendage_width", "enlargement"), (1, 1))
STILL |= {"roundness": (atrium_shape.ROUNDNESS,) * 2}
STILL |= {"appendage_length": (atrium_shape.APPENDAGE_LENGTH,) * 2}
CLEAN = dict.fromkeys(("noise", "bias", "grain"), (0.0, 0.0))


@pytest.fixture(scope="module")
def surface():
    return atrium_anatomy.template()


def options(**changes):
    return dataclasses.replace(atrium.AtriumOptions(size=SIZE, spacing=SPACING), **changes)


def where_in_common(shape):
    return atrium_shape.deformation_of(shape).inverse(scanner.voxel_centres(SIZE, SPACING))


def test_the_scans_and_their_truth_are_written(tmp_path, surface):
    changes = {"count": 2, "size": list(SIZE), "spacing": SPACING, "modalities": 2}
    atrium.simulate(tmp_path / "population", tmp_path / "truth.csv", 7, **changes)
    table = pd.read_csv(tmp_path / "population" / "subjects.csv")
    truth = pd.read_csv(tmp_path / "truth.csv")
    assert list(table["subject"]) == ["atrium_001", "atrium_002"] == list(truth["subject"])
    assert list(table["modality"]) == ["lge", "black_blood"]
    assert list(table["recurrence"].map({"yes": 1.0, "no": 0.0})) == list(truth["recurrence"])
    assert set(atrium.SHAPE_PARAMETERS) | {"recurrence_probability"} < set(truth.columns)

    image = nibabel.load(tmp_path / "population" / table["image"][1])
    segmentation = nibabel.load(tmp_path / "population" / table["segmentation"][1])
    assert image.shape == segmentation.shape == SIZE[::-1]
    expected = atrium.draw_subject(1, 7, options(modalities=2), surface)
    assert np.array_equal(np.asarray(image.dataobj), expected.image.transpose(2, 1, 0))
    assert np.array_equal(np.asarray(segmentation.dataobj), expected.segmentation.T)
    assert np.allclose(image.affine, expected.affine)
    with h5py.File(tmp_path / "truth" / "surface.h5") as file:
        assert np.allclose(file["points"][1], expected.points, atol=1e-4)
        assert set(surface[2]) < set(file)


@pytest.mark.parametrize("index", range(4))
def test_points_lie_on_the_surface_of_the_segmentation(index, surface):
    one = atrium.draw_subject(index, 3, options(), surface)
    assert 1000 <= len(one.points) <= 2000
    # the truth alone: where the points come from, the distance is zero
    shape, _, _ = atrium_shape.draw_patient(index, 3, options())
    back = atrium_shape.deformation_of(shape).inverse(one.points)
    assert np.abs(atrium_anatomy.left_atrium(back)).max() < 0.02

    voxels = nibabel.affines.apply_affine(np.linalg.inv(one.affine), one.points)[:, ::-1].T
    inside, outside = one.segmentation > 0, one.segmentation == 0
    signed = distance_transform_edt(outside) - distance_transform_edt(inside)
    signed += np.where(inside, 0.5, -0.5)  # between two voxels, not at their centres
    off = map_coordinates(signed, voxels, order=1)
    assert np.mean(np.abs(off) <= 0.5) > 0.95
    assert abs(off.mean()) < 0.1


def test_points_correspond(surface):
    """The same point is the tip of the appendage, or the end of a vein, in every subject."""
    vertices, _, _ = surface
    tip = np.linalg.norm(vertices - atrium_anatomy.APPENDAGE_TIP, axis=1).argmin()
    for index in range(3):
        shape, _, _ = atrium_shape.draw_patient(index, 5, options())
        warp = atrium_shape.deformation_of(shape)
        there = warp(atrium_anatomy.APPENDAGE_TIP[None])[0]
        assert np.linalg.norm(warp(vertices)[tip] - there) < 3.0
        for name, path in atrium_anatomy.VEINS.items():
            end = np.array(path[1][:3], dtype=float)
            moved = warp(end[None])[0] - warp.shift
            assert np.sign(moved[0]) == (1 if "right" in name else -1)


def test_left_is_left(surface):
    """RAS: the appendage, the left veins and the descending aorta lie at -x, in the image too."""
    vertices, _, parts = surface
    mean = {name: vertices[inside > 0].mean(axis=0) for name, inside in parts.items()}
    for name in ("left_superior_vein", "left_inferior_vein", "appendage"):
        assert mean[name][0] < mean["body"][0] - 20, name
    for name in ("right_superior_vein", "right_inferior_vein"):
        assert mean[name][0] > mean["body"][0] + 20, name
    assert mean["appendage"][1] > mean["left_superior_vein"][1] + 10  # in front of the vein
    for side in ("left", "right"):
        assert mean[f"{side}_superior_vein"][2] > mean[f"{side}_inferior_vein"][2] + 10

    still = options(**STILL, **CLEAN)
    one = atrium.draw_subject(0, 1, still, surface)
    at = np.linalg.inv(one.affine)
    column, row, plane = np.rint(nibabel.affines.apply_affine(at, (-22, -37, 0))).astype(int)
    mirrored = np.rint(nibabel.affines.apply_affine(at, (22, -37, 0))).astype(int)
    assert one.image[plane, row, column] > 2 * one.image[plane, row, mirrored[0]]
    # the appendage: segmented at its place, nothing at its mirror image
    column, row, plane = np.rint(nibabel.affines.apply_affine(at, (-37, 31, 16))).astype(int)
    assert one.segmentation[plane, row, column] == 1
    assert one.segmentation[plane, row, SIZE[2] - 1 - column] == 0


def test_an_undeformed_atrium_has_the_sizes_of_the_literature(surface):
    vertices, triangles, parts = surface
    shape, _, _ = atrium_shape.draw_patient(0, 1, options(**STILL))
    assert np.allclose(atrium_shape.deformation_of(shape)(vertices), vertices)
    measured = atrium_shape.measure(shape, vertices, triangles, parts["body"])
    assert 39 <= measured["antero_posterior"] <= 47
    ratio = 2 * measured["antero_posterior"] / (measured["transverse"] + measured["height"])
    assert ratio == pytest.approx(atrium_shape.ROUNDNESS, abs=0.01)
    # an independent count of the volume
    points = np.stack(np.meshgrid(*[np.arange(-50.0, 50.0, 1.25)] * 3, indexing="ij"), axis=-1)
    count = np.count_nonzero(atrium_anatomy.left_atrium(points) < 0) * 1.25**3 / 1000
    assert measured["volume"] == pytest.approx(count, rel=0.02)
    assert 20 <= atrium_shape.APPENDAGE_LENGTH <= 45
    body = vertices[parts["body"] > 0]
    radius = np.linalg.norm(body - body.mean(axis=0), axis=1)
    assert measured["sphericity"] == pytest.approx(100 * (1 - radius.std() / radius.mean()))


def test_each_parameter_does_what_its_name_says(surface):
    vertices, triangles, parts = surface
    shape, _, _ = atrium_shape.draw_patient(0, 1, options(**STILL))

    def measured(**changes):
        return atrium_shape.measure(shape | changes, vertices, triangles, parts["body"])

    plain = measured()
    round_one = measured(roundness=1.2 * shape["roundness"])
    assert round_one["antero_posterior"] > 1.08 * plain["antero_posterior"]
    assert round_one["transverse"] < 0.97 * plain["transverse"]
    assert round_one["sphericity"] > plain["sphericity"] + 1
    assert round_one["volume"] == pytest.approx(plain["volume"], rel=0.05)
    large = measured(enlargement=1.15)
    for name in ("antero_posterior", "transverse", "height"):
        assert large[name] == pytest.approx(1.13 * plain[name], rel=0.04)
    assert measured(rotation_z=30.0) == pytest.approx(plain)

    def length(value):
        warp = atrium_shape.deformation_of(shape | {"appendage_length": value})
        ends = np.stack([atrium_anatomy.APPENDAGE_BASE, atrium_anatomy.APPENDAGE_TIP])
        return np.linalg.norm(np.diff(warp(ends), axis=0))

    assert length(atrium_shape.APPENDAGE_LENGTH) == pytest.approx(atrium_shape.APPENDAGE_LENGTH)
    assert length(24.0) == pytest.approx(24.0, abs=1.5)
    assert length(40.0) == pytest.approx(40.0, abs=1.5)


def test_local_modes_are_linear_maps_at_their_centres():
    centre, vector = np.array([3.0, -2.0, 7.0]), np.array([0.5, 1.0, -2.0])
    matrix = np.array([[0.1, 0.2, 0.0], [0.0, -0.1, 0.3], [0.05, 0.0, 0.2]])
    modes = atrium_shape.LocalModes([(centre, 20.0, vector, matrix)])
    offset = np.array([[0.0, 0, 0], [2.0, 0, 0], [0, 3.0, 0], [6.0, -9.0, 14.0], [40.0, 0, 0]])
    weight = np.exp(-((np.linalg.norm(offset, axis=1) / 20.0) ** 4))[:, None]
    assert np.allclose(modes(centre + offset), weight * (vector + offset @ matrix.T))


def test_the_best_possible_accuracy_and_the_prevalence():
    """Who knows the true shape is right in 70 to 75 %; half of all subjects have a recurrence."""
    patients = [atrium_shape.draw_patient(index, 11, options()) for index in range(3000)]
    probability = np.array([one[1] for one in patients])
    recurs = np.array([one[2] for one in patients])
    assert 0.70 < np.maximum(probability, 1 - probability).mean() < 0.75
    assert 0.70 < np.mean((probability > 0.5) == recurs) < 0.75
    assert recurs.mean() == pytest.approx(0.5, abs=0.03)  # 3 standard errors
    # as drawn: among those with a probability near p, a share p has a recurrence
    likely = probability > 0.7
    assert recurs[likely].mean() == pytest.approx(probability[likely].mean(), abs=0.06)


def test_recurrence_depends_on_three_parameters_in_the_known_direction():
    ranges = {"roundness": (0.6, 1.0), "enlargement": (0.8, 1.2), "appendage_length": (20, 40)}
    middle = {"roundness": 0.8, "enlargement": 1.0, "appendage_length": 30.0}
    odds = {"roundness": 1.0, "enlargement": 0.5, "appendage_length": -0.25}
    assert atrium_shape.recurrence_probability(middle, ranges, odds) == pytest.approx(0.5)
    # a range spans two deviations on each side: 0.1, 0.1 and 5 mm are one
    one_off = {"roundness": 0.9, "enlargement": 1.1, "appendage_length": 25.0}
    expected = 1 / (1 + np.exp(-1.75))
    assert atrium_shape.recurrence_probability(one_off, ranges, odds) == pytest.approx(expected)
    for name, weight in atrium_shape.RECURRENCE_LOG_ODDS.items():
        assert (weight > 0) == (name != "appendage_length")

    wider = options(vein_radius=(0.7, 1.3), irregularity=(-1.0, 1.0), rotation=(-1.0, 1.0))
    plain, other = (atrium_shape.draw_patient(3, 5, one) for one in (options(), wider))
    assert plain[1:] == other[1:]
    assert plain[0]["left_superior_radius"] != other[0]["left_superior_radius"]


def test_neighbours_are_as_bright_as_the_atrium(surface):
    """Measured on scans without noise, bias or blur through the slices."""
    for index in range(2):
        still = options(**CLEAN, slice_profile=(0.01, 0.01))
        one = atrium.draw_subject(index, 2, still, surface)
        shape, _, _ = atrium_shape.draw_patient(index, 2, still)
        common = where_in_common(shape)
        own = np.median(one.image[one.segmentation > 0])
        names = ("right_atrium", "left_ventricle", "ascending_aorta", "descending_aorta")
        for tissue in atrium_anatomy.NEIGHBOURS:
            if tissue.name in (*names, "pulmonary_artery"):
                level = np.median(one.image[tissue.distance(common) < -5])
                assert 0.85 < level / own < 1.15, tissue.name
            elif tissue.name in ("trachea", "spine"):
                deep = tissue.distance(common) < -3
                assert np.median(one.image[deep]) < 0.6 * own

        # whoever takes all that is as bright as the atrium takes far more
        low, high = np.percentile(one.image[one.segmentation > 0], [2.5, 97.5])
        taken = (one.image >= low) & (one.image <= high)
        both = np.count_nonzero(taken & (one.segmentation > 0))
        dice = 2 * both / (taken.sum() + one.segmentation.sum())
        assert dice < 0.6


def test_intensity_profiles_differ_and_a_second_modality_inverts_them(surface):
    scans = [
        atrium.draw_scan(atrium.AtriumOptions(), "lge", np.random.default_rng(index))
        for index in range(40)
    ]
    table = pd.DataFrame(scans)
    assert (table["left_atrium"] == 1).all()
    for name in ("myocardium", "fat", "vessel_wall", "lung", "brightness", "noise"):
        low, high = table[name].quantile([0.05, 0.95])
        assert high > 1.3 * low, name

    one = atrium.draw_subject(1, 4, options(modalities=1, **CLEAN), surface)
    other = atrium.draw_subject(1, 4, options(modalities=2, **CLEAN), surface)
    assert (one.labels["modality"], other.labels["modality"]) == ("lge", "black_blood")
    assert np.array_equal(one.segmentation, other.segmentation)
    assert np.array_equal(one.points, other.points)
    assert one.labels["recurrence"] == other.labels["recurrence"]
    shape, _, _ = atrium_shape.draw_patient(1, 4, options())
    common = where_in_common(shape)
    fat = next(tissue for tissue in atrium_anatomy.NEIGHBOURS if tissue.name == "spine")
    marrow = fat.distance(common) < -4
    for scan, brighter in ((one, True), (other, False)):
        blood = np.median(scan.image[scan.segmentation > 0])
        assert (blood > np.median(scan.image[marrow])) == brighter


def test_bias_and_noise_are_as_strong_as_asked(surface):
    def spread(**changes):
        # nothing but the middle of the body: no partial volume
        one = atrium.draw_subject(0, 6, options(**STILL, **(CLEAN | changes)), surface)
        inner = one.image[atrium_anatomy.body(scanner.voxel_centres(SIZE, SPACING)) < -7]
        return inner.std() / inner.mean()

    assert spread() < 0.01
    assert spread(bias=(0.2, 0.2)) > 0.03
    assert spread(noise=(0.1, 0.1)) == pytest.approx(0.1, rel=0.15)
    assert spread(noise=(0.1, 0.1), grain=(1.0, 1.0)) == pytest.approx(0.1, rel=0.15)


def test_noise_is_rician_and_its_grain_is_as_asked():
    zero = np.zeros((30, 40, 50))
    noise = scanner.rician(zero, 2.0, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.01)  # Rayleigh
    grained = scanner.rician(zero + 100, 2.0, np.random.default_rng(0), grain=1.2) - 100
    assert grained.std() == pytest.approx(2.0, rel=0.02)
    for axis in range(3):
        first, second = np.delete(grained, 0, axis), np.delete(grained, -1, axis)
        correlation = np.corrcoef(first.ravel(), second.ravel())[0, 1]
        assert correlation == pytest.approx(np.exp(-1 / (4 * 1.2**2)), abs=0.03)


def test_windows_leave_nothing_out(surface, monkeypatch):
    quick = atrium.draw_subject(2, 3, options(), surface)
    everywhere = (slice(None),) * 3
    monkeypatch.setattr(atrium_anatomy.Tissue, "window", lambda *_: everywhere)
    whole = atrium.draw_subject(2, 3, options(), surface)
    assert np.array_equal(quick.segmentation, whole.segmentation)
    assert np.array_equal(quick.image, whole.image)


def test_single_precision_points_are_good_enough():
    points = np.random.default_rng(0).uniform(-60, 60, (2000, 3))
    for tissue in (atrium_anatomy.LEFT_ATRIUM, *atrium_anatomy.NEIGHBOURS):
        single = tissue.distance(points.astype(np.float32))
        assert single.dtype == np.float32
        assert np.abs(single - tissue.distance(points)).max() < 1e-3
    assert solids.sphere(points, (0, 0, 0), 1.0).dtype == np.float64


def test_the_seed_decides_everything(surface):
    first, again = (atrium.draw_subject(1, 9, options(), surface) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert first.truth == again.truth
    other = atrium.draw_subject(1, 10, options(), surface)
    assert not np.array_equal(first.segmentation, other.segmentation)
    # a finer scan shows the same subject
    fine = atrium.draw_subject(1, 9, options(size=(52, 54, 60), spacing=2.3), surface)
    assert np.array_equal(first.points, fine.points)
    assert fine.labels == first.labels
    volumes = [first.segmentation.sum() * 27.0, fine.segmentation.sum() * 2.3**3]
    assert np.array(volumes) / 1000 == pytest.approx([first.truth["volume"]] * 2, rel=0.04)


def test_default_shapes_never_fold_and_stay_in_view(surface):
    points = np.random.default_rng(0).uniform(-64, 64, (300, 3))
    for index in range(120):
        shape, _, _ = atrium_shape.draw_patient(index, 1, options())
        warp = atrium_shape.deformation_of(shape)
        assert np.abs(warp(warp.inverse(points)) - points).max() < 0.01
        assert np.abs(warp(surface[0])).max() < 63.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "atrium: count must be 1 at least"),
        ({"spacing": 0.0}, "spacing must be above 0"),
        ({"spacing": 9.0}, "at most 5 mm"),
        ({"size": [40, 44, 20]}, "the left atrium needs 100 mm"),
        ({"size": [4000, 4000, 4000]}, "take fewer"),
        ({"size": [40, 44]}, "must be three numbers"),
        ({"modalities": 3}, "modalities must be 1 or 2, not 3"),
        ({"roundnes": [0.7, 0.9]}, "nearest known one is roundness"),
        ({"enlargement": [-1.0, 1.0]}, "enlargement must be positive"),
        ({"noise": [-0.1, 0.1]}, "noise must not be negative"),
        ({"scar": [0.0, 0.5]}, "scar must lie between 0 and 1"),
        ({"lge": {"fat": [-0.1, 0.2]}}, "lge.fat must not be negative"),
        ({"lge": {"fatt": [0.1, 0.2]}}, "nearest known one is fat"),
        ({"recurrence_log_odds": {"volume": 1.0}}, "volume is no key of"),
        ({"enlargement": [2.5, 2.6]}, "folds"),
        ({"shift": [400.0, 400.0]}, "atrium_001 lies outside of its scan"),
    ],
)
def test_bad_options_are_named(tmp_path, changes, message):
    given = {"size": list(SIZE), "spacing": SPACING, "count": 1} | changes
    with pytest.raises(InputError, match=message):
        atrium.simulate(tmp_path / "population", tmp_path / "truth.csv", 1, **given)
    assert not (tmp_path / "population" / "subjects.csv").exists()
