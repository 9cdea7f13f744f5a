"""Pictures of triangle meshes and spheres, computed here and not by OpenGL.

VTK ends the process with a segmentation fault where it finds no OpenGL library, as on many
compute nodes and in slim containers, and its pictures vary with the driver. A z-buffer in numpy
needs neither driver nor display and gives the same bytes everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb

LIGHT = np.array([-0.35, 0.45, 0.82])  # on the screen: right, up, towards the viewer
SAMPLES = 2  # per pixel and axis, averaged: smooth edges
THROUGH = 0.3  # how much of a sphere shows where the surface covers it


@dataclass(frozen=True)
class Surface:
    """A triangle mesh.

    Attributes:
        vertices: (V, 3) x, y, z in mm.
        faces: (F, 3) positions in `vertices`.
    """

    vertices: np.ndarray
    faces: np.ndarray

    def normals(self) -> np.ndarray:
        """(V, 3) unit normals, the mean of the faces around a vertex weighted by their area."""
        first, second, third = (self.vertices[self.faces[:, k]] for k in range(3))
        of_faces = np.cross(second - first, third - first)
        normals = np.zeros_like(self.vertices, dtype=float)
        for k in range(3):
            np.add.at(normals, self.faces[:, k], of_faces)
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class View:
    """An orthographic camera.

    Attributes:
        rotation: (3, 3) rows to the right, up and towards the viewer, in x, y, z.
        centre: (3,) mm, in the middle of the picture.
        scale: pixels a mm.
        pixels: width and height of the picture.
    """

    rotation: np.ndarray
    centre: np.ndarray
    scale: float
    pixels: int

    def project(self, points: np.ndarray) -> np.ndarray:
        """(M, 3) column, row (centres of pixels at whole numbers) and depth, large is near."""
        seen = (np.asarray(points, dtype=float) - self.centre) @ self.rotation.T * self.scale
        middle = (self.pixels - 1) / 2
        return np.stack([middle + seen[:, 0], middle - seen[:, 1], seen[:, 2]], axis=1)


def view_from(
    direction: Sequence[float], points: np.ndarray, pixels: int, fill: float = 0.9
) -> View:
    """A view in which the points (n, 3) fill `fill` of the picture's width or height.

    Arguments:
        direction: from the object to the viewer, in x, y, z; superior is up, or anterior where
            one looks along the body.
    """
    towards = np.asarray(direction, dtype=float) / np.linalg.norm(direction)
    above = (0.0, 0.0, 1.0) if abs(towards[2]) < 0.95 else (0.0, 1.0, 0.0)
    right = np.cross(above, towards)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(towards, right), towards])
    seen = np.asarray(points, dtype=float) @ rotation.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    centre = (low + high) / 2 @ rotation  # the rotation's inverse is its transpose
    extent = max(float((high - low)[:2].max()), 1e-9)
    return View(rotation, centre, fill * pixels / extent, pixels)


def render(
    view: View,
    surface: Surface,
    colours: np.ndarray | str,
    centres: np.ndarray | None = None,
    sphere_colours: Sequence[str] = (),
    radius: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """A picture of a surface on white, and of spheres that show faintly where it covers them.

    Arguments:
        colours: of the surface, one or (V, 3) RGB in [0, 1].
        centres: (M, 3) mm of the spheres; radius: mm.
    Returns:
        (P, P, 3) RGB in [0, 1], and (M,) which spheres' nearest points lie before the surface.
    """
    fine = View(view.rotation, view.centre, view.scale * SAMPLES, view.pixels * SAMPLES)
    picture = np.ones((fine.pixels, fine.pixels, 3))
    depth = np.full((fine.pixels, fine.pixels), -np.inf)
    _draw_surface(picture, depth, fine, surface, colours)
    centres = np.zeros((0, 3)) if centres is None else np.asarray(centres, dtype=float)
    visible = _draw_spheres(picture, depth, fine, centres, sphere_colours, radius)
    blocks = picture.reshape(view.pixels, SAMPLES, view.pixels, SAMPLES, 3)
    return blocks.mean(axis=(1, 3)), visible


def _draw_surface(
    picture: np.ndarray, depth: np.ndarray, view: View, surface: Surface, colours: np.ndarray | str
) -> None:
    """Fill the pixels that the surface covers by its nearest point, and its depth."""
    if not len(surface.faces):
        return
    corners = view.project(surface.vertices)[surface.faces]
    face, weights = _samples(corners)
    points = np.einsum("nk,nkd->nd", weights, corners[face])
    column, row = np.round(points[:, :2]).astype(int).T
    inside = (column >= 0) & (column < view.pixels) & (row >= 0) & (row < view.pixels)
    # assignment keeps the last of several values for a pixel, here the nearest
    order = np.flatnonzero(inside)[np.argsort(points[inside, 2], kind="stable")]
    nearest = np.full(depth.size, -1)
    nearest[row[order] * view.pixels + column[order]] = order
    covered = np.flatnonzero(nearest >= 0)
    chosen = nearest[covered]
    depth.flat[covered] = points[chosen, 2]
    vertices, weights = surface.faces[face[chosen]], weights[chosen]
    normals = np.einsum("nk,nkd->nd", weights, surface.normals()[vertices]) @ view.rotation.T
    base = np.asarray(to_rgb(colours) if isinstance(colours, str) else colours, dtype=float)
    if base.ndim == 2:
        base = np.einsum("nk,nkd->nd", weights, base[vertices])
    picture.reshape(-1, 3)[covered] = _shaded(base, normals)


def _samples(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points on triangles, 0.8 pixels apart at most, so that no pixel between them stays empty.

    Arguments:
        corners: (F, 3, 3) columns, rows and depths.
    Returns:
        (n,) face and (n, 3) weights of its corners.
    """
    edges = np.linalg.norm(np.diff(corners[:, [0, 1, 2, 0], :2], axis=1), axis=-1).max(axis=1)
    steps = np.ceil(np.maximum(edges * 1.25, 1)).astype(int)
    faces, weights = [], []
    for count in np.unique(steps):
        here = np.flatnonzero(steps == count)
        first, second = np.meshgrid(np.arange(count + 1), np.arange(count + 1))
        pair = np.stack([first, second], axis=-1)[first + second <= count] / count
        grid = np.column_stack([pair, 1 - pair.sum(axis=1)])
        faces.append(np.repeat(here, len(grid)))
        weights.append(np.tile(grid, (len(here), 1)))
    return np.concatenate(faces), np.concatenate(weights)


def _draw_spheres(
    picture: np.ndarray,
    depth: np.ndarray,
    view: View,
    centres: np.ndarray,
    colours: Sequence[str],
    radius: float,
) -> np.ndarray:
    """Spheres, the far ones first; returns which come before the surface."""
    seen, reach = view.project(centres), radius * view.scale
    visible = np.zeros(len(centres), dtype=bool)
    rows, columns = np.mgrid[: view.pixels, : view.pixels]
    for number in np.argsort(seen[:, 2], kind="stable"):
        column, row, middle = seen[number]
        window = tuple(
            slice(max(int(place - reach), 0), max(int(place + reach) + 2, 0))
            for place in (row, column)
        )
        right, down = columns[window] - column, rows[window] - row
        squared = 1 - (right**2 + down**2) / reach**2
        disc = squared > 0
        bulge = np.sqrt(squared[disc])
        normals = np.stack([right[disc] / reach, -down[disc] / reach, bulge], axis=1)
        colour = _shaded(np.array(to_rgb(colours[number])), normals)
        before = middle + reach * bulge >= depth[window][disc]
        share = np.where(before, 1.0, THROUGH)[:, None]
        picture[window][disc] = share * colour + (1 - share) * picture[window][disc]
        visible[number] = disc.any() and before.mean() > 0.25
    return visible


def _shaded(colours: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(n, 3) colours under the light, for normals (n, 3) on the screen."""
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals = np.where(normals[:, 2:] < 0, -normals, normals)  # what is seen faces the viewer
    light = LIGHT / np.linalg.norm(LIGHT)
    lit = np.clip(normals @ light, 0, 1)[:, None]
    half = light + (0, 0, 1)
    gloss = np.clip(normals @ (half / np.linalg.norm(half)), 0, 1)[:, None] ** 24
    return np.clip(colours * (0.38 + 0.62 * lit) + 0.12 * gloss, 0, 1)
