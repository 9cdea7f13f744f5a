"""A population whose images do not fit into memory: this file also runs as a program under a limit.

RLIMIT_DATA counts what a process may write to; RLIMIT_AS would count the address space that torch
reserves and never uses.
"""

import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lmcore
from lmcore import memory
from lmcore.discovery import pairs
from lmcore.memory import cgroup_limits, spare_memory
from lmcore.population.store import Population, write_population
from lmcore.population.volume_preprocessing import VolumePreprocessing

SHAPE = (36, 44, 52)
IMAGE_BYTES = 4 * math.prod(SHAPE)
# What training may take beyond the imports, which alone take 300 MB and vary with the machine.
ALLOWED_BYTES = 700_000_000


def boxes(count: int):
    """Records of images with a box that lies and ends elsewhere in each, made one by one."""
    image = np.empty((1, *SHAPE), np.float32)
    for n in range(count):
        image[:] = 0.1
        image[0, 6 + n % 7 : 26, 9 : 30 + n % 5, 12 + n % 3 : 40] = 0.8
        image[0, 0, 0, :2] = n % 100 / 100, n // 100 / 100  # no two are the same
        yield image, np.eye(4), SHAPE


def run_under_limit(folder: Path) -> None:
    """Write a population larger than the limit, set the limit, train, find landmarks, evaluate."""
    import torch

    from lmcore.analysis.registration_quality import evaluate_registration
    from lmcore.discovery.inference import discover_landmarks
    from lmcore.discovery.settings import TrainingSettings
    from lmcore.discovery.stages import train_encoder

    torch.set_num_threads(1)
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    limit = used + ALLOWED_BYTES
    count = limit // IMAGE_BYTES + 1
    population, subjects = folder / "population.h5", folder / "subjects.csv"
    names = [f"s{n}" for n in range(count)]
    preprocessing = VolumePreprocessing(SHAPE, spacing=1.0).to_dict()
    write_population(population, names, SHAPE, 1, preprocessing, boxes(count))
    splits = ["train"] * (count - 8) + ["validation"] * 4 + ["test"] * 4
    table = pd.DataFrame({"subject": names, "image": "x.nii", "split": splits})
    table.to_csv(subjects, index=False)

    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    assert 0.8 * ALLOWED_BYTES < spare_memory() <= ALLOWED_BYTES
    with Population(population) as opened:
        kept = pairs.spare_memory
        pairs.spare_memory = lambda: math.inf
        with pytest.raises(MemoryError):  # the limit holds: all images at once do not fit
            pairs.Images(opened, range(count))
        pairs.spare_memory = kept
        images = pairs.Images(opened, range(count))
        assert 0 < len(images.cache) < count / 2
        del images
    settings = TrainingSettings(
        *(6, 1e-3), widths=(2, 2, 2, 2), hidden=4, stride=2, pairs=48, validate_every=24, batch=4
    )
    encoder, landmarks = folder / "encoder.pt", folder / "all.csv"
    written = [folder / name for name in ("history.csv", "times.csv", "seen.csv", "checkpoint.pt")]
    train_encoder(population, subjects, settings, 0, encoder, *written, digest="")
    discover_landmarks(population, encoder, landmarks, folder / "timings.csv")
    written = [folder / name for name in ("pairs.csv", "numbers.csv", "examples.h5")]
    evaluate_registration(population, subjects, landmarks, landmarks, "paper", 0, *written)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to limit memory")
def test_it_trains_finds_landmarks_and_evaluates(tmp_path):
    root = Path(lmcore.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, __file__, tmp_path],
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["pairs"].tolist() == [24, 48]
    assert np.isfinite(history["validation_loss"]).all()
    subjects = pd.read_csv(tmp_path / "subjects.csv")["subject"]
    found = pd.read_csv(tmp_path / "all.csv")
    assert found["subject"].unique().tolist() == subjects.tolist()
    assert len(found) == 6 * len(subjects)
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == 4 * 3


def test_limits_of_control_groups(tmp_path, monkeypatch):
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    monkeypatch.setattr(memory, "PROC", proc)
    monkeypatch.setattr(memory, "CGROUPS", groups)
    for name, text in {
        "slurm/memory.max": "7000\n",
        "slurm/step/memory.max": "max\n",
        "slurm/step/task/memory.max": "9000\n",
        "memory/memory.limit_in_bytes": "5000\n",  # a container: its path is the machine's
        "cpu/memory.max": "1\n",
    }.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text("4:memory:/docker/1f\n3:cpu:/\n0::/slurm/step/task\n")
    assert sorted(cgroup_limits()) == [5000, 7000, 9000]
    resident = 3 * resource.getpagesize()
    (proc / "self/statm").write_text("100 3 1 1 0 20 0\n")
    (proc / "meminfo").write_text("MemTotal: 99 kB\nMemAvailable: 90 kB\n")
    assert spare_memory() == max(0, 5000 - resident)
    (groups / "memory/memory.limit_in_bytes").write_text(f"{resident + 1234}")
    for name in ("slurm", "slurm/step/task"):
        (groups / name / "memory.max").write_text("max")
    assert spare_memory() == 1234
    (groups / "memory/memory.limit_in_bytes").unlink()
    assert spare_memory() == 90 * 1024
    monkeypatch.setattr(memory, "PROC", tmp_path / "nowhere")
    assert spare_memory() == math.inf


def test_as_many_images_are_kept_as_may_be(population, blobs, monkeypatch):
    path, _ = population(["train"] * 6)
    content = blobs(6, (16, 32))
    one = content[0].nbytes
    monkeypatch.setattr(pairs, "spare_memory", lambda: 2.5 * one / pairs.CACHE_SHARE)
    with Population(path) as opened:
        images = pairs.Images(opened, [5, 1, 3, 0])
        assert list(images.cache) == [5, 1]
        np.testing.assert_array_equal(images([0, 5, 3, 1]), content[[0, 5, 3, 1]])


if __name__ == "__main__":
    run_under_limit(Path(sys.argv[1]))
