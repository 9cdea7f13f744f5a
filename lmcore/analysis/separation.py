"""How well a score tells cases from controls: area under the curve, interval, corrected p."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import mannwhitneyu, norm

from lmcore.analysis.intervals import LEVEL, Interval

NEAR = 1e-9


def auc(controls: np.ndarray, cases: np.ndarray) -> float:
    """Probability that a case has the higher score than a control; ties count half.

    Arguments:
        controls: (N,).
        cases: (K,), or (N, K) where a case has another score for each control.
    """
    controls = np.asarray(controls)[:, None]
    cases = np.broadcast_to(cases, (len(controls), np.shape(cases)[-1]))
    return float(((cases > controls) + 0.5 * (cases == controls)).mean())


def auc_interval(value: float, controls: int, cases: int) -> Interval:
    """95 % interval of an area under the curve, which has a width at 0 and 1 as well.

    R. Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic. Part 2", Stat. Med. 25, 2006, method 5: as Wilson's interval of a proportion, the
    variance (of Hanley and McNeil) is taken at the bound, with groups of equal effective size. A
    bootstrap has no width where the groups do not overlap.

    Arguments:
        value: in [0, 1]; controls, cases: how many.
    """
    quantile = norm.ppf((1 + LEVEL) / 2)
    size = (controls + cases) / 2 - 1

    def beyond(bound: float) -> float:
        spread = 1 + size * ((1 - bound) / (2 - bound) + bound / (1 + bound))
        variance = bound * (1 - bound) * spread / (controls * cases)
        return (value - bound) ** 2 - quantile**2 * variance

    # 0 and 1 are at no distance from themselves, but are not the bound sought
    low = 0.0 if value <= 0 else brentq(beyond, 0, min(value, 1 - NEAR))
    high = 1.0 if value >= 1 else brentq(beyond, max(value, NEAR), 1)
    return float(low), float(high)


def separation_p(controls: np.ndarray, cases: np.ndarray) -> float:
    """Two-sided p of Mann and Whitney that neither group has the higher scores."""
    return float(mannwhitneyu(cases, controls, alternative="two-sided").pvalue)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """P-values corrected for their number (S. Holm, Scand. J. Stat. 6, 1979)."""
    p_values = np.asarray(p_values, dtype=float)
    order, n = np.argsort(p_values, kind="stable"), len(p_values)
    corrected = np.empty(n)
    corrected[order] = np.minimum(np.maximum.accumulate((n - np.arange(n)) * p_values[order]), 1)
    return corrected
