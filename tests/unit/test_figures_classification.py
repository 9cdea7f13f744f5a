"""The figure of a classification: test subjects, repeats of two descriptors, calibration."""

import numpy as np
import pandas as pd
import pytest
from drawing import bare_axes, classification_tables

from lmcore.analysis.intervals import proportion_interval
from lmcore.analysis.numbers import number_row, read_numbers, write_numbers
from lmcore.figures.classification import (
    balanced_accuracies,
    draw_calibration,
    draw_repeats,
    plot_classification,
)


def test_classification_figure_counts_test_subjects_and_averages_all(tmp_path, saved):
    # nobody is predicted c, which has its column still; a class may be called NA
    files = classification_tables(tmp_path, ["", "", "NA", "NA", "b$b", "NA"])
    plot_classification(*files, [tmp_path / "out.png"], "mine")
    confusion, means, scores, calibration = saved[0].axes
    counts = np.array([int(text.get_text()) for text in confusion.texts]).reshape(3, 3)
    assert counts.tolist() == [[2, 0, 0], [1, 0, 0], [0, 1, 0]]
    names = ["NA", r"b\$b", "c"]
    assert [label.get_text() for label in confusion.get_yticklabels()] == names
    assert [label.get_text() for label in confusion.get_xticklabels()] == names
    assert confusion.get_title() == "test split, n = 4"
    assert (confusion.get_xlabel(), confusion.get_ylabel()) == ("predicted class", "class")
    bars = sorted((bar for group in means.containers for bar in group), key=lambda bar: bar.get_y())
    assert [bar.get_width() for bar in bars] == pytest.approx([0.5, 0.5, 0])
    assert means.get_title().endswith("n = 6")
    assert means.get_xlim() == (0, 1)
    assert [label.get_text() for label in scores.get_xticklabels()] == ["landmarks"]
    assert scores.get_title() == "repeated cross-validation"
    assert not calibration.axison  # of three classes there is none


def test_classification_figure_without_test_predictions_keeps_the_cross_validation(tmp_path, saved):
    files = classification_tables(tmp_path, [""] * 6)
    plot_classification(*files, [tmp_path / "out.png"], "mine")
    confusion, means, *_ = saved[0].axes
    assert [text.get_text() for text in confusion.texts] == ["no prediction for test subjects"]
    assert len(means.containers) == 3


def answers_of(descriptor, random, repeats=2, n=20):
    """Two classes; yes is true with the probability that is said."""
    said = np.tile(random.random(n), repeats)
    of = {"descriptor": descriptor, "repeat": np.repeat(np.arange(repeats) + 1, n)}
    of |= {"fold": np.arange(repeats * n) % 2 + 1, "subject": [*range(n)] * repeats}
    of |= {"class": np.tile(np.where(random.random(n) < said[:n], "yes", "no"), repeats)}
    return pd.DataFrame(of | {"predicted": np.where(said > 0.5, "yes", "no"), "probability": said})


def test_a_repeat_scores_the_mean_of_its_splits():
    table = pd.DataFrame({
        "descriptor": "truth", "repeat": [1] * 6 + [2] * 4, "fold": [1, 1, 1, 2, 2, 2, 1, 1, 2, 2],
        "class": ["a", "a", "b", "a", "b", "b", "a", "b", "a", "b"],
        "predicted": ["a", "b", "b", "a", "a", "a", "a", "b", "a", "b"],
    })  # fmt: skip
    found = balanced_accuracies(table)
    assert found.columns.tolist() == ["truth"]
    # (1/2 + 1) / 2 and (1 + 0) / 2
    assert found["truth"].tolist() == [(0.75 + 0.5) / 2, 1.0]


def test_repeats_of_landmarks_and_particles_are_joined_and_say_their_difference(tmp_path):
    scores = pd.DataFrame({"landmarks": [0.6, 0.7], "particles": [0.65, 0.6], "truth": [0.7, 0.8]})
    rows = [
        number_row("cv_balanced_accuracy", 0.65, "", 9, (0.55, 0.75)),
        number_row("landmark_balanced_accuracy", 0.65, "", 9, (0.5, 0.8)),
        number_row("particle_balanced_accuracy", 0.625, "", 9, (0.5, 0.75)),
        number_row("best_possible_balanced_accuracy", 0.75, "", 9, (0.7, 0.8)),
        number_row("true_probability_balanced_accuracy", 0.9, "", 9),
        number_row("landmark_minus_particle_balanced_accuracy", 0.025, "", 9, (-0.05, 0.1)),
    ]
    write_numbers(tmp_path / "n.csv", rows)
    axes = bare_axes()
    draw_repeats(axes, scores, read_numbers(tmp_path / "n.csv").set_index("name"), chance=0.5)
    pairs = [line.get_ydata().tolist() for line in axes.lines[:2]]
    assert pairs == [[0.6, 0.65], [0.7, 0.6]]
    bars = [group.get_segments()[0] for group in axes.collections]
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [(0.5, 0.8), (0.5, 0.75), (0.7, 0.8)])
    levels = [line.get_ydata()[0] for line in axes.lines if len(set(line.get_xdata())) == 2
              and len(set(line.get_ydata())) == 1]  # fmt: skip
    assert {0.5, 0.9} <= set(levels)
    assert axes.get_title() == "landmarks - particles: +2.5 points [-5.0, +10.0]"


def test_calibration_counts_every_person_once():
    table = answers_of("landmarks", np.random.default_rng(0), repeats=2, n=20)
    axes = bare_axes()
    draw_calibration(axes, table, "yes")
    (curve,) = [line for line in axes.lines if line.get_marker() == "o"]
    ordered = table.sort_values("probability", kind="stable")
    lowest = ordered.iloc[:8]  # a fifth of 40 answers, on four subjects
    share = (lowest["class"] == "yes").mean()
    assert curve.get_xydata()[0] == pytest.approx([lowest["probability"].mean(), share])
    (bars,) = axes.collections
    ends = bars.get_segments()[0][:, 1]
    assert ends == pytest.approx(proportion_interval(round(4 * share), 4))
    assert axes.get_xlabel() == "predicted probability of yes"
    axes = bare_axes()
    draw_calibration(axes, table, "yes", independent=0.5)  # two scans a person
    ends = axes.collections[0].get_segments()[0][:, 1]
    assert ends == pytest.approx(proportion_interval(round(2 * share), 2))


def test_calibrated_answers_lie_on_the_diagonal():
    random = np.random.default_rng(5)
    axes = bare_axes()
    draw_calibration(axes, answers_of("particles", random, repeats=1, n=20000), "yes")
    (curve,) = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(*curve.get_xydata().T, atol=0.03)
