"""Infant cranial CT: the common head, its modes, what a scan shows of them, and the truth."""

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import distance_transform_edt, map_coordinates

from lmcore.errors import InputError
from lmcore.simulation import cranium
from lmcore.simulation.cranium_scan import attenuation, scan
from lmcore.simulation.cranium_shape import (
    LENGTH,
    PERIMETER,
    PLACE,
    WIDTH,
    base,
    closed,
    deformation,
    proportions,
    vault,
)
from lmcore.simulation.solids import surface

SIZE, SPACING = (46, 54, 44), 4.2
FINE, FINE_SPACING = (58, 70, 60), 3.2
DEFAULTS = cranium.CraniumOptions()

# An average control without pose: every parameter in the middle of its range
STILL = {
    name: sum(getattr(DEFAULTS, name)) / 2
    for name in ("thickness", "bone", "subarachnoid", "suture_width")
}
STILL |= dict.fromkeys(("severity", "frontal", "posterior", "flattening", "metopic_open"), 0.0)
STILL |= {f"{what}_{axis}": 0.0 for what in ("rotation", "shift") for axis in "xyz"}
STILL |= {f"unevenness_{number:02d}": 0.0 for number in range(1, 13)}
STILL |= {"cephalic_index": WIDTH / LENGTH, "height": 1.0, "fontanelle": 0.0}
STILL |= {"circumference": PERIMETER + 7 * np.pi, "blur": 0.7, "noise": 0.0}


def metopic(severity, **changes):
    return STILL | dict.fromkeys(("severity", "frontal", "posterior"), severity) | changes


def fine_scan(parameters):
    return scan(parameters, FINE, FINE_SPACING, np.random.default_rng(0))


def value(image, parameters, point, size=FINE, spacing=FINE_SPACING):
    """HU where a point of the common anatomy lies."""
    place = deformation(parameters)(np.array([point], dtype=float))[0] / spacing
    place = place[::-1] + (np.array(size) - 1) / 2
    return map_coordinates(image.astype(float), place[:, None], order=1)[0]


@pytest.fixture(scope="module")
def template():
    return surface(cranium.cranium, cranium.LOW, cranium.HIGH, 3.0)[0]


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    root = tmp_path_factory.mktemp("cranium")
    simulate(root, controls=2, metopic=2)
    return root


def simulate(root, name="population", seed=5, **options):
    options = {"size": list(SIZE), "spacing": SPACING, "controls": 1, "metopic": 1} | options
    cranium.simulate(root / name, root / f"{name}.csv", seed, **options)
    return pd.read_csv(root / f"{name}.csv").set_index("subject")


# --- the common head and its proportions


def test_the_common_head_has_the_dimensions_it_says(template):
    width, length, height = np.ptp(template, axis=0)
    assert (width, length) == pytest.approx((WIDTH, LENGTH), abs=0.3)
    assert 105 < height < 125
    level = template[np.abs(template[:, 2] - 18) < 3]
    around = level[np.argsort(np.arctan2(level[:, 0], level[:, 1]))][:, :2]
    radius, angle = np.hypot(*around.T), np.arctan2(*around.T)
    bins = np.linspace(-np.pi, np.pi, 91)
    mean = np.array([radius[np.digitize(angle, bins) == one].mean() for one in range(1, 91)])
    middle = (bins[:-1] + bins[1:]) / 2
    ring = mean[:, None] * np.stack([np.cos(middle), np.sin(middle)], axis=-1)
    assert np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1).sum() == pytest.approx(
        PERIMETER, rel=0.01
    )


@pytest.mark.parametrize(
    ("index", "circumference", "height"), [(0.74, 430, 0.95), (0.92, 480, 1.05)]
)
def test_a_head_has_its_cephalic_index_circumference_and_height(
    template, index, circumference, height
):
    parameters = STILL | {"cephalic_index": index, "circumference": circumference, "height": height}
    width, length, tall = np.ptp(deformation(parameters)(template), axis=0)
    assert width / length == pytest.approx(index, rel=0.005)
    # the tape runs 3.5 mm off the bone; length and width together keep their share of it
    share = (circumference - 7 * np.pi) / PERIMETER
    assert width + length == pytest.approx(share * (LENGTH + WIDTH), rel=0.005)
    assert tall == pytest.approx(height * share * np.ptp(template[:, 2]), rel=1e-6)


def test_the_pose_turns_about_the_heads_place_and_shifts_by_mm(template):
    turned = STILL | {"rotation_z": 8.0, "shift_x": 3.0, "shift_y": -4.0, "shift_z": 5.0}
    x, y, z = (deformation(STILL)(template) - PLACE).T
    cosine, sine = np.cos(np.radians(8)), np.sin(np.radians(8))
    # counter-clockwise seen from above: the forehead turns to the left
    expected = np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=-1)
    np.testing.assert_allclose(
        deformation(turned)(template), expected + PLACE + [3.0, -4.0, 5.0], atol=1e-9
    )


# --- trigonocephaly, as the image shows it


def outer_table(image, row_of, column):
    """y mm of the front of the skull in a column of a level section, between voxels."""
    profile = image[row_of, :, column].astype(float)
    inner = np.flatnonzero(profile > 300)[-1]
    part = (profile[inner] - 300) / (profile[inner] - profile[inner + 1])
    return FINE_SPACING * (inner + part - (FINE[1] - 1) / 2)


def test_severity_narrows_the_forehead_to_a_triangle_and_widens_the_back():
    front, back, angles, widths = [], [], [], []
    for severity in (0.0, 0.33, 0.67, 1.0):
        image, segmentation = fine_scan(metopic(severity))
        place = (np.array([0, 38, 15]) + PLACE) / FINE_SPACING
        x, y, z = np.rint(place + (np.array(FINE)[::-1] - 1) / 2).astype(int)
        front.append(segmentation[z, y:].sum() * FINE_SPACING**2)
        behind = y - round(70 / FINE_SPACING)
        back.append(segmentation[z, :behind].sum() * FINE_SPACING**2)
        widths.append(segmentation[z, behind].sum() * FINE_SPACING)
        aside = round(22 / FINE_SPACING)
        apex = outer_table(image, z, x)
        angles.append(
            sum(
                np.degrees(np.arctan2(aside * FINE_SPACING, apex - outer_table(image, z, column)))
                for column in (x - aside, x + aside)
            )
        )
    assert (np.diff(front) < -60).all()
    assert (np.diff(back) > 60).all()
    assert 6 < widths[-1] - widths[0] < 14
    assert (np.diff(angles) < -6).all()
    # Kellogg et al. 2012: 145 degrees in normal infants, 92 to 137 in metopic synostosis
    assert angles[0] == pytest.approx(144, abs=5)
    assert angles[-1] == pytest.approx(100, abs=7)


def test_the_fused_suture_has_a_ridge_and_the_forehead_juts_out():
    normal, severe = deformation(STILL), deformation(metopic(1.0))
    tip, temple = np.array([[0.0, 72.0, 16.0], [42.0, 45.0, 16.0]])
    assert severe(tip)[1] - normal(tip)[1] == pytest.approx(3.5, abs=0.3)
    assert severe(temple)[0] - normal(temple)[0] < -8
    images = [fine_scan(metopic(severity))[0] for severity in (0.0, 1.0)]
    depths = np.arange(60.0, 76.0, 0.5)
    bone = [
        sum(value(image, metopic(severity), (0.0, y, 20.0)) > 300 for y in depths) * 0.5
        for image, severity in zip(images, (0.0, 1.0), strict=True)
    ]
    assert bone[1] - bone[0] == pytest.approx(3.0, abs=1.0)


def test_positive_flattening_is_of_the_right_occiput(tmp_path):
    _, segmentation = fine_scan(STILL | {"flattening": 6.0})
    z = round(PLACE[2] / FINE_SPACING + (FINE[0] - 1) / 2) + round(15 / FINE_SPACING)
    # x grows to the patient's right, y to the front: the right back begins further in front
    left, right = (np.flatnonzero(segmentation[z, :, column])[0] for column in (18, FINE[2] - 19))
    x = FINE_SPACING * ((FINE[2] - 1) / 2 - 18)
    assert (right - left) * FINE_SPACING == pytest.approx(2 * x / 40 * 6.0, abs=FINE_SPACING)
    simulate(tmp_path)
    file = nibabel.load(tmp_path / "population" / "images" / "cranium_001.nii.gz")
    assert nibabel.aff2axcodes(file.affine) == ("R", "A", "S")
    assert file.shape == SIZE[::-1]
    assert file.header.get_zooms() == pytest.approx((SPACING,) * 3)


# --- what the scanner sees


def test_layers_of_the_head_have_their_thickness_and_values():
    parameters = STILL | {"thickness": 2.5, "subarachnoid": 3.0, "bone": 800.0}
    # along the normal of the vault's right side, where no suture is
    points = np.zeros((900, 3))
    points[:, 1], points[:, 2] = -10.0, 18.0
    points[:, 0] = np.arange(900) * 0.05 + 30.0
    outer = vault(points)
    hounsfield = attenuation(points, outer, closed(outer, points), 1.0, 0.05, parameters)
    lengths = {hu: np.sum(np.abs(hounsfield - hu) < 1.0) * 0.05 for hu in (800, 10, 38, 50)}
    assert lengths == pytest.approx({800: 2.5, 10: 3.0, 38: 4.0, 50: 3.5}, abs=0.15)
    assert hounsfield[-1] == -1000
    assert (np.diff(np.flatnonzero(np.abs(hounsfield - 800) < 1.0)) == 1).all()
    # coarse voxels: partial volume keeps the mass of bone
    coarse = points[::84]
    outer = vault(coarse)
    thick = attenuation(coarse, outer, closed(outer, coarse), 1.0, 4.2, parameters)
    assert thick.max() < 700
    assert thick.sum() * 4.2 == pytest.approx(hounsfield.sum() * 0.05, rel=0.15)


def test_a_scan_has_the_hounsfield_units_of_a_head():
    image, segmentation = fine_scan(STILL)
    assert image.dtype == np.int16
    assert segmentation.dtype == np.uint8
    assert (image[[0, -1]][:, [0, -1]][..., [0, -1]][1] == -1000).all()
    assert 20 < value(image, STILL, (25.0, -20.0, 50.0)) < 40  # white matter
    assert value(image, STILL, (10.0, 5.0, 29.0)) < 20  # lateral ventricle
    assert value(image, STILL, (21.0, 38.0, -13.0)) < -40  # orbital fat
    assert value(image, STILL, (25.0, 55.0, -13.0)) == pytest.approx(20, abs=8)  # globe
    assert value(image, STILL, (6.0, 46.0, -29.0)) < -400  # nasal cavity
    assert value(image, STILL, (58.0, -30.0, 40.0)) > 200  # parietal bone
    inside = image[segmentation == 1]
    assert 25 < np.median(inside) < 42
    assert inside.max() > 600
    assert inside.min() > -500  # no air within
    # the cranium is closed below by the base: no orbit, no neck
    common = deformation(STILL).inverse(np.array([[24.0, 46.0, -13.0], [0, -15, -80]]) + PLACE)
    assert (base(common) > 0).all()


@pytest.mark.parametrize(
    ("change", "point"),
    [
        ({"suture_width": 2.4}, (0.0, -30.0, 72.8)),  # sagittal
        ({"metopic_open": 1.0}, (0.0, 60.2, 50.0)),
        ({"fontanelle": 600.0}, (5.0, 14.0, 74.3)),
    ],
)
def test_sutures_and_fontanelle_are_gaps_of_their_size(change, point):
    absent = STILL | {"suture_width": 0.0} if "suture_width" in change else STILL
    with_gap, without = STILL | change, absent
    at = np.array([point])
    step = np.array([[0.0, 0.0, 1e-3]])
    for _ in range(5):  # to the middle of the bone, straight up or down
        slope = (vault(at + step) - vault(at)) / 1e-3
        at = at - step * (((vault(at) + 1.2) / slope) / 1e-3)
    values = []
    for parameters in (with_gap, without):
        outer = vault(at)
        values.append(attenuation(at, outer, closed(outer, at), 1.0, 0.2, parameters)[0])
    assert values == pytest.approx([50.0, STILL["bone"]], abs=1.0)


def test_noise_has_its_deviation_and_blur_spreads_a_point():
    still = scan(STILL, SIZE, SPACING, np.random.default_rng(0))[0].astype(float)
    noisy = scan(STILL | {"noise": 8.0}, SIZE, SPACING, np.random.default_rng(0))[0]
    inside = still > -900
    assert (noisy - still)[inside].std() == pytest.approx(8.0, rel=0.03)
    smooth = scan(STILL | {"blur": 4.2}, SIZE, SPACING, np.random.default_rng(0))[0]
    parietal = (59.0, -30.0, 40.0)
    before, after = (value(one, STILL, parietal, SIZE, SPACING) for one in (still, smooth))
    assert after < before - 150
    assert smooth[2:].mean() == pytest.approx(still[2:].mean(), abs=2.0)


# --- the folder and its truth


def test_points_of_the_truth_lie_on_the_segmentations_surface(population):
    with h5py.File(population / "truth" / "surface.h5") as file:
        names = file["subject"].asstr()[:].tolist()
        points, triangles = file["points"][:], file["triangles"][:]
        forehead = file["forehead"][:]
    assert 1000 < points.shape[1] < 2000
    assert triangles.max() == points.shape[1] - 1
    subjects = pd.read_csv(population / "population" / "subjects.csv")
    assert names == list(subjects.subject)
    for path, own in zip(subjects.segmentation, points, strict=True):
        file = nibabel.load(population / "population" / path)
        inside = np.asarray(file.dataobj) == 1
        distance = distance_transform_edt(~inside) - distance_transform_edt(inside)
        distance -= 0.5 * np.sign(distance)  # the surface is between the voxels
        index = np.linalg.inv(file.affine)[:3] @ np.c_[own, np.ones(len(own))].T
        off = map_coordinates(distance, index, order=1)
        assert np.quantile(np.abs(off), 0.98) < 0.5
        assert np.abs(off).max() < 1.0
        assert abs(off.mean()) < 0.1
    # the forehead is in front and above the orbits, whoever the subject is
    assert set(forehead.tolist()) == {0, 1}
    for own in points:
        marked = own[forehead == 1]
        assert marked[:, 1].mean() > 30
        assert own[forehead == 0][:, 1].mean() < 0


def test_the_truth_is_the_shape(population):
    truth = pd.read_csv(population / "population.csv").set_index("subject")
    with h5py.File(population / "truth" / "surface.h5") as file:
        points = file["points"][:]
    template = surface(cranium.cranium, cranium.LOW, cranium.HIGH, cranium.SURFACE_STEP)[0]
    for (_, one), own in zip(truth.iterrows(), points, strict=True):
        np.testing.assert_allclose(deformation(one)(template), own, atol=1e-3)
    np.testing.assert_allclose(truth.frontal, truth.severity + truth.forehead, rtol=1e-6)
    subjects = pd.read_csv(population / "population" / "subjects.csv").set_index("subject")
    assert list(subjects.columns) == ["image", "segmentation", "group", "age_months"]
    assert ((subjects.group == "metopic") == (truth.metopic == 1)).all()
    assert ((truth.severity > 0) == (truth.metopic == 1)).all()
    np.testing.assert_allclose(subjects.age_months, truth.age, atol=0.0501)


def test_the_same_seed_gives_the_same_bytes(population, tmp_path):
    simulate(tmp_path, controls=2, metopic=2)
    simulate(tmp_path, "other", seed=6, controls=1, metopic=1)
    for name in ("images/cranium_002.nii.gz", "segmentations/cranium_002.nii.gz", "ratings.csv"):
        first = (population / "population" / name).read_bytes()
        assert (tmp_path / "population" / name).read_bytes() == first
        assert (tmp_path / "other" / name).read_bytes() != first


def test_more_subjects_leave_the_anatomy_of_the_first_as_it_was():
    def by_place(controls, metopic):
        options = cranium.CraniumOptions(controls=controls, metopic=metopic)
        drawn = cranium.draw_subjects(1, options)
        return {(one.group, one.index): one.parameters for one in drawn}

    few, many = by_place(3, 2), by_place(9, 4)
    assert len(few) == 5
    assert all(many[place] == parameters for place, parameters in few.items())


def test_ids_do_not_tell_the_group():
    places = []
    for seed in range(20):
        subjects = cranium.draw_subjects(seed, DEFAULTS)
        assert [one.name for one in subjects] == [f"cranium_{n:03d}" for n in range(1, 121)]
        marked = np.flatnonzero([one.group == "metopic" for one in subjects])
        assert len(marked) == 27
        places.append(marked)
    # the mean of 20 x 27 places out of 120 has a standard error of 1.3
    assert np.mean(places) == pytest.approx(59.5, abs=4)
    assert len({tuple(one) for one in places}) == 20


def test_raters_agree_with_the_severity_about_as_panels_do():
    correlations = []
    for seed in range(8):
        subjects = cranium.draw_subjects(seed, DEFAULTS)
        table = cranium.rate(seed, subjects, DEFAULTS)
        severity = {one.name: one.parameters["severity"] for one in subjects}
        assert len(table) == 27 * 16
        assert set(table.rater) == {f"R{n:02d}" for n in range(1, 17)}
        assert set(table.score) <= set(range(6))
        assert all(severity[name] > 0 for name in table.subject)
        mean = table.groupby("subject").score.mean()
        correlations.append(np.corrcoef(mean, [severity[name] for name in mean.index])[0, 1])
    assert 0.8 < np.mean(correlations) < 0.92


# --- options

ONE_VALUE = [
    ("severity", (0.5, 0.5), {"severity": 0.5}),
    ("forehead", (0.2, 0.2), {"forehead": 0.2}),
    ("occiput", (-0.1, -0.1), {"occiput": -0.1}),
    ("age", (10.5, 10.5), {"age": 10.5}),
    ("circumference_score", (1.0, 1.0), {"circumference_score": 1.0}),
    ("cephalic_index", (0.8, 0.8), {"cephalic_index": 0.8}),
    ("height", (1.03, 1.03), {"height": 1.03}),
    ("flattening", (2.0, 2.0), {"flattening": 2.0}),
    ("unevenness", (0.5, 0.5), {"unevenness_01": 0.5, "unevenness_12": 0.5}),
    ("thickness", (2.0, 2.0), {"thickness": 2.0}),
    ("bone", (700, 700), {"bone": 700.0}),
    ("subarachnoid", (2.0, 2.0), {"subarachnoid": 2.0}),
    ("suture_width", (1.5, 1.5), {"suture_width": 1.5}),
    ("rotation", (4.0, 4.0), {"rotation_x": 4.0, "rotation_y": 4.0, "rotation_z": 4.0}),
    ("shift", (1.0, 1.0), {"shift_x": 1.0, "shift_y": 1.0, "shift_z": 1.0}),
    ("blur", (0.9, 0.9), {"blur": 0.9}),
    ("noise", (5.0, 5.0), {"noise": 5.0}),
]


@pytest.mark.parametrize(("name", "given", "expected"), ONE_VALUE)
def test_every_range_reaches_the_truth(name, given, expected):
    options = cranium.CraniumOptions(**{name: given})
    random = np.random.default_rng(0)
    drawn = cranium.draw_parameters("metopic", options, random)
    assert {one: drawn[one] for one in expected} == pytest.approx(expected)


def test_age_decides_about_circumference_suture_and_fontanelle():
    options = cranium.CraniumOptions(
        age=(6.0, 6.0),
        circumference_score=(1.0, 1.0),
        metopic_closure=(8.0, 8.0),
        fontanelle_closure=(15.0, 15.0),
    )
    control = cranium.draw_parameters("control", options, np.random.default_rng(0))
    # WHO 2007 at 6 months: boys 43.33 cm, girls 42.20 cm
    assert control["circumference"] == pytest.approx((433.3 + 422.0) / 2 * 1.031, abs=0.3)
    assert control["metopic_open"] == pytest.approx(0.5)  # two of the four months are left
    assert control["fontanelle"] == pytest.approx(600.0)
    metopic = cranium.draw_parameters("metopic", options, np.random.default_rng(0))
    assert metopic["metopic_open"] == 0.0


def test_raters_options():
    options = cranium.CraniumOptions(
        controls=2,
        metopic=3,
        severity=(0.4, 0.4),
        raters=3,
        rater_bias=(1.0, 1.0),
        rater_noise=0.0,
        panel_noise=0.0,
    )
    table = cranium.rate(0, cranium.draw_subjects(0, options), options)
    assert table.score.tolist() == [3] * 9
    noisy = {"rater_noise": 1.0, "panel_noise": 1.0}
    for name, deviation in noisy.items():
        changed = cranium.CraniumOptions(**(vars(options) | {name: deviation}))
        scores = cranium.rate(0, cranium.draw_subjects(0, changed), changed)
        per_subject = scores.groupby("subject").score.nunique().max()
        assert scores.score.nunique() > 1
        assert (per_subject == 1) == (name == "panel_noise")


def test_options_of_the_scan_and_the_counts(tmp_path):
    truth = simulate(tmp_path, controls=0, metopic=1, size=[40, 46, 42], spacing=4.8)
    assert truth.metopic.tolist() == [1]
    file = nibabel.load(tmp_path / "population" / "images" / "cranium_001.nii.gz")
    assert file.shape == (42, 46, 40)
    assert file.header.get_zooms() == pytest.approx((4.8,) * 3)
    assert DEFAULTS.size == (128, 128, 128)
    assert (DEFAULTS.controls, DEFAULTS.metopic, DEFAULTS.raters) == (93, 27, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"control": 3}, "control is no option .* nearest known one is controls$"),
        ({"controls": 0, "metopic": 0}, "controls and metopic must not both be 0"),
        ({"severity": (0.2, 1.5)}, r"severity must lie within 0 to 1, not \[0.2, 1.5\]"),
        ({"age": (5, 30)}, "age must lie within 0 to 24 months"),
        ({"thickness": (0.0, 2.0)}, "thickness must be positive"),
        ({"noise": (-1.0, 2.0)}, "noise must not be negative"),
        ({"panel_noise": -1.0}, "panel_noise must not be negative"),
        ({"size": [64, 64]}, "size must be three numbers"),
        ({"spacing": 0.0}, "spacing must be positive"),
        ({"spacing": 2.0}, r"cranium_001 leaves its scan: size \[46, 54, 44\] at spacing 2 mm"),
        ({"forehead": (4.0, 4.0)}, "a simulated shape folds: take narrower ranges"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        simulate(tmp_path, **options)
    assert not (tmp_path / "population" / "subjects.csv").exists()
    assert not (tmp_path / "population.csv").exists()


def test_proportions_of_the_common_head_are_one():
    np.testing.assert_allclose(proportions(STILL), 1.0, atol=1e-12)
