import json

import pytest

from benchmarks import rules


def test_a_row_a_rule_a_column_an_experiment(tmp_path, capsys):
    measured = {
        "fish/train_encoder": [
            {"s": 9.0, "max_rss": 1.0, "cpu_time": 3.0},
            {"s": 11.0, "max_rss": 300.2, "cpu_time": 5.0},
        ],
        "fish/cross_validate_regularization/weight0_fold0": [
            {"s": 4.0, "max_rss": 200.0, "cpu_time": 4.0}
        ],
        "fish/cross_validate_regularization/weight0_fold1": [
            {"s": 8.0, "max_rss": 250.0, "cpu_time": 4.0}
        ],
        "fish/variants/one/train_encoder": [{"s": 99.0, "max_rss": 999.0, "cpu_time": 9.0}],
        "bird/select_landmarks": [{"s": 0.2, "max_rss": "NA", "cpu_time": "NA"}],
        "bird/preprocess_population": [{"s": 60.4, "max_rss": 123.4, "cpu_time": 80.0}],
    }
    for name, jobs in measured.items():
        path = tmp_path / "benchmarks" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{json.dumps(job)}\n" for job in jobs), encoding="utf-8")
    (tmp_path / "fish/model").mkdir(parents=True)
    (tmp_path / "fish/model/encoder.pt").write_bytes(bytes(2_000_000))
    (tmp_path / "fish/model/history.csv").write_bytes(bytes(500_000))
    (tmp_path / "bird").mkdir()
    (tmp_path / "bird/population.h5").write_bytes(bytes(1_000_000))
    rules.main([str(tmp_path)])
    assert capsys.readouterr().out.splitlines() == [
        "| rule | bird | fish |",
        "|---|--:|--:|",
        "| `preprocess_population` | 60 (80) s, 123 MB, 1.0 MB |  |",
        "| `train_encoder` |  | 2 x 10 (4) s, 300 MB, 2.5 MB |",
        "| `cross_validate_regularization` |  | 2 x 6 (4) s, 250 MB |",
        "| `select_landmarks` | 0 s |  |",
    ]


def test_without_measurements_it_says_so(tmp_path):
    with pytest.raises(SystemExit, match="has no benchmarks of a finished run"):
        rules.main([str(tmp_path)])
