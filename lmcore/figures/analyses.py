"""Figures of single analyses, for any experiment that asks for them."""

import json
from collections.abc import Iterable
from pathlib import Path as FilePath

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lmcore.figures.charts import (
    FEW_CLASSES,
    draw_confusion,
    draw_regularization,
    draw_scatter,
    legend_below,
)
from lmcore.figures.style import DOUBLE, SINGLE, TALLEST, Path, saved_figure


def plot_regularization(
    regularization: Path, choice: Path, outputs: Iterable[Path], origin: str
) -> None:
    """Cross-validated registration loss against lambda.

    Arguments:
        regularization, choice: regularization.csv and regularization.json.
    """
    with saved_figure(outputs, SINGLE, 2.5, origin) as figure:
        draw_regularization(figure.subplots(), *read_regularization(regularization, choice))


def plot_clustering(clustering: Path, outputs: Iterable[Path], origin: str) -> None:
    """Subjects on two principal components by class and by cluster, and the confusion of both.

    Arguments:
        clustering: analysis/clustering.csv.
    """
    table = read_clustering(clustering)
    classes = table["class"].nunique()
    height = 2.7 if classes <= FEW_CLASSES else min(2.4 + 0.04 * classes, TALLEST)
    with saved_figure(outputs, DOUBLE, height, origin) as figure:
        by_class, by_cluster, confusion = figure.subplots(1, 3)
        draw_class_and_cluster(by_class, by_cluster, table)
        for axes in (by_class, by_cluster):
            legend_below(axes)
        counts = pd.crosstab(table["class"], table["cluster"])
        draw_confusion(confusion, counts.to_numpy(), list(counts.index), list(counts.columns))
        confusion.set_xlabel("spectral cluster")
        confusion.set_title("subjects by class and cluster")


def draw_class_and_cluster(by_class: Axes, by_cluster: Axes, table: pd.DataFrame) -> None:
    """Two scatter plots; a cluster has the style of the class whose number it has."""
    names = sorted(table["class"].unique())
    x, y = table["component_1"].to_numpy(), table["component_2"].to_numpy()
    class_of = np.searchsorted(names, table["class"])
    draw_scatter(by_class, x, y, class_of, names)
    by_class.set_title("by class")
    cluster_of = table["cluster"].to_numpy() - 1
    clusters = [f"cluster {position + 1}" for position in range(cluster_of.max() + 1)]
    draw_scatter(by_cluster, x, y, cluster_of, clusters)
    by_cluster.set_title("by spectral cluster")
    by_cluster.set_ylabel("")


def read_clustering(path: Path) -> pd.DataFrame:
    """clustering.csv with subject and class as text."""
    return pd.read_csv(
        path, dtype={"subject": str, "class": str, "split": str}, keep_default_na=False
    )


def read_regularization(regularization: Path, choice: Path) -> tuple[pd.DataFrame, float]:
    """weight, fold, registration_loss; and the weight that was chosen."""
    chosen = json.loads(FilePath(choice).read_text(encoding="utf-8"))
    return pd.read_csv(regularization), float(chosen["weight"])
