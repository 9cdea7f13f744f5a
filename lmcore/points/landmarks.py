"""The table of landmarks: one row for each landmark of each subject."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmcore.errors import InputError
from lmcore.points.files import read_text_table
from lmcore.points.geometry import apply_affine, normalised_to_index

NORMALISED = ("x", "y", "z")
INDEX = ("i", "j", "k")
PHYSICAL = {2: ("pixel_x", "pixel_y"), 3: ("world_x", "world_y", "world_z")}


@dataclass(frozen=True)
class Landmarks:
    """The landmarks of a population.

    Attributes:
        subjects: (N) ids.
        numbers: (M) landmark numbers; they keep their meaning when others are removed.
        normalised: (N, M, d) in [-1, 1] on the population's grid.
        physical: (N, M, d) pixels of each original image (2D) or RAS mm (3D).
    """

    subjects: list[str]
    numbers: list[int]
    normalised: np.ndarray
    physical: np.ndarray


def landmark_table(
    subjects: Sequence[str],
    points: np.ndarray,
    numbers: Sequence[int],
    shape: Sequence[int],
    affines: np.ndarray,
) -> pd.DataFrame:
    """Tidy table of landmarks, subject by subject in the given order.

    Arguments:
        subjects: (N) ids.
        points: (N, M, d) normalised.
        numbers: (M) landmark numbers.
        shape: spatial array shape of the population's grid.
        affines: (N, d+1, d+1), from the grid's index to physical coordinates.
    Returns:
        Columns subject, landmark, x, y(, z), i, j(, k), and pixel_x, pixel_y (2D) or
        world_x, world_y, world_z (3D).
    Raises:
        ValueError: if the arguments disagree on N, M or d.
    """
    points, affines = np.asarray(points, np.float64), np.asarray(affines, np.float64)
    d = points.shape[-1]
    expected = (len(subjects), len(numbers), d), (len(subjects), d + 1, d + 1)
    if (points.shape, affines.shape) != expected:
        raise ValueError(
            f"points {points.shape} and affines {affines.shape} do not fit "
            f"{len(subjects)} subjects and {len(numbers)} landmarks"
        )
    index = normalised_to_index(points, shape)
    blocks = {
        NORMALISED[:d]: points,
        INDEX[:d]: index,
        PHYSICAL[d]: apply_affine(affines, index),
    }
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.asarray(subjects, dtype=object), len(numbers)),
            "landmark": np.tile(np.asarray(numbers, dtype=np.int64), len(subjects)),
        }
    )
    for names, values in blocks.items():
        table[list(names)] = values.reshape(-1, d)
    return table


def read_landmarks(path: str | os.PathLike) -> Landmarks:
    """Read back a table of landmarks, whatever the order of its rows.

    Subjects and numbers come in the order in which the file first has them.

    Raises:
        InputError: if the file cannot be read, a column is missing, a cell is not a finite
            number, or a subject lacks a landmark or has one twice.
    """
    table = read_text_table(path)
    if table.empty:
        raise InputError(f"{path}: a table without rows")
    d = 3 if "z" in table else 2
    names = [*NORMALISED[:d], *PHYSICAL[d]]
    missing = [name for name in ("subject", "landmark", *names) if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; it is no table of landmarks")
    numeric = table[["landmark", *names]].apply(pd.to_numeric, errors="coerce")
    whole = numeric["landmark"] % 1 == 0
    bad = ~(np.isfinite(numeric).all(axis=1) & whole)
    if bad.any():
        subject, number = table.loc[bad.idxmax(), ["subject", "landmark"]]
        raise InputError(
            f"{path}: subject {subject}, landmark {number}: a cell that is not a finite number"
        )

    table[numeric.columns] = numeric
    table = table.astype({"landmark": np.int64})
    subjects, numbers = list(table["subject"].unique()), table["landmark"].unique().tolist()
    keyed = table.set_index(["subject", "landmark"])
    if keyed.index.has_duplicates:
        subject, number = keyed.index[keyed.index.duplicated()][0]
        raise InputError(f"{path}: subject {subject} has landmark {number} twice")
    ordered = keyed.reindex(pd.MultiIndex.from_product([subjects, numbers]))[names]
    absent = ordered.isna().any(axis=1)
    if absent.any():
        subject, number = absent.idxmax()
        raise InputError(f"{path}: subject {subject} lacks landmark {number}; write the file anew")
    values = ordered.to_numpy(np.float64).reshape(len(subjects), len(numbers), 2 * d)
    return Landmarks(subjects, numbers, values[..., :d].copy(), values[..., d:].copy())


def check_order(landmarks: Landmarks, subjects: list[str], path: str | os.PathLike) -> None:
    """Refuse a table whose subjects are not the population's, in its order.

    Raises:
        InputError: naming the table.
    """
    if landmarks.subjects != list(subjects):
        raise InputError(f"{path}: its subjects are not those of the population, in their order")
