"""The measurement of what Z can reach."""

import json

import numpy as np
import pytest
import torch

from benchmarks import severity


@pytest.fixture
def scores_of(capsys):
    """The scores that the benchmark prints with some options."""

    def run(*options: str) -> dict:
        threads = torch.get_num_threads()
        severity.main([*options, "--noise", "0", "8"])
        torch.set_num_threads(threads)
        (line,) = capsys.readouterr().out.splitlines()
        return json.loads(line)["scores"]

    return run


def test_what_is_printed(scores_of):
    scores = scores_of("--seeds", "2", "--landmarks", "12")
    assert scores["parameters"]["auc_lowest"] > 0.85
    assert scores["parameters_known_covariance"]["auc"] >= scores["parameters"]["auc"]
    # noise much larger than the shape leaves nothing to be told
    assert scores["8 mm, shrunk"]["auc"] < 0.75 < scores["0 mm, shrunk"]["auc"]
    assert set(scores) >= {"0 mm, share 0.95", "8 mm, share 0.98"}
    for row in scores.values():
        assert row["auc_lowest"] <= row["auc"] <= row["auc_highest"]
        assert -1 <= row["spearman"] < 0.75  # of 93 controls whose severity is one value


def test_femora(scores_of):
    scores = scores_of("--population", "femur", "--seeds", "1", "--landmarks", "30")
    assert "parameters" not in scores  # a bump is infinitely far from controls without any
    assert scores["8 mm, shrunk"]["auc"] < scores["0 mm, shrunk"]["auc"]


def test_a_drawn_femur_is_that_of_its_population():
    drawn = severity.draw_femora(5, 20)
    assert drawn.shapes.shape == (59, 20, 3)
    assert (drawn.severity[drawn.is_control] == 0).all()
    assert drawn.severity[~drawn.is_control].min() >= 2
    near = severity.draw_femora(5, 20, near=25.0)
    across = [np.ptp(one.shapes, axis=1).max() for one in (drawn, near)]
    assert across[1] < 65 < across[0]  # mm; the femora differ in size and in bump
    assert (near.severity == drawn.severity).all()
