import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lmcore.errors import InputError
from lmcore.figures.schedule import lanes_of, plot_schedule, read_jobs, without_rests

DAY = 1_700_000_000


@pytest.fixture
def benchmarks(tmp_path):
    """Two trials side by side, a training after them; the next day a variant's."""
    jobs = {
        "fish/cross_validate_regularization/weight0_fold0": (110, 100.0),
        "fish/cross_validate_regularization/weight0_fold1": (130, 100.0),
        "fish/train_encoder": (330, 200.0),
        "fish/variants/one/train_encoder": (330 + 86_400, 50.0),
        "gone/train_encoder": (20, 10.0),
    }
    for name, (end, seconds) in jobs.items():
        path = tmp_path / "benchmarks" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = json.dumps({"s": 9999.0})  # Snakemake adds a line for each repetition
        path.write_text(f"{earlier}\n{json.dumps({'s': seconds})}\n", encoding="utf-8")
        os.utime(path, (DAY + end, DAY + end))
    return tmp_path / "benchmarks"


RUNS = ["fish", "fish/variants/one", "nothing/yet"]


def test_jobs_of_the_runs_that_are_asked_for(benchmarks):
    jobs = read_jobs(benchmarks, RUNS)
    rules = ["cross_validate_regularization"] * 2 + ["train_encoder"] * 2
    assert jobs["rule"].tolist() == rules
    assert jobs["run"].tolist() == ["fish"] * 3 + ["fish/variants/one"]
    assert jobs["begin"].tolist() == [0, 20, 120, 86_670]
    assert jobs["end"].tolist() == [100, 120, 320, 86_720]


def test_long_rests_are_cut_out(benchmarks):
    jobs, rests = without_rests(read_jobs(benchmarks, RUNS))
    assert jobs["begin"].tolist() == [0, 20, 120, 320]
    assert jobs["end"].tolist() == [100, 120, 320, 370]
    assert rests == [320]


def test_a_job_takes_the_first_lane_that_is_free():
    jobs = pd.DataFrame(
        {"begin": [20, 0, 5, 10, 25], "end": [30, 20, 12, 40, 50]}, index=list("abcde")
    )
    assert lanes_of(jobs).tolist() == [0, 0, 1, 2, 1]


def test_the_figure_has_a_bar_for_each_run(benchmarks, tmp_path):
    outputs = [tmp_path / "schedule.png", tmp_path / "schedule.pdf"]
    plot_schedule(benchmarks, RUNS, outputs)
    pixels = np.asarray(Image.open(outputs[0]).convert("RGB"))
    training = (abs(pixels.astype(int) - (0, 0x72, 0xB2)) < 3).all(-1)  # the longest rule's blue
    below_the_legend = training[len(training) // 3 :]
    rows = np.flatnonzero(below_the_legend.any(axis=1))
    assert (np.diff(rows) > 1).sum() == 1  # two runs, apart
    assert outputs[1].stat().st_size > 1000


def test_without_benchmarks_it_says_so(tmp_path):
    with pytest.raises(InputError, match="has no benchmark files"):
        plot_schedule(tmp_path, ["fish"], [tmp_path / "schedule.png"])
