"""Registered pairs of volumes: three slices each, and how segmentations overlap (Figs. 4, 7, 9)."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from lmcore.analysis.overlap import dice
from lmcore.figures import panels, slices, style
from lmcore.figures.layouts import FOOTER
from lmcore.figures.pairs import SIDES, difference_limit, overlap_keys
from lmcore.figures.panels import RING, draw_outline, grey_limits
from lmcore.figures.slices import PLANES, show_as_hung, slice_of
from lmcore.figures.style import DOUBLE, PAD, SMALL, TALLEST, TINY, Path, saved_figure

ABOVE, BELOW, LEFT = 0.36, 0.72, 0.12  # inches: titles, legend and colour bar, names of planes
IMAGES = {
    "source": "source",
    "target": "target",
    "registered": "registered",
    "before": "|source - target|",
    "after": "|registered - target|",
}
OVERLAPS = {"source": "before", "registered": "after"}  # with the target's segmentation


def draw_volume_registration(
    pairs: Sequence[Mapping], outputs: Iterable[Path], origin: str
) -> None:
    """As many pairs as a page holds, each with three slices through the target's centre.

    Arguments:
        pairs: of analysis/examples.h5, as `read_pairs`; segmentations are optional.
        origin: which population this is, for the small print.
    """
    shape = pairs[0]["source"].shape
    segmented = "registered_segmentation" in pairs[0]
    columns = len(IMAGES) + (len(OVERLAPS) if segmented else 1)
    heights = [plane.size(shape)[0] for plane in PLANES]
    widest = max(plane.size(shape)[1] for plane in PLANES)
    panel = (DOUBLE - LEFT) / columns - 2 * PAD
    room = TALLEST - BELOW - ABOVE - 6 * PAD
    panel = min(panel, room * widest / sum(heights))  # a pair of high volumes fills a page
    pair_height = panel * sum(heights) / widest + 6 * PAD + ABOVE
    count = min(len(pairs), int((TALLEST - BELOW) / pair_height + 1e-9))
    limit = difference_limit(pairs)
    footer = style.footer_of(
        f"{count} of {len(pairs)} pairs" if count < len(pairs) else "",
        slices.convention(bool(pairs[0]["oriented"])),
        origin,
    )
    ratios = [pair_height] * count + [BELOW - FOOTER]
    with saved_figure(outputs, DOUBLE, count * pair_height + BELOW, footer) as figure:
        *parts, foot = figure.subfigures(count + 1, 1, height_ratios=ratios)
        for pair, part in zip(pairs, parts, strict=False):
            axes = part.subplots(len(PLANES), columns, height_ratios=heights)
            scale = draw_volume_pair(axes, pair, limit, panel / widest)
            names = (pair[f"{side}_subjects"].decode() for side in SIDES)
            part.align_ylabels(axes[:, 0])
            part.suptitle(" → ".join(style.shortened(name, 40) for name in names), fontsize=SMALL)
        keys = landmark_keys(pairs[0]["retained"], "landmark near the slice")
        draw_foot(foot, scale, keys + overlap_keys(segmented))


def draw_volume_pair(axes: np.ndarray, pair: Mapping, limit: float, inches: float) -> AxesImage:
    """Source, target, registered, differences and overlap, in a row for each plane.

    Arguments:
        axes: (3, 7) with segmentations, else (3, 6).
        pair: one of `read_pairs`.
        limit: of the difference; inches: of a voxel on paper.
    Returns:
        The mappable of the difference, for a colour bar.
    """
    images = {name: pair[name] for name in ("source", "target", "registered")}
    marks = {name: pair.get(f"{name}_segmentation") for name in images}
    voxel = slices.centre_voxel(images["target"].shape, marks["target"])
    limits = {name: grey_limits(image) for name, image in images.items()}
    limits["registered"] = limits["source"]  # so that it looks as the source does
    for row, plane in zip(axes, PLANES, strict=True):
        for ax, (name, image) in zip(row, images.items(), strict=False):
            slices.show_slice(ax, image, plane, voxel, limits[name])
            if marks[name] is not None:
                draw_outline(ax, slice_of(marks[name], plane, voxel))
        # on one of the row, and off the landmarks
        slices.write_letters(row[2], plane, slices.RAS if pair["oriented"] else None)
        for ax, name in zip(row, ("source", "target"), strict=False):
            _draw_points(ax, pair, name, plane, voxel, inches)
        target = slice_of(images["target"], plane, voxel)
        for ax, name in zip(row[3:], ("source", "registered"), strict=False):
            moved = slice_of(images[name], plane, voxel)
            scale = show_as_hung(ax, panels.show_difference, moved, target, limit=limit)
        if marks["registered"] is None:
            moved = slice_of(images["registered"], plane, voxel)
            show_as_hung(row[5], panels.show_overlay, target, moved, limits=limits["target"])
            continue
        for ax, name in zip(row[5:], OVERLAPS, strict=True):
            cut = (slice_of(marks[mark], plane, voxel) for mark in ("target", name))
            show_as_hung(ax, panels.show_overlap, target, *cut, limits=limits["target"])
    for ax, plane in zip(axes[:, 0], PLANES, strict=True):
        ax.set_ylabel(plane.title(pair["oriented"]), fontsize=TINY, labelpad=2)
    titles = [*IMAGES.values(), *_overlap_titles(marks)]
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, fontsize=TINY, pad=2)
    return scale


def landmark_keys(retained: np.ndarray, what: str = "landmark") -> list[Line2D]:
    """What dots and rings mean, for a legend; retained: (M,) bool."""
    dot = {"linestyle": "", "marker": "o", "markersize": 3.5, "markeredgewidth": 0.6}
    hollow = dot | {"markerfacecolor": "none", "markeredgecolor": "white", "path_effects": RING}
    keys = [Line2D([], [], color=style.COLOURS[0], label=f"{what}, retained", **dot)]
    if not np.asarray(retained, dtype=bool).all():
        keys.append(Line2D([], [], label=f"{what}, removed as redundant", **hollow))
    return keys


def _draw_points(axes: Axes, pair: Mapping, name: str, plane, voxel, inches: float) -> None:
    points, kept = pair[f"{name}_points"], np.asarray(pair["retained"], dtype=bool)
    shape = pair[name].shape
    slices.draw_slice_removed(axes, points[~kept], shape, plane, voxel)
    extent = 72 * inches * max(plane.size(shape))
    numbers = np.asarray(pair["numbers"])[kept]
    slices.draw_slice_landmarks(axes, points[kept], numbers, shape, plane, voxel, extent)


def _overlap_titles(marks: Mapping) -> list[str]:
    if marks["registered"] is None:
        return ["overlay"]
    inside = {name: mark >= 0.5 for name, mark in marks.items()}
    return [
        f"overlap {when}\nDice {dice(inside[name], inside['target']):.3f}"
        for name, when in OVERLAPS.items()
    ]


def draw_foot(foot: FigureBase, scale: AxesImage, keys: list[Line2D]) -> None:
    """Legend and colour bar of the differences, side by side."""
    words, bar = foot.subplots(1, 2, width_ratios=(3, 1))
    words.set_axis_off()
    words.legend(handles=keys, loc="center left", ncols=3, fontsize=SMALL, borderaxespad=0)
    bar.set_box_aspect(0.06)
    bar = foot.colorbar(scale, cax=bar, orientation="horizontal", extend="max")
    bar.outline.set_visible(False)
    bar.set_label("|image - target|", fontsize=SMALL)
