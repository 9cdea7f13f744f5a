"""Numbers that are reported: one tidy table a run, the paper's beside ours, one summary."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence

import pandas as pd

from lmcore.analysis.intervals import Interval
from lmcore.errors import InputError
from lmcore.files import whole_file, write_csv
from lmcore.population.seen import check_seen

COLUMNS = ["name", "value", "unit", "n", "ci_low", "ci_high"]
PAPER_COLUMNS = ["experiment", "name", "value", "unit", "source"]
SUMMARY_COLUMNS = ["run", "population", *COLUMNS, "paper"]

Path = str | os.PathLike


def number_row(
    name: str, value: float, unit: str, n: int | None = None, interval: Interval | None = None
) -> dict:
    """One row of KEY.numbers.csv; `n` counts the subjects (or pairs) behind the value."""
    low, high = interval if interval is not None else (None, None)
    return dict(zip(COLUMNS, (name, value, unit, n, low, high), strict=True))


def write_numbers(path: Path, rows: Sequence[dict]) -> None:
    """Write rows of `number_row` as KEY.numbers.csv; what there is none of stays empty.

    Raises:
        ValueError: when a name stands there twice.
    """
    frame = _table(rows)
    _refuse_twice(frame["name"], path)
    write_csv(path, frame)


def read_numbers(path: Path) -> pd.DataFrame:
    """KEY.numbers.csv, or numbers.csv with its column `paper`, as written."""
    frame = pd.read_csv(path, dtype={"name": str, "unit": str, "n": "Int64"})
    return frame.fillna({"unit": ""})


def tabulate_numbers(
    parts: Sequence[Path],
    paper_values: Path,
    experiment: str,
    output: Path,
    regularization: Path | None = None,
    subjects: Path | None = None,
    seen: Sequence[Path] = (),
    trained_on: str | Mapping[str, int] = "train",
    person_column: str | None = None,
) -> None:
    """Put all numbers of a run into one table, with the paper's value where it gives one.

    But not before it is certain that no stage has seen a subject of test or held_out.

    Arguments:
        parts: KEY.numbers.csv of the run's analyses, in the order of the result.
        paper_values: CSV with experiment, name, value, unit, source.
        experiment: whose values of the paper are joined.
        output: numbers.csv: name, value, unit, n, ci_low, ci_high, paper.
        regularization: regularization.json where lambda was cross-validated; its weight
            becomes best_regularization.
        subjects: subjects.csv; seen: whose images each stage has read; trained_on and
            person_column: see `check_seen`.
    Raises:
        InputError: when a stage has seen whom it must not see; when paper_values lacks a column,
            has a name twice for the experiment, or gives another unit than the run.
        ValueError: when two parts hold the same name.
    """
    if seen:
        check_seen(subjects, seen, trained_on, person_column)
    tables = [read_numbers(part)[COLUMNS] for part in parts]
    if regularization is not None:
        chosen = json.loads(pathlib.Path(regularization).read_text(encoding="utf-8"))
        tables.append(_table([number_row("best_regularization", chosen["weight"], "")]))
    numbers = pd.concat(tables, ignore_index=True) if tables else _table([])
    _refuse_twice(numbers["name"], ", ".join(map(str, parts)))
    paper = _paper_values(paper_values, experiment)
    for name, unit in zip(numbers["name"], numbers["unit"], strict=True):
        if name in paper.index and paper.loc[name, "unit"] != unit:
            raise InputError(
                f"{paper_values}: {experiment}, {name} is in '{paper.loc[name, 'unit']}' but the "
                f"run's is in '{unit}'; give the paper's value in '{unit}'"
            )
    numbers["paper"] = numbers["name"].map(paper["value"]).astype(float)
    write_csv(output, numbers)


def _table(rows: Sequence[dict]) -> pd.DataFrame:
    kinds = dict.fromkeys(("value", "ci_low", "ci_high"), float) | {"n": "Int64"}
    return pd.DataFrame(rows, columns=COLUMNS).astype(kinds)


def _paper_values(path: Path, experiment: str) -> pd.DataFrame:
    paper = pd.read_csv(path, dtype={"experiment": str, "name": str, "unit": str})
    missing = [column for column in PAPER_COLUMNS if column not in paper]
    if missing:
        raise InputError(f"{path}: lacks column {', '.join(missing)}; add it")
    paper = paper[paper["experiment"] == experiment].fillna({"unit": ""})
    twice = paper["name"][paper["name"].duplicated()]
    if len(twice):
        raise InputError(f"{path}: {experiment}, {twice.iloc[0]} stands there twice; keep one")
    return paper.set_index("name")


def _refuse_twice(names: pd.Series, where: object) -> None:
    twice = sorted(set(names[names.duplicated()]))
    if twice:
        raise ValueError(f"{where}: the same name twice: {', '.join(twice)}")


def summarize(
    runs: Mapping[str, Path],
    populations: Mapping[str, str],
    output_csv: Path,
    output_md: Path,
) -> None:
    """All runs' numbers beside the paper's, and the population each came from.

    Arguments:
        runs: name of the run -> its numbers.csv, in the order of the summary.
        populations: name of the run -> where its images come from, in words.
        output_csv: run, population, name, value, unit, n, ci_low, ci_high, paper.
        output_md: the same for reading, one table a run, rounded to four digits.
    """
    tables = []
    for run, path in runs.items():
        table = read_numbers(path).assign(run=run, population=populations[run])
        tables.append(table[SUMMARY_COLUMNS])
    write_csv(output_csv, pd.concat(tables, ignore_index=True))
    with whole_file(output_md) as temporary:
        temporary.write_text("\n".join(_markdown(tables)), encoding="utf-8")


def _markdown(tables: Sequence[pd.DataFrame]) -> list[str]:
    lines = [
        "# Summary",
        "",
        "Brackets hold 95 % confidence intervals; n counts the subjects, or the pairs of them.",
        "The paper's values were measured on the paper's own images: beside a run on another",
        "population, simulated ones included, they are a reference and not a like-for-like test.",
        "",
    ]
    for table in tables:
        lines += [f"## {table['run'].iloc[0]}", ""]
        lines += [f"Population: {table['population'].iloc[0]}", ""]
        lines += [
            "| number | value | 95 % interval | unit | n | paper |",
            "|---|--:|:-:|---|--:|--:|",
        ]
        lines += [_markdown_row(row) for row in table.to_dict("records")] + [""]
    return lines


def _markdown_row(row: dict) -> str:
    low, high = (_rounded(row[bound]) for bound in ("ci_low", "ci_high"))
    interval = f"[{low}, {high}]" if low and high else ""
    n = "" if pd.isna(row["n"]) else f"{row['n']:,}"
    cells = (row["name"], _rounded(row["value"]), interval, row["unit"], n, _rounded(row["paper"]))
    return "| " + " | ".join(cells) + " |"


def _rounded(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.4g}"
