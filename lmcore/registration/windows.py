"""Sums and means over the square or cubic window around every pixel."""

import functools

import torch
import torch.nn.functional as F


class _WindowSum(torch.autograd.Function):
    """The sum over whole windows; its gradient is the same sum of the padded gradient."""

    @staticmethod
    def forward(ctx, images, window, axes):
        ctx.window, ctx.axes = window, axes
        for axis in axes:
            images = _sum_along(images, window, axis)
        return images

    @staticmethod
    def backward(ctx, gradient):
        padded = F.pad(gradient, [ctx.window - 1] * (2 * len(ctx.axes)))
        return _WindowSum.apply(padded, ctx.window, ctx.axes), None, None


def _sum_along(images: torch.Tensor, window: int, axis: int) -> torch.Tensor:
    """Sum of `window` successive values, from sums of 1, 2, 4, ... of them.

    About log2(window) additions of the whole array: no convolution comes near that on a CPU,
    and differences of cumulative sums would lose the digits that a variance needs.
    """
    length = images.shape[axis] - window + 1
    total, start, size = None, 0, 1
    while True:
        if window & size:
            part = images.narrow(axis, start, length)
            total = part if total is None else total + part
            start += size
        if 2 * size > window:
            return total
        rest = images.shape[axis] - size
        images = images.narrow(axis, 0, rest) + images.narrow(axis, size, rest)
        size *= 2


def window_sum(images: torch.Tensor, window: int, dimension: int) -> torch.Tensor:
    """(..., *spatial - window + 1): sums over all windows that lie in the image.

    Arguments:
        images: (..., *spatial), every side at least `window` long.
        window: side of the window in pixels; dimension: number d of spatial axes.
    """
    return _WindowSum.apply(images, window, tuple(range(-dimension, 0)))


def window_mean(images: torch.Tensor, window: int, dimension: int) -> torch.Tensor:
    """(..., *spatial): mean over the window around each pixel, the part of it in the image.

    Arguments: as of `window_sum`; the window's side is odd.
    """
    shape = tuple(images.shape[-dimension:])
    padded = F.pad(images, [window // 2] * (2 * dimension))
    share = _one_over_size(shape, window, images.dtype, images.device)
    return window_sum(padded, window, dimension) * share


@functools.lru_cache(maxsize=16)
def _one_over_size(shape, window, dtype, device) -> torch.Tensor:
    """(*shape): one over the number of pixels in each pixel's window."""
    with torch.no_grad():
        ones = torch.ones(shape, dtype=dtype, device=device)
        return 1 / window_sum(F.pad(ones, [window // 2] * (2 * len(shape))), window, len(shape))
