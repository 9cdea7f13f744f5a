"""Segmentations: their label, centre and extent, and their distance transform."""

import os

import numpy as np

from lmcore.errors import InputError
from lmcore.population.grids import resample
from lmcore.population.volumes import Volume, read_labels, same_grid


def read_segmentation(
    path: str | os.PathLike,
    scan: Volume,
    image_path: str | os.PathLike,
    label: int | None = None,
    spacing: tuple[float, ...] | None = None,
) -> np.ndarray:
    """(z, y, x) bool of one label, or of all that is not 0, on the grid of its scan.

    Raises:
        InputError: if it cannot be read, lies on another grid than the scan, or is empty.
    """
    labels = read_labels(path, spacing)
    if labels.shape != scan.shape:
        raise InputError(
            f"the segmentation {path} has {_sizes(labels)} voxels, its image {image_path} "
            f"{_sizes(scan)}; they have to be the same"
        )
    if not same_grid(scan, labels):
        raise InputError(
            f"the segmentation {path} lies elsewhere than its image {image_path}: their affines "
            "differ; resample it onto the image's grid"
        )
    return select_label(labels.array, label, path)


def select_label(labels: np.ndarray, label: int | None, path: str | os.PathLike) -> np.ndarray:
    """Bool of one label, or of all that is not 0.

    Raises:
        InputError: if there is no such voxel.
    """
    mask = labels != 0 if label is None else labels == label
    if not mask.any():
        held = [str(value) for value in np.unique(labels)[:10]]
        what = "is empty" if label is None else f"has no label {label}"
        raise InputError(f"the segmentation {path} {what}; it holds {', '.join(held)}")
    return mask


def centroid(weights: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(3,) RAS mm of the centre of mass of (z, y, x) weights."""
    index = []
    for axis in (2, 1, 0):
        others = tuple({0, 1, 2} - {axis})
        profile = weights.sum(axis=others, dtype=np.float64)
        index.append(profile @ np.arange(len(profile)) / profile.sum())
    return affine[:3, :3] @ index + affine[:3, 3]


def mask_box(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(2, 3) least and greatest RAS mm of a mask's voxels, their edges included."""
    rows = mask.any(axis=2)
    z, y = np.nonzero(rows)
    lines = mask[rows]  # the extremes lie at the ends of rows, whatever the affine
    first, last = lines.argmax(axis=1), lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([first, y, z]), np.stack([last, y, z])], axis=1)
    points = affine[:3, :3] @ ends + affine[:3, 3:]
    edge = np.abs(affine[:3, :3]).sum(axis=1) / 2
    return np.stack([points.min(axis=1) - edge, points.max(axis=1) + edge])


def resample_mask(
    mask: np.ndarray, affine: np.ndarray, size: tuple[int, int, int], grid: np.ndarray
) -> np.ndarray:
    """(d, h, w) uint8: 1 where the linearly interpolated share of the mask is at least half."""
    share = resample(mask, affine, size, grid, outside=0.0)
    return (share >= 0.5).astype(np.uint8)


def distance_transform(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Signed distance to a mask's outline, which lies between voxels, negative inside.

    Maurer et al., IEEE TPAMI 25(2), 2003, as ITK has it: exact Euclidean distances to the centres
    of the outermost voxels. The mean of the mask's and its background's has its zero between
    them, half a voxel further out, where the surface is.

    Arguments:
        mask: (*spatial) 0 and 1, both of them present.
        spacing: of its voxels, in mm, or 1 for pixels.
    Returns:
        (*spatial) float32, in the unit of the spacing.
    """
    import SimpleITK as sitk  # half a second that jobs without a segmentation are spared

    transform = sitk.SignedMaurerDistanceMapImageFilter()
    transform.SetInsideIsPositive(False)
    transform.SetSquaredDistance(False)
    transform.SetUseImageSpacing(True)
    transform.SetNumberOfThreads(1)  # subjects are spread over threads already
    both = []
    for inside in (mask != 0, mask == 0):
        image = sitk.GetImageFromArray(inside.astype(np.uint8))
        image.SetSpacing([float(spacing)] * mask.ndim)
        both.append(sitk.GetArrayFromImage(transform.Execute(image)).astype(np.float32))
    return (both[0] - both[1]) / 2


def check_prepared(mask: np.ndarray, path: str | os.PathLike) -> None:
    """A prepared segmentation has an inside and an outside.

    Raises:
        InputError: naming it.
    """
    if not mask.any():
        raise InputError(
            f"the segmentation {path} is empty on the common grid: it lies outside the box, or "
            "is too thin; change preprocess.align, crop, size or spacing"
        )
    if mask.all():
        raise InputError(f"the segmentation {path} fills the common grid; enlarge preprocess.crop")


def _sizes(volume: Volume) -> str:
    return " x ".join(str(n) for n in volume.shape[::-1])
