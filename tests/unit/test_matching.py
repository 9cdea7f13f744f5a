import itertools

import pytest
import torch

from lmcore.registration import matching, warp
from lmcore.registration.matching import blocks, weighted_losses
from lmcore.registration.similarity import SIMILARITIES, masked_match
from lmcore.registration.spline import regular_grid

SHAPES = [((9, 13), (4, 5)), ((6, 8, 7), (3, 4, 5))]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def transforms(targets: int, sources: int, coarse: tuple[int, ...]) -> torch.Tensor:
    """(B, S, d, P) near the identity, and off the pixels' centres, where sampling has a kink."""
    identity = regular_grid(coarse).T
    return 0.83 * identity + 0.1 * random(targets, sources, *identity.shape, seed=5) - 0.05


def losses_of(images, maps, masks, match, coarse):
    """An image and a shape term, as the objective has them, with moving masks where given."""
    shape = tuple(images.shape[2:])

    def losses(block, transform):
        targets, sources = block
        registered = warp.sample(maps[sources], warp.upsample(transform, coarse, shape))
        image, shapes, other = registered.split(1, dim=2)
        if masks is None:
            first = match(images[targets], image)
        else:
            first = masked_match(match, images[targets], image, masks[targets], other)
        return torch.stack([first, match(maps[targets, 1:2], shapes)])

    return losses


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("match", SIMILARITIES)
@pytest.mark.parametrize(("shape", "coarse"), SHAPES)
@pytest.mark.parametrize("budget", [10**9, 1], ids=["at once", "in blocks"])
def test_sum_and_gradient_are_those_of_the_plain_path(
    shape, coarse, match, masked, budget, monkeypatch
):
    monkeypatch.setitem(matching.BLOCK_PIXELS, "cpu", budget)
    monkeypatch.setattr(matching, "LEAST_SOURCES", 2)
    maps = random(3, 3, *shape)
    images, masks = maps[:, :1], maps[:, 2:] if masked else None
    losses = losses_of(images, maps, masks, SIMILARITIES[match], coarse)
    transform, weights = transforms(3, 3, coarse).requires_grad_(), random(2, 3, 3, seed=7) + 0.1
    weights[0, 1, 2] = weights[1, 0, 0] = 0
    found, sums = weighted_losses(transform, losses, weights, images[0, 0].numel())
    every = slice(None), slice(None)
    expected = (weights * losses(every, transform)).sum(dim=(1, 2))
    torch.testing.assert_close(sums, expected.detach(), rtol=1e-12, atol=1e-12)
    assert found.item() == pytest.approx(expected.sum().item(), rel=1e-12)
    gradient, plain = (
        torch.autograd.grad(3 * value, transform)[0] for value in (found, expected.sum())
    )
    assert plain.abs().max() > 1e-4
    torch.testing.assert_close(gradient, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("shape", "coarse"), SHAPES)
def test_gradcheck(shape, coarse):
    """Against differences; L2 alone is smooth but for the pixels' borders."""
    maps = random(3, 3, *shape)
    losses = losses_of(maps[:, :1], maps, None, SIMILARITIES["l2"], coarse)
    weights = random(2, 2, 3, seed=7)
    transform = transforms(2, 3, coarse).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda given: weighted_losses(given, losses, weights, 1)[0], (transform,), fast_mode=True
    )


def test_a_pair_without_weight_may_be_anything():
    def losses(block, transform):
        values = transform.square().sum(dim=(2, 3))[None]
        return torch.where(values > 5, float("nan"), values)

    transform = torch.tensor([[1.0, 2.0], [3.0, 0.5]]).view(2, 2, 1, 1).requires_grad_()
    weights = torch.tensor([[[0.5, 1.0], [0.0, 2.0]]])
    total, sums = weighted_losses(transform, losses, weights, 1)
    assert total.item() == sums.item() == 0.5 * 1 + 4 + 2 * 0.25
    total.backward()
    assert transform.grad.flatten().tolist() == [1.0, 4.0, 0.0, 2.0]


def test_nothing_is_differentiated_where_nobody_learns():
    seen = []

    def losses(block, transform):
        seen.append(transform.requires_grad or torch.is_grad_enabled())
        return transform.sum(dim=(2, 3))[None]

    total, _ = weighted_losses(torch.ones(2, 3, 2, 5), losses, torch.ones(1, 2, 3), 1)
    assert total.item() == 60
    assert seen == [False]


@pytest.mark.parametrize(
    ("targets", "sources", "pixels", "expected"),
    [
        (5, 6, 10, {(4, 6), (1, 6)}),  # several targets a block
        (2, 6, 45, {(1, 3)}),  # sources in equal parts
        (2, 9, 10**6, {(1, 3)}),  # never fewer than LEAST_SOURCES where there are more
        (3, 1, 1000, {(1, 1)}),
        (70, 1, 10, {(24, 1), (22, 1)}),
    ],
)
def test_blocks_are_all_pairs_once(targets, sources, pixels, expected, monkeypatch):
    monkeypatch.setitem(matching.BLOCK_PIXELS, "cpu", 240)
    pairs, shapes = [], set()
    for rows, columns in blocks(targets, sources, pixels, "cpu"):
        t, s = range(targets)[rows], range(sources)[columns]
        shapes.add((len(t), len(s)))
        pairs += itertools.product(t, s)
    assert sorted(pairs) == list(itertools.product(range(targets), range(sources)))
    assert len(pairs) == targets * sources
    assert shapes == expected
