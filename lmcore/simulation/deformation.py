"""From the anatomy all subjects share to one subject's scan: a smooth invertible map.

A simulated volume is `tissue(W^-1(x))`, and a point p of the common anatomy lies at W(p) in every
subject, so that points correspond across subjects by construction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates

from lmcore.errors import InputError

Displacement = Callable[[np.ndarray], np.ndarray]

# The fixed point is found when nothing moves by more than this.
TOLERANCE = 1e-3  # mm
MOST_STEPS = 100


@dataclass(frozen=True)
class Deformation:
    """W(p) = matrix (p + displacement(p)) + shift.

    Attributes:
        displacement: (..., 3) of points (..., 3), mm; smooth, with a slope below one.
        matrix: (3, 3) size, proportions and pose.
        shift: (3,) mm.
    """

    displacement: Displacement
    matrix: np.ndarray
    shift: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Where points (..., 3) of the common anatomy lie in the subject."""
        return (points + self.displacement(points)) @ self.matrix.T + self.shift

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Which points of the common anatomy lie at points (..., 3) of the subject.

        Raises:
            InputError: if the iteration does not settle, which a displacement too steep for an
                invertible map makes.
        """
        wanted = (points - self.shift) @ np.linalg.inv(self.matrix).T
        found = wanted
        for _ in range(MOST_STEPS):
            before, found = found, wanted - self.displacement(found)
            if np.abs(found - before).max() < TOLERANCE:
                return found
        raise InputError("a simulated shape folds: take narrower ranges of its shape")

    def inverse_on_grid(
        self, points: np.ndarray, stride: int = 2, cubic: bool = False
    ) -> np.ndarray:
        """`inverse` at a grid (z, y, x, 3) of points, solved on a coarser one.

        Linear interpolation of the smooth displacement between every `stride`-th point errs by
        about its second derivative times (stride voxels)^2 / 8; cubic splines err by about its
        fourth derivative times (stride voxels)^4 / 128, and need five points on each axis.
        """
        places = [
            np.unique(np.append(np.arange(0, count, stride), count - 1))
            for count in points.shape[:3]
        ]
        straight = (points - self.shift) @ np.linalg.inv(self.matrix).T
        coarse = np.ix_(*places)
        moved = self.inverse(points[coarse]) - straight[coarse]
        if cubic:
            for count, place in zip(points.shape[:3], places, strict=True):
                basis = CubicSpline(place, np.eye(len(place)))(np.arange(count))
                # from the first axis to before the last: after three, all are in place again
                moved = np.moveaxis(np.tensordot(moved, basis, axes=(0, 1)), -1, 2)
            return straight + moved
        # where each point lies between the coarse ones, which are evenly spaced but for the last
        axes = [
            np.interp(np.arange(count), place, np.arange(len(place)))
            for count, place in zip(points.shape[:3], places, strict=True)
        ]
        at = np.stack(np.meshgrid(*axes, indexing="ij"))
        between = [map_coordinates(moved[..., c], at, order=1, mode="nearest") for c in range(3)]
        return straight + np.stack(between, axis=-1)


def bumps(centres: np.ndarray, widths: np.ndarray, vectors: np.ndarray) -> Displacement:
    """A displacement of Gaussian bumps: sum of vector exp(-|p - centre|^2 / (2 width^2)).

    Arguments:
        centres: (K, 3) mm; widths: (K,) standard deviations, mm; vectors: (K, 3) mm.
    """

    def displacement(points: np.ndarray) -> np.ndarray:
        moved = np.zeros(points.shape)
        for centre, width, vector in zip(centres, widths, vectors, strict=True):
            squared = np.square(points - centre).sum(axis=-1)
            moved += np.exp(-squared / (2 * width**2))[..., None] * vector
        return moved

    return displacement


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """(3, 3) rotation about x, then y, then z, right-handed, in degrees."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        cosine, sine = np.cos(angle), np.sin(angle)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = cosine
        turn[first, second], turn[second, first] = -sine, sine
        matrix = turn @ matrix
    return matrix
