"""Classification by a multi-layer perceptron on landmarks, beside particles (Sec. 4.1 and 4.4)."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from lmcore.analysis.correlation import resampling_units
from lmcore.analysis.descriptors import Descriptors, read_descriptors
from lmcore.analysis.folds import persons_of_class
from lmcore.analysis.held_out import MEASURES, HeldOut, cross_validate
from lmcore.analysis.intervals import (
    Interval,
    bootstrap_interval,
    corrected_interval,
    proportion_interval,
)
from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.analysis.perceptron import Perceptron
from lmcore.analysis.truth import read_truth
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.particles.table import read_aligned
from lmcore.population.table import name_some
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

Path = str | os.PathLike
COMPONENTS = 20  # of the particles' PCA, the paper's number
UNITS = {"accuracy": "share", "balanced_accuracy": "share", "auc": ""}


def classify_subjects(
    landmarks: Path,
    subjects: Path,
    class_column: str,
    output: Path,
    numbers: Path,
    predictions: Path,
    seed: int,
    person_column: str | None = None,
    particles: Path | None = None,
    truth: Path | None = None,
    truth_columns: Sequence[str] | None = None,
    truth_probability: str | None = None,
    hidden_layers: Sequence[int] = (32,),
    iterations: int | Sequence[int] = 300,
    folds: int = 5,
    repeats: int = 10,
) -> None:
    """Tell the classes apart by the landmarks: on the test split, and by cross-validation.

    A person's scans are held out together, and count once in the intervals.

    Numbers written:
        test_accuracy: fitted on train and validation, scored on test, subjects that the
            encoder never saw; Wilson interval, for as many as there are persons. Left out when
            no labelled subject is in test, or too few of two classes are in train and validation.
        cv_accuracy: repeated stratified cross-validation over all subjects. Transductive: the
            encoder saw the images of the training split, without labels. The interval is a
            bootstrap over persons of each scan's share of repeats with the right answer.
        cv_balanced_accuracy: the same, averaged over classes first; resampled within classes.
        cv_auc: area under the ROC curve, mean over all splits; interval as below.
        majority_accuracy: what always answering with the largest class would score.
        best_possible_accuracy, best_possible_balanced_accuracy and best_possible_auc: with truth,
            the same classifier on the same folds, from the parameters that generated the images.
        true_probability_accuracy and so on: of the probability by which the truth drew the class;
            in the long run nobody can do better.
        landmark_accuracy, particle_accuracy, and so on for MEASURES: with particles, of the
            same classifier on the same splits of the subjects that have particles; mean over
            all splits, with the interval of Nadeau and Bengio, see `corrected_interval`. Particles
            are reduced to 20 components, fitted on the training folds alone.
        landmark_accuracy_sd and so on: standard deviation over the repeats, of each the mean of
            its folds. It says how much the draw of the splits matters, and is no standard error.
        landmark_minus_particle_accuracy and so on: the paired difference, likewise.

    Arguments:
        landmarks, subjects, class_column: see `read_descriptors`.
        output: analysis/classification.csv: subject, person, split, class, predicted (test
            subjects only), cv_accuracy (share of repeats with the right answer).
        numbers: KEY.numbers.csv.
        predictions: every answer of the cross-validations, as of `HeldOut.table`.
        seed: the configuration's.
        person_column: see `read_descriptors`.
        particles: particles.csv.
        truth: CSV of the generating parameters, one row a subject.
        truth_columns: its columns to use; all numeric ones when None.
        truth_probability: its column with the probability of the class that sorts last, of two.
        hidden_layers, iterations: see `Perceptron`.
        folds, repeats: of the cross-validation.
    Raises:
        InputError: when a class has fewer persons than there are folds, when truth lacks a
            subject or a column, and as `read_descriptors`.
    """
    data = read_descriptors(landmarks, subjects, class_column, person_column)
    perceptron = Perceptron(tuple(hidden_layers), tuple(np.atleast_1d(iterations).tolist()))
    _refuse_small_classes(data, folds)
    parameters = None if truth is None else read_truth(truth, data.subjects, truth_columns)
    fit_seed, interval_seed = (derive_seed(seed, name) for name in ("classification", "intervals"))
    cross = partial(cross_validate, seed=fit_seed, folds=folds, repeats=repeats)
    predicted = predict_test(data, perceptron, fit_seed)
    found = cross(data.values, data.classes, data.persons, perceptron=perceptron)
    rows = [*_test_rows(data, predicted), *_landmark_rows(found, data.persons, interval_seed)]
    if parameters is not None:
        best = cross(
            parameters, data.classes, data.persons, perceptron=perceptron, what="true parameters"
        )
        rows += _truth_rows(best, data.persons, interval_seed)
    if truth_probability:
        probability = read_truth(truth, data.subjects, [truth_probability])[:, 0]
        rows += _probability_rows(found.classes, probability)
    tables = {} if parameters is None else {"truth": (best, data.subjects)}
    tables["landmarks"] = found, data.subjects
    both, points = with_particles(data, particles, folds) if particles else (None, None)
    if both is not None:
        ours = found
        if len(both.subjects) < len(data.subjects):
            ours = cross(both.values, both.classes, both.persons, perceptron=perceptron)
        reduced = replace(perceptron, components=COMPONENTS)
        theirs = cross(points, both.classes, both.persons, perceptron=reduced, what="particles")
        tables |= {"landmarks": (ours, both.subjects), "particles": (theirs, both.subjects)}
        rows += comparison_rows(ours, theirs)
    answers = [held_out.table(name, who) for name, (held_out, who) in tables.items()]
    table = {"subject": data.subjects, "person": data.persons, "split": data.splits}
    table |= {"class": data.classes, "predicted": predicted, "cv_accuracy": found.right}
    write_csv(output, pd.DataFrame(table))
    write_csv(predictions, pd.concat(answers, ignore_index=True))
    write_numbers(numbers, rows)
    for row in rows:
        logger.info(f"{row['name']} {row['value']:.3f} (n = {row['n']})")


def predict_test(data: Descriptors, perceptron: Perceptron, seed: int) -> np.ndarray:
    """(N,) predicted classes of the test split, "" for all other subjects."""
    predicted = np.full(len(data.subjects), "", dtype=object)
    fitted = np.isin(data.splits, ["train", "validation"])
    tested = data.splits == "test"
    known = data.of(fitted)
    counts = persons_of_class(known.classes, known.persons).values()
    if not tested.any() or len(counts) < 2 or min(counts) < perceptron.fewest:
        logger.warning(
            "no test_accuracy: it needs a labelled subject in test and two classes in train and "
            f"validation, of at least {perceptron.fewest} persons each"
        )
        return predicted
    model, converged = perceptron.fit(known.values, known.classes.astype(str), known.persons, seed)
    if not converged:
        logger.info("the classifier for test_accuracy stopped at its limit of iterations")
    predicted[tested] = model.predict(data.values[tested])
    return predicted


def with_particles(
    data: Descriptors, path: Path, folds: int
) -> tuple[Descriptors, np.ndarray] | tuple[None, None]:
    """Those subjects that have particles, and their aligned coordinates (N, M * 3) in mm.

    None where too few have any for a cross-validation, which the log says.
    """
    names, points = read_aligned(path)
    row = {name: place for place, name in enumerate(names)}
    has = np.array([subject in row for subject in data.subjects])
    both = data.of(has)
    if not has.all():
        logger.warning(
            f"{(~has).sum()} subjects without particles take no part where landmarks and particles "
            f"are compared: {name_some(data.subjects[~has])}"
        )
    counts = dict.fromkeys(data.class_names, 0) | persons_of_class(both.classes, both.persons)
    smallest = min(counts, key=counts.get)
    if counts[smallest] < folds:
        logger.warning(
            f"landmarks and particles are not compared: of class '{smallest}' {counts[smallest]} "
            f"people have particles, fewer than the {folds} folds"
        )
        return None, None
    return both, points[[row[subject] for subject in both.subjects]].reshape(len(both.subjects), -1)


def _refuse_small_classes(data: Descriptors, folds: int) -> None:
    counts = persons_of_class(data.classes, data.persons)
    smallest = min(counts, key=counts.get)
    if counts[smallest] < folds:
        who = "subjects" if len(set(data.persons)) == len(data.persons) else "persons"
        raise InputError(
            f"analyses.classification: class '{smallest}' has {counts[smallest]} {who}, fewer than "
            f"the {folds} folds; add {who}, merge classes or lower folds"
        )


def _test_rows(data: Descriptors, predicted: np.ndarray) -> list[dict]:
    tested = predicted != ""
    if not tested.any():
        return []
    right, n = (predicted == data.classes)[tested], int(tested.sum())
    # scans of one person count as one, to the nearest whole number of right answers
    people = len(set(data.persons[tested]))
    interval = proportion_interval(round(right.mean() * people), people)
    return [number_row("test_accuracy", right.mean(), "share", n, interval)]


def _landmark_rows(found: HeldOut, persons: np.ndarray, seed: int) -> list[dict]:
    right, n = found.right, len(found.classes)
    _, class_of, counts = np.unique(found.classes, return_inverse=True, return_counts=True)
    # a subject of a small class weighs more, so that each class weighs the same
    balance = 1 / (len(counts) * counts[class_of])
    balanced = _interval(right, persons, seed, found.classes)
    area = found.scores()["auc"]
    return [
        number_row("cv_accuracy", right.mean(), "share", n, _interval(right, persons, seed)),
        number_row("cv_balanced_accuracy", balance @ right, "share", n, balanced),
        number_row("cv_auc", area.mean(), "", n, _score_interval(area)),
        number_row("majority_accuracy", counts.max() / n, "share", n),
    ]


def _truth_rows(best: HeldOut, persons: np.ndarray, seed: int) -> list[dict]:
    right, n, scores = best.right, len(best.classes), best.scores()
    rows = [
        number_row(f"best_possible_{name}", scores[name].mean(), UNITS[name], n,
                   _score_interval(scores[name]))
        for name in ("balanced_accuracy", "auc")
    ]  # fmt: skip
    interval = _interval(right, persons, seed)
    return [number_row("best_possible_accuracy", right.mean(), "share", n, interval), *rows]


def _probability_rows(classes: np.ndarray, probability: np.ndarray) -> list[dict]:
    """What the true probability (N,) of the class that sorts last scores, of two."""
    both = np.stack([1 - probability, probability], axis=-1)
    scores = HeldOut(classes, np.zeros((1, len(classes)), int), both[None]).scores()
    return [
        number_row(f"true_probability_{name}", scores[name].item(), UNITS[name], len(classes))
        for name in MEASURES
    ]


def comparison_rows(landmarks: HeldOut, particles: HeldOut) -> list[dict]:
    """Scores of both on the same splits, and their paired difference."""
    n = len(landmarks.classes)
    ours, theirs = landmarks.scores(), particles.scores()
    rows = []
    for name in MEASURES:
        compared = {
            f"landmark_{name}": ours[name],
            f"particle_{name}": theirs[name],
            f"landmark_minus_particle_{name}": ours[name] - theirs[name],
        }
        for label, scores in compared.items():
            of = corrected_interval if "minus" in label else _score_interval
            interval = of(scores)
            rows.append(number_row(label, scores.mean(), UNITS[name], n, interval))
            spread = scores.mean(axis=1)
            if len(spread) > 1:
                deviation = spread.std(ddof=1)
                rows.append(number_row(f"{label}_sd", deviation, UNITS[name], len(spread)))
    return rows


def _interval(
    right: np.ndarray, persons: np.ndarray, seed: int, classes: np.ndarray | None = None
) -> Interval:
    """Bootstrap over persons of the mean share of right answers (N,); by classes of their mean."""
    groups = np.zeros(len(right), dtype=int) if classes is None else classes
    strata, unit_of = resampling_units(groups, persons)
    _, group_of = np.unique(groups, return_inverse=True)
    groups = np.eye(group_of.max() + 1)[group_of]

    def statistic(weights: np.ndarray) -> np.ndarray:
        drawn = weights[:, unit_of]
        return ((drawn * right) @ groups / (drawn @ groups)).mean(axis=1)

    return bootstrap_interval(statistic, len(strata), seed, strata=strata)


def _score_interval(scores: np.ndarray) -> Interval:
    """Of scores that lie between 0 and 1, where the interval ends too."""
    low, high = corrected_interval(scores)
    return max(low, 0.0), min(high, 1.0)
