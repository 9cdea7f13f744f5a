"""What a scanner makes of an anatomy: its grid, partial volume, blur, bias and noise."""

import numpy as np
from scipy.ndimage import gaussian_filter, zoom


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
    # one axis after the other: a spline between grid points is a product of three
    z, y, x = (
        zoom(np.eye(4), (count / 4, 1), order=3, mode="nearest", grid_mode=True) for count in shape
    )
    field = np.einsum("kc,jb,ia,cba->kji", z, y, x, coarse, optimize=True)
    field = field - field.mean()
    return 1.0 + strength * field / max(field.std(), 1e-12)


def rician(
    magnitude: np.ndarray, deviation: float, random: np.random.Generator, grain: float = 0.0
) -> np.ndarray:
    """A magnitude image with noise of `deviation` in both of its channels (MRI).

    With a `grain` the noise is correlated as white noise is after a Gaussian of that many voxels,
    which reconstruction on a finer grid makes of it; its deviation stays.
    """
    channels = [random.standard_normal(magnitude.shape) for _ in range(2)]
    if grain > 0:
        channels = [gaussian_filter(channel, grain, mode="wrap") for channel in channels]
        channels = [channel / channel.std() for channel in channels]
    return np.hypot(magnitude + deviation * channels[0], deviation * channels[1])
