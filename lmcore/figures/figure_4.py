"""The paper's Fig. 4: one case registered to a case and to a control."""

from collections.abc import Iterable, Mapping

from matplotlib.figure import FigureBase
from matplotlib.lines import Line2D

from lmcore.figures import slices, style
from lmcore.figures.layouts import FOOTER, highest_of, label_of, widths_of
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
from lmcore.figures.style import DOUBLE, SMALL, Path, saved_figure
from lmcore.population.splits import read_splits

TITLE = 0.26  # inches above the landmarks and above the overlaps


def figure_4(
    examples: Path, subjects: Path, class_column: str, outputs: Iterable[Path], origin: str
) -> None:
    """Landmarks in 3D and on mid slices of source and targets; registered over target (Fig. 4).

    Arguments:
        examples: HDF5 of two pairs with the same source, as `register_groups` writes it.
        subjects: subjects.csv; class_column: its column with the groups.
    Raises:
        InputError: if the examples are not volumes.
    """
    pairs = read_volume_pairs(examples, "figure 4")
    table = read_splits(subjects)
    shape = pairs[0]["source"].shape
    column = DOUBLE / 3
    strip = (column - 0.25) * highest_of(shape) / sum(widths_of(shape))
    top, bottom = TITLE + 0.85 * column + strip, 2 * TITLE + strip
    footer = style.footer_of(slices.convention(bool(pairs[0]["oriented"])), origin)
    with saved_figure(outputs, DOUBLE, top + bottom + FOOTER, footer) as figure:
        upper, lower = figure.subfigures(2, 1, height_ratios=(top, bottom))
        shown = [side_of(pairs[0], "source"), *(side_of(pair, "target") for pair in pairs)]
        titles = ("source", "target A", "target B")
        for part, subject, title in zip(upper.subfigures(1, 3), shown, titles, strict=True):
            group = style.shortened(label_of(table, subject["subject"], class_column), 14)
            label = f"{title}: {group}\n{style.shortened(subject['subject'], 34)}"
            part.suptitle(label, fontsize=SMALL)
            _draw_landmarks(part, subject, column, strip)
        legend, *overlaps = lower.subfigures(1, 3)
        dot = {"linestyle": "", "marker": "o", "color": style.COLOURS[0]}
        near = Line2D([], [], markersize=3.5, label="landmark near the slice", **dot)
        far = Line2D([], [], markersize=1.6, label="landmark elsewhere, projected", **dot)
        draw_keys(legend, [near, far, *overlap_keys("registered_segmentation" in pairs[0])])
        for pair, part, letter in zip(pairs, overlaps, "AB", strict=True):
            part.suptitle(f"registered to {letter}{measures_text(pair)}", fontsize=SMALL)
            draw_overlaps(part.subplots(1, 3, width_ratios=widths_of(shape)), pair)


def _draw_landmarks(part: FigureBase, subject: Mapping, column: float, strip: float) -> None:
    """The surface with landmarks above, three slices below."""
    image, area = subject["image"], subject["segmentation"]
    above, below = part.subfigures(2, 1, height_ratios=(0.85 * column, strip))
    draw_landmarks_in_3d(above.subplots(), subject, 0.85 * column)
    voxel = slices.centre_voxel(image.shape, area)
    limits = grey_limits(image)
    row = below.subplots(1, 3, width_ratios=widths_of(image.shape))
    for ax, plane in zip(row, PLANES, strict=True):
        slices.show_slice(ax, image, plane, voxel, limits)
        if area is not None:
            draw_outline(ax, slice_of(area, plane, voxel))
        slices.draw_slice_landmarks(
            ax, subject["points"], subject["numbers"], image.shape, plane, voxel,
            extent=72 * column / 3, distant=True,
        )  # fmt: skip
        slices.write_letters(ax, plane, subject["affine"])
