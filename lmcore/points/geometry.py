"""Every conversion between normalised, index and physical coordinates.

A point is (x, y) or (x, y, z), with x along the LAST axis of the image's array, so
that an array of shape (..., z, y, x) has sizes in the reverse order of its points.
"""

from collections.abc import Sequence

import numpy as np


def normalised_to_index(points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Array indices of normalised points.

    Arguments:
        points: (..., d) in [-1, 1], where -1 and 1 are the centres of the outer voxels.
        shape: the image's spatial array shape, (H, W) or (D, H, W).
    Returns:
        (..., d) indices (i, j[, k]) along x, y[, z]; 0 is the centre of the first voxel.
    Raises:
        ValueError: if the two differ in dimension, or an axis has fewer than two voxels.
    """
    points = np.asarray(points, dtype=np.float64)
    return (points + 1) / 2 * _last_index(points, shape)


def index_to_normalised(index: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Normalised points of array indices, the inverse of `normalised_to_index`."""
    index = np.asarray(index, dtype=np.float64)
    return index / _last_index(index, shape) * 2 - 1


def apply_affine(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points by an affine, or each set of points by its own.

    Arguments:
        affine: (..., d+1, d+1), acting on columns (x, y[, z], 1).
        points: (..., M, d); the leading axes broadcast against those of `affine`.
    Returns:
        (..., M, d) mapped points.
    Raises:
        ValueError: if the dimensions differ; the message gives both shapes.
    """
    affine, points = np.asarray(affine, np.float64), np.asarray(points, np.float64)
    d = points.shape[-1]
    if affine.shape[-2:] != (d + 1, d + 1):
        raise ValueError(f"affine {affine.shape} does not map points {points.shape}")
    linear, offset = affine[..., :d, :d], affine[..., None, :d, d]
    return points @ np.swapaxes(linear, -1, -2) + offset


def _last_index(points: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """(d,) index of the last voxel along x, y[, z]."""
    if points.shape[-1] != len(shape):
        raise ValueError(f"points {points.shape} and an image of shape {tuple(shape)} differ in d")
    if min(shape) < 2:
        raise ValueError(f"shape {tuple(shape)}: every axis needs at least two voxels")
    return np.array(shape[::-1], dtype=np.float64) - 1
