"""A stand-in for ShapeWorks: it shows what the program is given and proves nothing of it."""

import stat
import sys
from pathlib import Path

# Checks what it is given as ShapeWorks would read it, and writes a particle for each voxel of a
# corner of the surface; it optimises nothing.
STAND_IN = """#!{python}
import json, os, sys
import SimpleITK as sitk
if sys.argv[1:] == ["--version"]:
    print("stand-in for ShapeWorks 0.0")
    sys.exit()
assert sys.argv[1:3] == ["optimize", "--name"], sys.argv
name = sys.argv[3]
project = json.load(open(name))
values = [v for row in project["data"] for v in row.values()] + list(project["optimize"].values())
assert all(isinstance(v, str) for v in values), "a value is no string"
optimize = project["optimize"]
count = int(optimize["number_of_particles"])
fixed = optimize.get("use_fixed_subjects") == "true"
os.makedirs("project_particles")
for row in project["data"]:
    assert row["groomed_1"] == "groomed/" + row["name"] + ".nrrd", row
    image = sitk.ReadImage(row["groomed_1"])
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    array = sitk.GetArrayFromImage(image)
    assert array.min() < 0 < array.max()
    inside = [tuple(int(i) for i in p[::-1]) for p in zip(*(array > 0).nonzero())]
    points = [image.TransformIndexToPhysicalPoint(p) for p in inside[:count]]
    if fixed:
        start = open(row["landmarks_file_1"]).read().split("\\n")
        assert len([line for line in start if line]) == count
        if row[optimize["fixed_subjects_column"]] == optimize["fixed_subjects_choice"]:
            points = [tuple(map(float, line.split())) for line in start if line]
    for kind in ("local", "world"):
        with open("project_particles/%s_%s.particles" % (row["name"], kind), "w") as file:
            file.writelines("%f %f %f\\n" % p for p in points)
project["rewritten"] = "yes"
json.dump(project, open(name, "w"))
"""


def executable(path: Path, text: str) -> Path:
    """A file that can be run."""
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def write_stand_in(folder: Path) -> Path:
    """The stand-in as a program of this folder."""
    return executable(folder / "stand_in_for_shapeworks", STAND_IN.format(python=sys.executable))
