"""Corresponding points of a population, landmarks or particles alike, for its shape model."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lmcore.errors import InputError
from lmcore.points.geometry import normalised_to_index
from lmcore.points.landmarks import read_landmarks
from lmcore.population.store import Population

FEWEST = 4  # training subjects: a shape left out and a model of three


@dataclass(frozen=True)
class PointSet:
    """Corresponding points of a population.

    Attributes:
        name: landmarks or particles; engine: how particles were made, empty for landmarks.
        rows: (N) positions of the subjects in the population; training: (N) bool, who makes the
            model.
        shapes: (N, M, d) mm (2D: pixels) on the grid, or as they were given.
        numbers: (M).
    """

    name: str
    engine: str
    rows: np.ndarray
    training: np.ndarray
    shapes: np.ndarray
    numbers: list[int]

    @property
    def label(self) -> str:
        """Start of the names of numbers: landmarks, particles_cpd or particles_shapeworks."""
        return f"{self.name}_{self.engine}" if self.engine else self.name

    @property
    def unit(self) -> str:
        """Of the shapes."""
        return "mm" if self.shapes.shape[-1] == 3 else "px"


def read_point_set(
    population: Population | None,
    splits: Mapping[str, str],
    path: str | os.PathLike,
    name: str,
    engine: str = "",
) -> PointSet:
    """Points of a landmark table, in whatever order of subjects.

    Arguments:
        population: on whose grid the points lie; None: they are given in mm, as points of 3D, and
            everybody makes the model.
        splits: of its subjects.
        name, engine: see `PointSet`.
    Raises:
        InputError: for subjects of another population, or fewer than four that make the model.
    """
    table = read_landmarks(path)
    if population is None:
        if table.physical.shape[-1] != 3:
            raise InputError("analyses.shape_model needs points in 3D: set it to null")
        rows, training, shapes = np.arange(len(table.subjects)), None, table.physical
    else:
        row_of = {subject: row for row, subject in enumerate(population.subjects)}
        strangers = [subject for subject in table.subjects if subject not in row_of]
        if strangers:
            raise InputError(f"{path}: {strangers[0]} is no subject of {population.path}")
        rows = np.array([row_of[subject] for subject in table.subjects])
        training = np.array([splits[subject] == "train" for subject in table.subjects])
        shapes = normalised_to_index(table.normalised, population.shape) * population.spacing
    training = np.ones(len(rows), bool) if training is None else training
    if training.sum() < FEWEST:
        raise InputError(
            f"analyses.shape_model needs {FEWEST} training subjects, {path} has {training.sum()}: "
            "give more subjects or set it to null"
        )
    return PointSet(name, engine, rows, training, shapes, table.numbers)
