"""Known deformations, and how far landmarks are from where those take them."""

import numpy as np
import pytest
import torch

from benchmarks import equivariance as subject
from benchmarks import known_maps
from lmcore.seeds import derive_seed

SHAPES = [(40, 64), (20, 36, 28)]


def blob(shape, point, width=2.5):
    """(1, *shape) 1/2, and a bright Gaussian around a normalised point (x, y[, z])."""
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    grid = np.stack(axes[::-1], axis=-1)
    distance = np.linalg.norm(grid - point * known_maps.half_lengths(shape), axis=-1)
    image = 0.5 + 0.5 * np.exp(-((distance / width) ** 2) / 2)
    return torch.from_numpy(image[None].astype(np.float32))


def centre_of_mass(images):
    """(B, 1, d) normalised: an encoder that is right about every blob."""
    shape = images.shape[2:]
    weights = (images - 0.5).clamp_min(0).double().flatten(1)
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n).double() for n in shape), indexing="ij")
    grid = torch.stack(axes[::-1], dim=-1).flatten(0, -2)
    return ((weights @ grid) / weights.sum(dim=1, keepdim=True))[:, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", known_maps.KINDS)
def test_forward_undoes_backward(kind, shape):
    random = np.random.default_rng(1)
    points = random.uniform(-30, 30, (200, len(shape)))
    known = known_maps.draw_map(kind, shape, random)
    moved = known.forward(points)
    assert np.abs(moved - points).max() > 0.05
    np.testing.assert_allclose(known.backward(moved), points, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_maps_are_what_their_kind_says(shape):
    random = np.random.default_rng(2)
    angles, shifts, scales = [], [], []
    for _ in range(300):
        turned = known_maps.draw_map("rotation", shape, random)
        np.testing.assert_allclose(turned.matrix @ turned.matrix.T, np.eye(len(shape)), atol=1e-12)
        cosine = (np.trace(turned.matrix) - len(shape) + 2) / 2
        angles.append(np.degrees(np.arccos(cosine)))
        shifts.append(known_maps.draw_map("shift", shape, random).shift / shape[::-1])
        scales.append(known_maps.draw_map("scale", shape, random).matrix)
    assert 14 < max(angles) <= 15
    assert (np.abs(shifts).max(axis=0) > 0.095).all()
    assert np.abs(shifts).max() <= 0.1
    factors = [matrix[0, 0] for matrix in scales]
    np.testing.assert_allclose(scales[0], factors[0] * np.eye(len(shape)))
    assert 0.85 <= min(factors) < 0.87
    assert 1.13 < max(factors) <= 1.15
    both = known_maps.draw_map("affine", shape, random)
    assert np.linalg.det(both.matrix) == pytest.approx(
        np.linalg.norm(both.matrix[0]) ** len(shape), rel=1e-12
    )
    assert np.abs(both.matrix - np.diag(np.diag(both.matrix))).max() > 0
    assert (both.shift != 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_smooth_maps_do_not_fold(shape):
    random = np.random.default_rng(3)
    step = 1e-4 * np.eye(len(shape))
    for _ in range(20):
        known = known_maps.draw_map("smooth", shape, random)
        points = random.uniform(-40, 40, (100, 1, len(shape)))
        slopes = (known.backward(points + step) - known.backward(points - step)) / 2e-4
        change = np.linalg.norm(slopes - np.eye(len(shape)), ord=2, axis=(1, 2))
        assert change.max() <= known_maps.STRETCH + 1e-6


def test_unknown_kind_is_named():
    with pytest.raises(ValueError, match="not 'shear'"):
        known_maps.draw_map("shear", (8, 9), np.random.default_rng(0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", known_maps.KINDS)
def test_image_and_points_move_alike(kind, shape):
    random = np.random.default_rng(4)
    point = np.array([0.25, -0.3, 0.15])[: len(shape)]
    known = known_maps.draw_map(kind, shape, random)
    moved = known_maps.map_image(blob(shape, point), known)
    found = centre_of_mass(moved[None])[0, 0].numpy()
    wanted = known_maps.map_points(point, known, shape)
    error = np.abs(found - wanted) * known_maps.half_lengths(shape)
    assert error.max() < (0.2 if kind == "smooth" else 0.1)  # pixels; it bends the blob a little
    assert np.abs(wanted - point).max() > 0.005


def test_rotation_turns_x_towards_y():
    quarter = known_maps.AffineMap(np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros(2))
    image = torch.zeros(1, 5, 9)
    image[0, 2, 6] = 1  # two pixels to the right of the centre: two below it afterwards
    turned = known_maps.map_image(image, quarter)
    assert torch.nonzero(turned[0] > 0.99).tolist() == [[4, 4]]
    np.testing.assert_allclose(
        known_maps.map_points(np.array([0.5, 0.0]), quarter, (5, 9)), [0, 1], atol=1e-12
    )


def test_encoder_that_follows_the_image_has_no_error():
    shape = (40, 64)
    random = np.random.default_rng(5)
    images = torch.stack([blob(shape, point) for point in random.uniform(-0.3, 0.3, (6, 2))])
    found = subject.equivariance(centre_of_mass, images, draws=3, seed=6)
    assert set(found) == set(known_maps.KINDS)
    for kind, values in found.items():
        assert values["p95"] < 0.25, kind  # percent of 64 pixels
        assert 0 <= values["median"] <= values["p95"]
        assert values["left_frame"] == 0


def test_encoder_that_stays_misses_by_the_shift_and_frame_leavers_do_not_count():
    shape, images = (40, 64), torch.rand(5, 1, 40, 64, generator=torch.Generator().manual_seed(7))
    fixed = torch.tensor([[0.0, 0.0], [0.96, -0.5]]).double()

    def encoder(batch):
        return fixed.expand(len(batch), -1, -1)

    found = subject.equivariance(encoder, images, draws=4, seed=8)
    for kind in ("rotation", "scale"):
        # the centre stays; of the other one, those that stay inside are displaced
        assert found[kind]["median"] < found[kind]["p95"]
    random = np.random.default_rng(derive_seed(8, "equivariance", "shift"))
    maps = [known_maps.draw_map("shift", shape, random) for _ in range(20)]
    left = [(0.96 * 31.5 + known.shift[0]) > 31.5 for known in maps]
    assert 0 < sum(left) < 20
    assert found["shift"]["left_frame"] == pytest.approx(sum(left) / 40)
    lengths = [100 * np.linalg.norm(known.shift) / 64 for known in maps]
    kept = lengths + [length for length, gone in zip(lengths, left, strict=True) if not gone]
    assert found["shift"]["median"] == pytest.approx(np.median(kept), rel=1e-9)
    assert found["shift"]["p95"] == pytest.approx(np.percentile(kept, 95), rel=1e-9)


def test_nothing_left_in_the_frame_has_no_median():
    assert subject.quantiles(np.array([])) == {"median": None, "p95": None}


def test_repeatability_sees_what_each_change_does():
    shape = (24, 32)
    random = np.random.default_rng(9)
    images = torch.stack([blob(shape, point, 2.0) for point in random.uniform(-0.4, 0.4, (9, 2))])
    found = subject.repeatability(centre_of_mass, images, seed=10)
    assert set(found) == {"noise", "blur", "gain", "gamma"}
    assert found["gain"] < 1e-4  # about 1/2, what the blob stands on: weights scale alike
    assert found["blur"] < 0.1
    assert found["noise"] > 1  # noise outside the blob pulls its centre of mass

    def brightest(batch):  # x is the brightest intensity
        top = batch.flatten(1).amax(dim=1)
        return torch.stack([top, torch.zeros_like(top)], dim=1)[:, None]

    gain = np.random.default_rng(derive_seed(10, "repeatability")).uniform(*subject.GAIN, 9)
    top = images.flatten(1).amax(dim=1).numpy()
    expected = np.abs(np.minimum(0.5 + gain * (top - 0.5), 1) - top) * 15.5 / 32 * 100
    found = subject.repeatability(brightest, images, seed=10)
    assert found["gain"] == pytest.approx(np.median(expected), rel=1e-4)


def test_dead_share_counts_landmarks_below_a_thousandth_of_the_width():
    shape = (40, 101)  # half a length is 50 pixels along x, so 0.1 % of the width is 0.00202
    points = np.zeros((2, 4, 2))
    points[:, 1, 0] = [-0.0019, 0.0019]  # dead
    points[:, 2, 0] = [0.5 - 0.0022, 0.5 + 0.0022]  # alive
    points[:, 3, 1] = [-0.005, 0.005]  # 0.0975 pixels along y, dead; in x it would be alive
    assert subject.dead_share(points, shape) == 0.75
