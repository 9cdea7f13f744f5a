"""What the tests of figures share: axes to draw on, their pixels, tables to draw."""

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lmcore.analysis.numbers import number_row, write_numbers


def bare_axes(width=2.0, height=1.0):
    """Axes that fill a figure, 100 pixels an inch."""
    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    return figure.add_axes((0, 0, 1, 1))


def pixels(axes):
    axes.figure.canvas.draw()
    return np.asarray(axes.figure.canvas.buffer_rgba())[..., :3] / 255.0


def shown_points(axes):
    return axes.collections[0].get_offsets().data


def on_pixels(points, shape):
    return (points + 1) / 2 * (np.array(shape[::-1]) - 1)


def importance_table():
    after = [0.9, 1.2, 2.0, 5.0]
    before = [1.0, *after[:-1]]
    change = np.subtract(after, before)
    return pd.DataFrame(
        {"step": [1, 2, 3, 4], "landmark": [3, 1, 4, 2], "loss_before": before,
         "loss_after": after, "change": change}
    )  # fmt: skip


def classification_tables(folder, predicted):
    """classification.csv, .predictions.csv and .numbers.csv of three classes, as said of all."""
    path, answers, numbers = (
        folder / f"classification.{end}" for end in ("csv", "predictions.csv", "numbers.csv")
    )
    classes = ["NA", "b$b", "NA", "b$b", "c", "NA"]
    splits = ["train"] * 2 + ["test"] * 4
    table = {
        "subject": range(6),
        "person": range(6),
        "split": splits,
        "class": classes,
        "predicted": predicted,
    }
    pd.DataFrame(table | {"cv_accuracy": [1, 0.25, 0.5, 0.75, 0, 0]}).to_csv(path, index=False)
    said = {"descriptor": "landmarks", "repeat": 1, "fold": 1, "subject": range(6)}
    said |= {"class": classes, "predicted": "NA", "probability": np.nan}
    pd.DataFrame(said).to_csv(answers, index=False)
    write_numbers(numbers, [number_row("cv_balanced_accuracy", 1 / 3, "share", 6, (0.2, 0.5))])
    return path, answers, numbers


def analysis_files(folder, names):
    pd.DataFrame(
        {"subject": names, "split": "train", "class": ["b$b", "a"] * 6, "cluster": [2, 1] * 6,
         "component_1": range(12), "component_2": 3.0}
    ).to_csv(folder / "clustering.csv", index=False)  # fmt: skip
    rows = [number_row("adjusted_rand_index", 0.5, "index", 12, (0.25, 0.75)),
            number_row("component_1_variance_share", 0.4, "share"),
            number_row("component_2_variance_share", 0.2, "share")]  # fmt: skip
    write_numbers(folder / "clustering.numbers.csv", rows)
    table = pd.DataFrame({"weight": [1e-5, 1e-5, 1e-3, 1e-3], "fold": [0, 1, 0, 1]})
    table.assign(registration_loss=[2, 4, 1, 2]).to_csv(folder / "weights.csv", index=False)
    (folder / "choice.json").write_text('{"weight": 0.001, "at_grid_end": true}')
