"""How alike two images are (Eq. 3-6). Every loss is low for images that match, one a pair.

A similarity is a function of a target (B, C, *spatial) and of sources registered to it
(B, S, C, *spatial) that gives (B, S), the mean over the C channels. What belongs to the target
alone is computed once, whatever the number of its sources.
"""

from collections.abc import Callable

import torch

from lmcore.registration.windows import window_mean, window_sum

Similarity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# Side of the patches of NCC in pixels or voxels, by dimension.
NCC_WINDOW = {2: 9, 3: 7}
# Added to variances, in squared units of intensity. With intensities in [0, 1] this is above the
# rounding to 8 bits, (1/255)^2 / 12: what is flat but for that counts as flat, and its gradient
# stays finite.
VARIANCE_EPSILON = 1e-5
# p and ||r|| of Eq. 5, as the paper takes them.
MIND_PATCH = 3
MIND_DISPLACEMENT = 5


def squared_difference(target: torch.Tensor, registered: torch.Tensor) -> torch.Tensor:
    """L2 (Eq. 3) as the mean squared difference, >= 0, in squared units of intensity.

    Arguments:
        target: (B, C, *spatial)
        registered: (B, S, C, *spatial), every source registered to every target.
    Returns:
        (B, S)
    """
    check_shapes(target, registered)
    return (registered - target[:, None]).square().flatten(2).mean(dim=-1)


def correlation_loss(target: torch.Tensor, registered: torch.Tensor) -> torch.Tensor:
    """1 - mean local NCC (Eq. 4), without units: 0 for equal images, 2 for inverted contrast.

    The correlation keeps its sign and is that of `local_correlation`, at every pixel.

    Arguments, Returns: as of `squared_difference`.
    """
    check_shapes(target, registered)
    return 1 - local_correlation(target, registered).flatten(2).mean(dim=-1)


def local_correlation(target: torch.Tensor, registered: torch.Tensor) -> torch.Tensor:
    """(B, S, C, *spatial) NCC in [-1, 1] of the patches around each pixel, cut at the border.

    (cov + e) / sqrt((var_T + e) (var_R + e)) with e = VARIANCE_EPSILON and patches of
    NCC_WINDOW: by Cauchy-Schwarz never beyond 1, 1 where both patches are flat, and about 0
    where one of them is.
    """
    dimension = target.dim() - 2
    window, spatial = NCC_WINDOW[dimension], tuple(range(2, target.dim()))
    # NCC does not see a constant, but float32 does: var = E[x^2] - E[x]^2 wants x around zero
    centre = target.detach().mean(dim=spatial, keepdim=True)
    target, registered = target - centre, registered - centre[:, None]
    target_mean = window_mean(target, window, dimension)
    target_variance = window_mean(target.square(), window, dimension) - target_mean.square()
    target_scale = (target_variance.clamp_min(0) + VARIANCE_EPSILON).rsqrt()
    mean = window_mean(registered, window, dimension)
    variance = window_mean(registered.square(), window, dimension) - mean.square()
    product = window_mean(registered * target[:, None], window, dimension)
    covariance = product - mean * target_mean[:, None]
    scale = (variance.clamp_min(0) + VARIANCE_EPSILON).rsqrt()
    return (covariance + VARIANCE_EPSILON) * (scale * target_scale[:, None])


def mind(target: torch.Tensor, registered: torch.Tensor) -> torch.Tensor:
    """MIND (Eq. 5-6), in [0, 1] and without units: mean |MIND(I_T) - MIND(I_R)|.

    MIND(I, x, p, r) = exp(-||I(x, p) - I(x + r, p)||^2 / (Var(I(x, p)) + VARIANCE_EPSILON))
    with the sum of squares over a patch of MIND_PATCH pixels a side, the variance (over the
    number of pixels, not one less) of the patch at x itself, and r the steps of
    MIND_DISPLACEMENT along each axis, both ways: 4 in 2D, 6 in 3D. Beyond the border an image
    keeps its border value. The mean is over all pixels and displacements.

    It does not see an offset of intensities, nor, but for the epsilon, their gain or sign.

    Arguments, Returns: as of `squared_difference`.
    """
    check_shapes(target, registered)
    dimension = target.dim() - 2
    target_rate, rate = _decay_rate(target, dimension), _decay_rate(registered, dimension)
    total = registered.new_zeros(registered.shape[:2])
    for axis in range(-dimension, 0):
        target_distance = _patch_distance(target, axis, dimension)
        distance = _patch_distance(registered, axis, dimension)
        for begin in (0, MIND_DISPLACEMENT):  # x - r, then x + r
            length = target.shape[axis]
            of_target = (target_distance.narrow(axis, begin, length) * target_rate).exp()
            feature = (distance.narrow(axis, begin, length) * rate).exp()
            total = total + (feature - of_target[:, None]).abs().flatten(2).mean(dim=-1)
    return total / (2 * dimension)


def _decay_rate(images: torch.Tensor, dimension: int) -> torch.Tensor:
    """(..., *spatial) -1 / (variance + epsilon) of the patch at each pixel, of Eq. 5."""
    # as in `local_correlation`, a variance in float32 wants values around zero
    spatial = tuple(range(-dimension, 0))
    images = images - images.detach().mean(dim=spatial, keepdim=True)
    for axis in spatial:
        images = _keep_border(images, axis, MIND_PATCH // 2)
    size = MIND_PATCH**dimension
    mean = window_sum(images, MIND_PATCH, dimension) / size
    variance = window_sum(images.square(), MIND_PATCH, dimension) / size - mean.square()
    return -1 / (variance.clamp_min(0) + VARIANCE_EPSILON)


def _patch_distance(images: torch.Tensor, axis: int, dimension: int) -> torch.Tensor:
    """||I(x, p) - I(x + r, p)||^2 for r along one axis, from x = -r on.

    `axis` is MIND_DISPLACEMENT longer than the image's: the first n values are the distances
    to x - r, the last n those to x + r, since both compare the same two patches.
    """
    for other in range(-dimension, 0):
        width = MIND_PATCH // 2 + (MIND_DISPLACEMENT if other == axis else 0)
        images = _keep_border(images, other, width)
    length = images.shape[axis] - MIND_DISPLACEMENT
    difference = images.narrow(axis, 0, length) - images.narrow(axis, MIND_DISPLACEMENT, length)
    return window_sum(difference.square(), MIND_PATCH, dimension)


def _keep_border(images: torch.Tensor, axis: int, width: int) -> torch.Tensor:
    """The image with its border values repeated `width` times at both ends of one axis."""
    first, last = images.narrow(axis, 0, 1), images.narrow(axis, images.shape[axis] - 1, 1)
    size = list(first.shape)
    size[axis] = width
    return torch.cat([first.expand(size), images, last.expand(size)], dim=axis)


def masked_match(
    match: Similarity,
    target: torch.Tensor,
    registered: torch.Tensor,
    target_mask: torch.Tensor,
    registered_mask: torch.Tensor,
) -> torch.Tensor:
    """L_match(m_T I_T, m_R I_R) (Eq. 9) for any similarity: each image times its own mask.

    Arguments:
        match: one of SIMILARITIES; target, registered: what it takes.
        target_mask: m_T, (B or 1, 1, *spatial), weights >= 0.
        registered_mask: m_R, (B or 1, S or 1, 1, *spatial); with one fixed mask m for all,
            m_T is `m` and m_R is `m[:, None]`.
    Returns:
        (B, S); the mean is over the whole image, so a smaller mask gives a smaller loss.
    """
    return match(target * target_mask, registered * registered_mask)


def check_shapes(target: torch.Tensor, registered: torch.Tensor) -> None:
    """Raises a ValueError that names both shapes where sources are not registered to targets."""
    if target.shape[1:] != registered.shape[2:] or len(target) != len(registered):
        raise ValueError(
            f"target {tuple(target.shape)} and registered {tuple(registered.shape)} do not match"
        )


SIMILARITIES: dict[str, Similarity] = {
    "l2": squared_difference,
    "ncc": correlation_loss,
    "mind": mind,
}
