"""particles.csv, mean.csv and engine.json: corresponding points on disk, and how they were made."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lmcore.errors import InputError
from lmcore.files import write_csv, write_json
from lmcore.points.geometry import index_to_normalised
from lmcore.points.landmarks import landmark_table, read_landmarks

ALIGNED = ["aligned_x", "aligned_y", "aligned_z"]
MEAN = "mean"
# What the engines are called wherever their particles are shown
NAMES = {"cpd": "coherent point drift (biocpd), not ShapeWorks", "shapeworks": "ShapeWorks"}


def grid_centre(shape: Sequence[int], spacing: float) -> np.ndarray:
    """(3) x, y, z of the middle of a grid of array shape (z, y, x), mm from its first voxel."""
    return (np.array(shape[::-1]) - 1) * spacing / 2


def particle_table(
    subjects: Sequence[str],
    points: np.ndarray,
    aligned: np.ndarray,
    shape: Sequence[int],
    spacing: float,
    affines: np.ndarray,
) -> pd.DataFrame:
    """A landmark table with columns for where the points lie when pose is removed.

    Arguments:
        subjects: (N) ids.
        points: (N, M, 3) mm on the grid; number 1 to M in the table.
        aligned: (N, M, 3) the same after Procrustes alignment, mm on the grid.
        shape, spacing: of the grid.
        affines: (N, 4, 4) from its index to RAS mm of each scan.
    Returns:
        Columns of `landmark_table`, and aligned_x, aligned_y, aligned_z: RAS mm about the
        grid's centre.
    """
    normalised = index_to_normalised(np.asarray(points) / spacing, shape)
    numbers = range(1, normalised.shape[1] + 1)
    table = landmark_table(subjects, normalised, list(numbers), shape, affines)
    table[ALIGNED] = (aligned - grid_centre(shape, spacing)).reshape(-1, 3)
    return table


def mean_table(mean: np.ndarray, shape: Sequence[int], spacing: float) -> pd.DataFrame:
    """The landmark table of a mean shape (M, 3), mm on the grid: one subject, named mean.

    world_x, world_y, world_z are RAS mm about the grid's centre: the mean is in no one's scan.
    """
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = -grid_centre(shape, spacing)
    normalised = index_to_normalised(np.asarray(mean)[None] / spacing, shape)
    return landmark_table([MEAN], normalised, range(1, len(mean) + 1), shape, affine[None])


def write_particles(
    folder: str | os.PathLike, table: pd.DataFrame, mean: pd.DataFrame, engine: dict
) -> None:
    """particles.csv, mean.csv and, last, engine.json."""
    folder = Path(folder)
    write_csv(folder / "particles.csv", table)
    write_csv(folder / "mean.csv", mean)
    write_json(folder / "engine.json", engine)


def read_aligned(path: str | os.PathLike) -> tuple[list[str], np.ndarray]:
    """Subjects (N) of particles.csv and their aligned particles (N, M, 3), mm.

    Raises:
        InputError: if it is no such table, or a subject lacks a particle.
    """
    points = read_landmarks(path)  # which checks that every subject has every number once
    table = pd.read_csv(path, dtype={"subject": str})
    missing = [column for column in ALIGNED if column not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; it is no table of particles")
    keyed = table.set_index(["subject", "landmark"])[ALIGNED]
    order = pd.MultiIndex.from_product([points.subjects, points.numbers])
    values = keyed.reindex(order).to_numpy(np.float64)
    return points.subjects, values.reshape(len(points.subjects), len(points.numbers), 3)


def read_engine(path: str | os.PathLike) -> dict:
    """engine.json: engine, name, version, parameters, points, subjects, training.

    Raises:
        InputError: if it is missing or no such file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        content["engine"], content["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the engine.json of particles ({error})") from error
    return content
