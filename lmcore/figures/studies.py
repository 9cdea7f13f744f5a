"""The figure of a study: numbers of several runs against what tells the runs apart."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lmcore.figures import style
from lmcore.figures.style import COLOURS, DOUBLE, MARKERS, SINGLE, Path, saved_figure

APART = 0.012  # of the axis, between two lines, so that their intervals do not cover each other
HEIGHT = 2.9  # inches, the legends included


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
            ax.set_ylabel(style.plain(label))


def draw_study_panel(axes: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """A line for each number of each experiment.

    Arguments:
        rows: experiment, x, name, value, ci_low, ci_high; names: of the numbers, in their order.
    """
    places = _places(rows["x"])
    experiments = list(rows["experiment"].unique())
    lines = [(one, name) for one in experiments for name in names]
    reach = max(places.values()) - min(places.values()) or 1.0
    for number, (experiment, name) in enumerate(lines):
        mine = rows[(rows["experiment"] == experiment) & (rows["name"] == name)]
        if mine.empty:
            continue
        at = np.array([places[x] for x in mine["x"]], dtype=float)
        order = np.argsort(at, kind="stable")
        mine, at = mine.iloc[order], at[order]
        at = at + APART * reach * (number - (len(lines) - 1) / 2)
        ends = mine[["ci_low", "ci_high"]].sub(mine["value"], axis=0).abs().fillna(0).to_numpy().T
        # experiments differ in colour, their numbers in marker; numbers of one experiment in both
        kind = names.index(name)
        colour = kind if len(experiments) == 1 else experiments.index(experiment)
        label = name if len(experiments) == 1 else f"{experiment}: {name}"
        look = {"color": COLOURS[colour % len(COLOURS)], "marker": MARKERS[kind % len(MARKERS)]}
        look["linestyle"] = "-" if kind == len(names) - 1 else "--"
        values, size = mine["value"].to_numpy(), {"markersize": 3.5, "linewidth": 1}
        axes.errorbar(at, values, ends, elinewidth=0.7, label=label, **look, **size)
    axes.set_xticks(list(places.values()), [str(x) for x in places])
    axes.margins(x=0.12)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _places(values: pd.Series) -> dict[object, float]:
    """Where each x lies: numbers at themselves, words one after the other."""
    unique = list(dict.fromkeys(values))
    if pd.api.types.is_numeric_dtype(values):
        return {value: float(value) for value in sorted(unique)}
    return {value: float(place) for place, value in enumerate(unique)}
