"""Landmarks that a table gives: files of points, the landmark table, subjects.csv."""

import numpy as np
import pandas as pd
import pytest

from lmcore.errors import InputError
from lmcore.points.files import read_points, write_points
from lmcore.points.landmarks import read_landmarks
from lmcore.population.given import import_landmarks
from lmcore.population.splits import read_splits


@pytest.fixture
def given(tmp_path):
    """Three subjects with four points each, in a folder of their own; returns the points."""
    (tmp_path / "points").mkdir()
    points = np.random.default_rng(1).uniform(-40, 90, (3, 4, 3))
    for number, shape in enumerate(points):
        write_points(tmp_path / f"points/s{number}.particles", shape)
    table = {
        "subject": [f"s{number}" for number in range(3)],
        "landmarks": [f"points/s{number}.particles" for number in range(3)],
        "side": ["L", "R", ""],
        "kind": ["a", "b", "001"],
    }
    pd.DataFrame(table).to_csv(tmp_path / "table.csv", index=False)
    return points


def imported(folder, **changes):
    outputs = folder / "retained.csv", folder / "subjects.csv"
    settings = {"table": folder / "table.csv", "root": None, "class_column": "kind"}
    import_landmarks(**settings | changes, landmarks_path=outputs[0], subjects_path=outputs[1])
    return read_landmarks(outputs[0]), read_splits(outputs[1])


def message(folder, **changes):
    with pytest.raises(InputError) as error:
        imported(folder, **changes)
    assert "\n" not in str(error.value)
    assert not (folder / "retained.csv").exists()
    return str(error.value)


def test_points_come_back_in_millimetres_and_fill_the_normalised_cube(tmp_path, given):
    landmarks, table = imported(tmp_path)
    np.testing.assert_allclose(landmarks.physical, given, rtol=1e-7)
    assert landmarks.subjects == ["s0", "s1", "s2"]
    assert landmarks.numbers == [1, 2, 3, 4]
    extent = np.ptp(given, axis=(0, 1))
    # one scale for all axes; the longest reaches both ends
    np.testing.assert_allclose(np.ptp(landmarks.normalised, axis=(0, 1)), 2 * extent / extent.max())
    np.testing.assert_allclose(np.abs(landmarks.normalised[..., extent.argmax()]).max(), 1)
    assert table.columns.tolist() == ["subject", "image", "split", "side", "kind"]
    assert table["split"].tolist() == ["held_out"] * 3
    assert table["kind"].tolist() == ["a", "b", "001"]
    assert table["side"].tolist() == ["L", "R", ""]


def test_splits_of_the_table_are_kept(tmp_path, given):
    table = pd.read_csv(tmp_path / "table.csv", dtype=str)
    table.assign(split=["train", "test", "train"]).to_csv(tmp_path / "table.csv", index=False)
    assert imported(tmp_path)[1]["split"].tolist() == ["train", "test", "train"]


def test_points_of_a_plane(tmp_path, given):
    for number, shape in enumerate(given):
        lines = "\n".join(f"{x}, {y}" for x, y in shape[:, :2])
        (tmp_path / f"points/s{number}.particles").write_text(f"# x, y\n{lines}\n")
    landmarks, _ = imported(tmp_path)
    np.testing.assert_allclose(landmarks.physical, given[..., :2], rtol=1e-7)
    assert "pixel_y" in (tmp_path / "retained.csv").read_text().split("\n")[0]


def test_faults_name_the_file(tmp_path, given):
    write_points(tmp_path / "points/s2.particles", given[0, :3])
    text = message(tmp_path)
    assert "s2.particles: 3 points in 3D, but s0 has 4 points in 3D" in text
    (tmp_path / "points/s1.particles").unlink()
    assert "landmarks missing of s1" in message(tmp_path)
    assert "no label column 'landmarks'" in message(tmp_path, class_column="landmarks")
    for number in range(3):
        write_points(tmp_path / f"points/s{number}.particles", np.ones((4, 3)))
    assert "all landmarks are one point" in message(tmp_path)


def test_a_table_has_images_or_landmarks(tmp_path, given):
    table = pd.read_csv(tmp_path / "table.csv")
    table.assign(image="points/s0.particles").to_csv(tmp_path / "table.csv", index=False)
    assert "columns image and landmarks" in message(tmp_path)
    table.drop(columns="landmarks").to_csv(tmp_path / "table.csv", index=False)
    assert "no column image" in message(tmp_path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "finite numbers"),
        ("# nothing\n", "finite numbers"),
        ("1\n2\n", "finite numbers"),
        ("1 2 3 4\n", "finite numbers"),
        ("1 2 inf\n", "finite numbers"),
        ("1 2 3\n1 2\n", "cannot be read"),
        ("x y z\n1 2 3\n", "cannot be read"),
        ("1;2;3\n", "cannot be read"),
        (b"\xff\xfe1 2 3", "cannot be read"),
    ],
)
def test_what_is_no_list_of_points_is_refused(tmp_path, text, fault):
    path = tmp_path / "a.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f"a.txt: .*{fault}") as error:
        read_points(path)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_points(tmp_path / "none.txt")


def test_points_are_written_as_they_are_read(tmp_path):
    points = np.array([[1.25, -3e-7, 4e8], [0, 0.1, 123456.789]])
    write_points(tmp_path / "a.particles", points)
    np.testing.assert_allclose(read_points(tmp_path / "a.particles"), points, rtol=1e-8)
    assert (tmp_path / "a.particles").read_text().startswith("1.25 -3e-07 400000000\n")
