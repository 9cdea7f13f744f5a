"""Numbers without intervals

Every number that the paper gives as well carries a 95 % interval: by resampling subjects, or the
splits of a cross-validation; of an accuracy on test subjects Wilson's, since a bootstrap has no
width where all answers are right. What carries none is no estimate, or is listed here.
"""

import numpy as np
import pandas as pd
import pytest

# Settings and counts, and a spread that is itself no estimate of anything beyond the splits
NO_ESTIMATES = {"landmarks_discovered", "landmarks_retained", "best_regularization"}
NO_ESTIMATES |= {"landmark_accuracy_sd", "particle_accuracy_sd"}
# How the others are named that come without one
WITHOUT = {
    "a p-value": r".*_p",
    "a count": r".*(_modes|_modes_in_sample)",
    "a share of the variance": r".*(_variance_share|_compactness)",
    "a spread over splits": r".*_sd",
    "of the truth of a simulation": r"(bump|true_probability|z_truth)_.*|different_on_bump",
    "of all controls by their own model, as the paper has it": r".*in_sample.*",
    "of one mean surface": r"largest_.*|different_share",
    "of one pair of subjects": r".*_case_to_.*",
    "of the classes": r"majority_accuracy",
}


def numbers_of(finished, experiment: str) -> pd.DataFrame:
    return pd.read_csv(finished / f"results/{experiment}/numbers.csv").set_index("name")


@pytest.mark.parametrize("experiment", ["diatoms", "metopic", "camfai", "cardiac"])
def test_numbers_of_the_paper_carry_intervals(finished, experiment, survived):
    table = numbers_of(finished, experiment)
    paper = table[table["paper"].notna() & ~table.index.isin(NO_ESTIMATES)]
    bounds = paper[["ci_low", "ci_high"]]
    assert np.isfinite(bounds).all(axis=None), paper
    assert (bounds["ci_low"] <= bounds["ci_high"]).all()
    names = ", ".join(paper.index) or "no estimates"
    survived(f"{experiment}: numbers that the paper gives, too", f"intervals of {names}")


def test_other_numbers_without_intervals_are_known(finished, survived):
    without = set()
    for experiment in ("diatoms", "metopic", "camfai", "cardiac"):
        table = numbers_of(finished, experiment)
        # two test subjects make one pair, of which there is no interval
        several = table["n"].isna() | (table["n"] > 2)
        without |= set(table.index[table["ci_low"].isna() & several]) - NO_ESTIMATES
    unknown = without
    for pattern in WITHOUT.values():
        unknown = {name for name in unknown if not pd.Series([name]).str.fullmatch(pattern).all()}
    assert unknown == set()
    survived("all other numbers", f"those without an interval are: {'; '.join(WITHOUT)}")
