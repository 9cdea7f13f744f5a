import pytest
import torch

from lmcore.discovery import intensities
from lmcore.discovery.intensities import change_intensities, hide_boxes


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


@pytest.mark.parametrize("shape", [(33, 49), (17, 25, 33)])
def test_illumination_is_smooth_and_differs_from_image_to_image(noiseless, monkeypatch, shape):
    monkeypatch.setattr(intensities, "BOXES", 0)
    for largest in ("LARGEST_EXPONENT", "LARGEST_CONTRAST", "LARGEST_BRIGHTNESS"):
        monkeypatch.setattr(intensities, largest, 0.0)
    images = torch.ones(300, 1, *shape)
    images[(slice(None), 0, *[0] * len(shape))] = 0.0  # black stays black
    found = change_intensities(images, generator(8), hide=True)
    assert (found[(slice(None), 0, *[0] * len(shape))] == 0).all()
    corner = found[(slice(None), 0, *[-1] * len(shape))].log()
    assert abs(corner.mean()) < 0.05
    torch.testing.assert_close(corner.std(), torch.tensor(0.25), rtol=0.15, atol=0)
    inner = found[(slice(None), 0, *[slice(1, None)] * len(shape))].log()
    for axis, n in enumerate(shape):  # straight from side to middle and from there to side
        bend = (
            inner.diff(n=2, dim=axis + 1)
            .abs()
            .amax(dim=[k for k in range(len(shape) + 1) if k != axis + 1])
        )
        straight = torch.arange(1, n - 2) != (n - 1) // 2 - 1
        assert bend[straight].max() < 1e-5 < bend[~straight].max()


@pytest.mark.parametrize("shape", [(40, 100), (20, 30, 40)])
def test_hidden_boxes_show_the_mean(shape):
    images = torch.rand(200, 2, *shape, generator=generator())
    found = hide_boxes(images, generator(9))
    changed = found != images
    assert (changed[:, 0] == changed[:, 1]).all()
    mean = images.flatten(1).mean(dim=1).view(-1, *[1] * (images.dim() - 1))
    assert (found[changed] == mean.expand_as(found)[changed]).all()
    share = changed[:, 0].flatten(1).float().mean(dim=1)
    assert share.max() <= 3 * 0.35 ** len(shape) * 1.3
    expected = 3 * 0.225 ** len(shape)  # little less, as boxes overlap
    assert 0.75 * expected < share.mean() < 1.1 * expected
    middle, side = [n // 2 for n in shape], [0 for _ in shape]
    hits = [changed[(slice(None), 0, *place)].sum() for place in (middle, side)]
    assert hits[0] > max(20, hits[1])


def test_one_box_is_a_box(monkeypatch):
    """Its rows and columns are the same wherever it is, and along each axis its own length."""
    monkeypatch.setattr(intensities, "BOXES", 1)
    images = torch.rand(50, 1, 30, 60, generator=generator())
    hidden = (hide_boxes(images, generator(10)) != images)[:, 0]
    rows, columns = hidden.any(dim=2), hidden.any(dim=1)
    assert torch.equal(hidden, rows[:, :, None] & columns[:, None])
    heights, widths = rows.sum(dim=1), columns.sum(dim=1)
    for lengths, least, largest in ((heights, 2, 11), (widths, 5, 22)):
        assert least <= lengths.min() < lengths.max() <= largest
    assert (rows.float().diff(dim=1) == 1).sum(dim=1).max() <= 1  # all in one piece
    assert torch.corrcoef(torch.stack([heights, widths]).float())[0, 1].abs() < 0.4


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
