"""Panels that show slices of volumes.

Slices are drawn as radiologists hang them: the patient's right at the left of axial and coronal
slices, anterior at the left of sagittal ones. Volumes are (z, y, x) on a grid whose axes run to
the right, anterior and superior (RAS) or, in a mirrored subject, to the left. Where nobody knows
how the axes lie in the body they are called x, y and z, and drawn the same way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from lmcore.figures import panels
from lmcore.figures.style import INK, TINY, landmark_colour
from lmcore.points.geometry import normalised_to_index

NEAR = 0.03  # of the longest side: landmarks so near a slice are drawn as lying on it
RAS = np.eye(4)
AXES = "xyz"


@dataclass(frozen=True)
class Plane:
    """A slicing plane by the axes of points (0, 1, 2 for x, y, z): along, up, and through it."""

    name: str
    across: int
    up: int
    through: int

    def title(self, oriented: bool = True) -> str:
        """Its name in the body or, where directions are unknown, by its axes."""
        return self.name if oriented else f"{AXES[self.across]}-{AXES[self.up]}"

    def size(self, shape: Sequence[int]) -> tuple[int, int]:
        """(rows, columns) of a slice of a volume of `shape` (z, y, x)."""
        return shape[2 - self.up], shape[2 - self.across]


PLANES = (Plane("axial", 0, 1, 2), Plane("coronal", 0, 2, 1), Plane("sagittal", 1, 2, 0))


def convention(oriented: bool) -> str:
    """Which slices stand side by side, and how they hang, for the small print."""
    shown = ", ".join(plane.title(oriented) for plane in PLANES) + " slices"
    return f"{shown} in radiological convention" if oriented else f"{shown}, orientation unknown"


def slice_of(volume: np.ndarray, plane: Plane, voxel: Sequence[int]) -> np.ndarray:
    """(rows, columns) of the slice of a volume (z, y, x) through the voxel (x, y, z)."""
    return np.take(volume, voxel[plane.through], axis=2 - plane.through)


def centre_voxel(shape: Sequence[int], segmentation: np.ndarray | None = None) -> tuple[int, ...]:
    """(x, y, z) of the voxel nearest the segmentation's centre of mass, or the grid's middle."""
    if segmentation is None or not (segmentation >= 0.5).any():
        return tuple(size // 2 for size in shape[::-1])
    centre = np.argwhere(segmentation >= 0.5).mean(axis=0)
    return tuple(int(round(value)) for value in centre[::-1])


def near_voxels(shape: Sequence[int]) -> float:
    """How far from a slice, in voxels, a landmark is drawn as lying on it."""
    return NEAR * max(shape)


def show_slice(
    axes: Axes,
    volume: np.ndarray,
    plane: Plane,
    voxel: Sequence[int],
    limits: tuple[float, float],
) -> None:
    """A slice in grey between `limits`, on axes in voxels that run as radiologists hang them."""
    show_as_hung(axes, panels.show_image, slice_of(volume, plane, voxel), limits=limits)


def show_as_hung(axes: Axes, show: Callable, *slices: np.ndarray, **settings: object):
    """A panel that shows slices by a function of `panels`, as radiologists hang them."""
    shown = show(axes, *slices, **settings)
    axes.invert_xaxis()  # high indices, right or anterior, to the left
    axes.invert_yaxis()  # and to the top
    return shown


def write_letters(axes: Axes, plane: Plane, affine: np.ndarray | None = RAS) -> None:
    """The directions of the patient's body at the left and at the top edge of a slice.

    Arguments:
        affine: as of `direction_letters`.
    """
    letters = direction_letters(affine)
    for axis, x, y, across, up in (
        (plane.across, 0.02, 0.5, "left", "center"),
        (plane.up, 0.5, 0.98, "center", "top"),
    ):
        text = axes.text(
            x, y, letters[axis], transform=axes.transAxes, ha=across, va=up, fontsize=TINY,
            color="white", zorder=5,
        )  # fmt: skip
        text.set_path_effects([withStroke(linewidth=1.0, foreground=INK)])


def direction_letters(affine: np.ndarray | None) -> str:
    """Of R, L, A, P, S, I those towards which x, y and z of the index run, mostly.

    Arguments:
        affine: (4, 4) from the volume's index to RAS mm of the original scan; None where
            directions in the body are unknown, whose letters are x, y and z.
    """
    if affine is None:
        return AXES
    columns = np.asarray(affine, dtype=float)[:3, :3].T
    strongest = np.abs(columns).argmax(axis=1)
    pairs = ("RL", "AP", "SI")
    return "".join(
        pairs[axis][int(column[axis] < 0)] for axis, column in zip(strongest, columns, strict=True)
    )


def is_mirrored(affine: np.ndarray) -> bool:
    """Whether a subject was reflected, so that its right lies where others have their left."""
    return bool(np.linalg.det(np.asarray(affine, dtype=float)[:3, :3]) < 0)


def landmarks_near(
    points: np.ndarray, shape: Sequence[int], plane: Plane, voxel: Sequence[int]
) -> np.ndarray:
    """(M,) which of the normalised points (M, 3) lie near this slice."""
    index = normalised_to_index(np.asarray(points, dtype=float), shape)
    return np.abs(index[:, plane.through] - voxel[plane.through]) <= near_voxels(shape)


def draw_slice_landmarks(
    axes: Axes,
    points: np.ndarray,
    numbers: Sequence[int],
    shape: Sequence[int],
    plane: Plane,
    voxel: Sequence[int],
    extent: float,
    distant: bool = False,
) -> None:
    """Numbered dots for the landmarks near a slice, a landmark's colour the same everywhere.

    Arguments:
        points: (M, 3) normalised (x, y, z); numbers: (M,).
        shape: (z, y, x) of the volume.
        extent: about how long the longer side of the panel is on paper, in points.
        distant: whether small dots show the other landmarks, projected onto the slice.
    """
    near, flat = landmarks_near(points, shape, plane, voxel), points[:, [plane.across, plane.up]]
    size, numbers = plane.size(shape), np.asarray(numbers)
    if distant:
        index = normalised_to_index(flat[~near], size)
        colours = [landmark_colour(number) for number in numbers[~near]]
        axes.scatter(*index.T, s=2.5, c=colours, linewidths=0, zorder=2.5, clip_on=False)
    panels.draw_landmarks(axes, flat[near], numbers[near].tolist(), size, extent)


def draw_slice_removed(
    axes: Axes, points: np.ndarray, shape: Sequence[int], plane: Plane, voxel: Sequence[int]
) -> None:
    """Small rings for those landmarks near a slice that redundancy removal dropped."""
    near = landmarks_near(points, shape, plane, voxel)
    panels.draw_removed(axes, points[near][:, [plane.across, plane.up]], plane.size(shape))
