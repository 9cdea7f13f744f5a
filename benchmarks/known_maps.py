"""Known deformations of an image: what becomes of it, and where its points go.

Coordinates here are pixels (voxels) from the image's centre, (x, y[, z]), so that a rotation
turns an image that is not square, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lmcore.registration.warp import sample

ROTATION = 15.0  # degrees to either side
SHIFT = 0.1  # of the image's own length along each axis, to either side
SCALE = (0.85, 1.15)
WAVES = 3
# Largest sum of the waves' slopes: nothing is stretched or squeezed by more, so nothing folds.
STRETCH = 0.25
WAVELENGTHS = (0.7, 1.5)  # of the image's longest side
KINDS = ("rotation", "shift", "scale", "affine", "smooth")


@dataclass(frozen=True)
class AffineMap:
    """p -> matrix p + shift, with matrix (d, d) and shift (d,) in pixels."""

    matrix: np.ndarray
    shift: np.ndarray

    def forward(self, points: np.ndarray) -> np.ndarray:
        """(..., d) where points of the image are after the map."""
        return points @ self.matrix.T + self.shift

    def backward(self, points: np.ndarray) -> np.ndarray:
        """(..., d) where points of the mapped image were."""
        return (points - self.shift) @ np.linalg.inv(self.matrix).T


@dataclass(frozen=True)
class SmoothMap:
    """A sum of waves: backward(x) = x + sum_k amplitude_k sin(frequency_k x + phase_k).

    Attributes:
        amplitudes: (K, d) pixels; frequencies: (K, d) radians a pixel; phases: (K,).
    """

    amplitudes: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray

    def backward(self, points: np.ndarray) -> np.ndarray:
        """(..., d) where points of the mapped image were."""
        return points + np.sin(points @ self.frequencies.T + self.phases) @ self.amplitudes

    def forward(self, points: np.ndarray) -> np.ndarray:
        """(..., d) where points of the image are after the map, by fixed-point iteration.

        The displacement's slope is at most STRETCH, so that every step takes three quarters of
        the error away; 30 steps leave 1e-18 of it.
        """
        moved = points
        for _ in range(30):
            moved = moved + points - self.backward(moved)
        return moved


KnownMap = AffineMap | SmoothMap


def draw_map(kind: str, shape: Sequence[int], random: np.random.Generator) -> KnownMap:
    """A random map of one of KINDS for images of a spatial shape; `affine` is the three before.

    Raises:
        ValueError: if the kind is none of KINDS.
    """
    if kind not in KINDS:
        raise ValueError(f"a known map is one of {', '.join(KINDS)}, not {kind!r}")
    size = np.array(shape[::-1], dtype=float)
    if kind == "smooth":
        return _draw_smooth(size, random)
    matrix, shift = np.eye(len(size)), np.zeros(len(size))
    if kind in ("rotation", "affine"):
        matrix = _rotation(len(size), np.radians(random.uniform(-ROTATION, ROTATION)), random)
    if kind in ("scale", "affine"):
        matrix = matrix * random.uniform(*SCALE)
    if kind in ("shift", "affine"):
        shift = random.uniform(-SHIFT, SHIFT, len(size)) * size
    return AffineMap(matrix, shift)


def _rotation(dimension: int, angle: float, random: np.random.Generator) -> np.ndarray:
    """(d, d), in 3D about a random axis (Rodrigues)."""
    if dimension == 2:
        cos, sin = np.cos(angle), np.sin(angle)
        return np.array([[cos, -sin], [sin, cos]])
    x, y, z = (axis := random.normal(size=3)) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _draw_smooth(size: np.ndarray, random: np.random.Generator) -> SmoothMap:
    directions, amplitudes = (_unit(random.normal(size=(WAVES, len(size)))) for _ in range(2))
    wavelengths = random.uniform(*WAVELENGTHS, WAVES) * size.max()
    frequencies = directions * (2 * np.pi / wavelengths)[:, None]
    amplitudes *= (STRETCH / WAVES * wavelengths / (2 * np.pi))[:, None]
    return SmoothMap(amplitudes, frequencies, random.uniform(0, 2 * np.pi, WAVES))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def half_lengths(shape: Sequence[int]) -> np.ndarray:
    """(d,) pixels from the centre to the centres of the outer pixels: normalised times this."""
    return (np.array(shape[::-1], dtype=float) - 1) / 2


def map_image(image: torch.Tensor, known: KnownMap) -> torch.Tensor:
    """(C, *shape) the image after the map; what comes from outside has the border's value."""
    half = half_lengths(image.shape[1:])
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in image.shape[1:]), indexing="ij")
    grid = np.stack(axes[::-1], axis=-1)
    points = torch.from_numpy(known.backward(grid) / half)
    return sample(image[None], points[None, None])[0, 0]


def map_points(points: np.ndarray, known: KnownMap, shape: Sequence[int]) -> np.ndarray:
    """(..., d) normalised points of the image -> where they are after the map, normalised."""
    half = half_lengths(shape)
    return known.forward(points * half) / half
