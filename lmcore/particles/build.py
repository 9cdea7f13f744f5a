"""From a population's segmentations to particles, by either engine."""

import logging
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lmcore.errors import InputError
from lmcore.particles import cpd, shapeworks
from lmcore.particles.surface import DistanceField
from lmcore.particles.table import NAMES, mean_table, particle_table, write_particles
from lmcore.points.procrustes import align, generalised_procrustes
from lmcore.population.region import Medoid
from lmcore.population.splits import splits_of
from lmcore.population.store import Population
from lmcore.population.table import name_some

logger = logging.getLogger("lmcore")

StrPath = str | os.PathLike
FEWEST = 3  # shapes of the training split


class Shapes:
    """The subjects of a population that have a segmentation, and their splits.

    Attributes:
        rows: (N) their positions in the population; training: (N) bool.
    Raises:
        InputError: if it has no volumes, or too few segmented training subjects.
    """

    def __init__(self, population: Population, splits: Mapping[str, str]):
        self.population = population
        if population.dimension != 3:
            raise InputError("particles are points on surfaces of volumes: set particles to null")
        self.rows = np.flatnonzero(population.segmented)
        self.subjects = [population.subjects[row] for row in self.rows]
        self.training = np.array([splits[subject] == "train" for subject in self.subjects], bool)
        if self.training.sum() < FEWEST:
            raise InputError(
                f"particles need {FEWEST} training subjects with a segmentation, there are "
                f"{self.training.sum()}: give segmentations, or set particles to null"
            )
        without = sorted(set(population.subjects) - set(self.subjects))
        if without:
            logger.warning(
                f"{len(without)} subjects without a segmentation get no particles: "
                f"{name_some(without)}"
            )

    def field_of(self, position: int) -> DistanceField:
        """The distance transform of one of the N."""
        (distances,) = self.population.distance_transforms([self.rows[position]])
        return DistanceField(distances, self.population.spacing)

    def distance_transforms(self, positions: np.ndarray) -> Iterator[np.ndarray]:
        """(z, y, x) of each, one after the other."""
        for row in self.rows[positions]:
            yield self.population.distance_transforms([row])[0]

    def medoid(self) -> int:
        """Position of the training shape with the least squared difference to the others."""
        typical = Medoid()
        training = np.flatnonzero(self.training)
        for position, distances in zip(training, self.distance_transforms(training), strict=True):
            typical.add(str(position), distances)
        return int(typical.find())


def build_particles(
    population_path: StrPath,
    subjects_path: StrPath,
    engine: str,
    count: int,
    seed: int,
    folder: StrPath,
    workers: int = 1,
    optimized: Mapping[str, StrPath] | None = None,
) -> None:
    """Write particles.csv, mean.csv and engine.json.

    Only the training split decides where points lie on a shape: other subjects are placed one
    by one (cpd) or in fixed domains (shapeworks), and aligned to the training's mean.

    Arguments:
        population_path, subjects_path: the experiment's.
        engine: `cpd` or `shapeworks`.
        count: of points, as asked for.
        folder: where the three files go.
        workers: threads.
        optimized: with shapeworks, the folders of both stages that `optimize_shapes` wrote.
    Raises:
        InputError: with too few segmentations, or where ShapeWorks' output is not what it was
            asked for.
    """
    with Population(population_path) as population:
        shapes = Shapes(population, splits_of(subjects_path))
        if engine == "cpd":
            points, description = _drift(shapes, count, seed, workers)
        else:
            points, description = _collect(shapes, optimized)
        mean, _ = generalised_procrustes(points[shapes.training])
        aligned = align(points, mean)(points)
        grid = population.shape, population.spacing
        table = particle_table(
            shapes.subjects, points, aligned, *grid, population.affines[shapes.rows]
        )
        description |= {
            "engine": engine,
            "points": points.shape[1],
            "subjects": len(points),
            "training": int(shapes.training.sum()),
        }
        write_particles(folder, table, mean_table(mean, *grid), description)


def write_shapeworks_project(
    population_path: StrPath,
    subjects_path: StrPath,
    stage: str,
    count: int,
    settings: Mapping[str, float],
    folder: StrPath,
    trained: StrPath | None = None,
) -> None:
    """The ShapeWorks project of a stage: of the training shapes, or of all others.

    Arguments:
        stage: `training`, or `held_out` for the other splits, with the training's fixed.
        count: of particles.
        settings: of `shapeworks.DEFAULTS`.
        folder: of the project.
        trained: what `optimize_shapes` wrote for the training, where stage is `held_out`.
    Raises:
        InputError: as `Shapes`, and where the training's particles are missing.
    """
    with Population(population_path) as population:
        shapes = Shapes(population, splits_of(subjects_path))
        chosen = np.flatnonzero(shapes.training == (stage == "training"))
        subjects = [shapes.subjects[position] for position in chosen]
        transforms = shapes.distance_transforms(chosen)
        if stage == "training":
            shapeworks.write_project(
                folder, subjects, transforms, population.spacing, count, settings
            )
        else:
            shapeworks.write_fixed_project(
                folder, trained, subjects, transforms, population.spacing, settings
            )


def _drift(shapes: Shapes, count: int, seed: int, workers: int) -> tuple[np.ndarray, dict]:
    found = cpd.correspond(
        shapes.field_of,
        shapes.subjects,
        np.flatnonzero(shapes.training).tolist(),
        shapes.medoid(),
        count,
        seed,
        workers,
    )
    return found.points, {
        "name": NAMES["cpd"],
        "version": f"biocpd {version('biocpd')}",
        "parameters": cpd.parameters() | {"count": count, "rounds": found.rounds},
    }


def _collect(shapes: Shapes, optimized: Mapping[str, StrPath]) -> tuple[np.ndarray, dict]:
    points_of = {}
    for stage in shapeworks.STAGES:
        known = set(np.array(shapes.subjects)[shapes.training == (stage == "training")])
        if not known:  # everybody is in the training split
            continue
        names, points = shapeworks.read_particles(Path(optimized[stage]) / shapeworks.PARTICLES)
        points_of |= {name: p for name, p in zip(names, points, strict=True) if name in known}
        missing = sorted(known - set(names))
        if missing:
            raise InputError(
                f"{optimized[stage]}: ShapeWorks wrote no particles of {name_some(missing)}; "
                "see the log of optimize_shapes"
            )
    points = np.stack([points_of[subject] for subject in shapes.subjects])
    training = Path(optimized["training"])
    return shapeworks.to_grid(points, shapes.population.shape, shapes.population.spacing), {
        "name": NAMES["shapeworks"],
        "version": (training / "version.txt").read_text(encoding="utf-8").strip(),
        "parameters": shapeworks.read_project(training / shapeworks.PROJECT)["optimize"],
    }
