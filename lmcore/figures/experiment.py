"""The figures of any experiment: how training went, what came out.

Each function reads files and writes `outputs` (the format by suffix). `origin` says in the
small print which population is shown, such as "simulated population".
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lmcore.figures.charts import (
    draw_importance,
    draw_kappa,
    draw_removal_costs,
    draw_training_loss,
    draw_validation_loss,
)
from lmcore.figures.layouts import extent_of, label_of, montage, subject_title
from lmcore.figures.panels import draw_landmarks, show_image
from lmcore.figures.selection import shown_split, spread_over_classes
from lmcore.figures.style import DOUBLE, SINGLE, Path, saved_figure
from lmcore.figures.volumes import draw_volume_landmarks
from lmcore.points.landmarks import Landmarks, read_landmarks
from lmcore.population.splits import read_splits
from lmcore.population.store import Population

IMAGES, VOLUMES = 8, 4  # subjects on a page


def plot_landmarks(
    population: Path,
    subjects: Path,
    landmarks: Path,
    outputs: Iterable[Path],
    origin: str,
    class_column: str | None = None,
) -> None:
    """Landmarks on subjects of the test split, spread over the classes.

    Without a test split the next best is taken: held_out, validation, train; the small
    print names it. Volumes are shown by three slices and, where segmented, by their surface.
    """
    shown, split = shown_split(read_splits(subjects))
    points, said = read_landmarks(landmarks), (f"subjects of the {split} split", origin)
    with Population(population) as store:
        count = VOLUMES if store.dimension == 3 else IMAGES
        names = spread_over_classes(shown, class_column, count)
        labels = [label_of(shown, name, class_column) for name in names]
        if store.dimension == 3:
            draw_volume_landmarks(store, names, points, labels, outputs, said)
            return
    images, (height, width) = read_images(population, names)
    lines = 1 if class_column is None else 2
    with montage(outputs, len(names), height / width, lines, said) as (axes, panel):
        for ax, name, label, image in zip(axes, names, labels, images, strict=True):
            show_landmarks(ax, image, points, name, panel)
            subject_title(ax, name, label, panel)


def plot_training(history: Path, outputs: Iterable[Path], origin: str) -> None:
    """Losses and condition number against the pairs seen, each on its own axis.

    Arguments:
        history: model/history.csv; without rows where the encoder was given, not trained.
    """
    table = pd.read_csv(history)
    if table.empty:
        with saved_figure(outputs, SINGLE, 0.6, origin) as figure:
            figure.text(0.5, 0.6, "no training in this run", ha="center", va="center")
        return
    with saved_figure(outputs, DOUBLE, 2.5, origin) as figure:
        validated = table["validation_loss"].notna().any()
        axes = figure.subplots(1, 3 if validated else 2, sharex=True)
        draw_training_loss(axes[0], table)
        if validated:
            draw_validation_loss(axes[1], table)
        draw_kappa(axes[-1], table)


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
