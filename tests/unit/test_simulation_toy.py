"""The warped Shepp-Logan phantoms: values, warps and true landmarks."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lmcore.errors import InputError
from lmcore.simulation import toy

SIZE = (80, 112)
STILL = dict.fromkeys(("rotation", "shear", "shift_x", "shift_y", "noise"), (0.0, 0.0))
STILL |= {"displacement": (0.0, 0.0), "scale_x": (1.0, 1.0), "scale_y": (1.0, 1.0)}


def simulate(root, name="population", seed=5, **options):
    options = {"size": list(SIZE), "count": 2} | options
    toy.simulate(root / name, root / f"{name}.csv", seed, **options)
    return pd.read_csv(root / f"{name}.csv").set_index("subject")


def intensities(root, subject, name="population"):
    grey = np.asarray(Image.open(root / name / "images" / f"{subject}.png"), dtype=float) / 255
    return (grey - toy.BLACK) / (toy.WHITE - toy.BLACK)


def pixel(x, y, size=SIZE):
    column, row = toy.to_pixels(np.array([x, y]), size)
    return round(row), round(column)


# sums of the intensities of the ellipses a point lies in (Toft 1996, table B.3)
KNOWN = [
    ((0.95, 0.95), 0.0),
    ((0.0, 0.9), 1.0),
    ((0.0, 0.75), 0.2),
    ((0.22, 0.0), 0.0),
    ((-0.3, 0.2), 0.0),
    ((0.3, -0.2), 0.2),
    ((0.0, 0.45), 0.3),
    ((0.0, 0.12), 0.4),
    ((0.0, -0.1), 0.3),
    ((-0.08, -0.605), 0.3),
]


@pytest.mark.parametrize(("point", "value"), KNOWN)
def test_the_phantom_has_its_known_values(point, value):
    assert toy.phantom(np.array(point)) == pytest.approx(value)


def test_without_a_warp_the_image_is_the_phantom(tmp_path):
    simulate(tmp_path, size=[255, 301], **STILL)
    image = intensities(tmp_path, "phantom_000")
    for point, value in KNOWN:
        assert image[pixel(*point, (255, 301))] == pytest.approx(value, abs=0.005), point
    # the left ventricle is the larger one: the phantom is not its own mirror image
    dark = image[:, 80:221] < 0.05
    dark[:100] = dark[155:] = False
    assert dark[:, :70].sum() > 1.5 * dark[:, 71:].sum() > 100


def test_edges_are_means_of_samples():
    warp = toy.warp_of(
        dict.fromkeys(("rotation", "shear", "shift_x", "shift_y"), 0.0)
        | {"scale_x": 1.0, "scale_y": 1.0},
        np.zeros((4, 4, 2)),
    )
    image = toy.render(warp, (81, 121))
    # the integral of a sum of ellipses; no sum falls below zero, so nothing is clipped
    integral = sum(level * np.pi * a * b for _, level, a, b, *_ in toy.ELLIPSES)
    assert image.sum() * (2 / 120) * (2 / 80) == pytest.approx(integral, rel=2e-3)
    assert np.count_nonzero((image > 0.01) & (image < 0.19)) > 50


def test_the_affine_part_moves_the_phantom_as_it_says():
    affine = {
        "rotation": 0.0,
        "scale_x": 0.5,
        "scale_y": 0.8,
        "shear": 0.0,
        "shift_x": 0.3,
        "shift_y": 0.1,
    }
    warp = toy.warp_of(affine, np.zeros((5, 5, 2)))
    # y is up here: a positive shift_y is downwards
    np.testing.assert_allclose(warp.inverse(np.array([[0.4, 0.5]])), [[0.5, 0.3]], atol=1e-9)
    quarter = toy.warp_of(
        affine | {"rotation": 90.0, "shift_x": 0.0, "shift_y": 0.0}, warp.coefficients
    )
    np.testing.assert_allclose(quarter.inverse(np.array([[1.0, 0.0]])), [[0.0, 0.5]], atol=1e-9)


def test_spline_basis_is_a_partition_of_one_with_the_known_values():
    basis = toy.spline_basis(np.linspace(-1, 1, 41), 7)
    np.testing.assert_allclose(basis.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(basis[0, :4], [1 / 6, 2 / 3, 1 / 6, 0.0], atol=1e-12)
    np.testing.assert_allclose(basis[-1, 3:], [0.0, 1 / 6, 2 / 3, 1 / 6], atol=1e-12)


def random_warp(seed=0):
    random = np.random.default_rng(seed)
    affine = {
        "rotation": 10.0,
        "scale_x": 0.8,
        "scale_y": 0.95,
        "shear": 0.08,
        "shift_x": 0.05,
        "shift_y": -0.03,
    }
    return toy.warp_of(affine, random.uniform(-0.18, 0.18, (6, 6, 2)))


def test_the_grid_and_the_points_agree_and_the_inverse_is_one():
    warp = random_warp()
    x, y = np.linspace(-1, 1, 9), np.linspace(0.9, -0.7, 5)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(warp.on_grid(x, y).reshape(-1, 2), warp.at(points), atol=1e-12)
    np.testing.assert_allclose(warp.inverse(warp.at(points)), points, atol=1e-8)


def test_the_warp_does_not_fold_at_its_largest_displacement():
    bound = toy.INJECTIVE * 2.0 / 3.0 * 0.999
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (20, 6, 6, 2))
    grid = np.linspace(-1, 1, 121)
    for sign in signs:
        warp = toy.Warp(np.eye(2), np.zeros(2), bound * sign)
        down, right = np.gradient(warp.on_grid(grid, grid), grid, grid, axis=(0, 1))
        assert (right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]).min() > 0.0


def test_true_landmarks_lie_on_their_ellipses(tmp_path):
    size = (160, 208)
    truth = simulate(tmp_path, size=list(size), count=3, noise=(0.0, 0.0))
    for subject, one in truth.iterrows():
        image = intensities(tmp_path, subject)

        def value(name, one=one, image=image):
            return image[round(one[f"landmark_{name}_y"]), round(one[f"landmark_{name}_x"])]

        assert value("left_ventricle_centre") == pytest.approx(0.0, abs=0.01)
        assert value("right_ventricle_centre") == pytest.approx(0.0, abs=0.01)
        # the top of the skull: bright below it, dark above
        x, y = one["landmark_skull_top_x"], one["landmark_skull_top_y"]
        assert image[round(y - 3), round(x)] == pytest.approx(0.0, abs=0.01)
        assert image[round(y + 2), round(x)] == pytest.approx(1.0, abs=0.01)
        # left and right as seen in the image
        assert one["landmark_skull_left_x"] < one["landmark_skull_centre_x"]
        assert one["landmark_skull_right_x"] > one["landmark_skull_centre_x"]


def test_landmarks_are_the_warp_of_the_truth(tmp_path):
    one = simulate(tmp_path).iloc[1]
    affine = {
        name: one[name]
        for name in ("rotation", "scale_x", "scale_y", "shear", "shift_x", "shift_y")
    }
    coefficients = np.empty((6, 6, 2))
    for row, column, axis in np.ndindex(6, 6, 2):
        coefficients[row, column, axis] = one[f"displacement_{'xy'[axis]}_{row}_{column}"]
    warp = toy.warp_of(affine, coefficients)
    for name, canonical in toy.canonical_landmarks().items():
        height, width = SIZE
        x = 2 * one[f"landmark_{name}_x"] / (width - 1) - 1
        y = 1 - 2 * one[f"landmark_{name}_y"] / (height - 1)
        np.testing.assert_allclose(warp.at(np.array([[x, y]]))[0], canonical, atol=1e-6)


def test_deterministic_and_independent_of_the_count(tmp_path):
    simulate(tmp_path, "a")
    simulate(tmp_path, "b")
    simulate(tmp_path, "c", count=4)
    simulate(tmp_path, "d", seed=6)
    image = "images/phantom_001.png"
    bytes_of = {name: (tmp_path / name / image).read_bytes() for name in "abcd"}
    assert bytes_of["a"] == bytes_of["b"] == bytes_of["c"] != bytes_of["d"]
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert (tmp_path / "c.csv").read_text().startswith((tmp_path / "a.csv").read_text())
    subjects = pd.read_csv(tmp_path / "a" / "subjects.csv")
    assert list(subjects.columns) == ["subject", "image"]
    assert list(subjects.image) == ["images/phantom_000.png", image]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cout": 3}, "cout is no option .* nearest known one is count$"),
        ({"count": 0}, "count must be 1 at least"),
        ({"displacement": (-0.4, 0.4)}, "displacement reaches 0.4, which could fold"),
        ({"control_points": 3}, "control_points must be at least 4"),
        ({"size": 64}, "size must be two numbers"),
        ({"scale_x": (0.0, 1.0)}, "scale_x and scale_y must be positive"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        toy.simulate(tmp_path / "population", tmp_path / "truth.csv", 1, **options)
    assert list(tmp_path.iterdir()) == []
