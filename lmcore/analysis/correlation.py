"""Correlation of two scores of the same subjects, by value and by rank, with intervals."""

import numpy as np

from lmcore.analysis.intervals import bootstrap_interval
from lmcore.analysis.numbers import number_row
from lmcore.seeds import derive_seed

FEWEST = 4  # subjects: fewer make no interval worth the name


def pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R,) Pearson's correlation of x and y, (n,) or (R, n), each subject as often as weights say.

    Arguments:
        weights: (R, n) whole numbers; NaN where they leave x or y without variance.
    """
    total = weights.sum(axis=1, keepdims=True)
    x, y = np.broadcast_to(x, weights.shape), np.broadcast_to(y, weights.shape)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    xy, xx, yy = ((weights * product).sum(axis=1) for product in (x * y, x * x, y * y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return xy / np.sqrt(xx * yy)


def midranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R, n) rank of each of (n,) values among its resample; equal values share their mean rank."""
    _, place = np.unique(values, return_inverse=True)
    counts = weights @ np.eye(place.max() + 1)[place]
    return (counts.cumsum(axis=1) - (counts - 1) / 2)[:, place]


def correlation_rows(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    seed: int,
    groups: np.ndarray | None = None,
    persons: np.ndarray | None = None,
) -> list[dict]:
    """Rows NAME_pearson and NAME_spearman over the subjects that have both scores.

    Arguments:
        x, y: (n,), NaN where a subject has none.
        seed: of the bootstrap.
        groups: (n,) names of groups, which keep their sizes in the bootstrap.
        persons: (n,) whom a subject's scan is of; persons are resampled, with all they have in a
            group. None where each is of another person.
    Returns:
        No row where fewer than four subjects have both, or one of the scores does not vary.
    """
    both = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[both], y[both], int(both.sum())
    if n < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return []
    groups = np.zeros(n, dtype=int) if groups is None else np.asarray(groups, dtype=str)[both]
    persons = np.arange(n) if persons is None else np.asarray(persons)[both]
    strata, unit_of = resampling_units(groups, persons)

    def by_rank(weights: np.ndarray) -> np.ndarray:
        return pearson(midranks(x, weights), midranks(y, weights), weights)

    rows = []
    for kind, statistic in (
        ("pearson", lambda weights: pearson(x, y, weights)),
        ("spearman", by_rank),
    ):
        value = float(statistic(np.ones((1, n)))[0])
        interval = bootstrap_interval(
            lambda weights, of=statistic: of(weights[:, unit_of]),
            len(strata),
            derive_seed(seed, name),
            strata=strata,
        )
        rows.append(number_row(f"{name}_{kind}", value, "", n, interval))
    return rows


def resampling_units(groups: np.ndarray, persons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U,) the group of each person in it, and (n,) which of those a subject belongs to."""
    _, group_of = np.unique(groups, return_inverse=True)
    _, person_of = np.unique(persons, return_inverse=True)
    units, unit_of = np.unique(np.stack([group_of, person_of], axis=1), axis=0, return_inverse=True)
    return units[:, 0], unit_of.ravel()
