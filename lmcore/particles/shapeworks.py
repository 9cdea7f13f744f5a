"""ShapeWorks as it is driven here: project files in, particles out.

The project file is JSON in which every value is a string; `shapeworks optimize --name FILE`
reads it, changes into its folder, writes FILE's stem + `_particles/SUBJECT_{local,world}.particles`
and rewrites the file. Written for ShapeWorks 6.4 to 6.7, from its sources; see
docs/shapeworks.md.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from lmcore.errors import InputError
from lmcore.files import whole_file, write_json
from lmcore.particles.table import grid_centre
from lmcore.points.files import read_points, write_points
from lmcore.population.formats.stored import itk_reason

STAGES = ("training", "held_out")
PROJECT = "project.swproj"
PARTICLES = "project_particles"  # the folder of its output, by the project's name
WORLD = "_world.particles"
SMOOTHING = 1.3  # voxels, as ShapeWorks' own examples smooth distance transforms
# Names and values of ShapeWorks' own parameters
DEFAULTS = {
    "initial_relative_weighting": 0.05,
    "relative_weighting": 1.0,
    "starting_regularization": 1000.0,
    "ending_regularization": 10.0,
    "narrow_band": 4.0,
    "multiscale_particles": 32,
    "iterations_per_split": 1000,
    "optimization_iterations": 1000,
}
# In fixed domains the new shapes start from the mean, which may lie outside a narrow band
WIDE_BAND = 1e10


def write_project(
    folder: str | os.PathLike,
    subjects: Sequence[str],
    distance_transforms: Iterator[np.ndarray],
    spacing: float,
    count: int,
    settings: Mapping[str, float],
) -> None:
    """The project of the training shapes: `project.swproj` and `groomed/SUBJECT.nrrd`.

    Arguments:
        folder: made if need be.
        subjects: (N) ids.
        distance_transforms: (N) arrays (z, y, x) mm, negative inside.
        spacing: mm a voxel.
        count: of particles.
        settings: values that differ from DEFAULTS.
    """
    rows = [
        _write_groomed(Path(folder), subject, distances, spacing)
        for subject, distances in zip(subjects, distance_transforms, strict=True)
    ]
    parameters = DEFAULTS | dict(settings)
    multiscale = 0 < parameters["multiscale_particles"] < count
    parameters |= {"number_of_particles": count, "multiscale": multiscale}
    _write_swproj(Path(folder) / PROJECT, rows, parameters)


def write_fixed_project(
    folder: str | os.PathLike,
    trained: str | os.PathLike,
    subjects: Sequence[str],
    distance_transforms: Iterator[np.ndarray],
    spacing: float,
    settings: Mapping[str, float],
) -> None:
    """The project that places particles on new shapes while those of the training stay fixed.

    Arguments:
        folder: made if need be; it holds all that the project names.
        trained: folder of the training's project after its optimisation.
        subjects, distance_transforms: of the new shapes, as for `write_project`.
        settings: values that differ from DEFAULTS.
    Raises:
        InputError: if the training's particles are not to be had.
    """
    folder, trained = Path(folder), Path(trained)
    known, particles = read_particles(trained / PARTICLES)
    fixed = folder / "fixed"
    fixed.mkdir(parents=True, exist_ok=True)
    (folder / "groomed").mkdir(exist_ok=True)
    rows = []
    for subject, points in zip(known, particles, strict=True):
        shutil.copyfile(trained / "groomed" / f"{subject}.nrrd", folder / _groomed(subject))
        write_points(fixed / f"{subject}.particles", points)
        rows.append(_row(subject, f"fixed/{subject}.particles", fixed=True))
    write_points(fixed / "mean.particles", particles.mean(axis=0))
    for subject, distances in zip(subjects, distance_transforms, strict=True):
        _write_groomed(folder, subject, distances, spacing)
        rows.append(_row(subject, "fixed/mean.particles", fixed=False))
    parameters = DEFAULTS | dict(settings) | {
        "number_of_particles": particles.shape[1],
        "multiscale": False,
        "narrow_band": WIDE_BAND,
        "use_landmarks": True,  # the particles a shape starts from
        "use_fixed_subjects": True,
        "fixed_subjects_column": "fixed",
        "fixed_subjects_choice": "true",
    }  # fmt: skip
    _write_swproj(folder / PROJECT, rows, parameters)


def read_particles(folder: str | os.PathLike) -> tuple[list[str], np.ndarray]:
    """Names and particles (N, M, 3) of all `*_world.particles` of a folder, in sorted order.

    One `x y z` a line; line i corresponds across shapes. mm, LPS.

    Raises:
        InputError: if there are none, or one is not a list of points or has another number.
    """
    paths = sorted(Path(folder).glob(f"*{WORLD}"))
    if not paths:
        raise InputError(f"{folder}: no *{WORLD}; ShapeWorks wrote no particles there")
    shapes = [_read_points(path) for path in paths]
    for path, points in zip(paths, shapes, strict=True):
        if len(points) != len(shapes[0]):
            raise InputError(
                f"{path}: {len(points)} particles, {paths[0].name} has {len(shapes[0])}; "
                "particles of one model correspond line by line"
            )
    return [path.name.removesuffix(WORLD) for path in paths], np.stack(shapes)


def to_grid(particles: np.ndarray, shape: Sequence[int], spacing: float) -> np.ndarray:
    """(..., 3) mm on the grid of particles (..., 3) on images that `write_project` wrote.

    Raises:
        InputError: if they lie outside the grid, as those of other images may.
    """
    centre = grid_centre(shape, spacing)
    points = particles * (-1.0, -1.0, 1.0) + centre
    if (np.abs(points - centre) > centre + spacing).any():
        raise InputError(
            "ShapeWorks' particles lie outside the images it was given: its world coordinates "
            "are not those of the images; see docs/shapeworks.md"
        )
    return points


def _write_groomed(folder: Path, subject: str, distances: np.ndarray, spacing: float) -> dict:
    """NRRD of a distance transform, positive inside and smooth, as ShapeWorks grooms them.

    ITK reads and ShapeWorks computes in LPS, and ShapeWorks' optimiser ignores an image's
    directions: the array is turned until its axes run to L, P and S. (0, 0, 0) is its middle.
    """
    import SimpleITK as sitk

    smooth = -gaussian_filter(np.asarray(distances, np.float32), SMOOTHING, mode="nearest")
    image = sitk.GetImageFromArray(np.ascontiguousarray(smooth[:, ::-1, ::-1]))
    image.SetSpacing([float(spacing)] * 3)
    image.SetOrigin((-grid_centre(distances.shape, spacing)).tolist())
    path = folder / _groomed(subject)
    try:
        with whole_file(path) as temporary:
            sitk.WriteImage(image, str(temporary), useCompression=True)
    except RuntimeError as error:
        raise InputError(f"{path} cannot be written ({itk_reason(error)}): make room") from error
    return _row(subject)


def _groomed(subject: str) -> str:
    return f"groomed/{subject}.nrrd"


def _row(subject: str, particles: str | None = None, fixed: bool | None = None) -> dict[str, str]:
    """A subject of the project; its files are named from the project's folder."""
    row = {"name": subject, "shape_1": _groomed(subject), "groomed_1": _groomed(subject)}
    if particles is not None:
        keys = ("landmarks_file_1", "local_particles_1", "world_particles_1")
        row |= dict.fromkeys(keys, particles)
        # earlier versions compare the text with fixed_subjects_choice, later ones read a bool
        row["fixed"] = _text(fixed)
    return row


def _write_swproj(path: Path, rows: Sequence[dict], parameters: Mapping) -> None:
    # Pose is removed afterwards, by the same alignment for every engine: world is local
    optimize = {key: _text(value) for key, value in parameters.items()} | {
        "procrustes": "false",
        "use_normals": "0",
        "optimize_output_prefix": "<project>_particles",
    }
    write_json(path, {"data": list(rows), "optimize": optimize, "project": {"version": "2"}})


def _text(value: object) -> str:
    """As ShapeWorks reads it: true, false, or a number without an exponent."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else np.format_float_positional(value, trim="-")


def _read_points(path: Path) -> np.ndarray:
    points = read_points(path)
    if points.shape[1] != 3:
        raise InputError(f"{path}: a line is not three numbers x y z")
    return points


def read_project(path: str | os.PathLike) -> dict:
    """A project file, for its parameters.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a ShapeWorks project ({error})") from error
