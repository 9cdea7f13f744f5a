"""Removing where shapes lie and how they are turned; their size stays, it is part of shape."""

from dataclasses import dataclass

import numpy as np

ROUNDS = 100
TOLERANCE = 1e-10  # of the mean's size, by which it may still move


@dataclass(frozen=True)
class Rigid:
    """x -> x rotation + shift, for row vectors.

    Attributes:
        rotation: (..., d, d), of determinant 1.
        shift: (..., d).
    """

    rotation: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(..., M, d) moved points."""
        return points @ self.rotation + self.shift[..., None, :]

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """(..., M, d) points moved back."""
        return (points - self.shift[..., None, :]) @ np.swapaxes(self.rotation, -1, -2)


def align(shapes: np.ndarray, target: np.ndarray) -> Rigid:
    """The rotation and shift that take shapes nearest to a target (Kabsch 1976), no reflection.

    Arguments:
        shapes: (..., M, d) corresponding points; target: (M, d).
    Returns:
        One rigid map for each shape; it minimises the sum of squared distances.
    Raises:
        ValueError: if the two have different points; the message gives both shapes.
    """
    shapes, target = np.asarray(shapes, np.float64), np.asarray(target, np.float64)
    if shapes.shape[-2:] != target.shape:
        raise ValueError(f"shapes {shapes.shape} and target {target.shape} do not correspond")
    centres, centre = shapes.mean(axis=-2), target.mean(axis=-2)
    spread = np.swapaxes(shapes - centres[..., None, :], -1, -2) @ (target - centre)
    left, _, right = np.linalg.svd(spread)
    mirrored = np.linalg.det(left) * np.linalg.det(right) < 0
    left[..., -1] = np.where(mirrored[..., None], -left[..., -1], left[..., -1])
    rotation = left @ right
    return Rigid(rotation, centre - (centres[..., None, :] @ rotation)[..., 0, :])


def generalised_procrustes(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean shape and aligned shapes, by rotations and shifts in turn (Gower 1975).

    The mean lies and is turned as the plain mean of the given shapes, so that shapes on a common
    grid have a mean on that grid.

    Arguments:
        shapes: (N, M, d).
    Returns:
        (M, d) the mean of the aligned shapes, and (N, M, d) those.
    """
    shapes = np.asarray(shapes, np.float64)
    plain = mean = shapes.mean(axis=0)
    size = max(np.sqrt(np.square(mean - mean.mean(axis=0)).sum()), np.finfo(float).tiny)
    for _ in range(ROUNDS):
        before = mean
        mean = align(shapes, mean)(shapes).mean(axis=0)
        mean = align(mean, plain)(mean)
        if np.sqrt(np.square(mean - before).sum()) < TOLERANCE * size:
            break
    return mean, align(shapes, mean)(shapes)
