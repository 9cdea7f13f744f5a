import pytest
import torch

from lmcore.discovery import intensities
from lmcore.discovery.intensities import change_intensities


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def noiseless(monkeypatch):
    monkeypatch.setattr(intensities, "NOISE", 0.0)


@pytest.mark.parametrize("shape", [(5, 7), (4, 5, 6)])
def test_brighter_stays_brighter(noiseless, shape):
    """Every change alone is increasing, so the order of a pixel among others is kept."""
    images = torch.rand(20, 2, *shape, generator=generator())
    found = change_intensities(images, generator(1))
    order = images.flatten(1).argsort(dim=1)
    assert (found.flatten(1).gather(1, order).diff(dim=1) >= 0).all()


def test_black_and_white_tell_the_changes(noiseless):
    """Black becomes the brightness, white the contrast above it, one half its power."""
    images = torch.tensor([0.0, 1.0, 0.5]).expand(4000, 1, 1, 3)
    black, white, half = change_intensities(images, generator(2)).flatten(1).T
    contrast = white - black
    exponent = -torch.log2((half - black) / contrast)
    for values, middle, largest in ((black, 0, 0.06), (contrast, 1, 0.4), (exponent, 1, 0.4)):
        assert 0.98 * largest < (values - middle).abs().max() < largest * (1 + 1e-3)
        assert (values - middle).mean().abs() < 0.05 * largest
    together = torch.stack([black, contrast, exponent])
    assert (torch.corrcoef(together) - torch.eye(3)).abs().max() < 0.05


def test_noise_differs_from_pixel_to_pixel():
    images = torch.full((3, 1, 40, 50), 0.5)
    images[:, :, 0, 0], images[:, :, 0, 1] = 0.0, 1.0
    found = change_intensities(images, generator(3))[:, :, 1:]
    deviation = found.flatten(1).std(dim=1)
    torch.testing.assert_close(deviation, torch.full((3,), 0.02), rtol=0.1, atol=0)
    assert len(found[0].unique()) > 1900


def test_units_do_not_matter():
    images = torch.rand(3, 1, 6, 7, generator=generator())
    first = change_intensities(images, generator(6))
    torch.testing.assert_close(change_intensities(40 * images - 7, generator(6)), 40 * first - 7)


def test_a_constant_image_stays_as_it_is():
    images = torch.full((2, 1, 4, 5), 0.3)
    torch.testing.assert_close(change_intensities(images, generator(7)), images)


def test_generator_decides_alone():
    images = torch.rand(2, 1, 4, 5, generator=generator())
    first = change_intensities(images, generator(4))
    torch.manual_seed(5)
    assert torch.equal(first, change_intensities(images, generator(4)))
    assert not torch.equal(first, change_intensities(images, generator(5)))
