"""The measurement of what Z can reach, on two populations."""

import json

import torch

from benchmarks import severity


def test_what_is_printed(capsys):
    threads = torch.get_num_threads()
    severity.main(["--seeds", "2", "--landmarks", "12", "--noise", "0", "8"])
    torch.set_num_threads(threads)
    (line,) = capsys.readouterr().out.splitlines()
    scores = json.loads(line)["scores"]
    assert scores["parameters"]["auc_lowest"] > 0.85
    assert scores["parameters_known_covariance"]["auc"] >= scores["parameters"]["auc"]
    # noise much larger than the shape leaves nothing to be told
    assert scores["8 mm, shrunk"]["auc"] < 0.75 < scores["0 mm, shrunk"]["auc"]
    assert set(scores) >= {"0 mm, share 0.95", "8 mm, share 0.98"}
    for row in scores.values():
        assert row["auc_lowest"] <= row["auc"] <= row["auc_highest"]
        assert -1 <= row["spearman"] < 0.75  # of 93 controls whose severity is one value
