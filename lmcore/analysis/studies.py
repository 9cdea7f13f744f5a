"""One question over several runs: their numbers side by side."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from lmcore.analysis.numbers import COLUMNS, read_numbers
from lmcore.errors import InputError
from lmcore.files import write_csv

Path = str | os.PathLike
STUDY_COLUMNS = ["experiment", "x", "run", *COLUMNS]


def tabulate_study(
    runs: Mapping[str, float | str],
    paths: Sequence[Path],
    panels: Mapping[str, Sequence[str]],
    output: Path,
) -> None:
    """Collect what a study plots.

    Arguments:
        runs: where each run, `EXPERIMENT` or `EXPERIMENT/variants/NAME`, lies along x.
        paths: numbers.csv of each, in their order.
        panels: label -> names of the numbers in it; a run may lack some of them.
        output: STUDY_COLUMNS, in the order of the runs, then the names.
    Raises:
        InputError: for a number that no run has.
    """
    names = list(dict.fromkeys(name for group in panels.values() for name in group))
    tables = []
    for (run, x), path in zip(runs.items(), paths, strict=True):
        found = read_numbers(path).set_index("name")
        found = found.loc[[name for name in names if name in found.index]].reset_index()
        tables.append(found.assign(experiment=run.split("/")[0], x=x, run=run)[STUDY_COLUMNS])
    table = pd.concat(tables, ignore_index=True)
    missing = [name for name in names if name not in set(table["name"])]
    if missing:
        raise InputError(f"studies: no run of {', '.join(runs)} has the number {missing[0]}")
    write_csv(output, table)
