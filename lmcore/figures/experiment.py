"""The figures of any experiment: what went in, how training went, what came out.

Each function reads files and writes `outputs` (the format by suffix). `origin` says in the
small print which population is shown, such as "simulated population".
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import h5py
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lmcore.figures import style
from lmcore.figures.charts import draw_importance, draw_kappa, draw_losses, draw_removal_costs
from lmcore.figures.panels import (
    RING,
    draw_deformation,
    draw_landmarks,
    draw_removed,
    show_difference,
    show_image,
    show_overlay,
)
from lmcore.figures.selection import shown_split, spread_over_classes
from lmcore.figures.style import DOUBLE, PAD, SINGLE, SMALL, TINY, Path, saved_figure, shortened
from lmcore.points.landmarks import Landmarks, read_landmarks
from lmcore.population.splits import read_splits
from lmcore.population.store import Population

LINE, FOOTER = 0.09, 0.14  # inches: a line of a title, and the one under the figure
KEYS = 5.4  # inches for the legend of the registrations and the colour bar beside it


@contextmanager
def montage(
    outputs: Iterable[Path], count: int, aspect: float, lines: int, footer: str
) -> Iterator[tuple[list[Axes], float]]:
    """A saved figure with `count` panels of one aspect, as large as the page allows.

    Arguments:
        lines: of the titles above the panels.
    Yields:
        The axes, and the width of a panel in inches.
    """
    title = LINE * lines + 0.01
    columns, panel = style.columns_that_fit(count, aspect, DOUBLE, 6.5 - FOOTER, title)
    rows, panel = -(-count // columns), min(panel, 2.4)  # one image need not fill the page
    width = max((panel + 2 * PAD) * columns, SINGLE)
    size = (width, rows * (panel * aspect + title + 2 * PAD) + FOOTER)
    with saved_figure(outputs, *size, footer) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        style.hide_axes(axes[count:])
        yield list(axes[:count]), panel


def plot_population(
    population: Path,
    subjects: Path,
    outputs: Iterable[Path],
    origin: str,
    class_column: str | None = None,
    count: int = 24,
) -> None:
    """What preprocessing made of the images: `count` subjects, spread over the classes."""
    table = read_splits(subjects)
    names = spread_over_classes(table, class_column, count)
    images, shape = read_images(population, names)
    footer = style.footer_of(f"{len(names)} of {len(table)} subjects after preprocessing", origin)
    lines = 1 if class_column is None else 2
    with montage(outputs, len(names), shape[0] / shape[1], lines, footer) as (axes, panel):
        for ax, name, image in zip(axes, names, images, strict=True):
            show_image(ax, image)
            subject_title(ax, name, label_of(table, name, class_column), panel)


def plot_landmarks(
    population: Path,
    subjects: Path,
    landmarks: Path,
    outputs: Iterable[Path],
    origin: str,
    class_column: str | None = None,
    count: int = 8,
) -> None:
    """Landmarks on images of the test split, spread over the classes.

    Without a test split the next best is taken: held_out, validation, train; the small
    print names it.
    """
    shown, split = shown_split(read_splits(subjects))
    names = spread_over_classes(shown, class_column, count)
    images, shape = read_images(population, names)
    points = read_landmarks(landmarks)
    footer = style.footer_of(f"subjects of the {split} split", origin)
    lines = 1 if class_column is None else 2
    with montage(outputs, len(names), shape[0] / shape[1], lines, footer) as (axes, panel):
        for ax, name, image in zip(axes, names, images, strict=True):
            show_landmarks(ax, image, points, name, panel)
            subject_title(ax, name, label_of(shown, name, class_column), panel)


def plot_registration(examples: Path, outputs: Iterable[Path], origin: str) -> None:
    """Pairs of images: source, target, registered, overlay, differences, deformation.

    Arguments:
        examples: analysis/examples.h5.
    """
    with h5py.File(examples, "r", locking=False) as file:
        pairs = {name: file[name][:] for name in file}
    count, *shape = pairs["source"].shape
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
        limit = np.percentile(np.abs(pairs["source"] - pairs["target"]), 99.5)
        axes = []
        for pair in range(count):
            row, first = pair // abreast, pair % abreast * (kinds + 1)
            axes.append([figure.add_subplot(grid[row, first + k]) for k in range(kinds)])
            scale = _registration_row(axes[-1], pairs, pair, limit, panel)
        bar = figure.colorbar(
            scale, ax=np.ravel(axes), location="bottom", shrink=0.25, aspect=22, pad=0.02,
            anchor=(1.0, 0.0), extend="max",
        )  # fmt: skip
        bar.set_label("|image - target|, before and after", fontsize=SMALL)
        bar.outline.set_visible(False)
        keys = _registration_keys(pairs["retained"])
        # beside the colour bar, in the room that it makes
        figure.legend(handles=keys, loc="lower left", fontsize=SMALL, ncols=2).set_in_layout(False)


KINDS = ("source", "target", "registered", "overlay", "before", "after", "grid")
SPELT_OUT = {"before": "|source - target|", "after": "|registered - target|"}


def _registration_row(axes: list[Axes], pairs: dict, row: int, limit: float, panel: float):
    """Draw one pair; returns the mappable of the difference for the colour bar."""
    source, target, registered = (pairs[name][row] for name in KINDS[:3])
    shape, kept = source.shape, pairs["retained"].astype(bool)
    for ax, image, name in ((axes[0], source, "source"), (axes[1], target, "target")):
        show_image(ax, image)
        points = pairs[f"{name}_points"][row]
        draw_removed(ax, points[~kept], shape)
        draw_landmarks(ax, points[kept], pairs["numbers"][kept], shape, extent_of(panel, shape))
        subject = pairs[f"{name}_subjects"][row].decode()
        shown = shortened(subject, style.signs_that_fit(panel, TINY))
        ax.set_xlabel(shown, fontsize=TINY, labelpad=2)
    show_image(axes[2], registered)
    show_overlay(axes[3], target, registered)
    scale = show_difference(axes[4], source, target, limit)
    show_difference(axes[5], registered, target, limit)
    show_image(axes[6], source)
    draw_deformation(axes[6], pairs["grid_points"][row])
    room = style.signs_that_fit(panel, TINY)
    short = max(map(len, SPELT_OUT.values())) > room
    for ax, kind in zip(axes, KINDS, strict=True):
        ax.set_title(kind if short else SPELT_OUT.get(kind, kind), fontsize=TINY, pad=2)
    return scale


def _registration_keys(retained: np.ndarray) -> list[Line2D]:
    dot = {"linestyle": "", "marker": "o", "markersize": 3.5, "markeredgewidth": 0.6}
    hollow = dot | {"markerfacecolor": "none", "markeredgecolor": "white", "path_effects": RING}
    square = {"linestyle": "", "marker": "s", "markersize": 4}
    keys = [Line2D([], [], color=style.COLOURS[0], label="landmark, retained", **dot)]
    if not retained.all():
        keys.append(Line2D([], [], label="landmark, removed as redundant", **hollow))
    return [
        *keys,
        Line2D([], [], color=style.COLOURS[4], label="target's grid, laid over the source"),
        Line2D([], [], color="#00c000", label="overlay: target", **square),
        Line2D([], [], color="#e00000", label="overlay: registered source", **square),
    ]


def plot_training(history: Path, outputs: Iterable[Path], origin: str) -> None:
    """Losses and condition number against the pairs seen.

    Arguments:
        history: model/history.csv; without rows where the encoder was given, not trained.
    """
    table = pd.read_csv(history)
    if table.empty:
        with saved_figure(outputs, SINGLE, 0.6, origin) as figure:
            figure.text(0.5, 0.6, "no training in this run", ha="center", va="center")
        return
    with saved_figure(outputs, DOUBLE, 2.5, origin) as figure:
        left, right = figure.subplots(1, 2)
        draw_losses(left, table)
        draw_kappa(right, table)


def plot_importance(importance: Path, retained: int, outputs: Iterable[Path], origin: str) -> None:
    """Registration loss against the landmarks left, and what each removal cost.

    Arguments:
        importance: landmarks/importance.csv, one row for every learned landmark.
        retained: how many landmarks are kept.
    """
    table = pd.read_csv(importance)
    with saved_figure(outputs, DOUBLE, 2.6, origin) as figure:
        left, right = figure.subplots(1, 2)
        draw_importance(left, table, retained)
        draw_removal_costs(right, table, retained)


def read_images(population: Path, names: list[str]) -> tuple[np.ndarray, tuple[int, int]]:
    """(n, C, H, W) images of these subjects, and (H, W)."""
    with Population(population) as store:
        return store.images([store.subjects.index(name) for name in names]), store.shape


def show_landmarks(
    axes: Axes, image: np.ndarray, points: Landmarks, name: str, panel: float
) -> None:
    """A subject's image (C, H, W), in a panel of `panel` inches, and its landmarks on it."""
    shape = image.shape[-2:]
    show_image(axes, image)
    at = points.normalised[points.subjects.index(name)]
    draw_landmarks(axes, at, points.numbers, shape, extent_of(panel, shape))


def label_of(table: pd.DataFrame, name: str, class_column: str | None) -> str:
    """The subject's class, or nothing where there are no classes."""
    return "" if class_column is None else table.set_index("subject").loc[name, class_column]


def subject_title(axes: Axes, name: str, label: str, panel: float) -> None:
    """Class and subject above a panel of `panel` inches."""
    fits = style.signs_that_fit(panel, TINY)
    lines = [shortened(line, fits) for line in (label, name) if line]
    axes.set_title("\n".join(lines), fontsize=TINY, pad=2)


def extent_of(panel: float, shape: tuple[int, int]) -> float:
    """Longer side, in points, of a panel that is `panel` inches wide."""
    return 72 * panel * max(shape) / shape[1]
