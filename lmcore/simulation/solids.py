"""Signed distances of simple solids, and what is built of them. Lengths in mm, negative inside.

The formulas are those of I. Quilez, "Distance functions" (2008-2023), in numpy. Exact but for the
ellipsoid, whose value is of first order near its surface, and for smooth unions, which are bounds.
Distances are as precise as the points: single-precision points are quicker and good for a scan.
"""

from collections.abc import Callable

import numpy as np


def sphere(points: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """(...) distance of points (..., 3) to a sphere."""
    return np.linalg.norm(points - np.asarray(centre), axis=-1) - radius


def ellipsoid(points: np.ndarray, centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(...) distance of points (..., 3) to an ellipsoid along the axes, exact at its surface."""
    radii = np.asarray(radii, dtype=points.dtype)
    scaled = (points - np.asarray(centre, dtype=points.dtype)) / radii
    steepness = scaled / radii
    reach = np.sqrt(np.einsum("...i,...i->...", scaled, scaled))
    slope = np.sqrt(np.einsum("...i,...i->...", steepness, steepness))
    # At the centre both vanish: there the nearest surface is a shortest radius away
    return np.where(slope > 1e-12, reach * (reach - 1) / np.maximum(slope, 1e-12), -np.min(radii))


def round_cone(
    points: np.ndarray, begin: np.ndarray, end: np.ndarray, radius_begin: float, radius_end: float
) -> np.ndarray:
    """(...) distance of points (..., 3) to the hull of two spheres; equal radii make a capsule."""
    begin, end = np.asarray(begin, dtype=points.dtype), np.asarray(end, dtype=points.dtype)
    axis = end - begin
    length = float(np.linalg.norm(axis))
    if length <= abs(radius_begin - radius_end):
        raise ValueError("one end of the cone lies inside the other's sphere")
    offset = points - begin
    squared = np.einsum("...i,...i->...", offset, offset)
    along = offset @ (axis / length)
    off = np.sqrt(np.maximum(squared - along**2, 0.0))
    sine = (radius_begin - radius_end) / length
    cosine = float(np.sqrt(1 - sine**2))
    # The mantle touches both spheres; beyond its two rims the spheres themselves are nearest
    place = cosine * along - sine * off
    mantle = cosine * off + sine * along - radius_begin
    to_begin = np.sqrt(squared) - radius_begin
    to_end = np.sqrt(np.square(along - length) + np.square(off)) - radius_end
    return np.where(place < 0, to_begin, np.where(place > length * cosine, to_end, mantle))


def half_space(points: np.ndarray, origin: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(...) distance of points (..., 3) to a plane, positive on the side the normal points to."""
    normal = np.asarray(normal, dtype=points.dtype)
    origin = np.asarray(origin, dtype=points.dtype)
    return (points - origin) @ (normal / np.linalg.norm(normal))


def smooth_union(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """Union with a fillet: within `width` mm of both surfaces the edge between them is filled."""
    blend = np.maximum(width - np.abs(first - second), 0.0)
    return np.minimum(first, second) - blend**2 / (4.0 * width)


def smooth_intersection(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """Intersection with its edge rounded over `width` mm."""
    return -smooth_union(-first, -second, width)


def surface(
    distance: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of the surface where a signed distance is zero, between two corners of a box.

    Arguments:
        distance: of points (..., 3).
        low, high: (3,) corners, mm; the surface should lie inside.
        step: of the grid that is contoured, mm.
    Returns:
        vertices (V, 3) in mm, moved onto the zero level by Newton's method along the gradient,
        and triangles (F, 3).
    """
    import pyvista  # slow to import, and only this needs it

    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    counts = np.ceil((high - low) / step).astype(int) + 1
    grid = pyvista.ImageData(dimensions=counts, spacing=(step,) * 3, origin=low)
    mesh = grid.contour([0.0], scalars=distance(np.asarray(grid.points)), method="flying_edges")
    vertices = np.array(mesh.points, dtype=float)
    for _ in range(3):
        gradient = _gradient(distance, vertices)
        length = np.maximum(np.square(gradient).sum(axis=-1, keepdims=True), 1e-6)
        vertices -= distance(vertices)[:, None] * gradient / length
    return vertices, np.array(mesh.regular_faces)


def _gradient(distance, points: np.ndarray, step: float = 1e-3) -> np.ndarray:
    """(n, 3) central differences."""
    return np.stack(
        [
            (distance(points + offset) - distance(points - offset)) / (2 * step)
            for offset in step * np.eye(3)
        ],
        axis=-1,
    )
