"""Shape descriptors: the coordinates of a subject's landmarks, beside what is known of it."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pandas as pd

from lmcore.errors import InputError
from lmcore.points.geometry import normalised_to_index
from lmcore.points.landmarks import read_landmarks
from lmcore.population.splits import read_splits
from lmcore.population.store import Population
from lmcore.population.table import name_persons

logger = logging.getLogger("lmcore")

Path = str | os.PathLike


@dataclass(frozen=True)
class Descriptors:
    """Descriptors and labels of the N subjects that have a label, in the order of subjects.csv.

    Attributes:
        subjects: (N,) ids.
        values: (N, M * d) normalised coordinates in [-1, 1], landmark-major.
        classes: (N,) labels as text, at least two different ones.
        splits: (N,) train, validation, test or held_out.
        persons: (N,) whom each is of: two scans of one person are no two independent subjects.
    """

    subjects: np.ndarray
    values: np.ndarray
    classes: np.ndarray
    splits: np.ndarray
    persons: np.ndarray

    @property
    def class_names(self) -> list[str]:
        """The classes in sorted order, which fixes their colours and numbers everywhere."""
        return sorted(set(self.classes))

    def of(self, chosen: np.ndarray) -> Self:
        """Those of some subjects (N,) bool."""
        return type(self)(*(getattr(self, field.name)[chosen] for field in fields(self)))


def read_descriptors(
    landmarks: Path, subjects: Path, class_column: str, person_column: str | None = None
) -> Descriptors:
    """Join landmarks with their subjects' labels.

    Subjects without a label are left out, which the log says.

    Arguments:
        landmarks: landmark table, such as landmarks/retained.csv.
        subjects: the experiment's subjects.csv.
        class_column: the column of subjects.csv that holds the class.
        person_column: the one that says whom a scan is of, or None: each of another person.
    Raises:
        InputError: when the two tables hold different subjects, a column does not exist, or
            fewer than two classes are in it.
    """
    table = read_splits(subjects)
    points = read_landmarks(landmarks)
    _refuse_strangers(table["subject"], points.subjects, subjects, landmarks)
    for column, what in ((class_column, "class"), (person_column, "person")):
        if column is not None and column not in table:
            known = ", ".join(c for c in table if c not in ("subject", "image", "split"))
            raise InputError(
                f"{subjects}: no {what} column '{column}'; label columns are: {known or 'none'}"
            )
    labelled = table[table[class_column].str.strip() != ""]
    if labelled[class_column].nunique() < 2:
        raise InputError(
            f"{subjects}: column '{class_column}' needs two classes or more, it has "
            f"{', '.join(sorted(set(labelled[class_column]))) or 'none'}"
        )
    if len(labelled) < len(table):
        logger.warning(
            f"{len(table) - len(labelled)} of {len(table)} subjects have no '{class_column}' "
            "and are left out"
        )
    row = {subject: number for number, subject in enumerate(points.subjects)}
    names = labelled["subject"].tolist()
    order = [row[subject] for subject in names]
    persons = name_persons(names, labelled[person_column]) if person_column else names
    return Descriptors(
        subjects=labelled["subject"].to_numpy(dtype=object),
        values=np.asarray(points.normalised)[order].reshape(len(order), -1),
        classes=labelled[class_column].to_numpy(dtype=object),
        splits=labelled["split"].to_numpy(dtype=object),
        persons=np.array(persons, dtype=object),
    )


def read_shapes(path: Path, subjects: Sequence[str], population: Path | None) -> np.ndarray:
    """(N, M, d) points of these subjects in mm (2D: pixels); NaN for those without.

    On the grid of the population, on which a reflected subject is reflected; without a
    population in the coordinates of the table's scans.
    """
    table = read_landmarks(path)
    points = table.physical
    if population is not None:
        with Population(population) as store:
            points = normalised_to_index(table.normalised, store.shape) * store.spacing
    row = {subject: number for number, subject in enumerate(table.subjects)}
    nothing = np.full(points.shape[1:], np.nan)
    return np.stack([points[row[name]] if name in row else nothing for name in subjects])


def _refuse_strangers(table: pd.Series, points: list[str], subjects: Path, landmarks: Path):
    here, there = set(table), set(points)
    for missing, file in ((here - there, landmarks), (there - here, subjects)):
        if missing:
            others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InputError(
                f"{file}: no subject '{min(missing)}'{others}; {subjects} and {landmarks} must "
                "come from the same run"
            )
