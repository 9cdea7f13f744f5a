"""What a scanner makes of an anatomy: its grid, partial volume, blur, bias and noise."""

import numpy as np
from scipy.ndimage import zoom


def scan_affine(size: tuple[int, int, int], spacing: float) -> np.ndarray:
    """(4, 4) affine from index (x, y, z) to RAS mm; the middle of the grid is at the origin.

    Arguments:
        size: (z, y, x) voxels; spacing: mm.
    """
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-spacing * (count - 1) / 2 for count in reversed(size)]
    return affine


def voxel_centres(size: tuple[int, int, int], spacing: float) -> np.ndarray:
    """(z, y, x, 3) RAS mm of the voxels of `scan_affine`."""
    z, y, x = (spacing * (np.arange(count) - (count - 1) / 2) for count in size)
    z, y, x = np.meshgrid(z, y, x, indexing="ij")
    return np.stack([x, y, z], axis=-1)


def coverage(distance: np.ndarray, spacing: float) -> np.ndarray:
    """(...) share of a voxel inside a surface, from the signed distance of its centre in mm."""
    return np.clip(0.5 - distance / spacing, 0.0, 1.0)


def bias_field(
    shape: tuple[int, int, int], strength: float, random: np.random.Generator
) -> np.ndarray:
    """(z, y, x) smooth factor around 1 with standard deviation `strength`, as of receiver coils."""
    coarse = random.standard_normal((4, 4, 4))
    field = zoom(coarse, [count / 4 for count in shape], order=3, mode="nearest", grid_mode=True)
    field = field - field.mean()
    return 1.0 + strength * field / max(field.std(), 1e-12)


def rician(magnitude: np.ndarray, deviation: float, random: np.random.Generator) -> np.ndarray:
    """A magnitude image with noise of `deviation` in both of its channels (MRI)."""
    real = magnitude + deviation * random.standard_normal(magnitude.shape)
    imaginary = deviation * random.standard_normal(magnitude.shape)
    return np.hypot(real, imaginary)
