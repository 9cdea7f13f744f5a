"""Panels that show numbers: each draws on the axes that it is given."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

from lmcore.figures.style import ACCENT, COLOURS, FAINT, INK, SMALL, TINY, class_style, shortened

FEW_CLASSES = 10  # as many fit into a legend beside other panels


def draw_curve_with_band(
    axes: Axes, x: np.ndarray, mean: np.ndarray, error: np.ndarray, label: str | None = None
) -> None:
    """A line with dots, and a band of plus and minus `error` around it; all (n,)."""
    axes.fill_between(x, mean - error, mean + error, color=COLOURS[0], alpha=0.22, linewidth=0)
    axes.plot(x, mean, color=COLOURS[0], marker="o", markersize=3, label=label)


def draw_regularization(axes: Axes, table: pd.DataFrame, chosen: float) -> None:
    """Registration loss of the held-out folds against the weight lambda (Fig. 3, top right).

    The band is the standard error over folds. Weights with a fold that has no finite loss, as
    when training broke, are no part of the curve and are marked by a cross on the axis.

    Arguments:
        table: weight, fold, registration_loss.
        chosen: the weight that was taken, ringed.
    """
    table = table.assign(weight=table["weight"].astype(float))
    places = _log_places(np.sort(table["weight"].unique()))
    loss = table.pivot(index="weight", columns="fold", values="registration_loss")
    whole = loss[np.isfinite(loss).all(axis=1)]
    x = np.array([places[weight] for weight in whole.index])
    folds = whole.shape[1]
    mean = whole.mean(axis=1).to_numpy()
    error = whole.std(axis=1, ddof=1).to_numpy() / np.sqrt(folds) if folds > 1 else 0 * mean
    draw_curve_with_band(axes, x, mean, error, label=f"{folds} held-out folds, mean ± s.e.")
    axes.set_xscale("log")
    axes.minorticks_off()
    if chosen in whole.index:
        axes.plot(
            places[chosen], whole.loc[chosen].mean(), "o", markersize=7, markerfacecolor="none",
            markeredgecolor=ACCENT, label=f"chosen, λ = {chosen:.3g}",
        )  # fmt: skip
    broken = [places[weight] for weight in loss.index if weight not in whole.index]
    if broken:
        axes.plot(
            broken, np.full(len(broken), 0.03), "x", color=ACCENT, markersize=4,
            transform=axes.get_xaxis_transform(), label="a fold broke",
        )  # fmt: skip
    if 0.0 in places:
        axes.set_xticks(
            list(places.values()), [f"{weight:.0e}" if weight else "0" for weight in places]
        )
    axes.set_xlabel("regularization weight λ")
    axes.set_ylabel("registration loss")
    axes.margins(y=0.12)
    # above the panel, clear of the band
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)


def draw_training_loss(axes: Axes, table: pd.DataFrame) -> None:
    """The whole objective (Eq. 2) against pairs seen.

    Arguments:
        table: pairs, train_loss.
    """
    _draw_history(axes, table, "train_loss", COLOURS[1])
    axes.set_ylabel("training loss")


def draw_validation_loss(axes: Axes, table: pd.DataFrame) -> None:
    """The match, with that of shapes (Eq. 8), against pairs seen; whose weights are kept is ringed.

    Arguments:
        table: pairs, validation_loss, kept.
    """
    _draw_history(axes, table, "validation_loss", COLOURS[0])
    kept = table[table["kept"] == 1]
    axes.plot(
        kept["pairs"], kept["validation_loss"], "o", markersize=7, markerfacecolor="none",
        markeredgecolor=ACCENT, label="weights kept",
    )  # fmt: skip
    axes.set_ylabel("validation loss")
    # above the panel, clear of the curve
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def draw_kappa(axes: Axes, table: pd.DataFrame) -> None:
    """Condition number (Eq. 7) against pairs seen; crosses where splines or steps broke.

    The axis is logarithmic where the numbers span a decade.

    Arguments:
        table: pairs, kappa, failures.
    """
    _draw_history(axes, table, "kappa", COLOURS[2])
    if table["kappa"].max() >= 10 * table["kappa"].min() > 0:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.5g}"))
    broken = table[table["failures"] > 0]
    if len(broken):
        axes.plot(
            broken["pairs"], np.full(len(broken), 0.04), "x", color=ACCENT, markersize=4,
            transform=axes.get_xaxis_transform(), label="singular spline or step left out",
        )  # fmt: skip
        axes.legend()
    axes.set_ylabel("condition number κ(A)")


def _draw_history(axes: Axes, table: pd.DataFrame, column: str, colour: str) -> None:
    """One column against pairs seen, with a dot a validation where they are few."""
    dots = "o" if len(table) <= 60 else ""
    axes.plot(table["pairs"], table[column], color=colour, marker=dots, markersize=2.2)
    axes.set_xlabel("pairs seen")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def draw_importance(axes: Axes, table: pd.DataFrame, retained: int) -> None:
    """Registration loss against how many landmarks are left, from all of them to none.

    Arguments:
        table: importance.csv, one row for every landmark, the first removed first.
        retained: marked by a line.
    """
    left = np.arange(len(table), -1, -1)
    loss = np.concatenate([table["loss_before"].iloc[:1], table["loss_after"]])
    axes.plot(left, loss, color=COLOURS[0], marker="o", markersize=2.5 if len(left) < 50 else 1.5)
    axes.axvline(retained, color=ACCENT, linewidth=0.8, linestyle="--")
    axes.text(
        retained, 0.98, f" {retained} retained ", color=ACCENT, fontsize=SMALL, va="top",
        ha="right" if retained < 0.75 * len(table) else "left",
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("landmarks left")
    axes.set_ylabel("registration loss")


def draw_removal_costs(axes: Axes, table: pd.DataFrame, retained: int) -> None:
    """What the removal of each landmark changed in the loss, in the order of removal.

    Rings stand for removals after which the loss fell; the axis is logarithmic.

    Arguments:
        table: importance.csv, one row for every landmark.
        retained: the last so many of the order are kept.
    """
    change, place = table["change"].to_numpy(dtype=float), np.arange(len(table))
    kept = place >= len(table) - retained
    smallest = np.abs(change[change != 0]).min() if (change != 0).any() else 1.0
    floor = smallest / 2
    height = np.maximum(np.abs(change), floor)
    for group, colour, label in ((~kept, FAINT, "removed"), (kept, COLOURS[0], "retained")):
        axes.vlines(place[group], floor, height[group], color=colour, linewidth=0.8)
        rise = group & (change > 0)
        axes.plot(place[rise], height[rise], "o", color=colour, markersize=3, label=label)
    fall = change <= 0
    if fall.any():
        axes.plot(
            place[fall], height[fall], "o", markersize=3.5, markerfacecolor="white",
            markeredgecolor=ACCENT, label="loss fell",
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(bottom=floor)
    every = -(-len(table) // 24)
    axes.set_xticks(place[::every], table["landmark"].iloc[::every], fontsize=TINY)
    axes.tick_params(axis="x", length=1.5)
    axes.set_xlabel("landmark, first removed first")
    axes.set_ylabel("|change| of registration loss")
    axes.legend()


def draw_scatter(
    axes: Axes, x: np.ndarray, y: np.ndarray, positions: np.ndarray, names: Sequence[str]
) -> None:
    """Points by class, in colour and marker.

    Arguments:
        positions: (n,) 0-based place of each point's class, which gives its style.
        names: of all classes by place; those without a point are left out of the legend.
    """
    signs = 22 if len(names) <= FEW_CLASSES else 14
    for position in np.unique(positions):
        here = positions == position
        colour, marker = class_style(int(position))
        axes.scatter(
            x[here], y[here], s=9, color=colour, marker=marker, alpha=0.8, linewidths=0.2,
            edgecolors="white", label=shortened(names[int(position)], signs),
        )  # fmt: skip
    axes.set_xlabel("principal component 1")
    axes.set_ylabel("principal component 2")


def legend_below(axes: Axes) -> None:
    """The legend under the panel, clear of the data; smaller print for many classes."""
    count = len(axes.get_legend_handles_labels()[0])
    size, columns = (SMALL, 2) if count <= FEW_CLASSES else (TINY, 3)
    # 27 points clear the tick labels and the axis label, however high the panel is
    below = axes.transAxes + ScaledTranslation(0, -27 / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.1, 0), bbox_transform=below,
        ncols=min(columns, count), fontsize=size,
        handletextpad=0.1, columnspacing=0.8, borderaxespad=0.0, labelspacing=0.3,
    )  # fmt: skip


def draw_confusion(
    axes: Axes, counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]
) -> None:
    """Counts by row and column, coloured by the share of their row.

    Arguments:
        counts: (R, C) whole numbers.
        rows, columns: names; counts are written into the cells of up to 20 rows and columns.
    """
    labels = [[shortened(str(name), 18) for name in names] for names in (columns, rows)]
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    share = pd.DataFrame(share, index=labels[1], columns=labels[0])  # whence "auto" has names
    written = max(counts.shape) <= 20
    sns.heatmap(
        share, ax=axes, vmin=0, vmax=1, cmap="Blues", cbar=False,
        annot=counts if written else False, fmt="d", annot_kws={"fontsize": SMALL},
        xticklabels=written or "auto", yticklabels=written or "auto",
    )  # fmt: skip
    axes.tick_params(length=0, labelsize=SMALL if written else TINY)
    axes.tick_params(axis="x", labelrotation=45 if max(map(len, labels[0])) > 3 else 0)
    axes.tick_params(axis="y", labelrotation=0)


def draw_class_means(
    axes: Axes, values: np.ndarray, classes: np.ndarray, persons: np.ndarray, seed: int = 0
) -> None:
    """Mean of one value a subject for each class, with a bootstrap 95 % interval over persons.

    Arguments:
        values: (n,); classes: (n,) names, whose colours are those of `draw_scatter`.
        persons: (n,) whom each subject's scan is of.
    """
    names = sorted(set(classes))
    colours = [class_style(place)[0] for place in range(len(names))]
    sns.barplot(
        x=values, y=classes, order=names, hue=classes, hue_order=names, palette=colours,
        legend=False, ax=axes, errorbar=("ci", 95), units=persons, seed=seed, width=0.6,
        saturation=1,
        err_kws={"linewidth": 1.0, "color": INK},
    )  # fmt: skip
    size = SMALL if len(names) <= 20 else TINY
    axes.set_yticks(range(len(names)), [shortened(name, 18) for name in names], fontsize=size)
    axes.set_ylabel("")


def _log_places(weights: np.ndarray) -> dict[float, float]:
    """Where to draw each weight on a log axis; 0 one decade below the smallest other one."""
    positive = weights[weights > 0]
    zero = positive[0] / 10 if len(positive) else 1.0
    return {float(weight): float(weight or zero) for weight in weights}
