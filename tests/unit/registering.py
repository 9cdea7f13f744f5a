"""Registration by the cardinal basis, in the open: what the engine is held against."""

import torch

from lmcore.registration import spline, warp


def register(
    basis: torch.Tensor,
    coarse: tuple[int, ...],
    source_landmarks: torch.Tensor,
    images: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Register S sources to B targets, all pairs.

    Arguments:
        basis: (B, P, M) cardinal basis of the targets on the control grid `coarse`.
        source_landmarks: (S, M, d), corners included.
        images: (S, C, *spatial) sources.
    Returns:
        registered (B, S, C, *spatial), and the source coordinates (B, S, *spatial, d).
    """
    shape = tuple(images.shape[2:])
    points = warp.upsample(spline.transform(basis, source_landmarks), coarse, shape)
    return warp.sample(images, points), points
