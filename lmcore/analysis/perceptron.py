"""The multi-layer perceptron that tells classes apart by descriptors of shape."""

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lmcore.analysis.folds import stratified_folds

INNER_FOLDS = 3  # of the training subjects, to choose where the optimiser stops


@dataclass(frozen=True)
class Perceptron:
    """Standardisation, then a perceptron fitted by L-BFGS.

    L-BFGS suits a few hundred subjects and needs no learning rate. alpha is sklearn's weight
    of the squared weights, divided there by the number of subjects; 1 keeps a few hundred
    subjects from being learned by heart, as long as there is one hidden layer. Three of them learn
    all by heart or, with a few times the alpha, nothing at all; so it is rather the number of
    iterations that is chosen. Stopping early is a regularisation without such a cliff.

    Attributes:
        hidden_layers: units of each.
        iterations: of the optimiser, at most. Of several the one with the least log loss in a
            cross-validation of the subjects that are fitted is taken.
        components: of a PCA of the descriptors, which comes first and is fitted with the rest;
            None has none.
    """

    hidden_layers: tuple[int, ...] = (32,)
    iterations: tuple[int, ...] = (300,)
    components: int | None = None

    @property
    def fewest(self) -> int:
        """Persons of each class that it can be fitted to."""
        return INNER_FOLDS if len(self.iterations) > 1 else 1

    @threadpool_limits.wrap(limits=1)  # small matrices: more threads only wait for each other
    def fit(
        self, values: np.ndarray, classes: np.ndarray, persons: np.ndarray, seed: int
    ) -> tuple[ClassifierMixin, bool]:
        """Fit to descriptors (N, D) of these classes (N,), scans of these persons (N,).

        Returns:
            The classifier, and whether the optimiser converged where it was not to stop early;
            sklearn would warn once for every fit.
        """
        network = MLPClassifier(
            hidden_layer_sizes=self.hidden_layers, solver="lbfgs", alpha=1.0,
            max_iter=self.iterations[0], random_state=seed,
        )  # fmt: skip
        inner = []
        if len(self.iterations) > 1:
            inner = stratified_folds(classes, persons, INNER_FOLDS, seed)
        steps = [StandardScaler(), network]
        if self.components:
            fewest = min([len(values), *(len(fitted) for fitted, _ in inner)])
            count = min(self.components, fewest - 1, values.shape[1])
            steps.insert(0, PCA(count, svd_solver="full"))
        model = make_pipeline(*steps)
        if inner:
            model = GridSearchCV(
                model,
                {"mlpclassifier__max_iter": self.iterations},
                scoring="neg_log_loss",
                cv=inner,
                error_score="raise",
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(values, classes)
        limited = False
        for warning in caught:
            if issubclass(warning.category, ConvergenceWarning):
                limited = True
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
        return model, bool(inner) or not limited
