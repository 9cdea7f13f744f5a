"""Confidence intervals of the numbers that are reported."""

from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest, t

LEVEL = 0.95

Interval = tuple[float, float]


def proportion_interval(successes: int, n: int) -> Interval:
    """Wilson's score interval of a proportion, 95 %.

    It keeps its level for the few subjects of a test split, and at 0 or n successes, where
    the normal approximation has no width at all (Brown, Cai, DasGupta, Stat. Sci. 2001).

    Raises:
        ValueError: when n is not positive or successes are not in 0..n.
    """
    test = binomtest(int(successes), int(n))
    interval = test.proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def resampling_weights(
    n: int, seed: int, resamples: int = 2000, strata: np.ndarray | None = None
) -> np.ndarray:
    """How often each of n subjects is drawn in each bootstrap resample.

    Arguments:
        strata: (n,) labels; each stratum is then resampled within itself and keeps its size.
    Returns:
        (resamples, n) whole numbers as float64; every row sums to n.
    """
    random = np.random.default_rng(seed)
    strata = np.zeros(n, dtype=int) if strata is None else np.asarray(strata)
    weights = np.zeros((resamples, n))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        share = np.full(len(members), 1 / len(members))
        weights[:, members] = random.multinomial(len(members), share, size=resamples)
    return weights


def bootstrap_interval(
    statistic: Callable[[np.ndarray], np.ndarray],
    n: int,
    seed: int,
    resamples: int = 2000,
    strata: np.ndarray | None = None,
) -> Interval:
    """Percentile bootstrap interval over subjects, 95 % (Efron and Tibshirani 1993, ch. 13).

    Arguments:
        statistic: takes (resamples, n) weights, returns (resamples,) values.
        n: number of subjects, the unit that is resampled.
        seed: of the resampling.
        strata: see `resampling_weights`.
    """
    values = statistic(resampling_weights(n, seed, resamples, strata))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values[np.isfinite(values)], [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(values: np.ndarray, seed: int) -> Interval:
    """Bootstrap interval of the mean of one value a subject, 95 %."""
    values = np.asarray(values, dtype=float)
    return bootstrap_interval(lambda weights: weights @ values / len(values), len(values), seed)


def corrected_interval(scores: np.ndarray) -> Interval:
    """Interval of the mean score of repeated k-fold cross-validation, 95 %.

    The corrected resampled t-test of Nadeau and Bengio (Machine Learning 52, 2003), for r repeats
    of k folds as in Bouckaert and Frank (PAKDD 2004): splits share most of their subjects, so the
    variance of their scores counts 1 / (r k) + 1 / (k - 1) times in place of 1 / (r k) times; t
    has r k - 1 degrees of freedom.

    Arguments:
        scores: (repeats, folds), or differences of two scores on the same splits.
    Raises:
        ValueError: with fewer than two folds.
    """
    count, folds = scores.size, scores.shape[1]
    if folds < 2:
        raise ValueError(f"scores {scores.shape} of fewer than two folds have no interval")
    error = np.sqrt((1 / count + 1 / (folds - 1)) * scores.var(ddof=1))
    reach = float(t.ppf((1 + LEVEL) / 2, count - 1) * error)
    return float(scores.mean()) - reach, float(scores.mean()) + reach
