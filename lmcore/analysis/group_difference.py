"""How a group of shapes differs from controls: a test at every point, and distances from them."""

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from lmcore.analysis.mahalanobis import PAPER_SHARE, Estimator, cross_fit
from lmcore.analysis.numbers import number_row
from lmcore.analysis.separation import auc, auc_interval, separation_p
from lmcore.analysis.two_groups import Groups
from lmcore.errors import InputError
from lmcore.points.procrustes import generalised_procrustes
from lmcore.seeds import derive_seed

logger = logging.getLogger("lmcore")

LEVEL = 0.05  # of the false discovery rate
PERMUTATIONS = 10_000
AT_A_TIME = 2**23  # values of permutations held together


def permutation_p_values(
    values: np.ndarray, cases: np.ndarray, seed: int, permutations: int = PERMUTATIONS
) -> np.ndarray:
    """Two-sided p-values of a difference of means, point by point, by permuting who is a case.

    The statistic is the difference of the two means; as a permutation changes neither the sum nor
    the sum of squares, the t statistic has the same p-value. The observed labels count as one of
    the permutations, so that no p-value is 0 and the test keeps its level (Phipson and Smyth,
    Stat. Appl. Genet. Mol. Biol. 9, 2010).

    Arguments:
        values: (N, V), one number a subject and point; cases: (N,) bool.
    Returns:
        (V,) in [1 / (permutations + 1), 1].
    """
    values = values - values.mean(axis=0)  # then the sum over cases tells the difference
    cases = np.asarray(cases, dtype=bool)
    # equal sums in another order differ by rounding
    observed = np.abs(cases @ values) - 1e-9 * np.abs(values).sum(axis=0)
    random = np.random.default_rng(seed)
    exceeded = np.zeros(values.shape[1])
    step = max(AT_A_TIME // max(values.shape), 1)
    for begin in range(0, permutations, step):
        labels = np.tile(cases, (min(step, permutations - begin), 1))
        labels = random.permuted(labels, axis=1).astype(values.dtype)
        exceeded += (np.abs(labels @ values) >= observed).sum(axis=0)
    return (1 + exceeded) / (1 + permutations)


def of_persons(
    values: np.ndarray, cases: np.ndarray, persons: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means (n, V) of each person's values (N, V) in a group, and (n,) who is a case.

    They are what can be permuted: both sides of one person are no two independent subjects.
    """
    cases = np.asarray(cases, dtype=bool)
    units = np.stack([cases.astype(str), np.asarray(persons, dtype=str)])
    _, first, position = np.unique(units, axis=1, return_index=True, return_inverse=True)
    share = np.eye(len(first))[position.ravel()]
    return (share / share.sum(axis=0)).T @ values, cases[first]


def corrected_p_values(p_values: np.ndarray) -> np.ndarray:
    """Corrected for the number of tests: those below q hold at most a share q of false ones.

    Y. Benjamini and Y. Hochberg, J. R. Stat. Soc. B 57, 1995.
    """
    return false_discovery_control(p_values, method="bh")


def compare_at_points(
    inward: np.ndarray, counted: np.ndarray, groups: Groups, seed: int
) -> dict[str, np.ndarray]:
    """`difference` of the groups' means, `p` and `corrected_p` (V,), 1 where nothing is counted.

    Arguments:
        inward: (N, V) mm, how far each subject lies inward of the controls' mean at V points.
        counted: (V,) bool, where to test.
    """
    p_values, corrected = np.ones((2, len(counted)))
    inward, cases = of_persons(inward, groups.cases, groups.persons)
    tested = np.ascontiguousarray(inward[:, counted])
    p_values[counted] = permutation_p_values(tested, cases, derive_seed(seed, "permutations"))
    corrected[counted] = corrected_p_values(p_values[counted])
    difference = inward[cases].mean(axis=0) - inward[~cases].mean(axis=0)
    return {"difference": difference, "p": p_values, "corrected_p": corrected}


def difference_numbers(found: Mapping[str, np.ndarray], groups: Groups) -> list[dict]:
    """Rows of `number_row`: how much of the surface differs, and how sure the surest point is.

    Arguments:
        found: `corrected_p`, `counted` and `areas` (V,), and `bump` where the truth is known.
    """
    areas, counted = found["areas"], found["counted"]
    different = counted & (found["corrected_p"] < LEVEL)
    n, share = len(groups.subjects), areas[different].sum() / areas[counted].sum()
    smallest = found["corrected_p"][counted].min()
    logger.info(
        f"{groups.case} against {groups.control}: {share:.1%} of the surface differs at a false "
        f"discovery rate of {LEVEL:g}; smallest corrected p-value {smallest:.2g}"
    )
    rows = [
        number_row("different_share", share, "share", n),
        number_row("smallest_corrected_p", smallest, "", n),
    ]
    if "bump" in found and different.any():
        on_bump = areas[different & found["bump"]].sum() / areas[different].sum()
        rows.append(number_row("different_on_bump", on_bump, "share", n))
    return rows


def score_groups(groups: Groups) -> tuple[pd.DataFrame, list[dict]]:
    """Mahalanobis distances of all subjects, and how well they tell the groups apart.

    Returns:
        One row a subject: subject, split, group, `mahalanobis`, each control held against a model
        of other persons (`cross_fit`), and `mahalanobis_in_sample`, the paper's, from all
        controls on the scores that keep 100 % of the variance, which is degenerate where their
        number, of which a row tells, is one less than the controls'. And rows of `number_row`.
    Raises:
        InputError: if the controls make no covariance.
    """
    controls, cases = ~groups.cases, groups.cases
    _, aligned = generalised_procrustes(groups.shapes)
    try:
        paper = Estimator(PAPER_SHARE, procrustes=False).fit(aligned[controls])
        fit = cross_fit(groups.shapes, controls, Estimator(), "subjects", groups.persons)
    except ValueError as error:
        raise InputError(
            f"the landmarks of {groups.control} make no covariance ({error}): "
            "raise training.regularization"
        ) from error
    table = pd.DataFrame({"subject": groups.subjects, "split": groups.splits})
    table["group"] = np.where(cases, groups.case, groups.control)
    table["mahalanobis"], table["mahalanobis_in_sample"] = fit.scores(controls), paper(aligned)
    n, value = len(table), auc(fit.controls, fit.others)
    scores = table["mahalanobis"].to_numpy()[:, None]
    means, of_cases = of_persons(scores, cases, groups.persons)
    by_person = means[~of_cases, 0], means[of_cases, 0]
    interval = auc_interval(value, *map(len, by_person))
    in_sample = table["mahalanobis_in_sample"].to_numpy()
    return table, [
        number_row("mahalanobis_auc", value, "", n, interval),
        number_row("mahalanobis_auc_p", separation_p(*by_person), "", n),
        number_row("mahalanobis_auc_in_sample", auc(in_sample[controls], in_sample[cases]), "", n),
        number_row("mahalanobis_modes_in_sample", len(paper.model.modes), "modes", n),
    ]
