"""The paper's figures as compositions of the panels."""

from collections.abc import Iterable

from lmcore.analysis.numbers import read_numbers
from lmcore.figures import style
from lmcore.figures.analyses import (
    draw_class_and_cluster,
    read_clustering,
    read_regularization,
)
from lmcore.figures.charts import FEW_CLASSES, draw_regularization, legend_below
from lmcore.figures.experiment import read_images, show_landmarks
from lmcore.figures.layouts import label_of, subject_title
from lmcore.figures.selection import shown_split, spread_over_classes
from lmcore.figures.style import DOUBLE, Path, saved_figure
from lmcore.points.landmarks import read_landmarks
from lmcore.population.splits import read_splits


def figure_2(
    population: Path,
    subjects: Path,
    unregularized: Path,
    regularized: Path,
    retained: Path,
    outputs: Iterable[Path],
    origin: str,
    class_column: str | None = None,
) -> None:
    """Effect of redundancy removal and of regularisation, on one test image (Fig. 2).

    Arguments:
        unregularized: landmarks/all.csv of the variant with lambda = 0.
        regularized, retained: landmarks/all.csv and retained.csv of the regular run.
    """
    shown, split = shown_split(read_splits(subjects))
    name = spread_over_classes(shown, class_column, 1)[0]
    images, shape = read_images(population, [name])
    aspect = shape[0] / shape[1]
    upright = aspect > 1.2  # then the two of a column stand side by side
    panel = min((DOUBLE - 0.3) / 4, 3.6 / aspect) if upright else min(2.8, 2.6 / aspect)
    size = (4 * panel + 0.5, panel * aspect + 0.65)
    if not upright:
        size = (max(2 * panel + 0.3, style.SINGLE), 2 * (panel * aspect + 0.22) + 0.55)
    label = label_of(shown, name, class_column)
    who = [style.shortened(text, 30) for text in (label, name)]
    footer = style.footer_of(" ".join(who).strip(), f"{split} split", origin)
    groups = {
        "Effect of redundancy removal": {"before": regularized, "after": retained},
        "Effect of regularization": {"λ = 0": unregularized, "regularized": regularized},
    }
    with saved_figure(outputs, *size, footer) as figure:
        for part, (title, tables) in zip(figure.subfigures(1, 2), groups.items(), strict=True):
            part.suptitle(title)
            axes = part.subplots(*((1, 2) if upright else (2, 1)))
            for ax, (what, table) in zip(axes, tables.items(), strict=True):
                points = read_landmarks(table)
                show_landmarks(ax, images[0], points, name, panel)
                ax.set_title(f"{what}\n{len(points.numbers)} landmarks", fontsize=style.SMALL)


def figure_3(
    population: Path,
    subjects: Path,
    landmarks: Path,
    class_column: str,
    regularization: Path,
    choice: Path,
    clustering: Path,
    clustering_numbers: Path,
    outputs: Iterable[Path],
    origin: str,
) -> None:
    """Landmarks on a test image of each class; loss against lambda; classes and clusters (Fig. 3).

    Arguments:
        landmarks: landmarks/retained.csv.
        class_column: of subjects.csv; the first four classes are shown on images.
        regularization, choice: regularization.csv and .json.
        clustering, clustering_numbers: analysis/clustering.csv and clustering.numbers.csv.
    """
    shown, split = shown_split(read_splits(subjects))
    names = [
        spread_over_classes(shown[shown[class_column] == label], None, 1)[0]
        for label in sorted(set(shown[class_column]) - {""})[:4]
    ]
    images, shape = read_images(population, names)
    aspect, title = shape[0] / shape[1], 0.2
    columns, panel = style.columns_that_fit(len(names), aspect, 3.6, 5.1, title)
    rows = -(-len(names) // columns)
    wide = max(columns * (panel + 2 * style.PAD), 1.5)
    high = max(rows * (panel * aspect + title + 2 * style.PAD), 3.9)  # the images fill it
    footer = style.footer_of(f"images: {split} split", origin)
    with saved_figure(outputs, DOUBLE, high + 0.15, footer) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(wide, DOUBLE - wide))
        axes = left.subplots(rows, columns, squeeze=False).ravel()
        style.hide_axes(axes[len(names) :])
        points = read_landmarks(landmarks)
        for ax, name, image in zip(axes, names, images, strict=False):
            show_landmarks(ax, image, points, name, panel)
            subject_title(ax, name, label_of(shown, name, class_column), panel)
        top, bottom = right.subfigures(2, 1, height_ratios=(0.8, 1))
        draw_regularization(top.subplots(), *read_regularization(regularization, choice))
        numbers = read_numbers(clustering_numbers).set_index("name")
        axes = bottom.subplots(1, 2, sharex=True, sharey=True)
        table = read_clustering(clustering)
        draw_class_and_cluster(*axes, table)
        if table["class"].nunique() <= FEW_CLASSES:  # the figure of the clustering has them all
            for ax in axes:
                legend_below(ax)
        share = numbers.loc["component_1_variance_share", "value"]
        for ax in axes:
            ax.set_xlabel(f"component 1 ({share:.0%})")
        share = numbers.loc["component_2_variance_share", "value"]
        axes[0].set_ylabel(f"component 2 ({share:.0%})")
        rand = numbers.loc["adjusted_rand_index"]
        axes[1].set_title(
            f"by spectral cluster\nARI {rand['value']:.2f} "
            f"[{rand['ci_low']:.2f}, {rand['ci_high']:.2f}]"
        )
        axes[0].set_title(style.plain(f"by {class_column}\n"))
