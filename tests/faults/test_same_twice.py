"""The same twice

The smallest experiment with everything in it, and one of volumes, in two folders with one core and
with two; and a training with one thread and with two.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from experiment import RECIPES, Experiment, prepared
from jobs import finish

TWICE = ("diatoms", "camfai")
# Of the image's half side, after 12 steps; rounding is all that differs
TOLERANCE = 1e-5


def results(folder: Path, experiment: str) -> dict[str, bytes]:
    """Content of all results of an experiment by their path, but for times."""
    below = folder / "results" / experiment
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in below.rglob("*")
        if path.is_file() and path.name != "timings.csv"
    }


@pytest.mark.parametrize("experiment", TWICE)
def test_two_folders_and_other_cores(tmp_path, finished, experiment, survived):
    """`finished` ran with two cores and other experiments beside this one."""
    other = finish(tmp_path / "another folder", "tiny.yaml", experiment, cores=1)
    one, two = results(finished, experiment), results(other, experiment)
    assert one.keys() == two.keys()
    different = [name for name in one if one[name] != two[name]]
    assert different == []
    tables = [name for name in one if name.endswith(".csv")]
    assert len(tables) > 20
    survived(
        f"{experiment} in another folder with another --cores",
        f"the same bytes: {len(tables)} tables, and {len(one) - len(tables)} other files",
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_another_number_of_threads(tmp_path, recipe, survived):
    population = prepared(tmp_path / "population")
    found = []
    for threads in (1, 2):
        experiment = Experiment(tmp_path / f"{threads}", population, recipe=recipe, pairs=144)
        experiment.threads = threads
        assert experiment.train(seconds=300).code == 0
        table = pd.read_csv(io.BytesIO(experiment.landmarks()))
        found.append(table[["x", "y"]].to_numpy())
    apart = np.abs(found[0] - found[1]).max()
    assert apart < TOLERANCE
    survived(
        f"training.threads 2 in place of 1 ({recipe})",
        f"landmarks less than {TOLERANCE:g} of the image's half side apart",
    )


def test_what_is_recorded(finished, survived):
    table = pd.read_csv(finished / "results/provenance.csv", dtype=str).set_index("name")["value"]
    wanted = ["lmcore", "Python", "torch", "numpy", "seed", "system", "processor", "cores"]
    wanted += ["digest of the code", "digest of the configuration"]
    assert table[wanted].notna().all()
    for run in ("diatoms", "metopic", "camfai", "cardiac"):
        seeds = table[table.index.str.startswith(f"seed of {run},")]
        assert {name.split(", ")[1] for name in seeds.index} >= {
            *("simulation", "population", "cross_validation", "training", "redundancy"),
            *("registration", "clustering", "classification", "severity", "mean_shapes"),
        }
        assert seeds.is_unique
    survived(
        "what it takes to run it again",
        f"in the report: versions, digests of code and configuration, machine, and "
        f"{table.index.str.startswith('seed of').sum()} seeds",
    )
