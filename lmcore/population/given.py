"""Landmarks that are given, not found: a table that names a file of points for each subject."""

import os

import numpy as np

from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.files import read_points
from lmcore.points.landmarks import landmark_table
from lmcore.population.splits import write_splits
from lmcore.population.table import read_subjects

StrPath = str | os.PathLike
UNTRAINED = "held_out"  # nothing is trained, so nobody is in a split unless the table says so


def import_landmarks(
    table: StrPath,
    root: StrPath | None,
    class_column: str | None,
    landmarks_path: StrPath,
    subjects_path: StrPath,
) -> None:
    """Write the landmark table and subjects.csv of subjects whose landmarks are given.

    There is no image and so no grid: normalised coordinates and indices are those of the smallest
    cube (square) around all points, of two voxels a side.

    Arguments:
        table: with columns subject and landmarks; see `read_points` for the files.
        root, class_column: see `read_subjects`.
        landmarks_path: landmarks/retained.csv; subjects_path: subjects.csv.
    Raises:
        InputError: as `read_subjects` and `read_points`, or where a subject has another number of
            points than the first one.
    """
    subjects = read_subjects(table, root, class_column)
    shapes = [read_points(subject.landmarks_path) for subject in subjects]
    for subject, points in zip(subjects, shapes, strict=True):
        if points.shape != shapes[0].shape:
            wanted, found = ("{} points in {}D".format(*one.shape) for one in (shapes[0], points))
            raise InputError(
                f"{subject.landmarks_path}: {found}, but {subjects[0].subject} has {wanted}; row i "
                "has to be the same landmark in every file"
            )
    points = np.stack(shapes)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    edge = (high - low).max()
    if edge == 0:
        raise InputError(f"{table}: all landmarks are one point")
    corner, d = (low + high - edge) / 2, points.shape[-1]
    affine = np.diag([edge] * d + [1.0])
    affine[:d, d] = corner
    normalised = 2 * (points - corner) / edge - 1
    names = [subject.subject for subject in subjects]
    numbers, affines = range(1, points.shape[1] + 1), np.stack([affine] * len(names))
    write_csv(landmarks_path, landmark_table(names, normalised, numbers, (2,) * d, affines))
    write_splits(subjects_path, subjects, [subject.split or UNTRAINED for subject in subjects])
