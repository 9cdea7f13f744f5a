"""The local correlation against MONAI's, which squares it and is not a dependency."""

import pytest
import torch

from lmcore.registration.similarity import NCC_WINDOW, local_correlation

losses = pytest.importorskip(
    "monai.losses.image_dissimilarity", reason="MONAI, an oracle, is not installed"
)


@pytest.mark.parametrize("shape", [(24, 31), (12, 15, 17)])
def test_squared_correlation_is_monais(shape):
    """Where the patch is whole: beyond the border MONAI takes zeros."""
    random = torch.Generator().manual_seed(3)
    target = torch.rand(2, 1, *shape, generator=random, dtype=torch.float64)
    registered = (target + torch.rand(2, 1, *shape, generator=random, dtype=torch.float64)) / 2
    window = NCC_WINDOW[len(shape)]
    theirs = losses.LocalNormalizedCrossCorrelationLoss(
        spatial_dims=len(shape), kernel_size=window, reduction="none", smooth_dr=1e-12
    )(registered, target)
    whole = (..., *[slice(window // 2, length - window // 2) for length in shape])
    ours = local_correlation(target, registered[:, None])[:, 0].square()
    # our epsilon is 1e-5 beside variances of about 0.1
    torch.testing.assert_close(ours[whole], -theirs[whole], rtol=0, atol=5e-4)
    assert ours[whole].std() > 0.01
