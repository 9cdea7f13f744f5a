"""Modes of variation: the mean shape, and what two standard deviations along a mode make of it."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

import numpy as np
from scipy.ndimage import map_coordinates

from lmcore.analysis.mesh_files import write_mesh
from lmcore.analysis.point_sets import PointSet
from lmcore.analysis.shape_statistics import ShapeModel, principal_modes
from lmcore.analysis.shape_surfaces import spline_basis
from lmcore.files import whole_hdf5
from lmcore.particles.surface import DistanceField
from lmcore.particles.table import grid_centre
from lmcore.points.geometry import index_to_normalised
from lmcore.points.procrustes import align, generalised_procrustes
from lmcore.population.store import Population

Path = str | os.PathLike
SHOWN = 3
DEVIATIONS = 2.0
AT_A_TIME = 32_768  # points of the grid whose spline is evaluated together


def write_modes(
    population: Population | None, sets: Sequence[PointSet], kernel: str, path: Path, meshes: Path
) -> None:
    """Modes of the landmarks and of the particles, for the figure and for other programs.

    Landmarks: segmentations of the training subjects (images, where not all have one) are warped
    to the mean landmarks and averaged; the surface of that mean at 1/2, or the mean image, is
    warped to the landmarks of each mode. Particles: the surface of the typical training subject
    is carried to the mean particles and to those of each mode. Given landmarks, without a
    population, are shown as they are: vertices without faces.

    Arguments:
        sets: the point sets.
        kernel: of the registration's spline, for landmarks.
        path: HDF5. A group for each set with `numbers` (M), `share` (K) of the variance, `mean`
            (M, d) and `points` (K, 2, M, d), minus and plus, in mm (2D: pixels) on the grid; and
            either `vertices` (V, 3), `faces` (F, 3), `moved` (K, 2, V, 3) in mm, or `image`
            (*spatial) and `warped` (K, 2, *spatial). Its attribute `oriented` says whether the
            axes are anatomical.
        meshes: folder of the surfaces as .vtp, RAS mm about the grid's centre (given landmarks:
            as given), with the `displacement` from the mean; empty in 2D and without
            segmentations.
    """
    meshes = FilePath(meshes)
    meshes.mkdir(parents=True, exist_ok=True)
    centre = np.zeros(3)
    if population is not None and population.dimension == 3:
        centre = grid_centre(population.shape, population.spacing)
    with whole_hdf5(path) as file:
        file.attrs["oriented"] = population is not None and population.oriented
        for points in sets:
            content = _modes_of(population, points, kernel)
            for name, values in content.items():
                file.create_dataset(f"{points.name}/{name}", data=values, track_times=False)
            file[points.name].attrs["engine"] = points.engine
            if "moved" in content:
                _write_meshes(meshes, points, content, centre)


def _modes_of(
    population: Population | None, points: PointSet, kernel: str
) -> dict[str, np.ndarray]:
    shapes = points.shapes[points.training]
    mean, aligned = generalised_procrustes(shapes)
    every = principal_modes(aligned)
    model = ShapeModel(mean, every.modes[:SHOWN], every.variances[:SHOWN])
    moved = np.stack(list(_along(model)))
    content = {
        "numbers": np.array(points.numbers),
        "share": model.variances / max(every.variances.sum(), np.finfo(float).tiny),
        "mean": mean,
        "points": moved,
    }
    if population is None:
        return content | {"vertices": mean, "faces": np.zeros((0, 3), int), "moved": moved}
    rows = points.rows[points.training]
    surfaces = population.dimension == 3 and population.segmented[rows].all()
    if points.name == "particles":
        vertices, faces, basis = _typical_surface(population, rows, shapes, aligned, mean)
        return content | {"vertices": basis @ mean, "faces": faces, "moved": basis @ moved}
    frame = Frame(population, kernel)
    read = population.segmentations if surfaces else population.images
    images = read(rows).reshape(len(rows), -1, *population.shape)[:, 0]
    average = frame.average(images, shapes, mean)
    if not surfaces:
        warped = [[frame.average([average], [mean], one) for one in pair] for pair in moved]
        return content | {"image": average, "warped": np.array(warped, np.float32)}
    mesh = DistanceField(0.5 - average, population.spacing).mesh()
    vertices = np.asarray(mesh.points, dtype=np.float64)
    basis = frame.basis(vertices, mean)
    moved = np.stack([[basis @ frame.with_corners(one) for one in pair] for pair in moved])
    return content | {"vertices": vertices, "faces": mesh.regular_faces, "moved": moved}


def _along(model: ShapeModel) -> Iterator[np.ndarray]:
    """(2, M, d) minus and plus two standard deviations, for each mode."""
    for mode, variance in zip(model.modes, model.variances, strict=True):
        step = DEVIATIONS * np.sqrt(variance) * mode
        yield np.stack([model.mean - step, model.mean + step])


class Frame:
    """Warps on a population's grid by splines through landmarks and the grid's corners.

    Points are mm (2D: pixels) from the first voxel; splines are built in [-1, 1], as in training.
    """

    def __init__(self, population: Population, kernel: str):
        self.population, self.kernel = population, kernel
        self.shape, self.spacing = population.shape, population.spacing
        last = (np.array(self.shape[::-1]) - 1) * self.spacing
        self.corners = np.array(list(itertools.product(*([0.0, end] for end in last))))

    def with_corners(self, points: np.ndarray) -> np.ndarray:
        """(M + 2^d, d)."""
        return np.concatenate([points, self.corners])

    def basis(self, places: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(P, M + 2^d) of the spline from `target` (M, d), at places (P, d)."""
        places, control = (
            index_to_normalised(points / self.spacing, self.shape)
            for points in (places, self.with_corners(target))
        )
        return spline_basis(places, control, self.kernel)

    def average(
        self, images: Sequence[np.ndarray], sources: Sequence[np.ndarray], target: np.ndarray
    ) -> np.ndarray:
        """(*spatial) mean of images with landmarks `sources`, warped to landmarks `target`.

        Arguments:
            images: (N) arrays (*spatial); sources: (N) arrays (M, d).
        """
        total = np.zeros(int(np.prod(self.shape)))
        for begin in range(0, total.size, AT_A_TIME):
            part = slice(begin, min(begin + AT_A_TIME, total.size))
            basis = self._grid_basis(part, target)
            for image, source in zip(images, sources, strict=True):
                index = basis @ self.with_corners(source) / self.spacing
                image = np.asarray(image, np.float32)
                total[part] += map_coordinates(image, index.T[::-1], order=1, mode="nearest")
        return (total / len(images)).reshape(self.shape).astype(np.float32)

    def _grid_basis(self, part: slice, target: np.ndarray) -> np.ndarray:
        index = np.unravel_index(np.arange(part.start, part.stop), self.shape)
        return self.basis(np.stack(index[::-1], axis=-1) * self.spacing, target)


def _typical_surface(population, rows, shapes, aligned, mean):
    """Vertices and faces of the typical training surface, and the basis that carries them."""
    typical = np.square(aligned - mean).sum(axis=(1, 2)).argmin()
    (distances,) = population.distance_transforms([rows[typical]])
    mesh = DistanceField(distances, population.spacing).mesh()
    vertices = align(shapes[typical], mean)(np.asarray(mesh.points, dtype=np.float64))
    return vertices, mesh.regular_faces, spline_basis(vertices, aligned[typical], "thin_plate")


def _write_meshes(folder: FilePath, points: PointSet, content: dict, centre: np.ndarray) -> None:
    label = f"{points.name}_{points.engine}" if points.engine else points.name
    mean, faces = content["vertices"], content["faces"]
    _write_mesh(folder / f"{label}_mean.vtp", mean - centre, faces, np.zeros_like(mean))
    for mode, pair in enumerate(content["moved"], start=1):
        for sign, moved in zip(("minus", "plus"), pair, strict=True):
            name = f"{label}_mode_{mode}_{sign}_{DEVIATIONS:g}sd.vtp"
            _write_mesh(folder / name, moved - centre, faces, moved - mean)


def _write_mesh(
    path: FilePath, vertices: np.ndarray, faces: np.ndarray, displacement: np.ndarray
) -> None:
    import pyvista  # takes a second

    vertices = vertices.astype(np.float32)
    if len(faces):
        mesh = pyvista.PolyData.from_regular_faces(vertices, faces)
    else:
        mesh = pyvista.PolyData(vertices)
    mesh.point_data["displacement"] = displacement.astype(np.float32)
    write_mesh(path, mesh)
