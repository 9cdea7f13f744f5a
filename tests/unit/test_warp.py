import itertools

import numpy as np
import pytest
import torch
from registering import register
from scipy.ndimage import map_coordinates

from lmcore.registration import spline, warp
from lmcore.registration.evaluation import evaluate


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.8 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.9


@pytest.mark.parametrize(
    ("shape", "move"), [((20, 24, 31), (3, -2, 1)), ((20, 31), (3, -2))], ids=["3D", "2D"]
)
@pytest.mark.parametrize("kernel", spline.KERNELS)
def test_a_translation_lands_on_the_exact_voxel(shape, move, kernel):
    """`registered(x) = source(T(x))` with T(x) = x + (3, -2, 1) voxels in x, y, z."""
    dimension = len(shape)
    image = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    target = points(1, 12, dimension)
    step = torch.tensor([2 * m / (n - 1) for m, n in zip(move, shape[::-1], strict=True)])
    basis = spline.cardinal_basis(spline.fit(target, kernel), spline.regular_grid(shape))
    registered, grid = register(basis, shape, target + step, image)
    back = tuple(-m for m in move[::-1])
    expected = torch.roll(image[0, 0], back, dims=tuple(range(dimension)))
    inside = tuple(slice(max(0, -m), n - max(0, m)) for m, n in zip(move[::-1], shape, strict=True))
    torch.testing.assert_close(registered[0, 0, 0][inside], expected[inside], atol=2e-4, rtol=0)
    voxels = (grid[0, 0] + 1) / 2 * (torch.tensor(shape[::-1]) - 1)
    origin = voxels[(0,) * dimension]
    torch.testing.assert_close(origin, torch.tensor(move).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(9, 14), (5, 6, 8)])
def test_sample_is_linear_interpolation_of_every_pair(shape):
    dimension = len(shape)
    images = torch.rand(3, 2, *shape, dtype=torch.float64)
    at = 1.3 * points(4, 3, *(5, 3, 2)[:dimension], dimension)  # some outside: the border value
    found = warp.sample(images, at)
    assert at.abs().max() > 1
    for b, s, c in itertools.product(range(4), range(3), range(2)):
        index = (at[b, s].numpy() + 1) / 2 * (np.array(shape[::-1]) - 1)
        coordinates = np.moveaxis(index[..., ::-1], -1, 0)
        expected = map_coordinates(images[s, c].numpy(), coordinates, order=1, mode="nearest")
        np.testing.assert_allclose(found[b, s, c], expected, atol=1e-12)


def test_register_is_the_loop_over_pairs():
    shape = (9, 14)
    images = torch.rand(3, 2, *shape)
    targets, sources = points(2, 10, 2), points(3, 10, 2, seed=1)
    basis = spline.cardinal_basis(spline.fit(targets), spline.regular_grid(shape))
    registered, grid = register(basis, shape, sources, images)
    assert registered.shape == (2, 3, 2, *shape)
    for b, s in itertools.product(range(2), range(3)):
        one, at = register(basis[b : b + 1], shape, sources[s : s + 1], images[s : s + 1])
        torch.testing.assert_close(registered[b, s], one[0, 0], atol=1e-5, rtol=0)
        torch.testing.assert_close(grid[b, s], at[0, 0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(9, 14), (5, 6, 8)])
def test_a_source_whose_landmarks_are_nan_is_survived(shape):
    """torch's own backward pass ends the process on a NaN coordinate in 2D (torch 2.13, CPU)."""
    images, dimension = torch.rand(2, 1, *shape), len(shape)
    sources = points(2, 10, dimension)
    fitted, grid = spline.fit(points(1, 10, dimension, seed=1)), spline.regular_grid(shape)
    gradients = []
    for first in (0.5, float("nan")):
        sources[0] = first
        leaf = sources.clone().requires_grad_()
        at = warp.upsample(evaluate(fitted, leaf, grid), shape, shape)
        warp.sample(images, at).sum().backward()
        gradients.append(leaf.grad)
    assert not gradients[1][0].any()
    assert gradients[1][1].abs().min() > 0
    torch.testing.assert_close(gradients[0][1], gradients[1][1])


@pytest.mark.parametrize("shape", [(60, 90), (24, 30, 36)])
def test_image_moves_where_the_landmarks_move(shape):
    """A blob on the source's landmark comes to lie on the target's."""
    dimension = len(shape)
    target = 0.6 * points(1, 6, dimension)
    source = target + 0.05 * points(1, 6, dimension, seed=1)
    source[0, 2] = target[0, 2] + torch.tensor([0.2, -0.15, 0.12])[:dimension]
    grid = spline.regular_grid(shape)
    squared = (grid - source[0, 2]).square().sum(-1)
    image = torch.exp(-squared / 0.01).view(1, 1, *shape)
    basis = spline.cardinal_basis(spline.fit(spline.with_corners(target)), grid)
    registered, _ = register(basis, shape, spline.with_corners(source), image)
    brightest = grid[registered.flatten().argmax()]
    voxel = torch.tensor([2 / (n - 1) for n in shape[::-1]], dtype=torch.float64)
    assert ((brightest - target[0, 2]) / voxel).abs().max() < 1


def test_upsampling_keeps_linear_fields():
    coarse, shape = (4, 3), (10, 9)
    matrix = torch.tensor([[0.7, -0.2], [0.1, 0.9]], dtype=torch.float64)
    field = (spline.regular_grid(coarse) @ matrix + 0.05).T[None, None]
    expected = (spline.regular_grid(shape) @ matrix + 0.05).view(*shape, 2)
    torch.testing.assert_close(warp.upsample(field, coarse, shape)[0, 0], expected)
    same = warp.upsample(field, coarse, coarse)[0, 0]
    assert torch.equal(same, field[0, 0].T.view(*coarse, 2))


@pytest.mark.parametrize(
    ("shape", "stride", "count", "mean", "most"),
    [((256, 256), 4, 30, 0.03, 0.9), ((48, 48, 48), 2, 32, 0.04, 1.0)],
    ids=["2D", "3D"],
)
def test_strided_grid_is_near_the_full_one(shape, stride, count, mean, most):
    dimension = len(shape)
    target = spline.spread_points(count, dimension)[None]
    source = target + 0.05 * points(1, count, dimension)
    fitted = spline.fit(spline.with_corners(target))
    coarse = spline.strided_shape(shape, stride)
    fields = []
    for grid_shape in (shape, coarse):
        basis = spline.cardinal_basis(fitted, spline.regular_grid(grid_shape))
        moved = spline.transform(basis, spline.with_corners(source))
        fields.append(warp.upsample(moved, grid_shape, shape))
    error = (fields[0] - fields[1]).norm(dim=-1) * (shape[0] - 1) / 2
    assert error.mean() < mean
    assert error.max() < most


@pytest.mark.parametrize("shape", [(5, 9), (3, 5, 9)])
def test_folded_share(shape):
    identity = spline.regular_grid(shape).view(*shape, len(shape))
    flipped = identity.clone()
    flipped[..., 0] *= -1
    # the left half of the columns is laid over the right half
    folded = identity.clone()
    folded[..., 0] = folded[..., 0].abs()
    shared = warp.folded_share(torch.stack([identity, flipped, folded])[None])
    assert shared.tolist() == [[0.0, 1.0, 0.5]]
    exchanged = identity.flip(-1)  # x and y change places: an odd permutation in 2D and 3D
    assert warp.folded_share(exchanged) == 1.0
    squashed = identity * torch.tensor([0.0, 1.0, 1.0])[: len(shape)]
    assert warp.folded_share(squashed) == 1.0
