"""Principal modes of corresponding points, and how good a shape model they make.

Measures of R. Davies, "Learning shape: optimal models for analysing natural variability" (2002),
with the standard errors of M. Styner et al., "Evaluation of 3D correspondence methods for model
building", IPMI 2003.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lmcore.points.procrustes import align, generalised_procrustes


class ShapeModel(NamedTuple):
    """Mean and modes of shapes with M points in d dimensions.

    Attributes:
        mean: (M, d).
        modes: (K, M, d) orthonormal directions, the one of most variance first.
        variances: (K) of the shapes along them, summed squares divided by N - 1.
    """

    mean: np.ndarray
    modes: np.ndarray
    variances: np.ndarray

    def scores(self, shapes: np.ndarray) -> np.ndarray:
        """(..., K) coordinates of shapes (..., M, d) along the modes."""
        return np.einsum("...md,kmd->...k", shapes - self.mean, self.modes)

    def partial_sums(self, scores: np.ndarray) -> Iterator[np.ndarray]:
        """(..., M, d) shapes of scores (..., K), by the first mode, the first two, and so on."""
        shapes = np.broadcast_to(self.mean, (*scores.shape[:-1], *self.mean.shape))
        for mode, score in zip(self.modes, np.moveaxis(scores, -1, 0), strict=True):
            shapes = shapes + score[..., None, None] * mode
            yield shapes


class Curve(NamedTuple):
    """A measure against the number of modes, 1 to K: value, standard error (K), and n behind it."""

    value: np.ndarray
    error: np.ndarray
    n: int


def principal_modes(shapes: np.ndarray, most: int | None = None) -> ShapeModel:
    """The modes of shapes as they are given (align them first), covariance divided by N - 1.

    Arguments:
        shapes: (N, M, d), N >= 2.
        most: how many modes at most; there are never more than N - 1 or M d.
    Raises:
        ValueError: if there are fewer than two shapes.
    """
    shapes = np.asarray(shapes, np.float64)
    n, *form = shapes.shape
    if n < 2:
        raise ValueError(f"{n} shapes have no variance")
    mean = shapes.mean(axis=0)
    _, singular, directions = np.linalg.svd((shapes - mean).reshape(n, -1), full_matrices=False)
    count = min(n - 1, len(singular), most or n)
    largest = np.abs(directions).argmax(axis=1)
    # the sign of a mode is arbitrary; here its largest coordinate is positive
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    variances = singular**2 / (n - 1)
    return ShapeModel(mean, directions[:count].reshape(count, *form), variances[:count])


def compactness(shapes: np.ndarray, most: int) -> Curve:
    """Share of the variance on the first modes, in [0, 1]; a compact model needs few.

    The standard error is that of large samples of normal shapes, whose variances have the
    independent errors sqrt(2 / N) times themselves (T. Anderson, Ann. Math. Stat. 34, 1963).
    """
    every = principal_modes(shapes).variances
    total = max(every.sum(), np.finfo(float).tiny)
    share = every.cumsum() / total
    squared = np.square(every).cumsum()
    inside = np.square(1 - share) * squared
    outside = np.square(share) * (squared[-1] - squared)
    error = np.sqrt(2 / len(shapes) * (inside + outside)) / total
    return Curve(share[:most], error[:most], len(shapes))


def leave_one_out(shapes: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each shape as a model of all others has it, for 1 to `most` modes.

    Arguments:
        shapes: (N, M, d), not aligned: the others are aligned among themselves, and the shape to
            their mean, so that it has no part in its model.
    Yields:
        For every shape in turn (K, M, d), where and how the shape itself lies, and (K) the mean
        distance of its points to the shape's.
    """
    shapes = np.asarray(shapes, np.float64)
    for index, shape in enumerate(shapes):
        mean, aligned = generalised_procrustes(np.delete(shapes, index, axis=0))
        model = principal_modes(aligned, most)
        pose = align(shape, mean)
        found = np.stack(list(model.partial_sums(model.scores(pose(shape)))))
        found = pose.inverse(found)
        yield found, np.linalg.norm(found - shape, axis=-1).mean(axis=-1)


def generalization(errors: np.ndarray) -> Curve:
    """Mean error of shapes that the model has not seen; small is good.

    Arguments:
        errors: (N, K) of `leave_one_out`.
    """
    n = len(errors)
    return Curve(errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(n), n)


def draw_shapes(model: ShapeModel, count: int, seed: int) -> Iterator[np.ndarray]:
    """(count, M, d) random shapes of the model's normal distribution, for 1, 2, ... modes.

    The same draws serve every number of modes, so that curves do not jump by chance.
    """
    draws = np.random.default_rng(seed).standard_normal((count, len(model.variances)))
    return model.partial_sums(draws * np.sqrt(model.variances))


def nearest_shape_distance(drawn: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """(S) mean distance of the points of drawn shapes to those of the nearest given shape.

    Nearest by the sum of squared distances.

    Arguments:
        drawn: (S, M, d); shapes: (N, M, d), aligned.
    """
    flat, known = drawn.reshape(len(drawn), -1), shapes.reshape(len(shapes), -1)
    squared = np.square(known).sum(axis=1) - 2 * flat @ known.T
    nearest = shapes[squared.argmin(axis=1)]
    return np.linalg.norm(drawn - nearest, axis=-1).mean(axis=-1)


def specificity(distances: np.ndarray) -> Curve:
    """Mean distance of random shapes to the nearest real one; small is good.

    Arguments:
        distances: (K, S) of S shapes for each number of modes.
    """
    count = distances.shape[1]
    error = distances.std(axis=1, ddof=1) / np.sqrt(count)
    return Curve(distances.mean(axis=1), error, count)
