"""From a scan as it was taken to the population's grid, orientation and intensities."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np

from lmcore.errors import InputError
from lmcore.population.checks import VOLUME_INTENSITIES
from lmcore.population.grids import MAX_GRID, grid_affine, resample
from lmcore.population.intensity import (
    background_of,
    intensity_range,
    rescale,
)
from lmcore.population.segmentations import centroid
from lmcore.population.volumes import Volume

ALIGNMENTS = ("image", "world", "intensity", "segmentation")


@dataclass(frozen=True)
class VolumePreprocessing:
    """All that is needed to prepare a scan the model has never seen.

    Attributes:
        size: (d, h, w) of the population's grid.
        spacing: of the grid, mm, the same along all axes.
        centre: (x, y, z) mm of the grid's centre in aligned coordinates, see `grids`.
        align: where a subject's own centre is, see `subject_centre`.
        offset: (x, y, z) aligned mm from the centre of mass of the intensity to the
            segmentation's, for scans without one where `align` is segmentation.
        reflect: the side that is reflected, or None.
        intensity: how intensities are normalised, see `intensity_range`; or window.
        range: the intensities that become 0 and 1 in every scan; None where each has its own.
        segmentation_label: the label to align by, None for all that is not 0.
    """

    size: tuple[int, int, int]
    spacing: float
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    align: str = "image"
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    reflect: str | None = None
    intensity: str = "border"
    range: tuple[float, float] | None = None
    segmentation_label: int | None = None

    def __post_init__(self):
        whole = all(type(n) is int and n >= 2 for n in self.size)
        if len(self.size) != 3 or not whole:
            raise InputError(f"preprocess.size: {self.size} is not a depth, a height and a width")
        if int(np.prod(self.size)) > MAX_GRID:
            raise InputError(f"preprocess.size: {self.size} are more than {MAX_GRID:,} voxels")
        if not 0 < self.spacing < np.inf:
            raise InputError(f"preprocess.spacing: {self.spacing} mm is no size of a voxel")
        for key, value, known in (
            ("intensity", self.intensity, VOLUME_INTENSITIES),
            ("align", self.align, ALIGNMENTS),
        ):
            if value not in known:
                raise InputError(f"preprocess.{key}: '{value}' is none of {', '.join(known)}")
        if self.intensity == "window" and self.range is None:
            raise InputError("preprocess.intensity: window needs preprocess.window, [low, high]")

    def to_dict(self) -> dict:
        """Plain types only, for JSON and for `torch.load(weights_only=True)`."""
        lists = {key: list(getattr(self, key)) for key in ("size", "centre", "offset")}
        return asdict(self) | lists | {"range": self.range and list(self.range)}

    @classmethod
    def from_dict(cls, content: dict) -> Self:
        """The inverse of `to_dict`."""
        tuples = {key: tuple(content[key]) for key in ("size", "centre", "offset")}
        return cls(**content | tuples | {"range": content["range"] and tuple(content["range"])})


@contextmanager
def about(path: str | os.PathLike) -> Iterator[None]:
    """Puts the file's name before an InputError that does not know it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def prepare_volume(
    volume: Volume,
    preprocessing: VolumePreprocessing,
    labels: np.ndarray | None = None,
    reflect: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Bring a scan to the population's grid, orientation and intensities.

    What the scan does not cover has the value of its background, or of the window's low end.

    Arguments:
        volume: the scan.
        preprocessing: the population's.
        labels: (z, y, x) its segmentation, to align by where the population is; what is not 0
            counts.
        reflect: whether to mirror it in x, as the population's subjects of one side were.
    Returns:
        (1, d, h, w) float32 in [0, 1], and the (4, 4) affine from its index (x, y, z) to RAS mm
        of the original scan, reflection included.
    Raises:
        InputError: if the prepared scan were constant; the message does not name it.
    """
    centre = subject_centre(volume, preprocessing.align, labels)
    if preprocessing.align == "segmentation" and labels is None:
        centre = centre + mirrored(np.array(preprocessing.offset), reflect)
    size = preprocessing.size
    affine = grid_affine(size, preprocessing.spacing, preprocessing.centre, centre, reflect)
    ends, background = scan_range(volume, preprocessing.intensity, preprocessing.range)
    image = rescale(resample(volume.array, volume.affine, size, affine, background), ends)
    if image.min() == image.max():
        raise InputError(
            "nothing of the scan is seen on the common grid; change preprocess.intensity, window, "
            "align or crop"
        )
    return image[None], affine


def subject_centre(volume: Volume, align: str, mask: np.ndarray | None = None) -> np.ndarray:
    """(3,) RAS mm of a subject's own centre, about which it is reflected.

    Arguments:
        volume: the scan.
        align: image for the centre of its field of view; world for the origin; intensity for the
            centre of mass of the intensity above the background; segmentation for the mask's, or,
            without one, as intensity.
        mask: (z, y, x) of the segmentation; what is not 0 counts.
    Raises:
        InputError: if nothing in the scan is brighter than its background.
    """
    if align == "world":
        return np.zeros(3)
    if align == "image":
        return (
            volume.affine[:3, :3] @ ((np.array(volume.shape[::-1]) - 1) / 2) + volume.affine[:3, 3]
        )
    if align == "segmentation" and mask is not None:
        return centroid(mask != 0, volume.affine)
    weights = np.clip(volume.array - np.float32(background_of(volume.array)), 0, None)
    if not weights.any():
        raise InputError(
            "nothing in the scan is brighter than its border, so it has no centre of mass; "
            "set preprocess.align to image"
        )
    return centroid(weights, volume.affine)


def mirrored(vector: np.ndarray, reflect: bool) -> np.ndarray:
    """(3,) with x turned about where a subject is reflected; its own inverse."""
    return vector * [-1, 1, 1] if reflect else vector


def scan_range(
    volume: Volume, intensity: str, given: tuple[float, float] | None
) -> tuple[tuple[float, float], float]:
    """The intensities that become 0 and 1, and the background's, on the scan's own scale."""
    if intensity == "window":
        return given, given[0]
    background = background_of(volume.array)
    return given or intensity_range(volume.array, intensity, background), background
