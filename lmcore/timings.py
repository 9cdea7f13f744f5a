"""Times and speeds, kept apart from all other numbers, which are the same on every run."""

import csv
import os

from lmcore.files import whole_file

COLUMNS = ("name", "value", "unit", "n", "ci_low", "ci_high")


def write_timings(path: str | os.PathLike, *rows: tuple[str, float, str, int]) -> None:
    """Write (name, value, unit, n) rows in the columns of `numbers.csv`."""
    with whole_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, value, unit, n in rows:
            writer.writerow((name, f"{value:.6g}", unit, n, "", ""))
