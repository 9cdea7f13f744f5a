"""A copy of the project to run Snakemake in, and folders like a user's to run it on."""

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
from copies import ROOT, copy_workflow
from PIL import Image


class Project:
    """A copy of the workflow in its own folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        copy_workflow(folder)
        shutil.copy(ROOT / "tests/workflow/small.yaml", folder / "small.yaml")

    def run(self, *arguments: str, config: str | None = "small.yaml", cores: int = 2, options=()):
        """Snakemake with the small configuration; a `CompletedProcess` with text output."""
        command = [sys.executable, "-m", "snakemake", "--cores", str(cores), *options]
        command += ["--configfile", config] if config else []
        return subprocess.run(
            [*command, "--", *arguments] if arguments and arguments[0][0] != "-" else
            [*command, *arguments],
            cwd=self.folder, text=True, capture_output=True, timeout=900,
        )  # fmt: skip

    def planned(self, *arguments: str) -> set[str]:
        """Names of the rules that a dry run would run."""
        result = self.run("-n", *arguments)
        assert result.returncode == 0, result.stderr
        table = re.search(r"\njob +count\n[- ]+\n(.*?)\ntotal", result.stdout + result.stderr, re.S)
        return {line.split()[0] for line in table.group(1).splitlines()} if table else set()


def write_images(folder: Path, count: int = 12) -> None:
    """A user's folder: bars and discs in files of mixed format, size and orientation."""
    folder.mkdir()
    random = np.random.default_rng(7)
    rows = []
    for number in range(count):
        kind = ("bar", "disc")[number % 2]
        height, width = ((60, 44), (40, 70))[number % 3 == 0]
        y, x = np.mgrid[:height, :width]
        y0, x0 = height / 2 + random.uniform(-4, 4), width / 2 + random.uniform(-4, 4)
        inside = (
            (abs(x - x0) < width / 3) & (abs(y - y0) < 5)
            if kind == "bar"
            else np.hypot(x - x0, y - y0) < 12
        )
        grey = np.uint8(90 + 120 * inside + random.integers(0, 9, inside.shape))
        image = Image.fromarray(grey)
        suffix, mode = (("png", "L"), ("jpg", "RGB"), ("tif", "L"), ("png", "P"))[number % 4]
        name = f"s{number:02d}.{suffix}"
        image.convert(mode).save(folder / name)
        rows.append({"subject": f"s{number:02d}", "image": name, "kind": kind})
    write_table(folder / "subjects.csv", rows)


def write_scans(folder: Path, count: int = 12) -> None:
    """A user's folder: oblique scans of ellipsoids with segmentations, one without."""
    for name in ("scans", "labels"):
        (folder / name).mkdir(parents=True)
    random = np.random.default_rng(7)
    rows = []
    for number in range(count):
        shape = np.array([22, 26, 18 + number % 3])
        index = np.indices(shape) - (shape[:, None, None, None] - 1) / 2
        radii = np.array([5, 8, 4]) * random.uniform(0.8, 1.2, 3)
        inside = np.square(index / radii[:, None, None, None]).sum(axis=0) < 1
        affine = np.diag([-1.5 if number % 2 else 1.5, 1.2, 2.0, 1])
        affine[1, 2], affine[:3, 3] = 0.2, random.uniform(-40, 40, 3)
        scan = np.int16(20 + 200 * inside + random.integers(0, 20, shape))
        paths = {"image": f"scans/s{number:02d}.nii.gz", "segmentation": ""}
        nibabel.Nifti1Image(scan, affine).to_filename(folder / paths["image"])
        if number:
            paths["segmentation"] = f"labels/s{number:02d}.nii.gz"
            nibabel.Nifti1Image(np.uint8(inside), affine).to_filename(
                folder / paths["segmentation"]
            )
        rows.append({"subject": f"s{number:02d}", **paths, "group": "ab"[number % 2]})
    write_table(folder / "subjects.csv", rows)


def write_points(folder: Path, people: int = 8, cases: int = 6) -> None:
    """A user's folder: landmarks on ellipsoids, both sides of people, and cases with a bump."""
    folder.mkdir()
    random = np.random.default_rng(7)
    unit = random.normal(size=(60, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    names = [f"n{number:02d}_{side}" for number in range(people) for side in "LR"]
    names += [f"m{number:02d}_L" for number in range(cases)]
    own = {name[:3]: random.normal(0, 0.5, (60, 3)) for name in names}
    rows = []
    for name in names:
        points = 20 * unit + own[name[:3]] + random.normal(0, 0.1, (60, 3))
        if name[0] == "m":
            points[unit[:, 0] > 0.8] *= 1.2
        path = folder / f"{name}.particles"
        path.write_text("".join("{} {} {}\n".format(*point) for point in points))
        group = {"n": "normal", "m": "bump"}[name[0]]
        rows.append({"subject": name, "landmarks": path.name, "group": group, "person": name[:3]})
    write_table(folder / "subjects.csv", rows)


def write_table(path: Path, rows: list[dict]) -> None:
    """A subjects table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def read_table(path: Path) -> list[dict]:
    """Rows of a CSV as dictionaries of text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
