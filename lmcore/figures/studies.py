"""The figure of a study: numbers of several runs against what tells the runs apart."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lmcore.figures import style
from lmcore.figures.style import COLOURS, DOUBLE, MARKERS, SINGLE, Path, saved_figure

APART = 0.018  # of the axis, between two marks, so that their intervals do not cover each other
HEIGHT = 2.9  # inches, the legends included
LABEL_WIDTH = 40  # characters of a vertical axis


def plot_study(
    table: Path,
    question: str,
    x: str,
    panels: Mapping[str, Sequence[str]],
    outputs: Iterable[Path],
    origin: str,
) -> None:
    """A panel for each group of numbers, with the 95 % intervals that the numbers have.

    Arguments:
        table: as `tabulate_study` writes it.
        question: the title; x: what the runs differ in.
        panels: label of the vertical axis -> the numbers in it.
    """
    rows = pd.read_csv(table, dtype={"name": str, "run": str, "experiment": str})
    width = min(DOUBLE, SINGLE * len(panels))
    with saved_figure(outputs, width, HEIGHT, origin) as figure:
        figure.suptitle(question)
        for ax, (label, names) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
        ):
            draw_study_panel(ax, rows[rows["name"].isin(names)], names)
            ax.set_xlabel(x)
            ax.set_ylabel(textwrap.fill(style.plain(label), LABEL_WIDTH))


def draw_study_panel(axes: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """A mark for each number of each run; along numbers a line through the means at each x.

    Arguments:
        rows: experiment, x, name, value, ci_low, ci_high; names: of the numbers, in their order.
    """
    places = _places(rows["x"])
    experiments = list(rows["experiment"].unique())
    series = [(one, name) for one in experiments for name in names]
    reach = max(places.values()) - min(places.values()) or 1.0
    for number, (experiment, name) in enumerate(series):
        mine = rows[(rows["experiment"] == experiment) & (rows["name"] == name)]
        if mine.empty:
            continue
        at = mine["x"].map(places).to_numpy(dtype=float)
        order = np.argsort(at, kind="stable")
        mine, at = mine.iloc[order], at[order]
        aside = number - (len(series) - 1) / 2
        moved = at + APART * reach * (aside + len(series) * _repeats(at))
        ends = mine[["ci_low", "ci_high"]].sub(mine["value"], axis=0).abs().fillna(0).to_numpy().T
        # experiments differ in colour, their numbers in marker; numbers of one experiment in both
        kind = names.index(name)
        hue = kind if len(experiments) == 1 else experiments.index(experiment)
        colour, marker = COLOURS[hue % len(COLOURS)], MARKERS[kind % len(MARKERS)]
        label = (name if len(experiments) == 1 else f"{experiment}: {name}").replace("_", " ")
        look = {"color": colour, "marker": marker, "markersize": 3.5, "linestyle": "none"}
        axes.errorbar(moved, mine["value"].to_numpy(), ends, elinewidth=0.7, label=label, **look)
        if pd.api.types.is_numeric_dtype(rows["x"]):
            means = mine["value"].groupby(at + APART * reach * aside).mean()
            dashes = "-" if kind == len(names) - 1 else "--"
            axes.plot(means.index, means, dashes, color=colour, linewidth=1, zorder=1)
    axes.set_xticks(list(places.values()), [str(x) for x in places])
    axes.margins(x=0.12)
    if len(series) > 1:  # one number is named by its axis
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _repeats(at: np.ndarray) -> np.ndarray:
    """(n,) how far each of several values at one place stands from their middle: -1, 0, 1."""
    places, count = np.unique(at, return_counts=True)
    first = np.searchsorted(at, places)
    return np.arange(len(at)) - np.repeat(first + (count - 1) / 2, count)


def _places(values: pd.Series) -> dict[object, float]:
    """Where each x lies: numbers at themselves, words one after the other."""
    unique = list(dict.fromkeys(values))
    if pd.api.types.is_numeric_dtype(values):
        return {value: float(value) for value in sorted(unique)}
    return {value: float(place) for place, value in enumerate(unique)}
