"""The generating parameters of a simulated population; for evaluations alone."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmcore.errors import InputError

Path = str | os.PathLike


def read_truth(path: Path, subjects: np.ndarray, columns: Sequence[str] | None) -> np.ndarray:
    """(N, D) generating parameters in the order of `subjects`.

    Raises:
        InputError: when a subject or column is missing, or a value is not a finite number.
    """
    table = pd.read_csv(path, dtype={"subject": str})
    if "subject" not in table:
        raise InputError(f"{path}: no column 'subject'; add it")
    if columns is None:
        numeric = table.drop(columns="subject").select_dtypes("number")
        columns = list(numeric.columns)
    missing = sorted(set(columns) - set(table.columns))
    if missing or not columns:
        raise InputError(f"{path}: no column {', '.join(missing) or 'of numbers'}")
    table = table.drop_duplicates("subject").set_index("subject")
    strangers = sorted(set(subjects) - set(table.index))
    if strangers:
        raise InputError(f"{path}: no subject '{strangers[0]}'; add its row")
    values = table.loc[list(subjects), list(columns)]
    values = values.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{path}: subject '{subjects[row]}' has no number in column '{columns[column]}'"
        )
    return values
