import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from lmcore.discovery import known_maps
from lmcore.discovery.known_maps import Maps, equivariance_loss, move_images, random_maps

SHAPES = [(40, 64), (24, 30, 44)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mesh_of(shape):
    """(*shape, d) normalised coordinates, x first."""
    axes = [np.linspace(-1, 1, n) for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)


def affine(matrix, shift):
    """Maps without a wave."""
    nothing = torch.zeros(len(matrix), 0, matrix.shape[1])
    return Maps(matrix, shift, nothing, nothing, nothing[:, :, 0])


def in_pixels(matrix, shape):
    """(n, d, d) what normalised matrices do to pixel coordinates around the image's centre."""
    half = (torch.tensor(shape[::-1]).double() - 1) / 2
    return half[:, None] * matrix.double() / half


class TestRandomMaps:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_rotation_and_scale_are_those_of_pixels(self, shape):
        """Beyond no limit, and near each of them in many draws."""
        dimension = len(shape)
        maps = random_maps(2000, shape, generator())
        matrix, shift = maps.matrix, maps.shift
        pixels = in_pixels(matrix, shape)
        scale = torch.linalg.det(pixels) ** (1 / dimension)
        turn = pixels / scale[:, None, None]
        identity = torch.eye(dimension).double().expand(2000, -1, -1)
        torch.testing.assert_close(turn @ turn.mT, identity, atol=1e-5, rtol=0)
        rotation = np.tile(np.eye(3), (2000, 1, 1))
        rotation[:, :dimension, :dimension] = turn
        angles = np.degrees(Rotation.from_matrix(rotation).as_euler("ZYX"))
        angles = angles if dimension == 3 else angles[:, :1]
        for values, largest in (
            (angles, 15.0),
            (np.log(scale.numpy()), math.log(1.15)),
            (shift.numpy(), 0.2),  # a tenth of the image, which is 2 wide
        ):
            assert 0.99 * largest < values.max() < largest * (1 + 1e-4)
            assert 0.99 * largest < -values.min() < largest * (1 + 1e-4)
            deviation = largest / math.sqrt(3)  # of an even draw
            np.testing.assert_allclose(values.std(axis=0), deviation, rtol=0.05)
            np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.07 * deviation)
        # each drawn for itself
        together = np.corrcoef(
            np.column_stack([angles, np.log(scale.numpy()), shift.numpy()]), rowvar=False
        )
        assert np.abs(together - np.eye(len(together))).max() < 0.1

    def test_generator_decides(self):
        torch.manual_seed(0)
        same, other = generator(3), generator(3)
        first, second = (random_maps(5, (20, 30), same) for _ in range(2))
        state = same.get_state()
        third = random_maps(5, (20, 30), same)
        for expected in (first, second, third):
            found = random_maps(5, (20, 30), other)
            for a, b in zip(vars(found).values(), vars(expected).values(), strict=True):
                assert torch.equal(a, b)
        same.set_state(state)
        assert torch.equal(random_maps(5, (20, 30), same).matrix, third.matrix)
        assert not torch.equal(first.matrix, second.matrix)
        for part in vars(first).values():
            assert len(part.unique(dim=0)) == 5
        drawn = torch.rand(1)
        torch.manual_seed(0)
        assert torch.equal(drawn, torch.rand(1))  # the caller's numbers are left alone

    def test_centred_objects_are_shifted_by_less_and_turned_alike(self):
        everywhere = random_maps(50, (20, 30), generator(4))
        centred = random_maps(50, (20, 30), generator(4), 0.02)
        torch.testing.assert_close(centred.shift, everywhere.shift / 5)
        assert torch.equal(centred.matrix, everywhere.matrix)
        assert torch.equal(centred.amplitude, everywhere.amplitude)

    def test_float32_as_images_are(self):
        maps = random_maps(2, (20, 30, 40), generator())
        assert {part.dtype for part in vars(maps).values()} == {torch.float32}

    @pytest.mark.parametrize("shape", SHAPES)
    def test_bending_stretches_by_at_most_its_share(self, shape):
        """By the derivative along every axis, of many maps at many points."""
        maps = random_maps(200, shape, generator(7)).to(torch.float64)
        points = (
            2 * torch.rand(200, 50, len(shape), generator=generator(8), dtype=torch.float64) - 1
        )
        step, worst = 1e-5, 0.0
        for axis in range(len(shape)):
            ahead = points.clone()
            ahead[..., axis] += step
            stretch = (maps._bend(ahead) - maps._bend(points)) / step
            worst = max(worst, stretch.abs().max().item())
        assert worst > 0.5 * known_maps.LARGEST_STRETCH
        assert worst < math.sqrt(known_maps.WAVES) * known_maps.LARGEST_STRETCH

    @pytest.mark.parametrize("shape", SHAPES)
    def test_inverse(self, shape):
        maps = random_maps(100, shape, generator(9)).to(torch.float64)
        points = torch.rand(100, 30, len(shape), generator=generator(10), dtype=torch.float64) - 0.5
        torch.testing.assert_close(maps(maps.inverse(points)), points, atol=2e-3, rtol=0)


class TestClosedForms:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_shift_by_whole_pixels(self, shape, blobs):
        """A moved image shows at q what was at q + shift; beyond, the border goes on."""
        steps = [3, -2, 4][: len(shape)]  # along x, y[, z]
        sizes = torch.tensor(shape[::-1])
        shift = (2 * torch.tensor(steps) / (sizes - 1))[None].float()
        matrix = torch.eye(len(shape))[None]
        images = torch.from_numpy(blobs(1, shape))
        found = move_images(images, affine(matrix, shift))[0, 0].numpy()
        padded = np.pad(images[0, 0].numpy(), 5, mode="edge")
        parts = [slice(5 + step, 5 + step + n) for step, n in zip(steps[::-1], shape, strict=True)]
        np.testing.assert_allclose(found, padded[tuple(parts)], atol=1e-5)
        points = torch.rand(1, 6, len(shape), generator=generator()) - 0.5
        torch.testing.assert_close(affine(matrix, shift).inverse(points), points - shift)

    def test_quarter_turn_of_a_square(self):
        """matrix (x, y) -> (-y, x): a moved image shows at q what was at (-q_y, q_x)."""
        image = torch.arange(25.0).view(1, 1, 5, 5)
        matrix, shift = torch.tensor([[[0.0, -1.0], [1.0, 0.0]]]), torch.zeros(1, 2)
        maps = affine(matrix, shift)
        found = move_images(image, maps)
        torch.testing.assert_close(found[0, 0], image[0, 0].rot90())
        # the right end of the middle row comes from the middle of the bottom row
        assert found[0, 0, 2, 4] == pytest.approx(image[0, 0, 4, 2].item(), abs=1e-4)
        point = torch.tensor([[[0.0, 1.0]]])  # which is (x, y) of that middle
        torch.testing.assert_close(maps.inverse(point), torch.tensor([[[1.0, 0.0]]]))
        torch.testing.assert_close(maps(torch.tensor([[[1.0, 0.0]]])), point)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_images_are_those_of_scipy(self, shape, blobs):
        images = blobs(3, shape)
        maps = random_maps(3, shape, generator(1))
        found = move_images(torch.from_numpy(images), maps).numpy()
        parts = (part.numpy() for part in vars(maps).values())
        for image, moved, *values in zip(images, found, *parts, strict=True):
            matrix, shift, amplitude, frequency, phase = values
            points = mesh_of(shape)
            waves = np.sin(points @ frequency.T + phase)
            points = points @ matrix.T + shift + waves @ amplitude
            index = [
                (points[..., axis] + 1) / 2 * (n - 1)
                for axis, n in zip(reversed(range(len(shape))), shape, strict=True)
            ]
            expected = map_coordinates(image[0], index, order=1, mode="nearest")
            np.testing.assert_allclose(moved[0], expected, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("stretch", "exact"), [(0.0, 0.02), (0.3, 0.25)])
def test_a_bright_spot_lands_where_the_points_say(shape, stretch, exact, monkeypatch):
    """Off the centre, in an image with other lengths along all axes, in both channels.

    The centre of mass of a bent spot lies a little aside.
    """
    monkeypatch.setattr(known_maps, "LARGEST_STRETCH", stretch)
    dimension = len(shape)
    maps = random_maps(6, shape, generator(3))
    spots = torch.rand(6, 2, dimension, generator=generator(4)) - 0.5
    mesh = torch.from_numpy(mesh_of(shape)).float()
    half = (torch.tensor(shape[::-1]) - 1) / 2
    distance = (mesh - spots.view(6, 2, *[1] * dimension, dimension)) * half
    images = torch.exp(-distance.square().sum(-1) / (2 * 1.5**2))
    moved = move_images(images, maps)
    weights = (moved / moved.flatten(2).sum(-1).view(6, 2, *[1] * dimension))[..., None]
    centres = (weights * mesh).flatten(2, -2).sum(dim=2)
    error = (centres - maps.inverse(spots)) * half
    assert error.abs().max() < exact  # in pixels
    assert ((centres - spots) * half).abs().max() > 2


def test_turning_alone_keeps_distances_in_pixels(monkeypatch):
    """In an image three times as wide as high, so that no coordinates but pixels would do."""
    monkeypatch.setattr(known_maps, "LARGEST_SCALE", 1.0)
    monkeypatch.setattr(known_maps, "LARGEST_STRETCH", 0.0)
    shape = (21, 61)
    maps = random_maps(5, shape, generator(), largest_shift=0.0)
    points = torch.rand(5, 8, 2, generator=generator()) - 0.5
    half = torch.tensor([30.0, 10.0])
    before, after = points * half, maps.inverse(points) * half
    torch.testing.assert_close(torch.cdist(after, after), torch.cdist(before, before))
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1))
    assert (after - before).abs().max() > 0.5


class TestLoss:
    def test_is_the_mean_squared_distance_of_those_inside(self):
        """Of a shift by (0.2, 0): a moved image shows at q what was at q + (0.2, 0)."""
        maps = affine(torch.eye(2).repeat(2, 1, 1), torch.tensor([[0.2, 0.0], [0.2, 0.0]]))
        moved = torch.tensor([[[0.1, 0.2], [0.5, 0.5], [0.9, 0.0]], [[0, 0], [0, 0], [0.3, 1.0]]])
        expected = torch.tensor(
            [[[0.3, 0.1], [1.1, 0.5], [0.4, -1.2]], [[0, 0], [-1.0, 1.0], [0.3, 0.6]]]
        )
        # outside: the second and third of the first image; the border itself is inside
        by_hand = (0.04 + 0.01) + 0 + (1 + 1) + 0.16
        still = expected + torch.tensor([0.2, 0.0])
        still[1, 1, 0] = (
            -0.8 + 1e-6
        )  # whose place in the moved image is the border but for rounding
        assert equivariance_loss(moved, still, maps).item() == pytest.approx(by_hand / 4, rel=1e-4)

    def test_nothing_is_asked_of_landmarks_that_left(self):
        maps = affine(torch.eye(2).repeat(2, 1, 1), torch.full((2, 2), -0.9))
        moved = torch.rand(2, 3, 2, requires_grad=True)
        still = torch.full((2, 3, 2), 0.5, requires_grad=True)
        loss = equivariance_loss(moved, still, maps)
        loss.backward()
        assert loss == 0
        assert not moved.grad.any()
        assert not still.grad.any()

    @pytest.mark.parametrize("shape", SHAPES)
    def test_exact_landmarks_cost_nothing(self, shape):
        maps = random_maps(4, shape, generator(5))
        moved = (torch.rand(4, 7, len(shape), generator=generator()) * 2 - 1).requires_grad_()
        exact = maps(moved).detach()
        assert equivariance_loss(exact, exact, maps) > 1e-3  # what lies still does not follow
        loss = equivariance_loss(moved, exact, maps)
        loss.backward()
        assert loss < 1e-12
        assert moved.grad.abs().max() < 1e-6

    def test_gradient_reaches_both_images(self):
        maps = random_maps(2, (20, 30), generator(6)).to(torch.float64)
        still = (0.5 * torch.rand(2, 3, 2, generator=generator())).double().requires_grad_()
        moved = (0.5 * torch.rand(2, 3, 2, generator=generator(1))).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda a, b: equivariance_loss(a, b, maps), (moved, still))
        equivariance_loss(moved, still, maps).backward()
        assert moved.grad.all()
        assert still.grad.all()
