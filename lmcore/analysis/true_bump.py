"""Where a simulated group is known to bulge, held against where its mean shape was found to."""

import logging
import os
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd

from lmcore.analysis.mean_surfaces import places_on_surface
from lmcore.analysis.numbers import number_row
from lmcore.errors import InputError
from lmcore.points.geometry import apply_affine
from lmcore.points.procrustes import Rigid
from lmcore.population.store import Population

logger = logging.getLogger("lmcore")

Path = str | os.PathLike


@dataclass(frozen=True)
class Truth:
    """What a simulation knows of N subjects.

    Attributes:
        points: (N, P, 3) corresponding points of the surface, RAS mm of each scan.
        triangles: (F, 3) between them.
        bump: (P,) bool, where the bump is; cut: (P,) bool, where the surface ends.
        heights: (N,) mm that the bump stands out, 0 without one.
    """

    points: np.ndarray
    triangles: np.ndarray
    bump: np.ndarray
    cut: np.ndarray
    heights: np.ndarray


def read_truth(surface_path: Path, truth_path: Path, subjects: list[str]) -> Truth | None:
    """The truth of these subjects, or None of a population without a bump.

    Raises:
        InputError: where a subject has no truth.
    """
    with h5py.File(surface_path, "r", locking=False) as file:
        if "bump" not in file:
            return None
        names = file["subject"].asstr()[:].tolist()
        points, bump = file["points"][:], file["bump"][:].astype(bool)
        triangles = file["triangles"][:]
        cut = file["cut"][:].astype(bool) if "cut" in file else np.zeros(len(bump), bool)
    heights = pd.read_csv(truth_path, dtype={"subject": str}).set_index("subject")["bump_height"]
    for path, known in ((surface_path, set(names)), (truth_path, set(heights.index))):
        missing = sorted(set(subjects) - known)
        if missing:
            raise InputError(f"{path}: no truth of subject {missing[0]}; simulate anew")
    order = [names.index(subject) for subject in subjects]
    return Truth(points[order], triangles, bump, cut, heights[subjects].to_numpy(float))


def carry(truth: Truth, population: Population, rows: np.ndarray, poses: Rigid) -> np.ndarray:
    """(N, P, 3) true points where the subjects' landmarks were aligned, mm.

    The population's affines undo that right sides were reflected.

    Arguments:
        rows: (N) positions in the population; poses: from their grids to the aligned frame.
    """
    index = apply_affine(np.linalg.inv(population.affines[rows]), truth.points)
    return poses(index * population.spacing)


def bump_numbers(
    distance: np.ndarray,
    areas: np.ndarray,
    bump: np.ndarray,
    counted: np.ndarray,
    heights: np.ndarray,
) -> list[dict]:
    """Rows of `number_row`: overlap with the true bump, and the error of its height.

    Arguments:
        distance: (V,) mm at the normal mean's vertices, negative outward; areas: (V,).
        bump: (V,) bool, the true one; counted: (V,) bool, without planes of cut.
        heights: of the cases' true bumps, mm.
    Returns:
        None, an empty list, where no vertex lies on the true bump.
    """
    bump, n = bump & counted, len(heights)
    if not bump.any():
        logger.warning("the true bump is nowhere on the mean shape: there is no bump_overlap")
        return []
    share = areas[bump].sum() / areas[counted].sum()
    strongest = strongest_outward(distance, areas, counted, areas[bump].sum())
    overlap = areas[strongest & bump].sum() / areas[strongest].sum()
    height = float(max(-distance[bump].min(), 0.0))
    return [
        number_row("bump_overlap", overlap, "share", n),
        number_row("bump_share", share, "share", n),
        number_row("bump_height_true_mm", heights.mean(), "mm", n),
        number_row("bump_height_estimated_mm", height, "mm", n),
        number_row("bump_height_error_mm", height - heights.mean(), "mm", n),
    ]


def strongest_outward(
    distance: np.ndarray, areas: np.ndarray, counted: np.ndarray, area: float
) -> np.ndarray:
    """(V,) bool, the most outward vertices, as many as make up an area (mm^2), one at least."""
    order = np.flatnonzero(counted)
    order = order[np.argsort(distance[order], kind="stable")]
    before = areas[order].cumsum() - areas[order]
    chosen = np.zeros(len(distance), dtype=bool)
    # half of the last one's area decides, so that the region is as large as can be
    chosen[order[before + areas[order] / 2 <= area]] = True
    chosen[order[:1]] = True
    return chosen


def nearest_region(
    points: np.ndarray, triangles: np.ndarray, region: np.ndarray, vertices: np.ndarray
) -> np.ndarray:
    """(V,) bool, which of the vertices (V, 3) lie nearest to a region of a surface.

    Arguments:
        points: (P, 3), triangles: (F, 3) of the surface; region: (P,) bool; its rim runs through
            the middle of the edges that leave it.
    """
    corners, weights = places_on_surface(vertices, points, triangles)
    return np.einsum("vk,vk->v", weights, region[corners].astype(float)) > 0.5
