"""The figure of registered pairs, from analysis/examples.h5."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lmcore.figures import style
from lmcore.figures.layouts import extent_of
from lmcore.figures.pairs import difference_limit, overlap_keys, read_pairs
from lmcore.figures.panels import (
    draw_deformation,
    draw_landmarks,
    draw_removed,
    show_difference,
    show_image,
    show_overlay,
)
from lmcore.figures.style import DOUBLE, PAD, SMALL, TINY, Path, saved_figure, shortened
from lmcore.figures.volume_registration import draw_volume_registration, landmark_keys

KEYS = 5.4  # inches for the legend of the registrations and the colour bar beside it
KINDS = ("source", "target", "registered", "overlay", "before", "after", "grid")
SPELT_OUT = {"before": "|source - target|", "after": "|registered - target|"}


def plot_registration(examples: Path, outputs: Iterable[Path], origin: str) -> None:
    """Pairs of images: source, target, registered, overlay, differences, deformation.

    Volumes are shown by three slices, with the overlap of segmentations where they exist.

    Arguments:
        examples: analysis/examples.h5.
    """
    pairs = read_pairs(examples)
    if pairs[0]["source"].ndim == 3:
        draw_volume_registration(pairs, outputs, origin)
    else:
        _draw_image_registration(pairs, outputs, origin)


def _draw_image_registration(pairs: list[dict], outputs: Iterable[Path], origin: str) -> None:
    count, shape = len(pairs), pairs[0]["source"].shape
    aspect, gap = shape[0] / shape[1], 0.15
    kinds, below, above = len(KINDS), 0.55, 0.3
    wide = kinds / aspect  # a row of one pair is a panel of this shape
    abreast, row = style.columns_that_fit(count, 1 / wide, DOUBLE, 8.0, above)
    panel = min(row + 2 * PAD, (DOUBLE - gap * (abreast - 1)) / abreast) / kinds - 2 * PAD
    rows = -(-count // abreast)
    width = abreast * kinds * (panel + 2 * PAD) + gap * (abreast - 1)
    size = (max(width, KEYS), rows * (panel * aspect + above) + below)
    with saved_figure(outputs, *size, origin) as figure:
        spacer = gap / (panel + 2 * PAD)
        ratios = ([1.0] * kinds + [spacer]) * abreast
        grid = figure.add_gridspec(rows, len(ratios) - 1, width_ratios=ratios[:-1])
        limit = difference_limit(pairs)
        axes = []
        for place, pair in enumerate(pairs):
            row, first = place // abreast, place % abreast * (kinds + 1)
            axes.append([figure.add_subplot(grid[row, first + k]) for k in range(kinds)])
            scale = _draw_row(axes[-1], pair, limit, panel)
        bar = figure.colorbar(
            scale, ax=np.ravel(axes), location="bottom", shrink=0.25, aspect=22, pad=0.02,
            anchor=(1.0, 0.0), extend="max",
        )  # fmt: skip
        bar.set_label("|image - target|, before and after", fontsize=SMALL)
        bar.outline.set_visible(False)
        grid = Line2D([], [], color=style.COLOURS[4], label="target's grid, laid over the source")
        keys = [*landmark_keys(pairs[0]["retained"]), grid, *overlap_keys(segmented=False)]
        # beside the colour bar, in the room that it makes
        figure.legend(handles=keys, loc="lower left", fontsize=SMALL, ncols=2).set_in_layout(False)


def _draw_row(axes: list[Axes], pair: dict, limit: float, panel: float):
    """Draw one pair; returns the mappable of the difference for the colour bar."""
    source, target, registered = (pair[name] for name in KINDS[:3])
    shape, kept = source.shape, pair["retained"].astype(bool)
    for ax, image, name in ((axes[0], source, "source"), (axes[1], target, "target")):
        show_image(ax, image)
        points = pair[f"{name}_points"]
        draw_removed(ax, points[~kept], shape)
        draw_landmarks(ax, points[kept], pair["numbers"][kept], shape, extent_of(panel, shape))
        subject = pair[f"{name}_subjects"].decode()
        shown = shortened(subject, style.signs_that_fit(panel, TINY))
        ax.set_xlabel(shown, fontsize=TINY, labelpad=2)
    show_image(axes[2], registered)
    show_overlay(axes[3], target, registered)
    scale = show_difference(axes[4], source, target, limit)
    show_difference(axes[5], registered, target, limit)
    show_image(axes[6], source)
    draw_deformation(axes[6], pair["grid_points"])
    room = style.signs_that_fit(panel, TINY)
    short = max(map(len, SPELT_OUT.values())) > room
    for ax, kind in zip(axes, KINDS, strict=True):
        ax.set_title(kind if short else SPELT_OUT.get(kind, kind), fontsize=TINY, pad=2)
    return scale
