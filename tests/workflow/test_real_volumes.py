"""The chain on real scans, shortened: LMCORE_REAL_DATA names their folder."""

from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from projects import ROOT, Project, read_table
from real_data import real_data
from scipy.ndimage import map_coordinates

from lmcore.population.store import Population

pytestmark = pytest.mark.workflow


def weak_supervision(table: Path) -> tuple[dict, dict]:
    """The example of weak supervision on a real table: all of it, and its experiment to change."""
    text = (ROOT / "config/examples/weak_supervision.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    mine = config["experiments"]["mine"]
    mine["population"]["table"] = str(table)
    return config, mine


def test_hippocampi_overlap_more_than_by_their_centres(project):
    """Half of the training subjects show their segmentation; test subjects were never seen."""
    config, mine = weak_supervision(real_data("hippocampus/subjects.csv"))
    mine["preprocess"]["size"] = [32, 32, 32]
    mine["training"] |= {
        "pairs": 1200,
        "validate_every": 300,
        "batch": 6,
        "hide": False,
        "threads": 1,
        "supervision": {"weight": 3.0, "share": 0.5},
    }
    (project.folder / "hippocampi.yaml").write_text(yaml.safe_dump(config))
    result = project.run("results/mine/numbers.csv", config="hippocampi.yaml")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    rows = {row["name"]: row for row in read_table(project.folder / "results/mine/numbers.csv")}
    assert 0.4 < float(rows["dice_before"]["value"]) < 0.8
    assert float(rows["dice_gain"]["ci_low"]) > 0
    assert float(rows["hd95_after"]["value"]) < float(rows["hd95_before"]["value"])
    seen = read_table(project.folder / "results/mine/subjects.csv")
    assert sum(row["split"] == "test" for row in seen) > 30


@pytest.fixture(scope="module")
def atria(tmp_path_factory):
    """The example of weak supervision on LGE-MRI of left atria: all, half and no segmentations."""
    table = real_data("left_atrium_lge/subjects.csv")
    project = Project(tmp_path_factory.mktemp("atria"))
    config, mine = weak_supervision(table)
    mine["preprocess"]["size"] = [32, 32, 32]
    mine["training"] |= {"pairs": 240, "validate_every": 120, "threads": 1}
    (project.folder / "atria.yaml").write_text(yaml.safe_dump(config))
    result = project.run("all", "studies", config="atria.yaml")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    return project.folder / "results", table


def test_left_atria_train_with_all_half_and_no_segmentations(atria):
    results, _ = atria
    runs = {"mine/variants/none": "0", "mine/variants/half": "50", "mine": "100"}
    found = {}
    for run in runs:
        rows = read_table(results / run / "numbers.csv")
        found[run] = {row["name"]: float(row["value"]) for row in rows}
        history = read_table(results / run / "model/history.csv")
        assert (float(history[-1]["shape_loss"]) > 0) == ("none" not in run)
        assert found[run]["dice_before"] == found["mine/variants/none"]["dice_before"]
        assert 0.2 < found[run]["dice_after"] < 1
        assert (results / run / "figures/landmarks.png").stat().st_size > 0
    assert 0.5 < found["mine"]["dice_before"] < 0.9
    study = read_table(results / "studies/supervision.csv")
    assert {row["run"]: row["x"] for row in study} == runs
    encoders = {(results / run / "landmarks/all.csv").read_bytes() for run in runs}
    assert len(encoders) == 3


def test_landmarks_of_left_atria_lie_on_the_scan_in_its_millimetres(atria):
    """What the original file shows there is what the prepared volume shows at the landmark."""
    results, table = atria
    rows = read_table(results / "mine/exports/landmarks.csv")
    numbers = [name[1:] for name in rows[0] if name.startswith("x")]
    files = {row["subject"]: row["image"] for row in read_table(table)}
    places = read_table(results / "mine/landmarks/retained.csv")
    seen, neighbours = [], np.array(list(product((-1, 0, 1), repeat=3)))
    with Population(results / "mine/population.h5") as population:
        for row in rows:
            name = row["subject"]
            file, dataset = files[name].split(":/")
            with h5py.File(table.parent / file) as content:
                scan = content[dataset][:]  # x, y, z
            world = np.array([[float(row[f"{axis}{n}"]) for axis in "xyz"] for n in numbers])
            original = np.mean(
                [
                    map_coordinates(scan, (world + offset).T / 0.625, order=1, mode="nearest")
                    for offset in population.spacing / 3 * neighbours
                ],
                axis=0,
            )
            (image,) = population.images([population.subjects.index(name)])
            mine = [place for place in places if place["subject"] == name]
            assert [place["landmark"] for place in mine] == numbers
            index = np.array([[float(place[axis]) for axis in "kji"] for place in mine])
            prepared = map_coordinates(image[0], index.T, order=1)
            inside = (np.array(scan.shape)[:, None] - 1 >= world.T / 0.625).all(axis=0)
            inside &= (world >= 0).all(axis=1)
            seen.append((original[inside], prepared[inside]))
    # one voxel of it covers many of the scan's, and its scale is another
    agreement = [np.corrcoef(pair)[0, 1] for pair in seen]
    assert np.median(agreement) > 0.8
    assert min(agreement) > 0.5
