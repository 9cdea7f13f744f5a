"""docs/data.md: the options of the simulated populations, their truth, and how tables are made."""

import csv
import dataclasses
import fnmatch
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from lmcore.population.table import read_subjects
from lmcore.simulation import atrium, cranium, diatoms, femur, toy

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "toy": toy.ToyOptions(),
    "diatoms": diatoms.DiatomOptions(),
    "cranium": cranium.CraniumOptions(),
    "femur": femur.FemurOptions(),
    "atrium": atrium.AtriumOptions(),
}
# As few voxels as hold the anatomy
SMALL = {
    "cranium": {"controls": 1, "metopic": 1, "size": [24, 26, 24], "spacing": 8.5, "raters": 2},
    "femur": {"counts": {"control": 1, "cam": 1}, "size": [24, 24, 24], "spacing": 5},
    "atrium": {"count": 1, "size": [22, 22, 22], "spacing": 5},
}
TEXT = (ROOT / "docs/data.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """What stands under a heading, to the next of its level or above."""
    level = heading.split()[0]
    after = TEXT.split(f"\n{heading}\n")[1]
    return re.split(rf"\n#{{2,{len(level)}}} ", after)[0]


def rows(text: str, column: str) -> list[list[str]]:
    """Cells of the table whose header begins with this column."""
    lines = text.split(f"| {column} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([\w*]+)`", cell)


def plain(value):
    """Options as YAML has them: lists for ranges."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


def documented(population: str) -> dict[str, object]:
    """Option -> default; one default of a row is that of all its options."""
    found = {}
    for cell, defaults, meaning in rows(section(f"### {population}"), "option"):
        assert meaning or cell == "`shear`", cell
        options, values = names(cell), yaml.safe_load(f"[{defaults.replace('`', '')}]")
        values = values * len(options) if len(values) == 1 else values
        for option, value in zip(options, values, strict=True):
            assert option not in found, f"{option} is documented twice"
            found[option] = value
    return found


@pytest.mark.parametrize("population", OPTIONS)
def test_every_option_is_documented_with_its_default_and_no_other(population):
    told = documented(population)
    known = {
        field.name: plain(getattr(OPTIONS[population], field.name))
        for field in dataclasses.fields(OPTIONS[population])
    }
    assert told.keys() == known.keys()
    elsewhere = {name for name, value in told.items() if str(value).startswith("see ")}
    assert all(isinstance(known[name], dict) for name in elsewhere)
    for name in told.keys() - elsewhere:
        assert told[name] == known[name], name


def test_the_brightness_of_every_tissue_is_documented():
    table = rows(section("### atrium"), "tissue")
    for column, profile in ((1, atrium.LGE), (2, atrium.BLACK_BLOOD)):
        told = {names(row[0])[0]: yaml.safe_load(row[column]) for row in table}
        assert told == plain(dict(profile))


@pytest.fixture(scope="module", params=SMALL)
def simulated(request, tmp_path_factory):
    """A population of one or two subjects: its name and folder."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    module = {"cranium": cranium, "femur": femur, "atrium": atrium}[name]
    module.simulate(folder / "simulated", folder / "truth.csv", 1, **SMALL[name])
    return name, folder


def header(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file))


def test_every_column_of_the_truth_is_documented_and_no_other(simulated):
    name, folder = simulated
    told = [one for row in rows(section(f"### {name}"), "truth") for one in names(row[0])]
    columns = header(folder / "truth.csv")[1:]
    for column in columns:
        assert any(fnmatch.fnmatch(column, pattern) for pattern in told), column
    for pattern in told:
        assert fnmatch.filter(columns, pattern), pattern


def test_regions_and_label_columns_are_documented(simulated):
    name, folder = simulated
    text = section(f"### {name}")
    with h5py.File(folder / "truth/surface.h5") as file:
        regions = set(file) - {"subject", "points", "triangles"}
        share = {region: np.mean(file[region][:] > 0) for region in regions}
    sentence = re.search(r"Regions? of the surface: (.*?)\.\n", text, re.S).group(1)
    assert set(names(sentence)) == regions
    assert all(0 < part < 1 for part in share.values())
    told = re.search(r"`subjects.csv` has (.*?)\.", text, re.S).group(1)
    labels = header(folder / "simulated/subjects.csv")[3:]
    assert names(told)[: len(labels)] == labels


def test_the_shown_scripts_make_tables_that_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("alba/a1.png", "nigra/n1.png"):
        file = tmp_path / "my_images" / name
        file.parent.mkdir(parents=True)
        file.touch()
    for name in ("images/a.nii.gz", "images/b.nii.gz", "labels/b.nii.gz"):
        file = tmp_path / "my_scans" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    scripts = re.findall(
        r"\n    import csv.*?\n\n(?=\S)", section("## How a data set becomes a table"), re.S
    )
    for script in scripts:
        exec(script.replace("\n    ", "\n"), {})
    images, scans = (
        read_subjects(tmp_path / f"my_{kind}/subjects.csv") for kind in ("images", "scans")
    )
    assert [(one.subject, one.labels) for one in images] == [
        ("a1", {"genus": "alba"}), ("n1", {"genus": "nigra"}),
    ]  # fmt: skip
    assert [one.subject for one in scans] == ["a", "b"]
    assert scans[0].segmentation_path is None
    assert scans[1].segmentation_path == tmp_path / "my_scans/labels/b.nii.gz"
