"""What a descriptor tells: hand-placed landmarks by ridge regression, classes by a classifier.

Everything is fitted and scored inside the subjects that the encoder never saw, in the same
folds and with the same tuning for every descriptor.
"""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from lmcore.progress import Progress
from lmcore.seeds import derive_seed

FOLDS = 10
REPEATS = 5
CURVE = (5, 10)  # annotated images, beside all of a fold
ALPHAS = np.logspace(-4, 5, 28)
CLASS_FOLDS, CLASS_REPEATS, INNER_FOLDS = 5, 4, 4
COSTS = (1.0, 10.0, 100.0)
GAMMAS = (0.05, 0.2, 0.8, 3.0)  # over the number of values, as sklearn's `scale`

Split = tuple[np.ndarray, np.ndarray]


class CommonScaler(TransformerMixin, BaseEstimator):
    """Centres every value and divides all by one number, so that their mean variance is one.

    Leaves the large components of a PCA large, which standardising each value does not.
    """

    def fit(self, values, _=None):
        self.mean_ = values.mean(axis=0)
        self.scale_ = np.sqrt(values.var(axis=0).mean()) or 1.0
        return self

    def transform(self, values):
        return (values - self.mean_) / self.scale_


def tuned_ridge(values: np.ndarray, wanted: np.ndarray) -> Pipeline:
    """A ridge whose weight, and whether each value has its own scale, leave-one-out decides.

    Arguments:
        values: (n, D); wanted: (n, K).
    """
    models = []
    for scaler in (StandardScaler(), CommonScaler()):
        model = Pipeline([("scale", scaler), ("ridge", RidgeCV(ALPHAS))])
        models.append(model.fit(values, wanted))
    return max(models, key=lambda model: model["ridge"].best_score_)


def regression_splits(n: int, annotated: int | None, seed: int) -> list[Split]:
    """Which of n subjects are fitted and which scored: repeated K-fold, the same on every call.

    Arguments:
        annotated: so many of a fold's subjects, drawn at random, are fitted; None takes all.
    """
    splits = []
    for repeat in range(REPEATS):
        folds = KFold(min(FOLDS, n), shuffle=True, random_state=derive_seed(seed, "ridge", repeat))
        random = np.random.default_rng(derive_seed(seed, "annotated", repeat))
        for fitted, scored in folds.split(np.arange(n)):
            drawn = random.permutation(fitted)
            splits.append((drawn[:annotated], scored))
    return splits


@threadpool_limits.wrap(limits=1)  # the matrices are small: more threads only wait for each other
def regression_errors(
    values: np.ndarray | None, points: np.ndarray, splits: list[Split]
) -> np.ndarray:
    """Mean distance of predicted from true points of every subject.

    Arguments:
        values: (n, D) descriptors, or None to predict the mean of the fitted subjects' points.
        points: (n, K, d); splits: see `regression_splits`.
    Returns:
        (n,) in the unit of the points: mean over the points and the repeats.
    """
    n, count, dimension = points.shape
    flat = points.reshape(n, -1)
    sums, times = np.zeros(n), np.zeros(n)
    for fitted, scored in splits:
        if values is None:
            predicted = np.tile(flat[fitted].mean(axis=0), (len(scored), 1))
        else:
            predicted = tuned_ridge(values[fitted], flat[fitted]).predict(values[scored])
        error = predicted.reshape(-1, count, dimension) - points[scored]
        sums[scored] += np.linalg.norm(error, axis=-1).mean(axis=-1)
        times[scored] += 1
    return sums / times


def box_diagonal(points: np.ndarray) -> float:
    """The object's length: mean diagonal of the box around a subject's (n, K, d) points."""
    return float(np.linalg.norm(np.ptp(points, axis=1), axis=-1).mean())


def classifier(values: np.ndarray, folds: int, seed: int) -> GridSearchCV:
    """A support vector machine with a radial kernel, tuned by balanced accuracy in inner folds.

    Arguments:
        values: (n, D), for D alone; folds: inner ones.
    """
    grid = {
        "scale": [StandardScaler(), CommonScaler()],
        "svm__C": COSTS,
        "svm__gamma": [gamma / values.shape[1] for gamma in GAMMAS],
    }
    model = Pipeline([("scale", StandardScaler()), ("svm", SVC(class_weight="balanced"))])
    inner = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return GridSearchCV(model, grid, scoring="balanced_accuracy", cv=inner)


@threadpool_limits.wrap(limits=1)
def classification_shares(
    values: np.ndarray, classes: np.ndarray, seed: int, what: str
) -> np.ndarray:
    """Repeated stratified cross-validation of the tuned classifier.

    Arguments:
        values: (n, D); classes: (n,), at least three subjects of each; seed: of the folds.
        what: named in progress.
    Returns:
        (n,) share of the repeats in which a subject, held out, got the right answer.
    """
    smallest = np.unique(classes, return_counts=True)[1].min()
    folds = int(min(CLASS_FOLDS, smallest))
    # an outer fold takes away at most so many of the smallest class
    inner = int(min(INNER_FOLDS, smallest - -(-smallest // folds)))
    progress = Progress(f"classifying by {what}", CLASS_REPEATS * folds, "folds")
    right, done = np.zeros(len(classes)), 0
    for repeat in range(CLASS_REPEATS):
        random = derive_seed(seed, "classification", repeat)
        outer = StratifiedKFold(folds, shuffle=True, random_state=random)
        for fitted, scored in outer.split(values, classes):
            model = classifier(values, inner, random)
            model.fit(values[fitted], classes[fitted])
            right[scored] += model.predict(values[scored]) == classes[scored]
            done += 1
            progress.update(done)
    return right / CLASS_REPEATS


def balanced_accuracy(right: np.ndarray, classes: np.ndarray) -> float:
    """Mean over classes of the mean share of right answers."""
    return float(np.mean([right[classes == name].mean() for name in np.unique(classes)]))
