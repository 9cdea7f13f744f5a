"""A sheet of raters: who gave which scan which score."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmcore.errors import InputError
from lmcore.points.files import read_text_table

COLUMNS = ("subject", "rater", "score")


def read_mean_ratings(path: str | os.PathLike, subjects: Sequence[str]) -> np.ndarray:
    """Mean score of each of N subjects over its raters, NaN for those nobody rated.

    Arguments:
        path: CSV of subject, rater, score; one row for each score.
        subjects: (N) ids.
    Returns:
        (N,) on the scale of the sheet.
    Raises:
        InputError: if the file cannot be read, lacks a column, or has a subject that is unknown,
            a score that is no number, or two scores of one rater for one subject.
    """
    table = read_text_table(path, "; see population.ratings")
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; add it")
    strangers = sorted(set(table["subject"]) - set(subjects))
    if strangers:
        raise InputError(f"{path}: '{strangers[0]}' is no subject with a class; remove its rows")
    scores = pd.to_numeric(table["score"], errors="coerce")
    bad, twice = ~np.isfinite(scores), table.duplicated(["subject", "rater"])
    for wrong, what in ((bad, "is no number"), (twice, "stands there twice")):
        if wrong.any():
            subject, rater = table.loc[wrong.idxmax(), ["subject", "rater"]]
            raise InputError(f"{path}: the score of {subject} by {rater} {what}; correct it")
    means = scores.groupby(table["subject"]).mean()
    return means.reindex(list(subjects)).to_numpy(dtype=float)
