"""The simulated femurs: files, truth, sides, the bump, closed forms of the anatomy, HU."""

import re

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest

from lmcore.errors import InputError
from lmcore.simulation import femur
from lmcore.simulation import femur_anatomy as anatomy
from lmcore.simulation.options import read_options
from lmcore.simulation.scanner import voxel_centres

SMALL = {"size": [50, 46, 48], "spacing": 2.5}  # all axes of another length
STILL = dict.fromkeys(("rotation", "shift", "uneven", "noise"), (0.0, 0.0))
STILL |= {"greater_trochanter": (0.0, 0.0), "lesser_trochanter": (0.0, 0.0)}
NO_REGION = {"points", "triangles", "subject"}


def options(**changes):
    return read_options(femur.FemurOptions(), SMALL | changes, "femur")


def simulate(root, name="population", seed=3, **changes):
    femur.simulate(
        root / name,
        root / f"{name}.csv",
        seed,
        **(SMALL | {"counts": {"control": 2, "cam": 2}} | changes),
    )
    return pd.read_csv(root / name / "subjects.csv"), pd.read_csv(root / f"{name}.csv")


def scan(group="cam", side="L", index=0, seed=3, **changes):
    read = options(**changes)
    parameters = femur.draw_parameters(seed, index, group, read)
    return femur._scan(seed, index, ("femur_001", group, side, parameters), read)


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    root = tmp_path_factory.mktemp("femurs")
    subjects, truth = simulate(root)
    with h5py.File(root / "truth" / "surface.h5") as file:
        surface = {name: file[name][:] for name in file}
    return root / "population", subjects, truth, surface


def test_the_folder_is_a_users(population):
    folder, subjects, truth, surface = population
    assert list(subjects.columns) == ["subject", "image", "segmentation", "group", "side"]
    assert sorted(zip(subjects.group, subjects.side, strict=True)) == [
        ("cam", "L"),
        ("cam", "R"),
        ("control", "L"),
        ("control", "R"),
    ]
    assert list(subjects.subject) == [f"femur_{k:03d}" for k in (1, 2, 3, 4)] == list(truth.subject)
    files = {str(path) for path in contents(folder)}
    assert files == {*subjects.image, *subjects.segmentation, "subjects.csv"}
    assert truth.drop(columns="subject").dtypes.map(pd.api.types.is_numeric_dtype).all()
    assert set(femur.SHAPE_PARAMETERS) < set(truth.columns)
    is_cam = subjects.group == "cam"
    assert (truth.bump_height[~is_cam] == 0).all()
    assert truth.bump_height[is_cam].between(2, 5).all()
    assert 1000 <= surface["points"].shape[1] <= 2000
    assert set(surface) - NO_REGION == {"bump", "cut"}
    image = nibabel.load(folder / subjects.image[0])
    assert image.shape == (48, 46, 50)
    assert image.get_data_dtype() == np.int16


def labels_at(file, places):
    index = np.rint(nibabel.affines.apply_affine(np.linalg.inv(file.affine), places)).astype(int)
    return np.asarray(file.dataobj)[tuple(index.clip(0, np.array(file.shape) - 1).T)]


def test_points_lie_on_the_segmentations_surface(population):
    folder, subjects, _, surface = population
    triangles = surface["triangles"]
    for row, subject in enumerate(subjects.itertuples()):
        points = surface["points"][row].astype(float)
        sides = np.diff(points[triangles], axis=1)
        # the mirror image turns triangles over
        across = np.cross(sides[:, 0], sides[:, 1]) * (1 if subject.side == "L" else -1)
        normals = np.zeros_like(points)
        for corner in range(3):
            np.add.at(normals, triangles[:, corner], across)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        away = 0.5 * np.sqrt(3) * 2.5 * normals  # half a diagonal: the nearest voxel is beyond
        file = nibabel.load(folder / subject.segmentation)
        # all but the vertices at the open end and on thin lips
        assert labels_at(file, points - away).mean() > 0.98
        assert labels_at(file, points + away).mean() < 0.02


def test_voxels_and_points_come_of_the_same_distance():
    read = options(blur=(0.0, 0.0))
    parameters = femur.draw_parameters(5, 2, "cam", read)
    warp = femur.deformation(parameters, read)
    vertices, _ = anatomy.femur_surface()
    np.testing.assert_allclose(anatomy.femur(vertices), 0.0, atol=1e-3)
    np.testing.assert_allclose(warp.inverse(warp(vertices)), vertices, atol=5e-3)
    voxels = voxel_centres(read.size, read.spacing)
    inside = anatomy.femur(warp.inverse(voxels)) <= 0
    _, segmentation = femur.render_left(warp, parameters, read, np.random.default_rng(0))
    # the coarse solve may move the boundary by hundredths of a mm
    assert (segmentation != inside).mean() < 1e-4
    exact = warp.inverse(voxels)
    linear, cubic = (
        np.linalg.norm(warp.inverse_on_grid(voxels, cubic=cubic) - exact, axis=-1).max()
        for cubic in (False, True)
    )
    assert cubic < 0.15
    assert cubic < linear / 3


def test_reflecting_a_right_femur_gives_the_left_one_of_the_same_parameters():
    left, right = scan(side="L"), scan(side="R")
    np.testing.assert_array_equal(right.image[:, :, ::-1], left.image)
    np.testing.assert_array_equal(right.segmentation[:, :, ::-1], left.segmentation)
    np.testing.assert_array_equal(right.points * [-1, 1, 1], left.points)
    np.testing.assert_array_equal(right.affine, left.affine)
    assert right.truth == left.truth
    assert not np.array_equal(right.image, left.image)
    # x = 0 is the middle of the grid, so that flipping voxels is reflecting millimetres
    x = left.affine[0, 0] * np.arange(left.image.shape[2]) + left.affine[0, 3]
    np.testing.assert_allclose(x, -x[::-1])


@pytest.mark.parametrize(("side", "medial"), [("L", 1.0), ("R", -1.0)])
def test_sides_and_where_the_bump_is(side, medial):
    """RAS: +x is the patient's right, so medial is +x of a left femur and -x of a right one."""
    one = scan(side=side)
    vertices, _ = anatomy.femur_surface()
    share, _ = femur.bump_of(options()).field(vertices)
    on_head = np.linalg.norm(vertices - anatomy.HEAD, axis=1) < anatomy.HEAD_RADIUS + 0.1
    head = one.points[on_head].mean(axis=0)
    greater = one.points[np.abs(vertices - anatomy.GREATER_TROCHANTER).sum(axis=1) < 15].mean(
        axis=0
    )
    lesser = one.points[np.abs(vertices - anatomy.LESSER_TROCHANTER).sum(axis=1) < 10].mean(axis=0)
    assert medial * (head - greater)[0] > 25
    assert head[1] > greater[1] + 5  # the neck is anteverted
    assert medial * (lesser - greater)[0] > 10
    assert lesser[1] < one.points[vertices[:, 2] < anatomy.CUT + 3][:, 1].mean() - 5  # posterior
    # at the junction, in front of and above the axis of the neck
    axis = head - one.points[vertices[:, 2] < anatomy.CUT + 3].mean(axis=0)
    bump = one.points[share > 0.5].mean(axis=0)
    neck = one.points[np.abs(vertices @ anatomy.NECK - 33.0) < 5].mean(axis=0)
    assert (bump - neck)[1] > 5
    assert (bump - neck)[2] > 4
    assert medial * (bump - neck)[0] < 0  # above the neck is lateral of its axis
    assert axis[2] > 40


def test_the_bump_has_the_height_of_the_truth_in_mm():
    read = options()
    vertices, _ = anatomy.femur_surface()
    centre = femur.bump_of(read).centre
    assert abs(anatomy.femur(centre)) < 1e-6
    for index in range(4):
        cam = femur.draw_parameters(3, index, "cam", read)
        control = femur.draw_parameters(3, index, "control", read)
        assert {name for name in cam if cam[name] != control[name]} == {"bump_height"}
        before, after = (femur.deformation(one, read) for one in (control, cam))
        shift = after.shift - before.shift  # of the framing
        raised = np.linalg.norm(after(centre) - before(centre) - shift, axis=-1)
        assert raised == pytest.approx(cam["bump_height"], abs=1e-6)
        moved = np.linalg.norm(after(vertices) - before(vertices) - shift, axis=-1)
        assert moved.max() <= cam["bump_height"] + 1e-6
        # along the surface's normal there, found anew in the subject's scan
        step = 1e-2 * np.eye(3)
        place = before(centre)
        normal = anatomy.femur(before.inverse(place + step)) - anatomy.femur(
            before.inverse(place - step)
        )
        normal /= np.linalg.norm(normal)
        along = (after(centre) - before(centre) - shift) @ normal
        assert 0.95 * cam["bump_height"] < along <= cam["bump_height"] + 1e-6


def test_the_scan_shows_the_bumps_volume():
    held = STILL | {"bump_height": (4.0, 4.0), "size": [62, 60, 64], "spacing": 1.9}
    read = options(**held)
    cam, control = (scan(group, **held) for group in ("cam", "control"))
    seen = (cam.segmentation.sum(dtype=int) - control.segmentation.sum(dtype=int)) * 1.9**3
    vertices, triangles = anatomy.femur_surface(2.0)
    middles = vertices[triangles].mean(axis=1)
    share, direction = femur.bump_of(read).field(middles)
    corners = vertices[triangles]
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    flux = (share * (direction * areas).sum(axis=1)).sum()
    scale = cam.truth["scale"]
    # of a thin shell: a convex surface widens as it rises, the concave junction narrows
    assert seen == pytest.approx(4.0 * scale**2 * flux, rel=0.1)
    changed = cam.segmentation != control.segmentation
    places = voxel_centres(read.size, read.spacing)[changed]
    centre = femur.deformation(control.truth, read)(femur.bump_of(read).centre)
    # but for single voxels whose centre lies on the surface
    assert np.percentile(np.linalg.norm(places - centre, axis=1), 98) < 32


def test_angles_and_the_heads_radius_are_the_truths():
    read = options(**STILL)
    for index in range(3):
        truth = femur.draw_parameters(4, index, "control", read)
        warp = femur.deformation(truth, read)
        ends = warp(np.stack([np.zeros(3), anatomy.HEAD])) / truth["scale"]
        # the origin lies at the root of the bend and barely moves
        base = warp.shift / truth["scale"]
        neck = ends[1] - base
        assert np.linalg.norm(neck) == pytest.approx(truth["neck_length"], abs=1e-6)
        angle = 180 - np.degrees(np.arccos(neck[2] / np.linalg.norm(neck)))
        assert angle == pytest.approx(truth["neck_shaft_angle"], abs=1e-6)
        turn = np.degrees(np.arctan2(neck[1], neck[0]))
        assert turn == pytest.approx(truth["anteversion"], abs=1e-6)
        vertices, _ = anatomy.femur_surface()
        sphere = np.linalg.norm(vertices - anatomy.HEAD, axis=1)
        head = (np.abs(sphere - anatomy.HEAD_RADIUS) < 0.01) & (vertices @ anatomy.NECK > 42)
        assert head.sum() > 100
        radii = np.linalg.norm(warp(vertices[head]) - warp(anatomy.HEAD), axis=1)
        np.testing.assert_allclose(radii, truth["scale"] * truth["head_radius"], atol=0.05)


def test_sizes_measured_in_the_rendered_volume():
    held = STILL | {"scale": (1.04, 1.04), "size": [80, 60, 62], "spacing": 2.0}
    for index in range(2):
        one = scan("control", index=index, **held)
        read = options(**held)
        truth, places = one.truth, voxel_centres(read.size, 2.0)
        centre = femur.deformation(truth, read)(anatomy.HEAD)
        neck = anatomy.neck_direction(truth["neck_shaft_angle"], truth["anteversion"])
        half = (one.segmentation == 1) & ((places - centre) @ neck > 0)
        radius = (half.sum() * 2.0**3 / (2 * np.pi / 3)) ** (1 / 3)
        assert radius == pytest.approx(1.04 * truth["head_radius"], rel=0.012)
        shaft = one.segmentation[:2].sum(axis=(1, 2)).mean() * 2.0**2
        diameter = np.sqrt(4 * shaft / np.pi)
        assert diameter == pytest.approx(1.04 * truth["shaft_diameter"], rel=0.02)


def test_tissues_have_their_hounsfield_units():
    held = STILL | {"blur": (0.1, 0.1), "cortical": (1400.0, 1400.0), "density": (1.0, 1.0)}
    held |= {"joint_space": (5.0, 5.0), "head_radius": (24.0, 24.0), "neck_length": (52.0, 52.0)}
    one = scan("control", spacing=1.5, size=[80, 80, 80], scale=(1.0, 1.0), **held)
    read = options(spacing=1.5, size=[80, 80, 80], scale=(1.0, 1.0), **held)
    warp = femur.deformation(one.truth, read)

    def at(places):
        index = np.rint((np.atleast_2d(warp(np.array(places))) - one.affine[:3, 3]) / 1.5)
        x, y, z = index.astype(int).T
        return one.image[z, y, x]

    shaft = [0.0, 0.0, -40.0]
    around = [[11.2 * np.cos(a), 11.2 * np.sin(a), -40.0] for a in np.linspace(0, 6, 9)]
    assert at(shaft) == pytest.approx(-60, abs=15)
    assert np.median(at(around)) == pytest.approx(1400, abs=20)
    assert 250 < at(anatomy.HEAD) < 500  # the strong trabeculae of the head
    # over the head: its thin shell, the joint space, the roof of the acetabulum
    profile = at([anatomy.HEAD + np.array([0.0, 0.0, r]) for r in np.arange(22.0, 34.0, 0.75)])
    peaks = profile > 600
    assert peaks.any()
    inside = np.flatnonzero(peaks)
    between = profile[inside[0] : inside[-1]]
    assert between.min() < 200
    assert set(np.unique(one.segmentation)) == {0, 1}
    # the neighbour is bright, yet outside the segmentation
    assert ((one.image > 900) & (one.segmentation == 0)).sum() > 500


def test_regions(population):
    _, _, _, surface = population
    vertices, _ = anatomy.femur_surface()
    bump, cut = surface["bump"].astype(bool), surface["cut"].astype(bool)
    centre = femur.bump_of(options()).centre
    apart = np.linalg.norm(vertices - centre, axis=1)
    assert apart[bump].max() < 18  # 1.18 standard deviations of 11 mm, on a bent surface
    assert bump[apart < 5].all()
    assert 0.01 < bump.mean() < 0.05
    assert (cut == (vertices[:, 2] < -26)).all()
    assert not (bump & cut).any()


def test_the_same_seed_gives_the_same_bytes_another_seed_others(tmp_path):
    few = {"counts": {"control": 1, "cam": 1}}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(tmp_path / name, seed=seed, **few)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first, other = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert set(first) == set(other)
    assert all(first[path] != other[path] for path in first if path.name.endswith(".nii.gz"))


def test_ids_and_sides_do_not_tell_the_group():
    counts = options().counts
    assert counts == {"control": 50, "cam": 9}
    means = []
    for seed in range(40):
        drawn = femur._groups_and_sides(seed, counts)
        places = [k for k, (group, _) in enumerate(drawn) if group == "cam"]
        assert len(places) == 9
        for group, least in (("control", 25), ("cam", 4)):
            lefts = [side for name, side in drawn if name == group].count("L")
            assert lefts in (least, least + 1)
        means.append(np.mean(places))
    # of nine without replacement among 59: mean 29, standard deviation 5.3
    assert np.mean(means) == pytest.approx(29, abs=3 * 5.3 / np.sqrt(40))
    assert np.std(means) == pytest.approx(5.3, rel=0.4)


def test_cam_differ_in_the_bump_alone():
    read = options()
    for name in ("scale", "neck_width", "cortical", "joint_space"):
        values = [femur.draw_parameters(0, k, "cam", read)[name] for k in range(30)]
        again = [femur.draw_parameters(0, k, "control", read)[name] for k in range(30)]
        assert values == again
        assert len(set(values)) == 30


@pytest.mark.parametrize("seed", range(3))
def test_the_widest_shapes_do_not_fold(seed):
    read = options()
    random = np.random.default_rng(seed)
    extreme = femur.draw_parameters(0, 0, "cam", read)
    for name in extreme:
        stem = "uneven" if name.startswith("uneven") else re.sub("_[xyz]$", "", name)
        extreme[name] = float(random.choice(getattr(read, stem)))
    warp = femur.deformation(extreme, read)
    places = voxel_centres((20, 22, 24), 5.5)
    np.testing.assert_allclose(warp(warp.inverse(places)), places, atol=2e-2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bump_hight": (2, 5)}, "bump_hight is no option .* nearest known one is bump_height$"),
        ({"counts": {"cams": 3}}, "nearest known one is cam$"),
        ({"counts": {"control": 0, "cam": 0}}, "counts must ask for one subject"),
        ({"size": [8, 48, 48]}, "size must be 16 to 256 voxels"),
        ({"size": [48, 48]}, "size must be three numbers"),
        ({"spacing": 0}, "spacing must be positive"),
        ({"spacing": 1.5}, "femur_001 does not fit into .* raise size or spacing"),
        ({"bump_height": (-1, 2)}, "bump_height must not be negative"),
        ({"head_radius": (0, 24)}, "head_radius must be positive"),
        ({"noise": (20, 10)}, "noise must be a range from low to high"),
        ({"bump_along": 0.0}, "bump_along must be positive"),
    ],
)
def test_bad_options_are_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        simulate(tmp_path, **changes)
    assert contents(tmp_path) == {}
