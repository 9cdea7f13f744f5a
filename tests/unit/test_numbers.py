"""Intervals, the table of numbers, the paper's values beside them, and the summary."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from lmcore.analysis.intervals import (
    bootstrap_interval,
    mean_interval,
    proportion_interval,
    resampling_weights,
)
from lmcore.analysis.numbers import (
    number_row,
    read_numbers,
    summarize,
    tabulate_numbers,
    write_numbers,
)
from lmcore.errors import InputError

Z = 1.959963984540054
PAPER = (
    "experiment,name,value,unit,source\n"
    "diatoms,test_accuracy,1.0,share,Sec. 4.1\n"
    "toy,test_accuracy,0.5,share,none\n"
    "diatoms,landmarks_retained,11,,Sec. 4.1\n"
)


@pytest.mark.parametrize(("successes", "n"), [(0, 9), (3, 34), (34, 34), (17, 20)])
def test_wilson_interval_closed_form(successes, n):
    share = successes / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    expected = max(middle - half, 0), min(middle + half, 1)
    assert proportion_interval(successes, n) == pytest.approx(expected, abs=1e-12)


def test_wilson_interval_covers_about_as_often_as_it_says():
    n, share = 34, 0.9
    inside = [low <= share <= high for low, high in (proportion_interval(k, n) for k in range(35))]
    assert binom.pmf(np.arange(35), n, share)[inside].sum() == pytest.approx(0.95, abs=0.03)


def test_interval_of_a_mean_agrees_with_the_normal_approximation():
    values = np.random.default_rng(0).normal(2.0, 3.0, 400)
    half = Z * values.std() / np.sqrt(400)
    expected = values.mean() - half, values.mean() + half
    assert mean_interval(values, seed=1) == pytest.approx(expected, abs=0.05)


def test_interval_of_a_constant_has_no_width():
    assert mean_interval(np.full(7, 0.25), seed=1) == (0.25, 0.25)


def test_strata_keep_their_size_in_every_resample():
    strata = np.array(list("aaabb"))
    weights = resampling_weights(5, seed=2, resamples=50, strata=strata)
    assert set(weights[:, :3].sum(axis=1)) == {3}
    assert set(weights[:, 3:].sum(axis=1)) == {2}
    assert weights.max() > 1
    assert len({tuple(row) for row in weights}) > 10


def test_resamples_without_a_value_do_not_count():
    def nothing_for_the_first(weights):
        values = weights[:, 0].copy()
        values[0] = np.nan
        return values

    low, high = bootstrap_interval(nothing_for_the_first, 4, seed=3)
    assert (low, high) == (0, 3)


def write_part(path, *rows):
    write_numbers(path, rows)
    return path


def test_numbers_keep_empty_what_there_is_none_of(tmp_path):
    path = write_part(
        tmp_path / "a.numbers.csv",
        number_row("test_accuracy", 1 / 3, "share", 34, (0.1, 0.5)),
        number_row("folded_share", 0.25, "share"),
    )
    assert path.read_text() == (
        "name,value,unit,n,ci_low,ci_high\n"
        "test_accuracy,0.333333333,share,34,0.1,0.5\n"
        "folded_share,0.25,share,,,\n"
    )
    with pytest.raises(ValueError, match="the same name twice: a"):
        write_numbers(path, [number_row("a", 1, ""), number_row("a", 2, "")])


@pytest.fixture
def parts(tmp_path):
    return [
        write_part(
            tmp_path / "one.numbers.csv",
            number_row("test_accuracy", 0.9, "share", 34, (0.77, 0.96)),
        ),
        write_part(
            tmp_path / "two.numbers.csv",
            number_row("landmarks_retained", 12, ""),
            number_row("folded_share", 0, "share"),
        ),
    ]


def test_the_papers_values_are_joined_by_experiment_and_name(tmp_path, parts):
    paper, output = tmp_path / "paper.csv", tmp_path / "numbers.csv"
    paper.write_text(PAPER)
    tabulate_numbers(parts, paper, "diatoms", output)
    assert output.read_text() == (
        "name,value,unit,n,ci_low,ci_high,paper\n"
        "test_accuracy,0.9,share,34,0.77,0.96,1\n"
        "landmarks_retained,12,,,,,11\n"
        "folded_share,0,share,,,,\n"
    )
    tabulate_numbers(parts, paper, "mine", output)
    assert read_numbers(output)["paper"].isna().all()
    with pytest.raises(ValueError, match="twice: test_accuracy"):
        tabulate_numbers([parts[0], parts[0]], paper, "diatoms", output)


def test_a_cross_validated_weight_becomes_a_number(tmp_path, parts):
    paper, choice, output = (tmp_path / name for name in ("paper.csv", "choice.json", "out.csv"))
    paper.write_text(PAPER + "diatoms,best_regularization,0.005,,Sec. 4.1\n")
    choice.write_text('{"weight": 3e-7, "at_grid_end": false}')
    tabulate_numbers(parts[:1], paper, "diatoms", output, regularization=choice)
    assert output.read_text().splitlines()[1:] == [
        "test_accuracy,0.9,share,34,0.77,0.96,1",
        "best_regularization,3e-07,,,,,0.005",
    ]
    tabulate_numbers([], paper, "diatoms", output)
    assert output.read_text() == "name,value,unit,n,ci_low,ci_high,paper\n"


def test_faults_of_the_papers_table_are_named(tmp_path, parts):
    paper, output = tmp_path / "paper.csv", tmp_path / "numbers.csv"
    for text, message in (
        (
            PAPER.replace("1.0,share", "100,%"),
            "test_accuracy is in '%' but the run's is in 'share'",
        ),
        (PAPER + "diatoms,test_accuracy,1.0,share,again\n", "test_accuracy stands there twice"),
        (PAPER.replace(",source", ",origin"), "lacks column source"),
    ):
        paper.write_text(text)
        with pytest.raises(InputError, match=message):
            tabulate_numbers(parts, paper, "diatoms", output)
        assert not output.exists()


def test_the_summary_says_where_each_number_comes_from(tmp_path, parts):
    paper = tmp_path / "paper.csv"
    paper.write_text(PAPER)
    runs = {"diatoms": tmp_path / "d.csv", "mine": tmp_path / "m.csv"}
    for run, path in runs.items():
        tabulate_numbers(parts, paper, run, path)
    populations = {"mine": "table of images", "diatoms": "simulated"}
    table, text = tmp_path / "summary.csv", tmp_path / "summary.md"
    summarize(runs, populations, table, text)
    frame = pd.read_csv(table)
    assert frame["run"].tolist() == ["diatoms"] * 3 + ["mine"] * 3
    assert frame["population"].tolist() == ["simulated"] * 3 + ["table of images"] * 3
    assert frame["value"].tolist() == [0.9, 12, 0] * 2
    np.testing.assert_array_equal(frame["paper"], [1, 11, np.nan] + [np.nan] * 3)
    lines = text.read_text().splitlines()
    assert "| test_accuracy | 0.9 | [0.77, 0.96] | share | 34 | 1 |" in lines
    assert "| test_accuracy | 0.9 | [0.77, 0.96] | share | 34 |  |" in lines
    assert "| folded_share | 0 |  | share |  |  |" in lines
    assert lines.index("Population: simulated") < lines.index("## mine")
