"""Classification by a multi-layer perceptron with one hidden layer on the landmarks (Sec. 4.1)."""

import logging
import os
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lmcore.analysis.descriptors import Descriptors, read_descriptors
from lmcore.analysis.intervals import bootstrap_interval, mean_interval, proportion_interval
from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.progress import Progress
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

Path = str | os.PathLike


def classify_subjects(
    landmarks: Path,
    subjects: Path,
    class_column: str,
    output: Path,
    numbers: Path,
    seed: int,
    truth: Path | None = None,
    truth_columns: Sequence[str] | None = None,
    hidden: int = 32,
    folds: int = 5,
    repeats: int = 10,
) -> None:
    """Tell the classes apart by the landmarks: on the test split, and by cross-validation.

    Numbers written:
        test_accuracy: fitted on train and validation, scored on test, subjects that the
            encoder never saw; Wilson interval. Left out when no labelled subject is in test, or
            fewer than two classes are in train and validation.
        cv_accuracy: repeated stratified cross-validation over all subjects. Transductive: the
            encoder saw the images of the training split, without labels. The interval is a
            bootstrap over subjects of each one's share of repeats with the right answer.
        cv_balanced_accuracy: the same, averaged over classes first; resampled within classes.
        majority_accuracy: what always answering with the largest class would score.
        best_possible_accuracy: with truth, the same classifier on the same folds, from the
            parameters that generated the images.

    Arguments:
        landmarks, subjects, class_column: see `read_descriptors`.
        output: analysis/classification.csv: subject, split, class, predicted (test subjects
            only), cv_accuracy (share of repeats with the right answer).
        seed: the configuration's.
        truth: CSV of the generating parameters, one row a subject.
        truth_columns: its columns to use; all numeric ones when None.
        hidden: width of the hidden layer, which the paper does not give.
        folds, repeats: of the cross-validation.
    Raises:
        InputError: when a class has fewer subjects than there are folds, when truth lacks a
            subject or a column, and as `read_descriptors`.
    """
    data = read_descriptors(landmarks, subjects, class_column)
    _refuse_small_classes(data.classes, folds)
    parameters = None if truth is None else read_truth(truth, data.subjects, truth_columns)
    fit_seed = derive_seed(seed, "classification")
    cross_validated = [fit_seed, hidden, folds, repeats]
    predicted = predict_test(data, hidden, fit_seed)
    right = cross_validate(data.values, data.classes, *cross_validated)
    best = None
    if parameters is not None:
        best = cross_validate(parameters, data.classes, *cross_validated)
    frame = pd.DataFrame({"subject": data.subjects, "split": data.splits, "class": data.classes})
    write_csv(output, frame.assign(predicted=predicted, cv_accuracy=right))
    rows = [
        *_test_rows(data.classes, predicted),
        *_cross_validation_rows(data.classes, right, best, derive_seed(seed, "intervals")),
    ]
    write_numbers(numbers, rows)
    for row in rows:
        logger.info(f"{row['name']} {row['value']:.3f} ({row['n']} subjects)")


def classifier(hidden: int, seed: int) -> Pipeline:
    """Standardisation, then a perceptron with one hidden layer, fitted by L-BFGS.

    L-BFGS suits a few hundred subjects and needs no learning rate. alpha is sklearn's weight
    of the squared weights, divided there by the number of subjects; 1 keeps a few hundred
    subjects from being learned by heart.
    """
    network = MLPClassifier(
        hidden_layer_sizes=(hidden,), solver="lbfgs", alpha=1.0, max_iter=300, random_state=seed
    )
    return make_pipeline(StandardScaler(), network)


@threadpool_limits.wrap(limits=1)  # the matrices are small: more threads only wait for each other
def fit_quietly(model: Pipeline, values: np.ndarray, classes: np.ndarray) -> bool:
    """Fit, and say whether the optimiser converged instead of warning once for every fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(values, classes)
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)


def predict_test(data: Descriptors, hidden: int, seed: int) -> np.ndarray:
    """(N,) predicted classes of the test split, "" for all other subjects."""
    predicted = np.full(len(data.subjects), "", dtype=object)
    fitted = np.isin(data.splits, ["train", "validation"])
    tested = data.splits == "test"
    if not tested.any() or len(set(data.classes[fitted])) < 2:
        logger.warning(
            "no test_accuracy: it needs a labelled subject in test and two classes in train "
            "and validation"
        )
        return predicted
    model = classifier(hidden, seed)
    if not fit_quietly(model, data.values[fitted], data.classes[fitted].astype(str)):
        logger.info("the classifier for test_accuracy stopped at its limit of iterations")
    predicted[tested] = model.predict(data.values[tested])
    return predicted


def cross_validate(
    values: np.ndarray, classes: np.ndarray, seed: int, hidden: int, folds: int, repeats: int
) -> np.ndarray:
    """Repeated stratified cross-validation.

    Arguments:
        values: (N, D) descriptors.
        classes: (N,) labels; at least `folds` of each.
    Returns:
        (N,) share of the repeats in which the subject, held out, got the right answer.
    """
    classes = np.asarray(classes, dtype=str)
    right = np.zeros(len(classes))
    progress = Progress("Cross-validating the classifier", repeats * folds, "fits")
    done = unfinished = 0
    progress.update(0)
    for repeat in range(repeats):
        stratified = StratifiedKFold(
            folds, shuffle=True, random_state=derive_seed(seed, "folds", repeat)
        )
        for fitted, held_out in stratified.split(values, classes):
            model = classifier(hidden, derive_seed(seed, "fit", done))
            unfinished += not fit_quietly(model, values[fitted], classes[fitted])
            right[held_out] += model.predict(values[held_out]) == classes[held_out]
            done += 1
            progress.update(done)
    if unfinished:
        logger.info(f"{unfinished} of {done} fits stopped at their limit of iterations")
    return right / repeats


def read_truth(path: Path, subjects: np.ndarray, columns: Sequence[str] | None) -> np.ndarray:
    """(N, D) generating parameters in the order of `subjects`.

    Raises:
        InputError: when a subject or column is missing, or a value is not a finite number.
    """
    table = pd.read_csv(path, dtype={"subject": str})
    if "subject" not in table:
        raise InputError(f"{path}: no column 'subject'; add it")
    if columns is None:
        numeric = table.drop(columns="subject").select_dtypes("number")
        columns = list(numeric.columns)
    missing = sorted(set(columns) - set(table.columns))
    if missing or not columns:
        raise InputError(f"{path}: no column {', '.join(missing) or 'of numbers'}")
    table = table.drop_duplicates("subject").set_index("subject")
    strangers = sorted(set(subjects) - set(table.index))
    if strangers:
        raise InputError(f"{path}: no subject '{strangers[0]}'; add its row")
    values = table.loc[list(subjects), list(columns)]
    values = values.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{path}: subject '{subjects[row]}' has no number in column '{columns[column]}'"
        )
    return values


def _refuse_small_classes(classes: np.ndarray, folds: int) -> None:
    names, counts = np.unique(np.asarray(classes, dtype=str), return_counts=True)
    smallest = counts.argmin()
    if counts[smallest] < folds:
        raise InputError(
            f"analyses.classification: class '{names[smallest]}' has {counts[smallest]} subjects, "
            f"fewer than the {folds} folds; add subjects, merge classes or lower folds"
        )


def _test_rows(classes: np.ndarray, predicted: np.ndarray) -> list[dict]:
    tested = predicted != ""
    if not tested.any():
        return []
    right, n = int((predicted == classes)[tested].sum()), int(tested.sum())
    return [number_row("test_accuracy", right / n, "share", n, proportion_interval(right, n))]


def _cross_validation_rows(
    classes: np.ndarray, right: np.ndarray, best: np.ndarray | None, seed: int
) -> list[dict]:
    classes = np.asarray(classes, dtype=str)
    n = len(classes)
    _, class_of, counts = np.unique(classes, return_inverse=True, return_counts=True)
    # a subject of a small class weighs more, so that each class weighs the same
    balance = 1 / (len(counts) * counts[class_of])
    balanced = bootstrap_interval(lambda w: w @ (balance * right), n, seed, strata=classes)
    rows = [
        number_row("cv_accuracy", right.mean(), "share", n, mean_interval(right, seed)),
        number_row("cv_balanced_accuracy", balance @ right, "share", n, balanced),
        number_row("majority_accuracy", counts.max() / n, "share", n),
    ]
    if best is not None:
        interval = mean_interval(best, seed)
        rows.append(number_row("best_possible_accuracy", best.mean(), "share", n, interval))
    return rows
