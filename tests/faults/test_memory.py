"""Little memory

Jobs under RLIMIT_DATA, as `ulimit -d` sets it. They take less at a time and end with the same
bytes, or say in one line how much they need.
"""

import re

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sandbox import error_lines, run
from users import Sandbox

from lmcore.discovery import redundancy
from lmcore.points.landmarks import landmark_table
from lmcore.population.store import write_population

MB = 1_000_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A user's folder of images of 12 million pixels."""
    sandbox = Sandbox(tmp_path_factory.mktemp("large"), 2)
    random = np.random.default_rng(0)
    noise = random.integers(0, 40, (3000, 4000), dtype=np.uint8)
    for row in sandbox.rows:
        noise[1000:2000, 1000 : 2000 + random.integers(0, 900)] += 60
        Image.fromarray(noise).save(sandbox.data / row["image"], compress_level=1)
    sandbox.write_table()
    return sandbox


def test_building_a_population(large, survived):
    """An image of 12 million pixels takes some 400 MB; two workers read two at once."""
    ended = large.preprocess()
    assert ended.code == 0
    assert ended.peak > 600 * MB
    expected = (large.results / "population.h5").read_bytes()
    for limit in (1200, 550):
        (large.results / "population.h5").unlink()
        assert run(large.preprocessing_job(), memory=limit * MB).code == 0
        assert (large.results / "population.h5").read_bytes() == expected
    survived("building a population of 12 million pixels a subject with 550 MB", "the same bytes")
    (large.results / "population.h5").unlink()
    ended = run(large.preprocessing_job(), memory=100 * MB)
    assert ended.code == 1
    (line,) = error_lines(large.preprocessing_log.read_text())
    assert "s00.png" in line
    assert re.search(r"not enough memory .*\d", line)
    assert not (large.results / "population.h5").exists()
    survived(
        "the same with 100 MB", re.sub(r"^error: 6 of 6 .*?: s00 \((.*?)\), s01.*", r"\1", line)
    )


def test_a_volume_says_how_much_it_takes(tmp_path, survived):
    """HDF5 of 180 MB, of which only a megabyte is on the disk."""
    sandbox = Sandbox(tmp_path, 3)
    volume = np.zeros((300, 500, 300), np.float32)
    volume[100:200, 100:300, 50:100] = 1
    with h5py.File(sandbox.data / "s03.h5", "w") as file:
        file.create_dataset("image", data=volume, chunks=(30, 50, 30), compression="gzip")
    sandbox.rows[3] |= {"image": "s03.h5:/image", "spacing": "1"}
    sandbox.write_table()
    ended = run(sandbox.preprocessing_job(), memory=150 * MB)
    assert ended.code == 1
    (line,) = error_lines(sandbox.preprocessing_log.read_text())
    assert "s03" in line
    assert "180 MB" in line
    survived("a volume of 180 MB with 150 MB", re.sub(r".*s03 \((.*)\);.*", r"\1", line))


@pytest.fixture
def volumes(tmp_path):
    """Twelve training subjects of 2 million voxels: 8 MB each, and landmarks."""
    shape, count = (120, 140, 120), 14
    random = np.random.default_rng(0)
    box = np.zeros((1, *shape), np.float32)

    def records():
        for number in range(count):
            box[:] = 0.1
            box[0, 20 + number : 90, 30:100, 25 : 80 + number] = 0.8
            yield box, np.eye(4), shape

    names = [f"s{number:02d}" for number in range(count)]
    write_population(tmp_path / "population.h5", names, shape, 1, {"size": shape}, records())
    table = pd.DataFrame({"subject": names, "image": "x.nii", "split": "train"})
    table.to_csv(tmp_path / "subjects.csv", index=False)
    points = random.uniform(-0.8, 0.8, (count, 6, 3))
    affines = np.stack([np.eye(4)] * count)
    landmark_table(names, points, range(1, 7), shape, affines).to_csv(tmp_path / "all.csv")

    def rank(output) -> None:
        files = [tmp_path / name for name in ("population.h5", "subjects.csv", "all.csv")]
        redundancy.rank_landmarks(*files, "paper", 1, output, tmp_path / "seen.csv")

    return rank


@pytest.mark.sample
def test_redundancy_removal(tmp_path, volumes, survived):
    """Every target would need eleven sources: 1,060 MB if each had copies of its own."""
    free, limited = tmp_path / "free.csv", tmp_path / "limited.csv"
    assert run(lambda: volumes(free)).code == 0
    small = run(lambda: volumes(limited), memory=60 * MB)
    assert small.code == 70
    (line,) = [text for text in small.output.splitlines() if "ranking landmarks needs" in text]
    needed = int(re.search(r"needs ([\d,]+) MB", line)[1].replace(",", ""))
    assert 190 < needed < 300
    assert not limited.exists()
    assert run(lambda: volumes(limited), memory=(needed + 60) * MB).code == 0
    assert limited.read_bytes() == free.read_bytes()
    survived("redundancy removal in volumes of 2 million voxels with 60 MB", line.split(": ", 1)[1])
    survived("the same with what it asks for, and 60 MB for itself", "the same bytes")
