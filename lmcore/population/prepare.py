"""One new image or scan, read and prepared as a population was."""

import os

import numpy as np

from lmcore.population.preprocessing import Preprocessing, prepare_image
from lmcore.population.readers import read_image
from lmcore.population.segmentations import read_segmentation
from lmcore.population.volume_preprocessing import VolumePreprocessing, about, prepare_volume
from lmcore.population.volumes import read_volume


def read_and_prepare(
    path: str | os.PathLike,
    preprocessing: Preprocessing | VolumePreprocessing,
    spacing: tuple[float, ...] | float | None = None,
    segmentation: str | os.PathLike | None = None,
    reflect: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Read an image or a scan and prepare it, see `prepare_image` and `prepare_volume`.

    Arguments:
        path: of the file, as the table would have it.
        preprocessing: the population's; it says whether images or volumes are meant.
        spacing: mm, for a volume that carries none.
        segmentation: of a volume, to align by where the population is.
        reflect: whether the volume is of the side that the population reflects.
    Returns:
        (1, *size) float32 in [0, 1], and the affine to the original's pixels (2D) or RAS mm.
    Raises:
        InputError: if a file cannot be used.
    """
    if isinstance(preprocessing, Preprocessing):
        return prepare_image(read_image(path), preprocessing)
    scan = read_volume(path, spacing)
    mask = None
    if segmentation is not None and preprocessing.align == "segmentation":
        label = preprocessing.segmentation_label
        mask = read_segmentation(segmentation, scan, path, label, spacing)
    with about(path):
        return prepare_volume(scan, preprocessing, mask, reflect)
