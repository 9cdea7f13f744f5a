import numpy as np
import pandas as pd
import pytest

from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.landmarks import landmark_table, read_landmarks

SHAPE = (11, 21)  # (H, W): index 10 at y = 1, 20 at x = 1
POINTS = np.array([[[-1.0, 1.0], [0.0, 0.5]], [[1.0, -1.0], [0.25, 0.0]]])
AFFINES = np.array([[[2.0, 0, 5], [0, 3.0, -1], [0, 0, 1]], [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1]]])


@pytest.fixture
def table():
    return landmark_table(["b", "a"], POINTS, [4, 2], SHAPE, AFFINES)


def test_table_is_tidy_subject_by_subject(table):
    assert list(table) == ["subject", "landmark", "x", "y", "i", "j", "pixel_x", "pixel_y"]
    assert table["subject"].tolist() == ["b", "b", "a", "a"]
    assert table["landmark"].tolist() == [4, 2, 4, 2]
    expected = [
        [-1, 1, 0, 10, 5, 29],
        [0, 0.5, 10, 7.5, 25, 21.5],
        [1, -1, 20, 0, 20, 0],
        [0.25, 0, 12.5, 5, 12.5, 5],
    ]
    np.testing.assert_allclose(table.iloc[:, 2:].to_numpy(float), expected)


def test_table_in_three_dimensions():
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])[None]
    table = landmark_table(["s"], [[[1.0, 0.0, -1.0]]], [0], (3, 5, 9), affine)
    assert list(table)[2:] == ["x", "y", "z", "i", "j", "k", "world_x", "world_y", "world_z"]
    np.testing.assert_allclose(table.iloc[0, 2:].astype(float), [1, 0, -1, 8, 2, 0, -8, 4, 0])


def test_table_refuses_arguments_that_disagree():
    with pytest.raises(ValueError, match="3 subjects and 2 landmarks"):
        landmark_table(["a", "b", "c"], POINTS, [4, 2], SHAPE, AFFINES)


def test_read_back(table, tmp_path):
    write_csv(tmp_path / "all.csv", table)
    landmarks = read_landmarks(tmp_path / "all.csv")
    assert landmarks.subjects == ["b", "a"]
    assert landmarks.numbers == [4, 2]
    np.testing.assert_allclose(landmarks.normalised, POINTS)
    np.testing.assert_allclose(landmarks.physical[0], [[5, 29], [25, 21.5]])


def test_read_back_in_three_dimensions(tmp_path):
    points = np.random.default_rng(0).uniform(-1, 1, (2, 3, 3))
    affines = np.tile(np.diag([-1.0, 2.0, 3.0, 1.0]), (2, 1, 1))
    table = landmark_table(["a", "b"], points, [0, 1, 7], (3, 5, 9), affines)
    write_csv(tmp_path / "all.csv", table)
    landmarks = read_landmarks(tmp_path / "all.csv")
    np.testing.assert_allclose(landmarks.normalised, points, rtol=1e-8)
    world = (points + 1) / 2 * [8, 4, 2] * [-1, 2, 3]
    np.testing.assert_allclose(landmarks.physical, world, rtol=1e-7)


def test_rows_may_be_sorted_by_landmark(table, tmp_path):
    write_csv(tmp_path / "sorted.csv", table.iloc[[0, 2, 3, 1]])
    landmarks = read_landmarks(tmp_path / "sorted.csv")
    assert landmarks.subjects == ["b", "a"]
    np.testing.assert_allclose(landmarks.normalised, POINTS)


def test_ids_that_look_like_numbers_or_nothing_stay_text(tmp_path):
    table = landmark_table(["001", "NA"], POINTS, [4, 2], SHAPE, AFFINES)
    write_csv(tmp_path / "all.csv", table)
    assert read_landmarks(tmp_path / "all.csv").subjects == ["001", "NA"]


def spoil(table: pd.DataFrame, fault: str) -> pd.DataFrame:
    match fault:
        case "lacks landmark 2":
            return table.iloc[:3]
        case "landmark 2 twice":
            return table.iloc[[0, 1, 2, 3, 3]]
        case "subject a, landmark 4: a cell":
            return table.assign(y=[0, 0, "inf", 0])
        case "subject b, landmark 2: a cell":
            return table.assign(pixel_x=[0, "", 0, 0])
        case "landmark 2.5: a cell":
            return table.assign(landmark=[1, 2.5, 1, 2])
        case "no column pixel_y":
            return table.drop(columns="pixel_y")
        case "without rows":
            return table.iloc[:0]


@pytest.mark.parametrize(
    "fault",
    [
        "lacks landmark 2",
        "landmark 2 twice",
        "subject a, landmark 4: a cell",
        "subject b, landmark 2: a cell",
        "landmark 2.5: a cell",
        "no column pixel_y",
        "without rows",
    ],
)
def test_faulty_tables_name_file_and_fault(table, tmp_path, fault):
    write_csv(tmp_path / "faulty.csv", spoil(table, fault))
    with pytest.raises(InputError, match=f"faulty.csv: .*{fault}"):
        read_landmarks(tmp_path / "faulty.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a,b\n1\n2,3,4,5\n"])
def test_files_that_are_no_table(tmp_path, content):
    (tmp_path / "no.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"no\.csv"):
        read_landmarks(tmp_path / "no.csv")


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        read_landmarks(tmp_path / "none.csv")
