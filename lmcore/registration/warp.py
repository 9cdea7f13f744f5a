"""Sampling source images where the spline says: `registered(x) = source(T(x))`."""

import functools

import torch
import torch.nn.functional as F


def upsample(transform: torch.Tensor, coarse: tuple[int, ...], shape: tuple[int, ...]):
    """(B, S, *shape, d): T on the full grid from (B, S, d, P) on a control grid of shape `coarse`.

    Linear interpolation with the outer points kept (`align_corners=True`); with
    `coarse == shape` only the order of the axes changes.
    """
    targets, sources, dimension, _ = transform.shape
    field = transform.reshape(targets * sources * dimension, *coarse)
    with torch.autocast(transform.device.type, enabled=False):
        for axis in range(dimension, 0, -1):
            field = _interpolate(field, axis, shape[axis - 1])
    return field.view(targets, sources, dimension, *shape).movedim(2, -1)


def _interpolate(field: torch.Tensor, axis: int, length: int) -> torch.Tensor:
    """(N, ..., length, ...) a field (N, ...) interpolated along one axis, ends kept.

    A product with a matrix: on a CPU several times faster than `F.interpolate` and its gradient,
    and on a GPU the same on every run, where that one adds up in any order.
    """
    if field.shape[axis] == length:
        return field
    matrix = _interpolation(field.shape[axis], length, field.dtype, field.device)
    if axis == field.dim() - 1:
        return field @ matrix.T
    rows = field.flatten(0, axis - 1).flatten(2)
    values = torch.bmm(matrix.expand(len(rows), -1, -1), rows)
    return values.view(*field.shape[:axis], length, *field.shape[axis + 1 :])


@functools.lru_cache(maxsize=16)
def _interpolation(count: int, length: int, dtype: torch.dtype, device: torch.device):
    """(length, count) weights of `count` values in linear interpolation at `length` places."""
    place = torch.linspace(0, count - 1, length, dtype=torch.float64)[:, None]
    weights = (1 - (place - torch.arange(count)).abs()).clamp_min(0)
    return weights.to(device, dtype)


def sample(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Linear interpolation of images at points; outside, the nearest border value.

    Arguments:
        images: (S, C, *spatial).
        points: (B, S, *grid, d), source coordinates in [-1, 1] for each target and source;
            `grid` has d axes.
    Returns:
        (B, S, C, *grid)
    """
    targets, sources, *grid, dimension = points.shape
    # One call per source holds all its targets one after the other along the first grid axis,
    # so that no image is copied for a pair.
    stacked = points.transpose(0, 1).reshape(sources, targets * grid[0], *grid[1:], dimension)
    values = F.grid_sample(
        images, stacked.to(images.dtype), mode="bilinear", padding_mode="border", align_corners=True
    )
    values = values.reshape(sources, images.shape[1], targets, *grid)
    return values.permute(2, 0, 1, *range(3, values.dim()))


def sample_each(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """As `sample` where every target has one source of its own.

    Arguments:
        images: (B, C, *spatial), the source of each target.
        points: (B, 1, *grid, d).
    Returns:
        (B, 1, C, *grid)
    """
    # every image is a source with one target
    return sample(images, points.transpose(0, 1)).transpose(0, 1)


def folded_share(points: torch.Tensor) -> torch.Tensor:
    """(...,) share of grid cells on which T turns the image over (Jacobian determinant <= 0).

    Arguments:
        points: (..., *spatial, d) source coordinates on the full grid; forward differences.
    """
    dimension = points.shape[-1]
    spatial = range(points.dim() - 1 - dimension, points.dim() - 1)
    inner = [slice(None, -1)] * dimension
    columns = []
    for axis in reversed(spatial):  # x first, so that the identity has a positive determinant
        index = [slice(None)] * (points.dim() - 1 - dimension) + list(inner)
        index[axis] = slice(None)
        columns.append(points.diff(dim=axis)[tuple(index)].unbind(-1))
    # by components: `linalg.det` of so many small matrices is several times slower
    if dimension == 2:
        (a, b), (c, d) = columns
        determinant = a * d - b * c
    else:
        (a, b, c), (d, e, f), (g, h, i) = columns
        determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (determinant <= 0).float().mean(dim=tuple(spatial))
