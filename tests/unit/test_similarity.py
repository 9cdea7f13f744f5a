import itertools

import numpy as np
import pytest
import torch

from lmcore.registration.similarity import (
    MIND_DISPLACEMENT,
    MIND_PATCH,
    NCC_WINDOW,
    SIMILARITIES,
    VARIANCE_EPSILON,
    correlation_loss,
    local_correlation,
    masked_match,
    mind,
    squared_difference,
)
from lmcore.registration.windows import window_mean, window_sum

SHAPES = [(11, 14), (4, 9, 7)]


def images_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth(image: torch.Tensor) -> torch.Tensor:
    """Noise with a little correlation, as images have."""
    return window_mean(image, 3, image.dim() - 2)


def offsets(side: int, dimension: int) -> list[np.ndarray]:
    steps = range(-(side // 2), side // 2 + 1)
    return [np.array(offset) for offset in itertools.product(steps, repeat=dimension)]


def ncc_by_loops(target: np.ndarray, registered: np.ndarray, window: int) -> float:
    """Eq. 4 at every pixel, the patches cut at the border, with the stated epsilon."""
    values = []
    for place in np.ndindex(target.shape):
        around = [np.array(place) + offset for offset in offsets(window, target.ndim)]
        inside = [tuple(p) for p in around if (p >= 0).all() and (p < target.shape).all()]
        a = np.array([target[p] for p in inside])
        b = np.array([registered[p] for p in inside])
        covariance = np.mean((a - a.mean()) * (b - b.mean()))
        scale = np.sqrt((a.var() + VARIANCE_EPSILON) * (b.var() + VARIANCE_EPSILON))
        values.append((covariance + VARIANCE_EPSILON) / scale)
    return 1 - np.mean(values)


def mind_by_loops(target: np.ndarray, registered: np.ndarray) -> float:
    """Eq. 5 and 6, the border value kept beyond the border."""

    def patch(image, place):
        around = [np.array(place) + offset for offset in offsets(MIND_PATCH, image.ndim)]
        highest = np.array(image.shape) - 1
        return np.array([image[tuple(np.clip(p, 0, highest))] for p in around])

    def feature(image, place, step):
        here, there = patch(image, place), patch(image, np.array(place) + step)
        return np.exp(-np.sum((here - there) ** 2) / (here.var() + VARIANCE_EPSILON))

    unit = np.eye(target.ndim, dtype=int) * MIND_DISPLACEMENT
    differences = [
        abs(feature(target, place, step) - feature(registered, place, step))
        for place in np.ndindex(target.shape)
        for step in [*unit, *-unit]
    ]
    return float(np.mean(differences))


class TestSquaredDifference:
    def test_of_every_pair(self):
        target, registered = torch.rand(2, 3, 4, 5), torch.rand(2, 6, 3, 4, 5)
        found = squared_difference(target, registered)
        assert found.shape == (2, 6)
        for b, s in itertools.product(range(2), range(6)):
            expected = np.mean((target[b].numpy() - registered[b, s].numpy()) ** 2)
            assert found[b, s].item() == pytest.approx(expected, rel=1e-5)

    def test_in_squared_units_of_intensity(self):
        target = torch.zeros(1, 1, 3, 7)
        registered = torch.full((1, 2, 1, 3, 7), 0.5)
        registered[0, 1] = 0
        assert squared_difference(target, registered).tolist() == [[0.25, 0.0]]
        assert SIMILARITIES["l2"] is squared_difference


class TestCorrelation:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_is_the_loop(self, shape):
        target, registered = images_of(1, 1, *shape), images_of(1, 1, 1, *shape, seed=1)
        registered[0, 0, 0, :3] = 0.25  # flat for a part
        expected = ncc_by_loops(
            target[0, 0].numpy(), registered[0, 0, 0].numpy(), NCC_WINDOW[len(shape)]
        )
        assert correlation_loss(target, registered).item() == pytest.approx(expected, abs=1e-9)
        single = correlation_loss(target.float(), registered.float())
        assert single.item() == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("shape", [(20, 31), (12, 9, 14)])
    def test_keeps_its_sign(self, shape):
        target = images_of(2, 1, *shape).float()
        registered = torch.stack([target, 1 - target, 0.3 + 2 * target, target.flip(-1)], dim=1)
        found = correlation_loss(target, registered)
        assert found[:, 0].tolist() == pytest.approx([0, 0], abs=1e-6)
        assert found[:, 1].tolist() == pytest.approx([2, 2], abs=1e-3)
        assert found[:, 2].tolist() == pytest.approx([0, 0], abs=1e-3)
        assert ((found[:, 3] > 0.5) & (found[:, 3] < 1.5)).all()

    def test_flat_patches(self):
        """Flat on flat matches, flat on structure is uncorrelated, and no gradient breaks."""
        structure, flat = images_of(1, 1, 15, 22).float(), torch.full((1, 1, 15, 22), 0.7)
        registered = torch.stack([flat + 0.2, structure], dim=1).requires_grad_()
        found = correlation_loss(flat, registered)
        assert found[0].tolist() == pytest.approx([0, 1], abs=0.02)
        found.sum().backward()
        assert registered.grad.isfinite().all()

    def test_never_beyond_one(self):
        target, registered = images_of(2, 1, 24, 30), images_of(2, 3, 1, 24, 30, seed=1)
        nearly = 0.5 + 1e-4 * registered
        for other in (registered, nearly, registered * 50):
            assert local_correlation(target, other).abs().max() <= 1 + 1e-9
        assert local_correlation(target, target[:, None]).min() > 1 - 1e-9

    def test_a_bright_image_loses_no_digits(self):
        target, registered = images_of(1, 1, 20, 31), images_of(1, 1, 1, 20, 31, seed=1)
        expected = correlation_loss(target, registered).item()
        found = correlation_loss((target + 50).float(), (registered + 50).float())
        assert found.item() == pytest.approx(expected, abs=1e-4)


class TestMind:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_is_the_loop(self, shape):
        target = smooth(images_of(1, 1, *shape))
        registered = smooth(images_of(1, 1, *shape, seed=1))[:, None].clone()
        registered[0, 0, 0, :3] = 0.25
        expected = mind_by_loops(target[0, 0].numpy(), registered[0, 0, 0].numpy())
        assert expected > 0.005
        assert mind(target, registered).item() == pytest.approx(expected, abs=1e-9)
        single = mind(target.float(), registered.float())
        assert single.item() == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("shape", [(21, 32), (12, 9, 14)])
    def test_does_not_see_gain_offset_or_inversion(self, shape):
        target = smooth(images_of(1, 1, *shape))
        registered = torch.stack(
            [target + 3, 1 - target, 40 * target - 7, smooth(images_of(1, 1, *shape, seed=1))],
            dim=1,
        )
        found = mind(target, registered)[0]
        assert found[:2].tolist() == pytest.approx([0, 0], abs=1e-12)
        assert found[2] < 0.02 * found[3]  # but for the epsilon
        assert 0 < found[3] < 1

    def test_one_axis_shifted_is_told_from_another(self):
        """A step edge along y: displacements along y see it, those along x do not."""
        image = torch.zeros(1, 1, 30, 40, dtype=torch.float64)
        image[..., 15:, :] = 1
        moved = image.roll(2, dims=2)
        moved[..., :2, :] = 0
        # within a row all is flat; 5 before the edge and 5 behind it are as unlike as can be
        expected = mind_by_loops(image[0, 0, :, :1].numpy(), moved[0, 0, :, :1].numpy())
        assert mind(image, moved[:, None]).item() == pytest.approx(expected, abs=1e-12)
        assert expected > 0


@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("shape", [(11, 14), (5, 9, 7)])
class TestEverySimilarity:
    def test_batch_is_the_loop(self, name, shape):
        """Over targets, sources and channels; and memory in another order changes nothing."""
        match = SIMILARITIES[name]
        target, registered = images_of(3, 2, *shape), images_of(4, 3, 2, *shape, seed=1)
        registered = registered.transpose(0, 1)
        found = match(target, registered)
        assert found.shape == (3, 4)
        for b, s in itertools.product(range(3), range(4)):
            channels = [
                match(target[b, c][None, None], registered[b, s, c][None, None, None]).item()
                for c in range(2)
            ]
            assert found[b, s].item() == pytest.approx(np.mean(channels), abs=1e-12)

    def test_gradient(self, name, shape):
        match = SIMILARITIES[name]
        target = smooth(images_of(1, 1, *shape[:-2], 4, 5)).requires_grad_()
        registered = smooth(images_of(2, 1, *shape[:-2], 4, 5, seed=1))[None].clone()
        assert torch.autograd.gradcheck(match, (target, registered.requires_grad_()), atol=1e-6)

    def test_a_flat_image_has_a_finite_gradient(self, name, shape):
        registered = torch.full((1, 1, 1, *shape), 0.5, requires_grad=True)
        SIMILARITIES[name](images_of(1, 1, *shape).float(), registered).sum().backward()
        assert registered.grad.isfinite().all()

    def test_equal_images_match(self, name, shape):
        target = images_of(2, 1, *shape).float()
        found = SIMILARITIES[name](target, target[:, None])
        assert found.flatten().tolist() == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize("name", SIMILARITIES)
class TestMask:
    """Eq. 9."""

    def test_of_ones_is_none(self, name):
        match, target, registered = (
            SIMILARITIES[name],
            images_of(2, 1, 9, 12),
            images_of(2, 3, 1, 9, 12, seed=1),
        )
        ones = torch.ones(1, 1, 9, 12)
        found = masked_match(match, target, registered, ones, ones[:, None])
        assert torch.equal(found, match(target, registered))

    def test_what_lies_outside_is_not_seen(self, name):
        match, target, registered = (
            SIMILARITIES[name],
            images_of(2, 1, 9, 12),
            images_of(2, 3, 1, 9, 12, seed=1),
        )
        mask = torch.zeros(1, 1, 9, 12, dtype=torch.float64)
        mask[..., 2:6, 3:11] = 1
        found = masked_match(match, target, registered, mask, mask[:, None])
        assert torch.equal(found, match(target * mask, registered * mask[:, None]))
        target[..., 7, 1], registered[..., 8, 11] = 99, -99
        assert torch.equal(masked_match(match, target, registered, mask, mask[:, None]), found)
        registered[..., 4, 5] += 1
        assert (masked_match(match, target, registered, mask, mask[:, None]) != found).all()

    def test_each_image_has_its_own(self, name):
        match, target, registered = (
            SIMILARITIES[name],
            images_of(2, 1, 9, 12),
            images_of(2, 3, 1, 9, 12, seed=1),
        )
        of_target, of_registered = images_of(2, 1, 9, 12, seed=2), images_of(2, 3, 1, 9, 12, seed=3)
        found = masked_match(match, target, registered, of_target, of_registered)
        one = match(target[1:] * of_target[1:], registered[1:, 2:] * of_registered[1:, 2:])
        assert found[1, 2].item() == pytest.approx(one.item(), abs=1e-12)


@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("shape", [(3, 2, 1, 4, 5), (2, 2, 1, 5, 4), (2, 2, 2, 4, 5)])
def test_other_shapes_are_refused(name, shape):
    with pytest.raises(ValueError, match=r"target \(2, 1, 4, 5\) and registered"):
        SIMILARITIES[name](torch.zeros(2, 1, 4, 5), torch.zeros(shape))


@pytest.mark.parametrize("window", [1, 2, 3, 6, 7, 9])
def test_window_sums(window):
    image = images_of(2, 10, 13)
    expected = image.unfold(1, window, 1).unfold(2, window, 1).sum(dim=(-2, -1))
    torch.testing.assert_close(window_sum(image, window, 2), expected)


def test_window_mean_is_of_the_part_in_the_image():
    image = images_of(4, 5)
    found = window_mean(image, 9, 2)
    assert found[0, 0] == pytest.approx(image.mean().item())
    assert window_mean(image, 3, 2)[0, 4].item() == pytest.approx(image[:2, 3:].mean().item())
    torch.testing.assert_close(window_mean(torch.ones(4, 5), 3, 2), torch.ones(4, 5))
