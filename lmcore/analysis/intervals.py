"""Confidence intervals of the numbers that are reported."""

from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest

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
