"""Panels that show surfaces of segmentations in 3D."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from lmcore.figures.panels import write_numbers
from lmcore.figures.rendering import Surface, View, render, view_from
from lmcore.figures.slices import RAS, direction_letters
from lmcore.figures.style import DPI, INK, TINY, landmark_colour

BONE = "#cfc6b8"
# from the object towards the viewer, in x (right), y (anterior), z (superior)
OBLIQUE = (-0.55, 0.75, 0.37)
ANTERIOR, POSTERIOR, SUPERIOR = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)
LEFT, RIGHT = (-1.0, 0.0, 0.0), (1.0, 0.0, 0.0)
RADIUS = 0.022  # of a landmark's sphere, in widths of the panel
POINT_RADIUS = 0.018  # of a point without a surface
ROOM = 0.18  # around the little axes, in widths of the panel
SMOOTHING = {"n_iter": 30, "pass_band": 0.08}  # rids voxel steps, keeps the volume (Taubin 1995)


def surface_of(segmentation: np.ndarray, spacing: float, level: float = 0.5) -> Surface:
    """The surface of a segmentation (z, y, x) at `level`, by marching cubes, smoothed.

    Arguments:
        spacing: mm a voxel.
    Returns:
        The surface, closed also where the grid ends; vertices are index times spacing. Without
        triangles where nothing reaches `level`.
    """
    import pyvista  # takes a second, and few figures need it

    padded = np.pad(np.asarray(segmentation, dtype=np.float32), 1)
    grid = pyvista.ImageData(
        dimensions=padded.shape[::-1], spacing=(spacing,) * 3, origin=(-spacing,) * 3
    )
    grid.point_data["inside"] = padded.ravel()  # x fastest, in both
    if padded.max() < level:
        return Surface(np.zeros((0, 3)), np.zeros((0, 3), dtype=int))
    mesh = grid.contour([level], scalars="inside").smooth_taubin(**SMOOTHING)
    return Surface(np.array(mesh.points, dtype=float), np.array(mesh.regular_faces))


def show_surface(
    axes: Axes,
    surface: Surface,
    inches: float,
    points: np.ndarray | None = None,
    numbers: Sequence[int] = (),
    direction: Sequence[float] = OBLIQUE,
    colours: np.ndarray | str = BONE,
    affine: np.ndarray | None = RAS,
) -> View:
    """A surface seen from `direction`, with landmarks as spheres in their colours.

    Spheres behind or inside the surface are faint and have no number.

    Arguments:
        inches: width of the panel.
        points: (M, 3) mm on the surface's coordinates; numbers: (M,).
        colours: of the surface, one or (V, 3) RGB.
        affine: for the letters of the little axes, as of `direction_letters`.
    """
    points = np.zeros((0, 3)) if points is None else np.asarray(points, dtype=float)
    view = view_from(
        direction, np.concatenate([surface.vertices, points]), max(int(inches * DPI), 2)
    )
    radius = RADIUS * view.pixels / view.scale
    shades = [landmark_colour(number) for number in numbers]
    picture, visible = render(view, surface, colours, points, shades, radius)
    axes.imshow(picture)
    axes.set_axis_off()
    shown = np.asarray(numbers)[visible].tolist()
    places = view.project(points)[:, :2]
    write_numbers(axes, places[visible], shown, picture.shape[:2], 72 * inches)
    drawn = np.concatenate([places, view.project(surface.vertices)[:, :2]])
    draw_directions(axes, view, affine, drawn)
    return view


def render_spheres(view: View, points: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The picture of points (M, 3) that have no surface, each in its colour (M, 3)."""
    empty = Surface(np.zeros((0, 3)), np.zeros((0, 3), dtype=int))
    radius = POINT_RADIUS * view.pixels / view.scale
    picture, _ = render(view, empty, "white", points, [tuple(c) for c in colours], radius)
    return picture


def draw_directions(
    axes: Axes, view: View, affine: np.ndarray | None = RAS, avoid: np.ndarray | None = None
) -> None:
    """Little axes in a corner, lettered by where they run in the patient's body.

    Arguments:
        avoid: (n, 2) pixels of what is drawn; the lower left corner, unless it is taken.
    """
    length = 0.085 * view.pixels
    at = _free_corner(avoid, view.pixels)
    for letter, towards in zip(direction_letters(affine), view.rotation.T, strict=True):
        step = length * towards[:2] * (1, -1)
        if np.hypot(*step) < 0.15 * length:  # it points at the viewer
            continue
        axes.plot(*np.stack([at, at + step], axis=1), color=INK, linewidth=0.7)
        text = axes.text(
            *(at + 1.45 * step), letter, fontsize=TINY, ha="center", va="center", color=INK
        )
        text.set_path_effects([withStroke(linewidth=1.0, foreground="white")])


def _free_corner(drawn: np.ndarray | None, pixels: int) -> np.ndarray:
    """(x, y) of the little axes' origin, in the first of the corners with room, or the emptiest."""
    corners = np.array([(0.12, 0.88), (0.88, 0.88), (0.12, 0.12), (0.88, 0.12)]) * pixels
    if drawn is None or not len(drawn):
        return corners[0]
    room = np.linalg.norm(corners[:, None] - drawn, axis=-1).min(axis=1)
    enough = np.flatnonzero(room > ROOM * pixels)
    return corners[enough[0] if len(enough) else room.argmax()]
