"""Intensities of scans, whatever their brightness and contrast, to [0, 1]."""

from collections.abc import Sequence

import numpy as np

SAMPLES = 2**22


def normalise_intensity(array: np.ndarray, intensity: str) -> tuple[np.ndarray, float]:
    """Bring a 2D image's intensities to [0, 1]; see `intensity_range`.

    Arguments:
        array: (h, w), finite and not constant.
        intensity: border or percentile.
    Returns:
        (h, w) float32 in [0, 1], and the background on the same scale.
    """
    array = np.asarray(array, dtype=np.float64)
    background = background_of(array)
    ends = intensity_range(array, intensity, background)
    return rescale(array, ends), float(rescale(np.array(background), ends))


def intensity_range(
    array: np.ndarray, intensity: str, background: float | None = None
) -> tuple[float, float]:
    """The intensities that become 0 and 1.

    - border: background -+ the 99th percentile of |I - background|. The background is 1/2 in
      every image, brighter and darker things lie on either side.
    - percentile: the 1st and the 99th percentile.
    - z_score: mean -+ 3 standard deviations; the mean becomes 1/2.

    Where fewer than 1 % of the voxels differ from the rest, the extremes take the percentiles'
    place.

    Arguments:
        array: any shape, finite and not constant.
        intensity: one of the three.
        background: see `background_of`; that of `array` unless given.
    """
    values = _sample(array)
    if intensity == "border":
        background = background_of(array) if background is None else background
        deviation = np.abs(values - background)
        scale = np.percentile(deviation, 99) or _largest_deviation(array, background)
        return float(background - scale), float(background + scale)
    if intensity == "z_score":
        # A sample may miss a speck, the whole is not constant
        mean, deviation = values.mean(), values.std() or np.std(array, dtype=np.float64)
        return float(mean - 3 * deviation), float(mean + 3 * deviation)
    low, high = np.percentile(values, [1, 99])
    return (float(low), float(high)) if low < high else (float(array.min()), float(array.max()))


def mean_range(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The one range of several scans; all statistics above are linear in its ends."""
    low, high = np.mean(np.asarray(ranges, dtype=np.float64), axis=0)
    return float(low), float(high)


def rescale(array: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """Float32 in [0, 1]: the range's ends become 0 and 1, what lies beyond is clipped."""
    low, high = ends
    return np.clip((array - low) / (high - low), 0, 1).astype(np.float32)


def background_of(array: np.ndarray) -> float:
    """The median of the outermost pixels or voxels, each once."""
    inside = np.zeros(array.shape, dtype=bool)
    inside[(slice(1, -1),) * array.ndim] = True
    return float(np.median(array[~inside]))


def _sample(array: np.ndarray) -> np.ndarray:
    """All values as float64, or of a large volume some drawn at random, always the same."""
    flat = np.ravel(array)
    if array.ndim == 3 and flat.size > SAMPLES:
        flat = flat[np.random.default_rng(0).integers(flat.size, size=SAMPLES)]
    return flat.astype(np.float64)


def _largest_deviation(array: np.ndarray, background: float) -> float:
    return max(float(array.max()) - background, background - float(array.min()))
