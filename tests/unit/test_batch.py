import pytest
import torch

from lmcore.discovery.batch import Batch
from lmcore.discovery.known_maps import Maps
from lmcore.discovery.objective import Supervision


def shifted(count, dimension, shape, step):
    """Maps by so many pixels along x, another number for every image."""
    shift = torch.zeros(count, dimension)
    shift[:, 0] = 2 * step * torch.arange(1, count + 1) / (shape[-1] - 1)
    matrix = torch.eye(dimension).repeat(count, 1, 1)
    nothing = torch.zeros(count, 0, dimension)
    return Maps(matrix, shift, nothing, nothing, nothing[:, :, 0])


@pytest.mark.parametrize("shape", [(6, 9), (4, 6, 9)])
def test_all_that_is_compared_moves_alike(shape):
    """A mask that all images share is one of each image's own when the images have moved."""
    generator = torch.Generator().manual_seed(0)
    images, shapes = (torch.rand(3, 1, *shape, generator=generator) for _ in range(2))
    mask = torch.rand(1, 1, *shape, generator=generator)
    present = torch.tensor([True, False, True])
    copies = torch.rand(3, 1, *shape, generator=generator)
    batch = Batch(images, mask, Supervision(shapes, present))
    moved = batch.moved(copies, shifted(3, len(shape), shape, 1))
    assert torch.equal(moved.images, copies)
    assert torch.equal(moved.supervision.present, present)
    for found, before in ((moved.mask, mask.expand_as(images)), (moved.supervision.shapes, shapes)):
        for row, step in enumerate((1, 2, 3)):
            expected = before[row][..., step:]
            torch.testing.assert_close(found[row][..., :-step], expected, atol=1e-4, rtol=0)


def test_nothing_to_guide():
    images = torch.rand(2, 1, 6, 9)
    moved = Batch(images, None, None).moved(images + 1, shifted(2, 2, (6, 9), 1))
    assert moved.mask is None
    assert moved.supervision is None
