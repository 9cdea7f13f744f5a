import itertools

import numpy as np
import pytest
import torch

from lmcore.registration.similarity import SIMILARITIES, squared_difference


def test_mean_squared_difference_of_every_pair():
    target, registered = torch.rand(2, 3, 4, 5), torch.rand(2, 6, 3, 4, 5)
    found = squared_difference(target, registered)
    assert found.shape == (2, 6)
    for b, s in itertools.product(range(2), range(6)):
        expected = np.mean((target[b].numpy() - registered[b, s].numpy()) ** 2)
        assert found[b, s].item() == pytest.approx(expected, rel=1e-5)


def test_in_squared_units_of_intensity():
    target = torch.zeros(1, 1, 3, 7)
    registered = torch.full((1, 2, 1, 3, 7), 0.5)
    registered[0, 1] = 0
    assert squared_difference(target, registered).tolist() == [[0.25, 0.0]]
    assert SIMILARITIES["l2"] is squared_difference


@pytest.mark.parametrize("shape", [(3, 2, 1, 4, 5), (2, 2, 1, 5, 4), (2, 2, 2, 4, 5)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"target \(2, 1, 4, 5\) and registered"):
        squared_difference(torch.zeros(2, 1, 4, 5), torch.zeros(shape))
