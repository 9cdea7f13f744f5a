"""The surface of a segmentation: the zero level of its signed distance, and points on it.

Points are (x, y, z) in mm on the grid: index times spacing, so that (0, 0, 0) is the centre of
the first voxel.
"""

from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import KDTree

from lmcore.points.thinning import farthest_points

NEWTON = 30
CLOSE = 1e-3  # of a voxel: what counts as on the surface
SMOOTHING = {"n_iter": 20, "pass_band": 0.1}  # rids voxel steps, keeps the volume (Taubin 1995)
SAMPLES = 15  # a point, that stand for the surface while points are spread over it
RELAXATIONS = 15


class DistanceField:
    """A signed distance on a grid, trilinear between its voxels.

    Arguments:
        distances: (z, y, x) mm, negative inside.
        spacing: mm a voxel.
    """

    def __init__(self, distances: np.ndarray, spacing: float):
        self.distances = np.asarray(distances)
        self.spacing = float(spacing)
        self._last = np.array(self.distances.shape[::-1]) - 1

    def value_and_gradient(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n) mm and (n, 3) its slope along x, y, z at points (n, 3).

        Beyond the grid the values of its border are taken.
        """
        place = np.clip(np.asarray(points, np.float64) / self.spacing, 0, self._last)
        corner = np.minimum(place.astype(int), self._last - 1)
        x, y, z = (place - corner).T
        i, j, k = corner.T
        volume = self.distances
        # along x, then y, then z; each time value and slopes
        low_low, low_high, high_low, high_high = (
            (volume[k + c, j + b, i], volume[k + c, j + b, i + 1])
            for c, b in ((0, 0), (0, 1), (1, 0), (1, 1))
        )
        edges = [a + x * (b - a) for a, b in (low_low, low_high, high_low, high_high)]
        slopes = [b - a for a, b in (low_low, low_high, high_low, high_high)]
        faces = [edges[0] + y * (edges[1] - edges[0]), edges[2] + y * (edges[3] - edges[2])]
        along_x = [slopes[0] + y * (slopes[1] - slopes[0]), slopes[2] + y * (slopes[3] - slopes[2])]
        along_y = [edges[1] - edges[0], edges[3] - edges[2]]
        gradient = np.stack(
            [
                along_x[0] + z * (along_x[1] - along_x[0]),
                along_y[0] + z * (along_y[1] - along_y[0]),
                faces[1] - faces[0],
            ],
            axis=-1,
        )
        return faces[0] + z * (faces[1] - faces[0]), gradient / self.spacing

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(...) mm at points (..., 3), negative inside; four times quicker than with slopes."""
        points = np.asarray(points, np.float64)
        index = points.reshape(-1, 3).T[::-1] / self.spacing
        found = map_coordinates(self.distances, index, np.float64, order=1, mode="nearest")
        return found.reshape(points.shape[:-1])

    def project(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) on the zero level, by Newton's method along normals without the steps of voxels.

        Along the slope itself, points would gather at the corners of the steps. Where the surface
        is not met along the normal they follow the slope all the same, and where that does not
        settle, at a kink, they take the nearest point at which an edge of the grid crosses the
        surface.
        """
        points = np.clip(np.asarray(points, np.float64), 0, self._last * self.spacing)
        normals = self._smooth.value_and_gradient(points)[1]
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        left = self._newton(points, np.arange(len(points)), normals)
        left = self._newton(points, left)
        if len(left):
            crossings = self.crossings()
            points[left] = crossings[KDTree(crossings).query(points[left])[1]]
        return points

    @cached_property
    def _smooth(self) -> "DistanceField":
        return DistanceField(gaussian_filter(self.distances, 1.0, mode="nearest"), self.spacing)

    def _newton(
        self, points: np.ndarray, moving: np.ndarray, normals: np.ndarray | None = None
    ) -> np.ndarray:
        """Move some of the points (n, 3) in place; returns those that are not on the surface yet.

        Arguments:
            moving: positions in `points`.
            normals: (n, 3) unit directions to move along, or None for the slope at every step.
        """
        for _ in range(NEWTON):
            value, gradient = self.value_and_gradient(points[moving])
            far = np.abs(value) > CLOSE * self.spacing
            moving, value, gradient = moving[far], value[far], gradient[far]
            if not len(moving):
                break
            along = gradient if normals is None else normals[moving]
            slope = np.einsum("nd,nd->n", gradient, along)
            step = value / np.maximum(slope, 0.25)  # kinks are flat
            points[moving] -= step[:, None] * along
            np.clip(points, 0, self._last * self.spacing, out=points)
        return moving

    def crossings(self) -> np.ndarray:
        """(n, 3) where edges of the grid cross the zero level; distances are linear there."""
        found = []
        for axis in range(3):
            first = np.moveaxis(self.distances, axis, 0)[:-1]
            second = np.moveaxis(self.distances, axis, 0)[1:]
            at = np.argwhere((first < 0) != (second < 0))
            a, b = first[tuple(at.T)], second[tuple(at.T)]
            index = at.astype(np.float64)
            index[:, 0] += a / (a - b)
            order = [axis, *(other for other in range(3) if other != axis)]
            found.append(index[:, np.argsort(order)])
        return np.concatenate(found)[:, ::-1] * self.spacing

    def mesh(self):
        """The surface as a pyvista.PolyData of triangles, without the steps of its voxels."""
        import pyvista  # takes a second, and few need it

        grid = pyvista.ImageData(dimensions=self.distances.shape[::-1], spacing=(self.spacing,) * 3)
        mesh = grid.contour([0.0], scalars=self.distances.ravel(), method="flying_edges")
        return mesh.clean().triangulate().smooth_taubin(**SMOOTHING)


def sample_mesh(mesh, count: int, seed: int) -> np.ndarray:
    """(count, 3) points on the triangles of a pyvista.PolyData, uniform by area."""
    random = np.random.default_rng(seed)
    corners = np.asarray(mesh.points, dtype=np.float64)[mesh.regular_faces]
    edges = corners[:, 1:] - corners[:, :1]
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    # one in each of `count` equal shares of the area, so that even few points cover it
    places = (np.arange(count) + random.random(count)) / count * areas.sum()
    face = np.minimum(np.searchsorted(areas.cumsum(), places), len(areas) - 1)
    along, beside = random.random((2, count))
    folded = along + beside > 1  # the other half of the parallelogram
    along[folded], beside[folded] = 1 - along[folded], 1 - beside[folded]
    return corners[face, 0] + along[:, None] * edges[face, 0] + beside[:, None] * edges[face, 1]


def spread_points(field: DistanceField, count: int, seed: int) -> np.ndarray:
    """(count, 3) points evenly spread over a surface.

    Farthest-point sampling of a dense cloud on the surface, then Lloyd's relaxation: each point
    moves to the centre of those of the cloud that are nearest to it, and back onto the surface.
    """
    cloud = sample_mesh(field.mesh(), SAMPLES * count, seed)
    points = cloud[farthest_points(cloud, count)]
    for _ in range(RELAXATIONS):
        owner = KDTree(points).query(cloud)[1]
        weight = np.bincount(owner, minlength=count)
        centres = np.stack([np.bincount(owner, cloud[:, axis], count) for axis in range(3)], axis=1)
        points = np.where(weight[:, None] > 0, centres / np.maximum(weight, 1)[:, None], points)
    return field.project(points)


def nearest_distances(points: np.ndarray) -> np.ndarray:
    """(..., M) distance of each point of a shape (..., M, d) to its nearest other point."""
    points = np.asarray(points, np.float64)
    shapes = points.reshape(-1, *points.shape[-2:])
    found = [KDTree(shape).query(shape, k=2)[0][:, 1] for shape in shapes]
    return np.reshape(found, points.shape[:-1])


def spacing_variation(points: np.ndarray) -> np.ndarray:
    """(...) coefficient of variation of nearest-neighbour distances, 0 if all are the same."""
    distances = nearest_distances(points)
    return distances.std(axis=-1) / distances.mean(axis=-1)
