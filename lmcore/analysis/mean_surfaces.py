"""The mean shape of a group as a surface, and how far two of them lie apart."""

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from scipy.spatial import KDTree

from lmcore.analysis.shape_modes import AT_A_TIME, Frame
from lmcore.particles.surface import DistanceField
from lmcore.points.procrustes import Rigid

NEIGHBOURS = 12  # of a point, whose plane is tangential
EVEN = 1e-3  # added to weights of edges: sparse graphs take 0 for no edge


class AlignedFrame(Frame):
    """Warps of subjects whose pose is removed, so that the spline need not bend to follow it."""

    def mean_segmentation(
        self, segmentations: Iterable[np.ndarray], aligned: np.ndarray, poses: Rigid
    ) -> np.ndarray:
        """Segmentations warped to the mean of their landmarks, and averaged.

        Beyond its grid a segmentation goes on as at the border.

        Arguments:
            segmentations: N arrays (z, y, x), read one by one.
            aligned: (N, M, 3) landmarks, mm; poses: from the subjects' grids to there.
        Returns:
            (z, y, x) float32 in [0, 1].
        """
        mean = aligned.mean(axis=0)
        sources = np.stack([self.with_corners(shape) for shape in aligned])
        sources = poses.inverse(sources) / self.spacing
        segmentations = [np.asarray(one, np.uint8) for one in segmentations]
        total = np.zeros(int(np.prod(self.shape)), np.float32)
        for begin in range(0, total.size, AT_A_TIME):
            part = slice(begin, min(begin + AT_A_TIME, total.size))
            basis = self._grid_basis(part, mean)
            for segmentation, source in zip(segmentations, sources, strict=True):
                index = (basis @ source).T[::-1]
                total[part] += map_coordinates(
                    segmentation, index, np.float32, order=1, mode="nearest"
                )
        return (total / len(segmentations)).reshape(self.shape)


def level_surface(average: np.ndarray, spacing: float):
    """The surface at 1/2 of a mean segmentation, closed where the grid ends.

    Arguments:
        average: (z, y, x) in [0, 1], above 1/2 somewhere; spacing: mm.
    Returns:
        pyvista.PolyData of triangles, mm from the first voxel, with outward `Normals`.
    """
    outside = np.pad(0.5 - average.astype(np.float64), 1, constant_values=0.5)
    mesh = DistanceField(outside, spacing).mesh()
    mesh.points -= np.float32(spacing)
    return mesh.compute_normals(cell_normals=False, split_vertices=False, auto_orient_normals=True)


def signed_distance(moved, reference) -> np.ndarray:
    """(V,) mm from each vertex of `reference` to the surface `moved`, both as of `level_surface`.

    Negative where `moved` lies outside of the reference, as in Fig. 8, positive where inside.
    """
    found = reference.copy().compute_implicit_distance(moved)
    return np.asarray(found.point_data["implicit_distance"], dtype=np.float64)


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) mm^2, a third of the triangles around each vertex; they sum to the surface."""
    first, second, third = (vertices[faces[:, k]] for k in range(3))
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 2
    return np.bincount(faces.ravel(), np.repeat(areas / 3, 3), minlength=len(vertices))


def places_on_surface(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The triangle (M, 3) of vertices nearest to each point, and weights (M, 3) of its corners.

    The weighted mean of the corners is the nearest place, that of values at the corners the value
    there.

    Arguments:
        points: (M, 3); vertices: (V, 3) and faces: (F, 3) of a surface.
    """
    import pyvista  # takes a second

    mesh = pyvista.PolyData.from_regular_faces(vertices, faces)
    cells, nearest = mesh.find_closest_cell(points, return_closest_point=True)
    corners = faces[cells]
    first, second, third = (vertices[corners[:, k]] for k in range(3))
    along, beside, offset = second - first, third - first, nearest - first
    normal = np.cross(along, beside)
    square = np.einsum("md,md->m", normal, normal)
    weights = np.stack([np.cross(offset, beside), np.cross(along, offset)], axis=1)
    weights = np.einsum("mkd,md->mk", weights, normal) / square[:, None]
    return corners, np.concatenate([1 - weights.sum(axis=1, keepdims=True), weights], axis=1)


def point_normals(points: np.ndarray) -> np.ndarray:
    """(M, 3) outward unit normals of points spread over a closed surface.

    A point's normal is that of the plane through its neighbours; along the minimum spanning tree
    of the angles between neighbours all are turned to the same side (H. Hoppe et al., SIGGRAPH
    1992), which is the outer one at the point farthest from the centre.

    Arguments:
        points: (M, 3).
    """
    points = np.asarray(points, np.float64)
    count = min(NEIGHBOURS, len(points) - 1)
    near = KDTree(points).query(points, k=count + 1)[1]
    patches = points[near] - points[near].mean(axis=1, keepdims=True)
    normals = np.linalg.svd(patches)[2][:, 2]
    away = points - points.mean(axis=0)
    normals *= np.where(np.einsum("md,md->m", normals, away) < 0, -1.0, 1.0)[:, None]
    first, second = np.repeat(np.arange(len(points)), count), near[:, 1:].ravel()
    angles = 1 - np.abs(np.einsum("ed,ed->e", normals[first], normals[second])) + EVEN
    graph = coo_array((angles, (first, second)), shape=(len(points),) * 2).tocsr()
    tree = minimum_spanning_tree(graph.maximum(graph.T))
    root = int(np.square(away).sum(axis=1).argmax())
    order, before = breadth_first_order(tree, root, directed=False)
    for point in order[1:]:
        if normals[point] @ normals[before[point]] < 0:
            normals[point] *= -1
    return normals
