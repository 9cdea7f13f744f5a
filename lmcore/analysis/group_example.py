"""A case registered to a control, for Fig. 7; without torch, by scipy's spline."""

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from lmcore.analysis.shape_modes import AT_A_TIME, Frame
from lmcore.analysis.shape_surfaces import SCIPY_KERNELS
from lmcore.points.geometry import index_to_normalised, normalised_to_index
from lmcore.points.landmarks import Landmarks
from lmcore.population.store import Population

# Best evidence first: what the encoder never saw
SPLITS = ("test", "held_out", "validation", "train")


def choose_subject(candidates: Sequence[int], splits: Sequence[str], segmented: np.ndarray) -> int:
    """The first of the candidates of the split that proves most, with a segmentation if any has.

    Arguments:
        candidates: positions; splits, segmented: by position.
    """
    return min(candidates, key=lambda one: (not segmented[one], SPLITS.index(splits[one])))


def registered_pair(
    population: Population,
    source: int,
    target: int,
    every: Landmarks,
    retained: Sequence[int],
    kernel: str,
) -> dict[str, np.ndarray]:
    """A source registered to a target by all landmarks: a row of examples.h5, without its grid.

    Arguments:
        source, target: positions in the population.
        every: all learned landmarks, of the population's subjects in any order.
        retained: numbers of those that are kept.
        kernel: of the registration's spline.
    """
    subjects = [population.subjects[row] for row in (source, target)]
    ends = [every.normalised[every.subjects.index(subject)] for subject in subjects]
    images = population.images([source, target])[:, 0]
    segmented = bool(population.segmented[[source, target]].all())
    masks = population.segmentations([source, target]) if segmented else None
    moving = [images[0]] if masks is None else [images[0], masks[0]]
    moved = _warped(Frame(population, kernel), moving, *ends)
    content = {
        "source": images[0],
        "target": images[1],
        "registered": moved[0],
        "source_points": ends[0],
        "target_points": ends[1],
        "numbers": np.array(every.numbers),
        "retained": np.isin(every.numbers, list(retained)),
    }
    if masks is not None:
        content |= {
            "source_segmentation": masks[0].astype(np.float32),
            "target_segmentation": masks[1].astype(np.float32),
            "registered_segmentation": moved[1],
        }
    return content


def _warped(
    frame: Frame, moving: list[np.ndarray], source: np.ndarray, target: np.ndarray
) -> list[np.ndarray]:
    """Arrays (z, y, x) seen through the spline between landmarks (M, 3) in [-1, 1]."""
    shape = frame.shape
    corners = index_to_normalised(frame.corners / frame.spacing, shape)
    control, values = (np.concatenate([points, corners]) for points in (target, source))
    name = SCIPY_KERNELS[frame.kernel, len(shape)]
    spline = RBFInterpolator(control, values, kernel=name, degree=1)
    moved = np.zeros((len(moving), int(np.prod(shape))), np.float32)
    for begin in range(0, moved.shape[1], AT_A_TIME):
        places = np.arange(begin, min(begin + AT_A_TIME, moved.shape[1]))
        index = np.stack(np.unravel_index(places, shape)[::-1], axis=-1)
        index = normalised_to_index(spline(index_to_normalised(index, shape)), shape)
        for one, array in zip(moved, moving, strict=True):
            array = np.asarray(array, np.float32)
            one[places] = map_coordinates(array, index.T[::-1], order=1, mode="nearest")
    return list(moved.reshape(-1, *shape))
