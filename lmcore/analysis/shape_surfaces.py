"""Shape models held against surfaces: distances that wrong correspondence cannot make small."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.interpolate import RBFInterpolator

from lmcore.particles.surface import DistanceField, sample_mesh
from lmcore.points.procrustes import Rigid
from lmcore.points.thinning import farthest_points

# The kernels of the registration by scipy's names; phi = r is the thin plate in 3D
SCIPY_KERNELS = {
    ("paper", 2): "thin_plate_spline",
    ("paper", 3): "thin_plate_spline",
    ("thin_plate", 2): "thin_plate_spline",
    ("thin_plate", 3): "linear",
}
SURFACE_POINTS = 300


def spline_basis(places: np.ndarray, control_points: np.ndarray, kernel: str) -> np.ndarray:
    """(P, M) so that `basis @ values` is the spline that has `values` (M, ...) at its points.

    Arguments:
        places: (P, d) where to evaluate; control_points: (M, d).
        kernel: `paper` or `thin_plate`, as of the registration.
    """
    name = SCIPY_KERNELS[kernel, places.shape[1]]
    unit = np.eye(len(control_points))
    return RBFInterpolator(control_points, unit, kernel=name, degree=1)(places)


class CarriedSurface:
    """The surface of a template, carried to any shape by the spline through its points.

    Distances of it to a subject's surface hold alike for points on the surface and inside, and
    see what points alone do not: whether they say where the surface between them is.

    Arguments:
        points: (M, 3) of the template, mm; vertices: (V, 3) of its surface, mm.
    """

    def __init__(self, points: np.ndarray, vertices: np.ndarray):
        self.basis = spline_basis(vertices, points, "thin_plate")

    def __call__(self, shapes: np.ndarray) -> np.ndarray:
        """(..., V, 3) surface points of shapes (..., M, 3)."""
        return self.basis @ shapes


def surface_points(field: DistanceField, seed: int) -> np.ndarray:
    """(V, 3) points that stand for a subject's surface."""
    cloud = sample_mesh(field.mesh(), 10 * SURFACE_POINTS, seed)
    return field.project(cloud[farthest_points(cloud, SURFACE_POINTS)])


def surface_distance(field: DistanceField, points: np.ndarray) -> np.ndarray:
    """(...) mean distance of point sets (..., V, 3) to a subject's surface, mm."""
    return np.abs(field.distance(points)).mean(axis=-1)


def nearest_surface_distance(
    carried: np.ndarray,
    subjects: Sequence[int],
    poses: Rigid,
    field_of: Callable[[int], DistanceField],
) -> np.ndarray:
    """(...) distance of surfaces (..., V, 3), in the model's frame, to the nearest of subjects.

    Arguments:
        subjects: (N) positions; poses: of all N, from their frames to the model's.
        field_of: a subject's distance transform.
    """
    nearest = np.full(carried.shape[:-2], np.inf)
    for row, subject in enumerate(subjects):
        pose = Rigid(poses.rotation[row], poses.shift[row])
        distance = surface_distance(field_of(subject), pose.inverse(carried))
        np.minimum(nearest, distance, out=nearest)
    return nearest
