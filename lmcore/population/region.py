"""The region of interest of a population, and the typical scan to choose it on."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtr

from lmcore.errors import InputError

SMALL = 16


def region_mask(region: Mapping, size: Sequence[int], spacing: float) -> np.ndarray:
    """A box blurred with a Gaussian, one mask for every image (Eq. 9, Fig. 6).

    The Gaussian of a box is a product of one profile an axis, in closed form. A side that lies
    on the grid's edge or beyond is left open.

    Arguments:
        region: low and high, (x, y, z) in [-1, 1] of the common grid; blur, the Gaussian's
            standard deviation in mm.
        size: (d, h, w).
        spacing: mm.
    Returns:
        (d, h, w) float32 in [0, 1].
    Raises:
        InputError: if a low end is not below its high end, or no voxel is inside.
    """
    profiles = []
    for axis, low, high, n in zip("xyz", region["low"], region["high"], size[::-1], strict=True):
        if not low < high:
            raise InputError(
                f"preprocess.region: along {axis}, low is {low} and high {high}; low has to be less"
            )
        unit = (n - 1) / 2 * spacing  # mm
        places = np.linspace(-1, 1, n) * unit
        low = -np.inf if low <= -1 else low * unit
        high = np.inf if high >= 1 else high * unit
        profiles.append(_profile(places, low, high, region["blur"]))
    x, y, z = profiles
    mask = np.clip(z[:, None, None] * y[:, None] * x, 0, 1).astype(np.float32)
    if not mask.any():
        raise InputError("preprocess.region holds no voxel of the common grid; enlarge it")
    return mask


def _profile(places: np.ndarray, low: float, high: float, blur: float) -> np.ndarray:
    """Of an interval in mm; voxels on the ends of a sharp one are inside."""
    if blur > 0:
        return ndtr((places - low) / blur) - ndtr((places - high) / blur)
    return ((places >= low - 1e-9) & (places <= high + 1e-9)).astype(np.float64)


class Medoid:
    """Finds the typical image: that with the least summed squared difference to the others.

    Images are averaged down to about 16 a side as they come, so that any number fits.
    """

    def __init__(self):
        self.names: list[str] = []
        self.small: list[np.ndarray] = []

    def add(self, name: str, image: np.ndarray) -> None:
        """Take one image, (*spatial)."""
        self.names.append(name)
        self.small.append(_averaged(image).ravel())

    def find(self) -> str | None:
        """The name of the typical image; of several, the first; None if there are none."""
        if not self.names:
            return None
        images = np.stack(self.small).astype(np.float64)
        # sum_j |x_i - x_j|^2 without what all i have in common
        cost = len(images) * (images**2).sum(axis=1) - 2 * images @ images.sum(axis=0)
        return self.names[int(cost.argmin())]


def _averaged(image: np.ndarray) -> np.ndarray:
    """Means over blocks; what does not fill a block at the far ends is left out."""
    step = max(1, max(image.shape) // SMALL)
    steps = [min(step, n) for n in image.shape]
    part = image[tuple(slice(0, n // b * b) for n, b in zip(image.shape, steps, strict=True))]
    blocks = [m for n, b in zip(part.shape, steps, strict=True) for m in (n // b, b)]
    return part.reshape(blocks).mean(axis=tuple(range(1, 2 * image.ndim, 2)))
