import platform

import numpy
import pandas as pd
import torch

import lmcore
from lmcore import provenance
from lmcore.provenance import record_provenance

SEEDS = {"toy": {"training": 3, "population": 4}, "toy/variants/b": {"training": 5}}


def test_what_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PROC", tmp_path / "proc")
    card = tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information"
    card.parent.mkdir(parents=True)
    card.write_text("Model: \t\t Some Card 80GB\nIRQ: 1\n")
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU: fast\n")
    (tmp_path / "proc/meminfo").write_text("MemTotal:       1024 kB\n")
    record_provenance(tmp_path / "p.csv", "c0ffee", "abc", 7, SEEDS)
    found = pd.read_csv(tmp_path / "p.csv", dtype=str).set_index("name")["value"]
    for name, value in {
        "lmcore": lmcore.__version__,
        "digest of the code": "abc",
        "digest of the configuration": "c0ffee",
        "seed": "7",
        "Python": platform.python_version(),
        "numpy": numpy.__version__,
        "torch": torch.__version__,
        "processor": "Some CPU: fast",
        "memory": "1024 kB",
        "GPU": "Some Card 80GB",
        "seed of toy, population": "4",
        "seed of toy/variants/b, training": "5",
    }.items():
        assert found[name] == value


def test_a_system_that_tells_less(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PROC", tmp_path / "nowhere")
    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package"))
    for name in ("one.csv", "two.csv"):
        record_provenance(tmp_path / name, "", "", 7, {})
    names = pd.read_csv(tmp_path / "one.csv")["name"].tolist()
    assert "numpy" in names
    assert not {"no-such-package", "memory", "GPU"} & set(names)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
