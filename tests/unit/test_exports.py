import json
import re

import numpy as np
import pytest

from lmcore.points.exports import export_landmarks
from lmcore.points.landmarks import Landmarks

PIXELS = np.array([[[10.0, 0.0], [-0.25, 99.5], [3.0, 4.0]], [[1.0, 2.0], [5.5, 6.0], [7.0, 8.0]]])
SHAPES = np.array([[100, 50], [480, 640]])  # (H, W)
WORLD = np.array([[[10.0, 20.0, 30.0], [-1.5, 2.5, -3.5]]])


@pytest.fixture
def planar(tmp_path):
    landmarks = Landmarks(["s1", "s2"], [0, 7, 3], np.zeros_like(PIXELS), PIXELS)
    export_landmarks(landmarks, ["a/s1.png", "s2.jpg"], SHAPES, tmp_path / "exports")
    return tmp_path / "exports"


@pytest.fixture
def spatial(tmp_path):
    landmarks = Landmarks(["v1"], [2, 5], np.zeros_like(WORLD), WORLD)
    export_landmarks(landmarks, ["v1.nii.gz"], np.array([[4, 5, 6]]), tmp_path)
    return tmp_path


def test_wide_table_keeps_the_landmark_numbers(planar):
    assert (planar / "landmarks.csv").read_text() == (
        "subject,x0,y0,x7,y7,x3,y3\ns1,10,0,-0.25,99.5,3,4\ns2,1,2,5.5,6,7,8\n"
    )


def test_wide_table_in_three_dimensions_is_ras(spatial):
    assert (spatial / "landmarks.csv").read_text() == (
        "subject,x2,y2,z2,x5,y5,z5\nv1,10,20,30,-1.5,2.5,-3.5\n"
    )


def test_tps_counts_y_from_the_bottom_of_each_image(planar):
    assert (planar / "landmarks.tps").read_text() == (
        "LM=3\n10.00000 100.00000\n-0.25000 0.50000\n3.00000 96.00000\n"
        "IMAGE=a/s1.png\nID=s1\n"
        "LM=3\n1.00000 478.00000\n5.50000 474.00000\n7.00000 472.00000\n"
        "IMAGE=s2.jpg\nID=s2\n"
    )


def test_tps_reads_back(planar):
    """A reader as geometric morphometrics packages have it: keyword lines and the rest."""
    text = (planar / "landmarks.tps").read_text()
    blocks = re.findall(r"LM=(\d+)\n(.*?)IMAGE=(.*?)\nID=(.*?)\n", text, re.DOTALL)
    for (count, rows, _, name), points, shape in zip(blocks, PIXELS, SHAPES, strict=True):
        read = np.array([row.split() for row in rows.splitlines()], dtype=float)
        assert (int(count), name) == (3, {100: "s1", 480: "s2"}[shape[0]])
        np.testing.assert_allclose(np.c_[read[:, 0], shape[0] - read[:, 1]], points)


def test_tps_in_three_dimensions(spatial):
    assert (spatial / "landmarks.tps").read_text() == (
        "LM3=2\n10.00000 20.00000 30.00000\n-1.50000 2.50000 -3.50000\nIMAGE=v1.nii.gz\nID=v1\n"
    )


@pytest.mark.parametrize(
    ("files", "name", "positions"),
    [
        ("planar", "s1", [[10, 0, 0], [-0.25, 99.5, 0], [3, 4, 0]]),
        ("spatial", "v1", [[-10, -20, 30], [1.5, -2.5, -3.5]]),
    ],
)
def test_slicer_and_particles_are_lps_in_space(files, name, positions, request):
    folder = request.getfixturevalue(files)
    content = json.loads((folder / "slicer" / f"{name}.mrk.json").read_text())
    assert content["@schema"].endswith("markups-schema-v1.0.3.json#")
    (markup,) = content["markups"]
    assert (markup["type"], markup["coordinateSystem"]) == ("Fiducial", "LPS")
    assert [point["position"] for point in markup["controlPoints"]] == positions
    labels = {"s1": ["0", "7", "3"], "v1": ["2", "5"]}[name]
    assert [point["label"] for point in markup["controlPoints"]] == labels
    particles = np.loadtxt(folder / "particles" / f"{name}_world.particles")
    np.testing.assert_array_equal(particles, positions)


def test_particles_are_plain_lines(planar):
    text = (planar / "particles" / "s2_world.particles").read_text()
    assert text == "1 2 0\n5.5 6 0\n7 8 0\n"


def test_one_file_a_subject_and_no_leftovers(planar):
    names = sorted(str(path.relative_to(planar)) for path in planar.rglob("*") if path.is_file())
    assert names == [
        "landmarks.csv",
        "landmarks.tps",
        "particles/s1_world.particles",
        "particles/s2_world.particles",
        "slicer/s1.mrk.json",
        "slicer/s2.mrk.json",
    ]


def test_arguments_that_disagree(tmp_path):
    landmarks = Landmarks(["s1", "s2"], [0, 7, 3], PIXELS, PIXELS)
    with pytest.raises(ValueError, match="1 images"):
        export_landmarks(landmarks, ["s1.png"], SHAPES, tmp_path)
    assert not list(tmp_path.iterdir())
