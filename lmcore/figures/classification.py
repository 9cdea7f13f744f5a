"""How well descriptors tell the classes apart, from analysis/classification.*."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lmcore.analysis.intervals import proportion_interval
from lmcore.analysis.numbers import read_numbers
from lmcore.figures import style
from lmcore.figures.charts import FEW_CLASSES, draw_class_means, draw_confusion
from lmcore.figures.style import COLOURS, DOUBLE, FAINT, INK, SMALL, TALLEST, Path, saved_figure

# Of each descriptor: its name on the page, its colour, the number that has its interval
DESCRIPTORS = {
    "landmarks": ("landmarks", COLOURS[0], ("landmark_balanced_accuracy", "cv_balanced_accuracy")),
    "particles": ("particles, PCA", COLOURS[1], ("particle_balanced_accuracy",)),
    "truth": ("true parameters", COLOURS[2], ("best_possible_balanced_accuracy",)),
}
BINS = 5  # of the calibration, with equally many answers each


def plot_classification(
    classification: Path,
    predictions: Path,
    numbers: Path,
    outputs: Iterable[Path],
    origin: str,
) -> None:
    """Who is taken for what, how often each class is told right, and how sure of it one can be.

    Arguments:
        classification, predictions, numbers: analysis/classification.csv, .predictions.csv and
            .numbers.csv.
    """
    table = read_classification(classification)
    answers = read_predictions(predictions)
    found = read_numbers(numbers).set_index("name")
    names = sorted(table["class"].unique())
    row = 2.6 if len(names) <= FEW_CLASSES else min(2.4 + 0.06 * len(names), TALLEST - 2.6)
    with saved_figure(outputs, DOUBLE, row + 2.5, origin) as figure:
        (left, right), (scores, calibration) = figure.subplots(2, 2, height_ratios=(row, 2.5))
        tested = table[table["predicted"] != ""]
        if len(tested):
            counts = pd.crosstab(tested["class"], tested["predicted"])
            counts = counts.reindex(index=names, columns=names, fill_value=0)
            draw_confusion(left, counts.to_numpy(), names, names)
        else:
            left.text(0.5, 0.5, "no prediction for test subjects", ha="center", va="center")
            left.set_axis_off()
        left.set_title(f"test split, n = {len(tested)}")
        left.set_xlabel("predicted class")
        left.set_ylabel("class")
        draw_class_means(
            right, *(table[name].to_numpy() for name in ("cv_accuracy", "class", "person"))
        )
        right.set_xlim(0, 1)
        right.set_xlabel("share predicted right, mean and 95 % interval")
        right.set_title(f"cross-validated over all subjects, n = {len(table)}")
        draw_repeats(scores, balanced_accuracies(answers), found, chance=1 / len(names))
        if len(names) == 2:
            independent = table["person"].nunique() / len(table)
            draw_calibration(calibration, answers, names[1], independent)
        else:
            calibration.set_axis_off()


def read_classification(path: Path) -> pd.DataFrame:
    """classification.csv with ids and labels as text."""
    return pd.read_csv(
        path,
        dtype=dict.fromkeys(("subject", "person", "class", "split", "predicted"), str),
        keep_default_na=False,
        na_values={"cv_accuracy": [""]},
    )


def read_predictions(path: Path) -> pd.DataFrame:
    """classification.predictions.csv likewise."""
    return pd.read_csv(
        path,
        dtype={"subject": str, "class": str, "predicted": str},
        keep_default_na=False,
        na_values={"probability": [""]},
    )


def balanced_accuracies(answers: pd.DataFrame) -> pd.DataFrame:
    """(repeats, descriptors): the mean of each repeat over its splits."""
    right = answers.assign(right=answers["predicted"] == answers["class"])
    of_class = right.groupby(["descriptor", "repeat", "fold", "class"])["right"].mean()
    of_repeat = of_class.groupby(["descriptor", "repeat", "fold"]).mean()
    of_repeat = of_repeat.groupby(["repeat", "descriptor"]).mean().unstack()
    return of_repeat[[name for name in DESCRIPTORS if name in of_repeat]]


def draw_repeats(axes: Axes, scores: pd.DataFrame, numbers: pd.DataFrame, chance: float) -> None:
    """A dot for every repeat, the same repeat of landmarks and particles joined by a line.

    Arguments:
        scores: as of `balanced_accuracies`; numbers: by name, whose intervals stand beside.
        chance: of whoever does not look.
    """
    places = {name: place for place, name in enumerate(scores)}
    if "particles" in scores:
        pair = scores[["landmarks", "particles"]].to_numpy().T
        axes.plot([places["landmarks"], places["particles"]], pair, color=FAINT, linewidth=0.4)
    for name, place in places.items():
        _, colour, rows = DESCRIPTORS[name]
        axes.plot(np.full(len(scores), place), scores[name], "o", color=colour, markersize=2.5,
                  alpha=0.7, markeredgewidth=0)  # fmt: skip
        row = next(numbers.loc[row] for row in rows if row in numbers.index)
        reach = np.abs([[row["ci_low"]], [row["ci_high"]]] - row["value"])
        axes.errorbar(place + 0.18, row["value"], reach, fmt="o", color=colour, markersize=4,
                      capsize=2, linewidth=1)  # fmt: skip
    axes.axhline(chance, color=INK, linewidth=0.7, linestyle="--")
    axes.text(0, chance, " chance", fontsize=SMALL, ha="left", va="bottom",
              transform=axes.get_yaxis_transform())  # fmt: skip
    if "true_probability_balanced_accuracy" in numbers.index:
        best = numbers.loc["true_probability_balanced_accuracy", "value"]
        axes.axhline(best, color=INK, linewidth=0.7, linestyle=":")
        axes.text(0, best, " true probability", fontsize=SMALL, ha="left", va="bottom",
                  transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xlim(-0.5, len(places) - 0.3)
    axes.set_xticks(list(places.values()), [DESCRIPTORS[name][0] for name in places])
    axes.set_ylabel("balanced accuracy")
    axes.set_title(_difference_text(numbers))


def draw_calibration(
    axes: Axes, answers: pd.DataFrame, event: str, independent: float = 1.0
) -> None:
    """How often the class `event` is true where it was predicted with some probability.

    Bins hold equally many held-out answers, of all repeats; lines are Wilson's 95 % intervals that
    count every person once, however often and for however many scans it was answered.

    Arguments:
        independent: persons, as a share of the subjects.
    """
    repeats = answers["repeat"].nunique()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, linestyle="--")
    for name, (label, colour, _) in DESCRIPTORS.items():
        mine = answers[answers["descriptor"] == name].sort_values("probability", kind="stable")
        if mine.empty:
            continue
        predicted, share, low, high = np.array(
            [
                _calibrated(mine.iloc[part], event, independent / repeats)
                for part in _bins(len(mine))
            ]
        ).T
        reach = np.maximum([share - low, high - share], 0)
        axes.errorbar(predicted, share, reach, color=colour, marker="o", markersize=3, linewidth=1,
                      elinewidth=0.7, label=label)  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel(f"predicted probability of {style.shortened(event, 18)}")
    axes.set_ylabel("share in which it is true")
    axes.set_title("calibration, held-out subjects")
    axes.legend(loc="upper left")


def _bins(count: int) -> list[np.ndarray]:
    return np.array_split(np.arange(count), BINS)


def _calibrated(answers: pd.DataFrame, event: str, independent: float) -> tuple[float, ...]:
    """Mean probability, share of the event, and its interval; a share of answers is independent."""
    share = float((answers["class"] == event).mean())
    n = max(round(len(answers) * independent), 1)
    return answers["probability"].mean(), share, *proportion_interval(round(share * n), n)


def _difference_text(numbers: pd.DataFrame) -> str:
    name = "landmark_minus_particle_balanced_accuracy"
    if name not in numbers.index:
        return "repeated cross-validation"
    row = numbers.loc[name]
    low, high = (f"{100 * row[end]:+.1f}" for end in ("ci_low", "ci_high"))
    return f"landmarks - particles: {100 * row['value']:+.1f} points [{low}, {high}]"
