"""Quality of shape models of landmarks and particles: compactness, generalization, specificity."""

import contextlib
import logging
import os

import numpy as np
import pandas as pd

from lmcore.analysis.intervals import mean_interval
from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.analysis.point_sets import PointSet, read_point_set
from lmcore.analysis.shape_modes import write_modes
from lmcore.analysis.shape_statistics import (
    Curve,
    compactness,
    draw_shapes,
    generalization,
    leave_one_out,
    nearest_shape_distance,
    principal_modes,
    specificity,
)
from lmcore.analysis.shape_surfaces import (
    CarriedSurface,
    nearest_surface_distance,
    surface_distance,
    surface_points,
)
from lmcore.files import write_csv
from lmcore.particles.surface import DistanceField, nearest_distances, spacing_variation
from lmcore.particles.table import read_engine
from lmcore.points.procrustes import align, generalised_procrustes
from lmcore.population.splits import splits_of
from lmcore.population.store import Population
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

Path = str | os.PathLike
COLUMNS = ["points", "engine", "measure", "modes", "value", "standard_error", "unit", "n"]
MOST_MODES = 20  # later ones hardly matter, and with hundreds of shapes they take long
SHARE = 0.95  # of the variance, which fixes the number of modes of the reported numbers
DRAWN = 1000  # random shapes for the specificity
DRAWN_SURFACES = 100  # of them, that are held against every training surface


def evaluate_shape_model(
    population_path: Path | None,
    subjects_path: Path,
    landmarks_path: Path,
    kernel: str,
    seed: int,
    output: Path,
    numbers: Path,
    modes: Path,
    meshes: Path,
    particles_path: Path | None = None,
    engine_path: Path | None = None,
) -> None:
    """Measure the shape models of the landmarks and, where there are any, of the particles.

    Shapes of the training split are aligned by rotation and shift; size stays. All distances are
    means over points, in mm (2D: pixels of the prepared image).

    - compactness: share of the variance on the first modes.
    - generalization: distance between a shape and what a model of all others makes of it.
    - specificity: distance of random shapes of the model to the nearest training shape.
    - generalization_surface, specificity_surface: the same for the surface of the typical
      training subject, carried to the shape by the spline through its points, against the
      subject's own surface, by its distance transform. Only where volumes have segmentations.

    Arguments:
        population_path, subjects_path: the experiment's; without a population landmarks are
            given, in mm, and everybody makes the model.
        landmarks_path: such as landmarks/retained.csv; kernel: of the registration's spline.
        seed: of the random shapes and the intervals.
        output: analysis/shape_model.csv, see COLUMNS.
        numbers: the measures at the number of modes that holds 95 % of the variance, how evenly
            points are spaced, and their distance to the surface.
        modes: HDF5 with what the figure of the modes shows, see `write_modes`.
        meshes: folder for the modes as .vtp.
        particles_path, engine_path: particles.csv and engine.json, or None.
    Raises:
        InputError: with fewer than four training subjects.
    """
    splits = splits_of(subjects_path)
    store = Population(population_path) if population_path else contextlib.nullcontext()
    with store as population:
        sets = [read_point_set(population, splits, landmarks_path, "landmarks")]
        if particles_path:
            engine = read_engine(engine_path)["engine"]
            sets.append(read_point_set(population, splits, particles_path, "particles", engine))
        rows, reported = [], []
        for points in sets:
            curves, measured = measure(population, points, derive_seed(seed, points.name))
            rows += _curve_rows(points, curves)
            reported += measured
        write_modes(population, sets, kernel, modes, meshes)
    write_csv(output, pd.DataFrame(rows, columns=COLUMNS))
    write_numbers(numbers, reported)


def measure(
    population: Population | None, points: PointSet, seed: int
) -> tuple[dict[str, Curve], list[dict]]:
    """Every measure against the number of modes, and the rows of the numbers."""
    shapes = points.shapes[points.training]
    most = min(MOST_MODES, len(shapes) - 2)
    surfaces = Surfaces(population, points, seed) if _has_surfaces(population, points) else None
    curves = {"compactness": compactness(shapes_aligned := _aligned(shapes), most)}
    errors, on_surface = [], []
    for position, (found, error) in enumerate(leave_one_out(shapes, most)):
        errors.append(error)
        if surfaces:
            on_surface.append(surfaces.of_subject(position, found))
    model = principal_modes(shapes_aligned, most)
    drawn = draw_shapes(model, DRAWN, derive_seed(seed, "specificity"))
    distances, drawn_few = [], []
    for random_shapes in drawn:
        distances.append(nearest_shape_distance(random_shapes, shapes_aligned))
        drawn_few.append(random_shapes[:DRAWN_SURFACES])
    samples = {"generalization": np.array(errors), "specificity": np.array(distances).T}
    if surfaces:
        samples["generalization_surface"] = np.array(on_surface)
        samples["specificity_surface"] = surfaces.of_random(np.stack(drawn_few)).T
    for name, values in samples.items():
        curves[name] = specificity(values.T) if "spec" in name else generalization(values)
    return curves, _number_rows(population, points, curves["compactness"], samples, seed)


class Surfaces:
    """Training surfaces of a population, and one that is carried to shapes.

    Arguments:
        points: whose training subjects all have a segmentation.
    """

    def __init__(self, population: Population, points: PointSet, seed: int):
        self.population, self.rows = population, points.rows[points.training]
        shapes = points.shapes[points.training]
        mean, _ = generalised_procrustes(shapes)
        self.poses = align(shapes, mean)
        typical = np.square(self.poses(shapes) - mean).sum(axis=(1, 2)).argmin()
        vertices = surface_points(self.field_of(typical), derive_seed(seed, "surface"))
        self.carried = CarriedSurface(shapes[typical], vertices)

    def field_of(self, position: int) -> DistanceField:
        """Distance transform of a training subject."""
        (distances,) = self.population.distance_transforms([self.rows[position]])
        return DistanceField(distances, self.population.spacing)

    def of_subject(self, position: int, shapes: np.ndarray) -> np.ndarray:
        """(K) distance of the surfaces of shapes (K, M, 3) to a training subject's own."""
        return surface_distance(self.field_of(position), self.carried(shapes))

    def of_random(self, shapes: np.ndarray) -> np.ndarray:
        """(K, S) distance of the surfaces of aligned shapes (K, S, M, 3) to the nearest one."""
        subjects = range(len(self.rows))
        return nearest_surface_distance(self.carried(shapes), subjects, self.poses, self.field_of)


def _has_surfaces(population: Population | None, points: PointSet) -> bool:
    if population is None or population.dimension != 3:
        return False
    return bool(population.segmented[points.rows[points.training]].all())


def _aligned(shapes: np.ndarray) -> np.ndarray:
    return generalised_procrustes(shapes)[1]


def _curve_rows(points: PointSet, curves: dict[str, Curve]) -> list[tuple]:
    def unit_of(measure: str) -> str:
        return "share" if measure == "compactness" else points.unit

    return [
        (points.name, points.engine, measure, k + 1, value, error, unit_of(measure), curve.n)
        for measure, curve in curves.items()
        for k, (value, error) in enumerate(zip(curve.value, curve.error, strict=True))
    ]


def _number_rows(
    population: Population | None, points: PointSet, compact: Curve, samples: dict, seed: int
) -> list[dict]:
    """The measures at one number of modes, and how the points lie on all subjects."""
    unit, label = points.unit, points.label
    # the first number of modes with 95 %, or the most that were measured
    modes = min(int((compact.value < SHARE).sum()) + 1, len(compact.value))
    rows = [
        number_row(f"{label}_modes", modes, "modes", compact.n),
        number_row(f"{label}_compactness", compact.value[modes - 1], "share", compact.n),
    ]

    def add(name: str, values: np.ndarray, unit: str) -> None:
        interval = mean_interval(values, derive_seed(seed, name, "interval"))
        rows.append(number_row(f"{label}_{name}", values.mean(), unit, len(values), interval))

    for name, values in samples.items():
        add(name, values[:, modes - 1], unit)
    add("spacing", nearest_distances(points.shapes).mean(axis=-1), unit)
    add("spacing_variation", spacing_variation(points.shapes), "share")
    if distances := _surface_distances(population, points):
        add("surface_distance", np.mean(distances, axis=-1), unit)
        add("surface_distance_max", np.max(distances, axis=-1), unit)
    logger.info(
        f"{label}: {modes} modes hold {compact.value[modes - 1]:.0%} of the variance; "
        f"generalization {samples['generalization'][:, modes - 1].mean():.3g} {unit}, "
        f"specificity {samples['specificity'][:, modes - 1].mean():.3g} {unit}"
    )
    return rows


def _surface_distances(population: Population | None, points: PointSet) -> list[np.ndarray]:
    """(M,) mm from each point to its subject's surface, for every subject with a segmentation."""
    if population is None or population.dimension != 3:
        return []
    return [
        np.abs(DistanceField(transform, population.spacing).distance(shape))
        for row, shape in zip(points.rows, points.shapes, strict=True)
        if population.segmented[row]
        for transform in population.distance_transforms([row])
    ]
