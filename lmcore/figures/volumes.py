"""A subject's volume in slices and in 3D, and the figure of landmarks on volumes."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D

from lmcore.figures import slices, style
from lmcore.figures.layouts import highest_of, outline_keys, volume_montage, widths_of
from lmcore.figures.panels import MASK, SEGMENTATION, draw_outline, grey_limits
from lmcore.figures.style import FAINT, TINY, Path
from lmcore.figures.surfaces import show_surface, surface_of
from lmcore.points.geometry import normalised_to_index
from lmcore.points.landmarks import Landmarks
from lmcore.population.store import Population


class SubjectVolume:
    """A subject's volume, segmentation and affine, read once, to draw slices of.

    Attributes:
        image: (z, y, x).
        segmentation: (z, y, x), or None.
        mask: (z, y, x) of the population, or None.
        affine: (4, 4) to RAS mm of the original scan, or None where its orientation is unknown.
        mirrored: whether it was reflected.
        voxel: (x, y, z) through which the slices run: the segmentation's centre of mass,
            without one the grid's middle.
    """

    def __init__(self, store: Population, row: int):
        self.subject = store.subjects[row]
        self.image = store.images([row])[0].mean(axis=0)
        self.segmentation = store.segmentations([row])[0] if store.segmented[row] else None
        self.mask = store.mask
        self.affine = store.affines[row] if store.oriented else None
        self.mirrored = slices.is_mirrored(store.affines[row])
        self.voxel = slices.centre_voxel(self.image.shape, self.segmentation)

    def draw_slices(self, axes: Sequence[Axes]) -> None:
        """The three slices with all outlines, on three axes."""
        limits = grey_limits(self.image)
        for ax, plane in zip(axes, slices.PLANES, strict=True):
            slices.show_slice(ax, self.image, plane, self.voxel, limits)
            for area, colour, line in (
                (self.segmentation, SEGMENTATION, "-"),
                (self.mask, MASK, "--"),
            ):
                if area is not None:
                    draw_outline(ax, slices.slice_of(area, plane, self.voxel), colour, line)
            slices.write_letters(ax, plane, self.affine)

    def title(self, label: str, width: float) -> str:
        """Label, subject and whether it is mirrored, in one line of `width` inches."""
        mirrored = "mirrored" if self.mirrored else ""
        parts = [part for part in (label, self.subject, mirrored) if part]
        room = style.signs_that_fit(width, TINY) // len(parts)
        return " · ".join(style.shortened(part, room) for part in parts)

    def draw_landmarks(
        self, axes: Sequence[Axes], points: np.ndarray, numbers: Sequence[int], inches: float
    ) -> None:
        """Landmarks on the three slices: large and numbered near them, else small.

        Arguments:
            points: (M, 3) normalised; inches: what 100 voxels measure on paper.
        """
        for ax, plane in zip(axes, slices.PLANES, strict=True):
            extent = 0.72 * inches * max(plane.size(self.image.shape))
            slices.draw_slice_landmarks(
                ax, points, numbers, self.image.shape, plane, self.voxel, extent, distant=True
            )

    def draw_surface(
        self,
        axes: Axes,
        points: np.ndarray,
        numbers: Sequence[int],
        spacing: float,
        inches: float,
    ) -> None:
        """The segmentation in 3D with landmarks as spheres, in a panel of `inches`."""
        if self.segmentation is None:
            axes.set_axis_off()
            axes.text(
                0.5, 0.5, "no segmentation", ha="center", va="center", fontsize=TINY, color=FAINT,
                transform=axes.transAxes,
            )  # fmt: skip
            return
        surface = surface_of(self.segmentation, spacing)
        places = normalised_to_index(points, self.image.shape) * spacing
        show_surface(axes, surface, inches, places, numbers, affine=self.affine)


def draw_volume_landmarks(
    store: Population,
    names: Sequence[str],
    points: Landmarks,
    above: Sequence[str],
    outputs: Iterable[Path],
    said: Sequence[str],
) -> None:
    """Landmarks on three slices of each subject, and on its surface where it is segmented.

    Arguments:
        names: of the subjects; above: their labels.
        said: parts of the small print.
    """
    rows = [store.subjects.index(name) for name in names]
    segmented = bool(store.segmented[rows].any())
    high, widths = highest_of(store.shape), widths_of(store.shape)
    keys = [*landmark_keys(store), *outline_keys(segmented, store.mask is not None)]
    more = high if segmented else 0
    said = (*said, slices.convention(store.oriented))
    with volume_montage(outputs, len(rows), store.shape, more, said, keys) as (parts, width):
        scale = 100 * width / (sum(widths) + more)
        for part, row, label in zip(parts, rows, above, strict=True):
            volume = SubjectVolume(store, row)
            axes = _subplots(part, widths, more)
            volume.draw_slices(axes[:3])
            at = points.normalised[points.subjects.index(volume.subject)]
            volume.draw_landmarks(axes[:3], at, points.numbers, scale)
            if segmented:
                inches = scale * high / 100
                volume.draw_surface(axes[3], at, points.numbers, store.spacing, inches)
            part.suptitle(volume.title(label, width), fontsize=TINY)


def landmark_keys(store: Population) -> list[Line2D]:
    """What the two sizes of dots mean, for the legend."""
    reach = slices.near_voxels(store.shape) * store.spacing
    dot = {"linestyle": "", "marker": "o", "color": style.COLOURS[0]}
    return [
        Line2D(
            [], [], markersize=3.5, markeredgecolor="white", markeredgewidth=0.5,
            label=f"landmark within {reach:.2g} mm of the slice", **dot,
        ),
        Line2D([], [], markersize=1.6, markeredgewidth=0, label="elsewhere, projected", **dot),
    ]  # fmt: skip


def _subplots(part: FigureBase, widths: list[int], more: int) -> np.ndarray:
    ratios = [*widths, more] if more else widths
    return part.subplots(1, len(ratios), width_ratios=ratios)
