"""The paper's Fig. 9: a left atrium registered to another, and how good their scans are."""

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes

from lmcore.figures import slices, style
from lmcore.figures.layouts import FOOTER, widths_of
from lmcore.figures.pairs import (
    draw_keys,
    draw_landmarks_in_3d,
    draw_overlaps,
    measures_text,
    overlap_keys,
    read_volume_pairs,
    side_of,
)
from lmcore.figures.panels import draw_outline, grey_limits
from lmcore.figures.slices import PLANES, slice_of
from lmcore.figures.style import DOUBLE, SMALL, TINY, Path, saved_figure

TITLE, LINE = 0.2, 0.16  # inches above a part, and above a row of slices
SURFACE = 2.2  # inches: height of the landmarks in 3D
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the structure's height, or of the volume's


def figure_9(examples: Path, outputs: Iterable[Path], origin: str) -> None:
    """Landmarks on source and target, axial slices of both scans, registered over target (Fig. 9).

    Arguments:
        examples: analysis/examples.h5, whose first pair is shown.
    Raises:
        InputError: if the examples are not volumes.
    """
    pair = read_volume_pairs(examples, "figure 9")[0]
    sides = {side: side_of(pair, side) for side in ("source", "target")}
    shape = pair["source"].shape
    aspect = PLANES[0].size(shape)[0] / PLANES[0].size(shape)[1]
    strip = DOUBLE / len(LEVELS) * aspect
    heights = [SURFACE + TITLE, 2 * (strip + LINE)]
    footer = style.footer_of(slices.convention(bool(pair["oriented"])), origin)
    with saved_figure(outputs, DOUBLE, sum(heights) + FOOTER, footer) as figure:
        top, scans = figure.subfigures(2, 1, height_ratios=heights)
        *surfaces, registered = top.subfigures(1, 3)
        for part, (side, subject) in zip(surfaces, sides.items(), strict=True):
            part.suptitle(f"{side}: {style.shortened(subject['subject'], 30)}", fontsize=SMALL)
            draw_landmarks_in_3d(part.subplots(), subject, SURFACE)
        registered.suptitle(f"registered to the target{measures_text(pair)}", fontsize=SMALL)
        before, after, legend = registered.subfigures(3, 1, height_ratios=(1, 1, 0.9))
        for part, moved in ((before, "source"), (after, "registered")):
            axes = part.subplots(1, 3, width_ratios=widths_of(shape))
            draw_overlaps(axes, pair, moved)
            axes[0].set_ylabel("before" if moved == "source" else "after", fontsize=TINY)
        draw_keys(legend, overlap_keys("registered_segmentation" in pair))
        rows = scans.subplots(2, len(LEVELS))
        for row, (side, subject) in zip(rows, sides.items(), strict=True):
            _draw_axial_slices(row, subject)
            row[0].set_ylabel(side, fontsize=SMALL)


def _draw_axial_slices(axes: Iterable[Axes], subject: Mapping) -> None:
    """Slices from the lower to the upper end of the structure, all in the grey of the volume."""
    image, area, axial = subject["image"], subject["segmentation"], PLANES[0]
    limits = grey_limits(image)
    inside = np.ones(len(image), bool) if area is None else (area >= 0.5).any(axis=(1, 2))
    first, last = np.flatnonzero(inside)[[0, -1]]
    for ax, level in zip(axes, LEVELS, strict=True):
        plane = round(first + level * (last - first))
        slices.show_slice(ax, image, axial, (0, 0, plane), limits)
        if area is not None:
            draw_outline(ax, slice_of(area, axial, (0, 0, plane)))
        slices.write_letters(ax, axial, subject["affine"])
        above = (plane - slices.centre_voxel(image.shape, area)[2]) * subject["spacing"]
        ax.set_title(f"{above:+.0f} mm", fontsize=TINY, pad=2)
