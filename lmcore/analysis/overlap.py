"""How well two segmentations agree: Dice and the 95 % Hausdorff distance."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

PERCENTILE = 95


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two binary arrays, in [0, 1]; 1 where both are empty.

    Raises:
        ValueError: if the shapes differ; the message gives both.
    """
    a, b = _binary_pair(a, b)
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0


class Surface:
    """The surface of a segmentation: the centres of its boundary voxels.

    A voxel is on the boundary if it belongs to the segmentation and one of the 2 d voxels that
    share a face with it does not; beyond the border of the image nothing belongs to it.

    Arguments:
        segmentation: (*spatial) binary.
        spacing: mm a voxel, one number or along x, y[, z].

    Attributes:
        points: (n, d) mm, in the order of the array's axes; n = 0 for an empty segmentation.
    """

    def __init__(self, segmentation: np.ndarray, spacing: float | Sequence[float]):
        segmentation = np.asarray(segmentation, dtype=bool)
        along_axes = np.broadcast_to(spacing, segmentation.ndim)[::-1]
        boundary = segmentation & ~binary_erosion(segmentation)
        self.points = np.argwhere(boundary) * along_axes
        self._tree = KDTree(self.points, leafsize=32) if len(self.points) else None

    def distances_to(self, other: "Surface") -> np.ndarray:
        """(n,) mm from each point to the nearest one of another, not empty surface."""
        return other._tree.query(self.points)[0]


def surface_hd95(a: Surface, b: Surface) -> float:
    """`hd95` of two surfaces, for those that are compared with many."""
    if not len(a.points) or not len(b.points):
        return 0.0 if len(a.points) == len(b.points) else np.inf
    return float(max(np.percentile(x.distances_to(y), PERCENTILE) for x, y in ((a, b), (b, a))))


def hd95(a: np.ndarray, b: np.ndarray, spacing: float | Sequence[float]) -> float:
    """The 95 % Hausdorff distance of two binary arrays in mm, >= 0.

    The larger of the two directed 95th percentiles: of the distances from the surface of A to
    that of B, and of those from B to A, each linearly interpolated between ranks. So do MONAI
    and DeepMind's surface-distance, which differ in what a surface is; here it is MONAI's, that
    of `Surface`. Pooling both sets before the percentile, as others do, gives less.

    Arguments:
        a, b: (*spatial) binary; spacing: mm a voxel, one number or along x, y[, z].
    Returns:
        0 where both are empty, infinity where one is.
    Raises:
        ValueError: if the shapes differ; the message gives both.
    """
    a, b = _binary_pair(a, b)
    return surface_hd95(Surface(a, spacing), Surface(b, spacing))


def _binary_pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"segmentations of shapes {a.shape} and {b.shape} cannot be compared")
    return a, b
