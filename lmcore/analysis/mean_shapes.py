"""The mean shape of a group beside that of the controls, and what tells the two apart (Fig. 8)."""

import os

import numpy as np

from lmcore.analysis.descriptors import read_descriptors, read_shapes
from lmcore.analysis.group_difference import compare_at_points, difference_numbers, score_groups
from lmcore.analysis.mean_shape_files import write_content, write_meshes
from lmcore.analysis.mean_surfaces import (
    AlignedFrame,
    level_surface,
    point_normals,
    signed_distance,
    vertex_areas,
)
from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.analysis.true_bump import Truth, bump_numbers, carry, nearest_region, read_truth
from lmcore.analysis.two_groups import Groups
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.particles.table import grid_centre
from lmcore.points.landmarks import read_landmarks
from lmcore.points.procrustes import Rigid, align, generalised_procrustes
from lmcore.population.store import Population

Path = str | os.PathLike
BORDER = 1.5  # voxels from the grid's end, where surfaces are cut


def compare_mean_shapes(
    population_path: Path | None,
    subjects_path: Path,
    landmarks_path: Path,
    class_column: str,
    control: str,
    kernel: str,
    seed: int,
    output: Path,
    numbers: Path,
    content: Path,
    meshes: Path,
    truth_path: Path | None = None,
    surface_path: Path | None = None,
    person_column: str | None = None,
) -> None:
    """Mean shapes, their distance, what of it chance explains, and Mahalanobis distances.

    Landmarks of all labelled subjects are aligned to their common mean by rotation and shift,
    blind to the groups. So are then the means of the groups with each other: that a shape is
    aligned with the mean makes the matrix of their products symmetric, and sums of symmetric
    matrices are so. Segmentations are warped to the mean landmarks of their group and averaged;
    the mean shape is the surface at 1/2. All signed lengths are negative where the cases lie
    outward of the controls, as in Fig. 8.

    Given landmarks, without images, are taken for points on surfaces that are their own vertices;
    in place of the distance stands the difference of the means along normals, and no mesh is made.

    Arguments:
        population_path, subjects_path: the experiment's; every split takes part. None: landmarks
            are given, in mm.
        landmarks_path: landmarks/retained.csv.
        class_column, control: the column of subjects.csv and its value that is normal; subjects
            without a label take no part.
        kernel: of the registration's spline.
        seed: of the permutations and the bootstrap.
        output: analysis/mean_shapes.csv, one row a subject: `mahalanobis`, every control left out
            of what it is held against, and `mahalanobis_in_sample`, the paper's.
        numbers: mean_shapes.numbers.csv; content: HDF5 for the figures, see `write_content`.
        meshes: folder of control_mean.vtp, with the arrays `distance`, `difference`, `p` and
            `corrected_p`, and case_mean.vtp; RAS mm about the grid's centre.
        truth_path, surface_path: truth.csv and truth/surface.h5 of a simulated population.
        person_column: see `read_descriptors`; a person's scans are left out together.
    Raises:
        InputError: for anything but two groups of segmented volumes, or of given points in 3D.
    """
    data = read_descriptors(landmarks_path, subjects_path, class_column, person_column)
    shapes = read_shapes(landmarks_path, data.subjects, population_path)
    if shapes.shape[-1] != 3:
        raise InputError("analyses.mean_shapes needs volumes: set it to null")
    groups = Groups.of(data, shapes, control)
    retained, centre = read_landmarks(landmarks_path).numbers, np.zeros(3)
    if population_path is None:
        found, attributes = _compare_points(groups, seed), {"oriented": False}
        reported = difference_numbers(found, groups)
    else:
        with Population(population_path) as population:
            rows = np.array([population.subjects.index(subject) for subject in data.subjects])
            truth = None
            if surface_path:
                truth = read_truth(surface_path, truth_path, groups.subjects)
            found, reported = _compare_surfaces(population, groups, rows, kernel, seed, truth)
            attributes = {"oriented": population.oriented}
            centre = grid_centre(population.shape, population.spacing)
    table, scored = score_groups(groups)
    write_csv(output, table)
    write_content(content, found | {"numbers": retained}, groups, attributes)
    write_meshes(meshes, found, centre)
    write_numbers(numbers, reported + scored)


def _compare_points(groups: Groups, seed: int) -> dict[str, np.ndarray]:
    """What the figures show of given points on surfaces, which are their own vertices."""
    _, aligned = generalised_procrustes(groups.shapes)
    mean = aligned[~groups.cases].mean(axis=0)
    counted = np.ones(len(mean), bool)
    inward = -np.einsum("nvd,vd->nv", aligned - mean, point_normals(mean))
    found = compare_at_points(inward, counted, groups, seed)
    return found | {
        "vertices": mean,
        "control_points": mean,
        "case_points": aligned[groups.cases].mean(axis=0),
        "counted": counted,
        "areas": np.full(len(mean), 1 / len(mean)),
        "distance": found["difference"],
    }


def _compare_surfaces(
    population: Population,
    groups: Groups,
    rows: np.ndarray,
    kernel: str,
    seed: int,
    truth: Truth | None,
) -> tuple[dict[str, np.ndarray], list[dict]]:
    """What the figures show of both mean shapes, and the rows of the numbers."""
    mean, _ = generalised_procrustes(groups.shapes)
    poses = align(groups.shapes, mean)
    aligned = poses(groups.shapes)
    frame = AlignedFrame(population, kernel)
    surfaces = {}
    for name, members in ((groups.control, ~groups.cases), (groups.case, groups.cases)):
        chosen = np.flatnonzero(members & population.segmented[rows])
        average = _mean_of(population, frame, rows, aligned, poses, chosen, name)
        surfaces[name] = level_surface(average, population.spacing)
    control, case = surfaces[groups.control], surfaces[groups.case]
    vertices, faces = np.asarray(control.points, np.float64), control.regular_faces
    landmarks = aligned[~groups.cases].mean(axis=0)
    last = (np.array(population.shape[::-1]) - 1) * population.spacing
    edge = BORDER * population.spacing
    counted = ((vertices >= edge) & (vertices <= last - edge)).all(axis=1)
    found = {
        "vertices": vertices,
        "faces": faces,
        "areas": vertex_areas(vertices, faces),
        "distance": signed_distance(case, control),
        "case_vertices": np.asarray(case.points, np.float64),
        "case_faces": case.regular_faces,
        "control_points": landmarks,
        "case_points": aligned[groups.cases].mean(axis=0),
    }
    bumps, true_points = [], None
    if truth is not None:
        true_points = carry(truth, population, rows, poses)[~groups.cases].mean(axis=0)
        surface = true_points, truth.triangles
        found["bump"] = nearest_region(*surface, truth.bump, vertices)
        counted &= ~nearest_region(*surface, truth.cut, vertices)
        heights = truth.heights[groups.cases]
        bumps = bump_numbers(found["distance"], found["areas"], found["bump"], counted, heights)
    found["counted"] = counted
    basis = frame.basis(vertices, landmarks)
    normals = np.asarray(control.point_data["Normals"], np.float64)
    moved = np.stack([basis @ frame.with_corners(shape) for shape in aligned])
    inward = -np.einsum("nvd,vd->nv", moved - vertices, normals)
    found |= compare_at_points(inward, counted, groups, seed)
    n = len(groups.subjects)
    distance = found["distance"][counted]
    rows_of_numbers = [
        *bumps,
        number_row("largest_outward_mm", max(-distance.min(), 0.0), "mm", n),
        number_row("largest_inward_mm", max(distance.max(), 0.0), "mm", n),
        *difference_numbers(found, groups),
    ]
    return found, rows_of_numbers


def _mean_of(population, frame, rows, aligned, poses, chosen, name) -> np.ndarray:
    """(z, y, x) mean segmentation of some of the subjects, of the group `name`."""
    if not len(chosen):
        raise InputError(
            f"analyses.mean_shapes needs segmentations, but no subject of {name} has one: give "
            "some in the column segmentation, or set it to null"
        )
    read = (population.segmentations([row])[0] for row in rows[chosen])
    of_chosen = Rigid(poses.rotation[chosen], poses.shift[chosen])
    average = frame.mean_segmentation(read, aligned[chosen], of_chosen)
    if average.max() <= 0.5 or average.min() >= 0.5:
        raise InputError(
            f"the mean of the segmentations of {name}, warped to their mean landmarks, has no "
            "surface: the landmarks do not correspond; raise training.regularization"
        )
    return average
