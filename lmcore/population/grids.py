"""The common grid of a population of volumes, and resampling a scan onto it in one step.

Aligned coordinates are mm along RAS, relative to a subject's own centre c, and mirrored in x
where the subject is reflected: a = R (p - c) with R = diag(-1 or 1, 1, 1). The grid's axes run
along them, so that an index (i, j, k) lies at p = c + R (b + s ((i, j, k) - (n - 1) / 2)) with
the grid's centre b, spacing s and sizes n.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter

from lmcore.errors import InputError

LONGEST, MULTIPLE, LEAST = 64, 16, 32
MAX_GRID = 2**27  # 512 x 512 x 512
SIGMAS = 3.0  # where the Gaussian is cut
FWHM = 2 * np.sqrt(2 * np.log(2))


def world_box(affine: np.ndarray, low: Sequence[float], high: Sequence[float]) -> np.ndarray:
    """(2, 3) least and greatest RAS mm of the box between two indices (x, y, z)."""
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 3)
    points = corners @ affine[:3, :3].T + affine[:3, 3]
    return np.stack([points.min(axis=0), points.max(axis=0)])


def field_of_view(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(2, 3) least and greatest RAS mm of a scan of array shape (z, y, x), voxels' edges."""
    return world_box(affine, [-0.5] * 3, np.array(shape[::-1]) - 0.5)


def aligned_box(box: np.ndarray, centre: np.ndarray, reflected: bool) -> np.ndarray:
    """(2, 3) a box of RAS mm in aligned coordinates."""
    box = box - centre
    return np.column_stack([-box[::-1, 0], box[:, 1:]]) if reflected else box


def common_box(
    crop: Mapping | None,
    align: str,
    fields: Sequence[np.ndarray],
    segmentations: Sequence[np.ndarray],
) -> np.ndarray:
    """(2, 3) aligned mm of the box that the grid has to hold.

    Arguments:
        crop: None for the box between the medians of the scans' edges (one huge scan does not
            blow it up); {margin: mm} for the union of the segmentations and so much around it;
            {box: [x, y, z]} mm about the subjects' centres.
        align: how subjects are centred; where they are not (world), `box` lies about the centre
            of the median field of view.
        fields: (2, 3) aligned boxes of all scans.
        segmentations: likewise of all segmentations.
    Raises:
        InputError: if a margin is asked for and there is no segmentation.
    """
    median = np.median(fields, axis=0)
    if not crop:
        return median
    if "box" in crop:
        half = np.array(crop["box"], dtype=np.float64) / 2
        centre = median.mean(axis=0) if align == "world" else np.zeros(3)
        return np.stack([centre - half, centre + half])
    if not len(segmentations):
        raise InputError("preprocess.crop.margin needs segmentations, and the table names none")
    low = np.min([box[0] for box in segmentations], axis=0)
    high = np.max([box[1] for box in segmentations], axis=0)
    return np.stack([low - crop["margin"], high + crop["margin"]])


def common_grid(
    extent: np.ndarray, size: Sequence[int] | None, spacing: float | None
) -> tuple[tuple[int, int, int], float]:
    """The grid's array size (d, h, w) and its isotropic spacing.

    Both given: as they are. Only the size: the least spacing with which the box fits. Only the
    spacing: as many voxels as the box needs. Neither: the longest side has 64 voxels. Sizes that
    are chosen here are rounded up to a multiple of 16, since the encoder halves four times, and
    are at least 32.

    Arguments:
        extent: (3,) mm of the box along x, y, z.
    Raises:
        InputError: if the grid were too large to handle.
    """
    extent = np.asarray(extent, dtype=np.float64)
    if size is not None and spacing is None:
        spacing = float(np.max(extent / np.array(size[::-1])))
    if size is None:
        spacing = float(extent.max() / LONGEST) if spacing is None else float(spacing)
        # 64.0000001 voxels are 64
        steps = np.ceil(extent / spacing / MULTIPLE - 1e-6)
        if np.prod(np.maximum(steps, 1) * MULTIPLE) > MAX_GRID:
            raise InputError(
                f"preprocess.spacing: {spacing:g} mm make "
                f"{' x '.join(f'{n * MULTIPLE:.0f}' for n in steps)} voxels of the common box; "
                "choose a larger spacing or a smaller preprocess.crop"
            )
        size = np.maximum(steps * MULTIPLE, LEAST)[::-1]
    return tuple(int(n) for n in size), float(spacing)


def grid_affine(
    size: tuple[int, int, int],
    spacing: float,
    grid_centre: Sequence[float],
    centre: np.ndarray,
    reflected: bool,
) -> np.ndarray:
    """(4, 4) from an index (x, y, z) of the grid to RAS mm of the subject's original scan."""
    mirror = np.diag([-1.0 if reflected else 1.0, 1.0, 1.0])
    first = np.asarray(grid_centre) - spacing * (np.array(size[::-1]) - 1) / 2
    affine = np.eye(4)
    affine[:3, :3] = mirror * spacing
    affine[:3, 3] = centre + mirror @ first
    return affine


def resample(
    array: np.ndarray,
    affine: np.ndarray,
    size: tuple[int, int, int],
    grid: np.ndarray,
    outside: float,
) -> np.ndarray:
    """Resample a scan onto a grid: one linear interpolation, whatever the two affines.

    Along axes that are sampled more coarsely than the scan, a Gaussian first takes the scan's
    resolution to the grid's, with the variance by which the two differ (Cardoso et al., Scale
    factor point spread function matching, MICCAI 2015).

    Arguments:
        array: (z, y, x).
        affine: (4, 4) of the scan, index -> RAS mm.
        size: (d, h, w) of the grid.
        grid: (4, 4) of the grid, likewise.
        outside: the value beyond the scan.
    Returns:
        (d, h, w) float32.
    """
    to_scan = np.linalg.inv(affine) @ grid
    # How many of the scan's voxels a step of the grid makes along each of the scan's axes
    ratio = np.linalg.norm(to_scan[:3, :3], axis=1)
    sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / FWHM
    needed = world_box(to_scan, [0.0] * 3, np.array(size[::-1]) - 1.0)
    reach = np.ceil(SIGMAS * sigma) + 2
    shape = np.array(array.shape[::-1])
    low = np.clip(np.floor(needed[0] - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(needed[1] + reach) + 1, 0, shape).astype(int)
    if (low >= high).any():
        return np.full(size, outside, dtype=np.float32)
    part = array[tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))]
    smooth = gaussian_filter(
        part.astype(np.float32, copy=False), sigma[::-1], mode="nearest", truncate=SIGMAS
    )
    return affine_transform(
        smooth,
        to_scan[:3, :3][::-1, ::-1],
        (to_scan[:3, 3] - low)[::-1],
        output_shape=size,
        order=1,
        mode="grid-constant",
        cval=outside,
        prefilter=False,
    )
