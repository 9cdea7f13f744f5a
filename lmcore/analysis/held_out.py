"""What a classifier says of subjects that it was not fitted on, in repeated stratified splits."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from lmcore.analysis.folds import stratified_folds
from lmcore.analysis.perceptron import Perceptron
from lmcore.progress import Progress
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

MEASURES = ("accuracy", "balanced_accuracy", "auc")


@dataclass(frozen=True)
class HeldOut:
    """Answers on N subjects, each held out once in each of R repeats of a cross-validation.

    Attributes:
        classes: (N,) true labels as text.
        folds: (R, N) in which fold of the repeat the subject was held out, from 0.
        probabilities: (R, N, C) of the classes in sorted order.
    """

    classes: np.ndarray
    folds: np.ndarray
    probabilities: np.ndarray

    @property
    def names(self) -> np.ndarray:
        """(C,) the classes in sorted order."""
        return np.unique(self.classes)

    @property
    def predicted(self) -> np.ndarray:
        """(R, N) the most probable class."""
        return self.names[self.probabilities.argmax(axis=2)]

    @property
    def right(self) -> np.ndarray:
        """(N,) share of the repeats in which the subject got the right answer."""
        return (self.predicted == self.classes).mean(axis=0)

    def scores(self) -> dict[str, np.ndarray]:
        """By each of MEASURES (R, folds): of the subjects that a split held out.

        accuracy: share of right answers; balanced_accuracy: its mean over classes; auc: area under
        the ROC curve, of more than two classes the mean of each against all others.
        """
        repeats, count = len(self.folds), self.folds.max() + 1
        found = {name: np.empty((repeats, count)) for name in MEASURES}
        for repeat, fold in np.ndindex(repeats, count):
            held_out = self.folds[repeat] == fold
            classes = self.classes[held_out]
            right = self.predicted[repeat, held_out] == classes
            of_class = [right[classes == name].mean() for name in self.names]
            found["accuracy"][repeat, fold] = right.mean()
            found["balanced_accuracy"][repeat, fold] = np.mean(of_class)
            area = _area(classes, self.probabilities[repeat, held_out], self.names)
            found["auc"][repeat, fold] = area
        return found

    def table(self, descriptor: str, subjects: np.ndarray) -> pd.DataFrame:
        """One row for every subject and repeat.

        Columns: descriptor, repeat and fold (from 1), subject, class, predicted and, where there
        are two classes, probability of the one that sorts last.
        """
        repeats, n = self.folds.shape
        of_last = np.full((repeats, n), np.nan)
        if len(self.names) == 2:
            of_last = self.probabilities[..., 1]
        columns = {
            "descriptor": descriptor,
            "repeat": np.repeat(np.arange(repeats) + 1, n),
            "fold": self.folds.ravel() + 1,
            "subject": np.tile(subjects, repeats),
            "class": np.tile(self.classes, repeats),
            "predicted": self.predicted.ravel(),
            "probability": of_last.ravel(),
        }
        return pd.DataFrame(columns)


def cross_validate(
    values: np.ndarray,
    classes: np.ndarray,
    persons: np.ndarray,
    seed: int,
    perceptron: Perceptron,
    folds: int,
    repeats: int,
    what: str = "landmarks",
) -> HeldOut:
    """Repeated stratified cross-validation; the same seed gives the same splits.

    Arguments:
        values: (N, D) descriptors.
        classes: (N,) labels; of at least `folds` persons each, and enough to fit in what is left.
        persons: (N,) whom each is of; all of a person's scans are held out together.
        what: is classified, for the lines of progress.
    """
    classes = np.asarray(classes, dtype=str)
    held_out_in = np.zeros((repeats, len(classes)), dtype=int)
    probabilities = np.zeros((repeats, len(classes), len(np.unique(classes))))
    progress = Progress(f"Cross-validating the classifier of {what}", repeats * folds, "fits")
    done = unfinished = 0
    progress.update(0)
    for repeat in range(repeats):
        dealt = stratified_folds(classes, persons, folds, derive_seed(seed, "folds", repeat))
        for fold, (fitted, held_out) in enumerate(dealt):
            fit_seed = derive_seed(seed, "fit", done)
            chosen = values[fitted], classes[fitted], persons[fitted]
            model, converged = perceptron.fit(*chosen, fit_seed)
            probabilities[repeat, held_out] = model.predict_proba(values[held_out])
            held_out_in[repeat, held_out] = fold
            unfinished += not converged
            done += 1
            progress.update(done)
    if unfinished:
        logger.info(f"{unfinished} of {done} fits stopped at their limit of iterations")
    return HeldOut(classes, held_out_in, probabilities)


def _area(classes: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> float:
    of_two = probabilities[:, 1] if len(names) == 2 else probabilities
    return float(roc_auc_score(classes, of_two, multi_class="ovr", labels=names))
