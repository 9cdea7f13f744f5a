"""How panels are put on a page: grids of images, and grids of volumes by three slices each."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase, SubFigure
from matplotlib.lines import Line2D

from lmcore.figures import style
from lmcore.figures.panels import MASK, SEGMENTATION
from lmcore.figures.slices import PLANES
from lmcore.figures.style import DOUBLE, PAD, SINGLE, TALLEST, TINY, Path, saved_figure

LINE, FOOTER = 0.09, 0.14  # inches: a line of a title, and the one under the figure
LEGEND = 0.16  # inches
BETWEEN = 0.06  # inches between volumes, besides the space around every panel


def outline_keys(segmentation: bool, mask: bool) -> list[Line2D]:
    """The legend's entries for those outlines that are drawn."""
    keys = []
    if segmentation:
        keys.append(Line2D([], [], color=SEGMENTATION, linewidth=1, label="segmentation"))
    if mask:
        keys.append(Line2D([], [], color=MASK, linewidth=1, linestyle="--", label="mask"))
    return keys


def draw_legend(figure: FigureBase, keys: Sequence[Line2D]) -> None:
    """A legend in one line at the lower left, if there is anything to explain."""
    if keys:
        legend = figure.legend(
            handles=list(keys), loc="lower left", fontsize=TINY, ncols=len(keys), borderpad=0.2,
            borderaxespad=0.1, columnspacing=1.2,
        )  # fmt: skip
        legend.set_in_layout(False)


@contextmanager
def montage(
    outputs: Iterable[Path],
    count: int,
    aspect: float,
    lines: int,
    said: Sequence[str],
    keys: Sequence[Line2D] = (),
) -> Iterator[tuple[list[Axes], float]]:
    """A saved figure with `count` panels of one aspect, as large as the page allows.

    Arguments:
        lines: of the titles above the panels.
        said: parts of the small print; keys: of the legend beside it.
    Yields:
        The axes, and the width of a panel in inches.
    """
    title = LINE * lines + 0.01
    columns, panel = style.columns_that_fit(count, aspect, DOUBLE, 6.5 - FOOTER, title)
    rows, panel = -(-count // columns), min(panel, 2.4)  # one image need not fill the page
    width = max((panel + 2 * PAD) * columns, SINGLE if not keys else 1.5 * SINGLE)
    size = (width, rows * (panel * aspect + title + 2 * PAD) + FOOTER)
    with saved_figure(outputs, *size, style.footer_of(*said)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        style.hide_axes(axes[count:])
        yield list(axes[:count]), panel
        draw_legend(figure, keys)


@contextmanager
def volume_montage(
    outputs: Iterable[Path],
    count: int,
    shape: Sequence[int],
    more: float,
    said: Sequence[str],
    keys: Sequence[Line2D] = (),
) -> Iterator[tuple[list[SubFigure], float]]:
    """A saved figure as wide as a page with `count` parts for three slices side by side.

    Arguments:
        shape: (z, y, x) of the volumes.
        more: width of what stands beside the slices, in voxels.
    Yields:
        The parts, and the width of one in inches.
    """
    aspect = highest_of(shape) / (sum(widths_of(shape)) + more)
    title, frame = LINE + 0.06, 2 * PAD + BETWEEN
    columns, _ = style.columns_that_fit(
        count, aspect, DOUBLE, TALLEST - 0.8 - FOOTER, title + BETWEEN
    )
    rows, width = -(-count // columns), DOUBLE / columns
    height = (width - 8 * PAD - BETWEEN) * aspect + title + frame
    below = LEGEND if keys else 0.0
    height = rows * min(height, (TALLEST - FOOTER - below) / rows)
    with saved_figure(outputs, DOUBLE, height + below + FOOTER, style.footer_of(*said)) as figure:
        body = figure
        if keys:
            body, foot = figure.subfigures(2, 1, height_ratios=(height, below))
            draw_legend(foot, keys)
        yield list(np.ravel(body.subfigures(rows, columns, squeeze=False))[:count]), width


def widths_of(shape: Sequence[int]) -> list[int]:
    """Voxels from left to right in the axial, coronal and sagittal slice."""
    return [plane.size(shape)[1] for plane in PLANES]


def highest_of(shape: Sequence[int]) -> int:
    """Voxels from top to bottom in the highest of the three slices."""
    return max(plane.size(shape)[0] for plane in PLANES)


def subject_title(axes: Axes, name: str, label: str, panel: float) -> None:
    """Class and subject above a panel of `panel` inches."""
    fits = style.signs_that_fit(panel, TINY)
    lines = [style.shortened(line, fits) for line in (label, name) if line]
    axes.set_title("\n".join(lines), fontsize=TINY, pad=2)


def label_of(table: pd.DataFrame, name: str, class_column: str | None) -> str:
    """The subject's class, or nothing where there are no classes."""
    return "" if class_column is None else table.set_index("subject").loc[name, class_column]


def extent_of(panel: float, shape: tuple[int, int]) -> float:
    """Longer side, in points, of a panel that is `panel` inches wide."""
    return 72 * panel * max(shape) / shape[1]
