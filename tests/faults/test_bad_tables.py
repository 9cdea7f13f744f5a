"""Bad tables

Tables of subjects, of raters and of landmarks. The line names the table, and the subject, column
or line of it.
"""

import os

import numpy as np
import pandas as pd
import pytest
from damage import link
from sandbox import Ended, run, run_script
from users import assert_refused

from lmcore.points.landmarks import landmark_table

HEADER = "subject,image"
GOOD = "".join(f"s{number:02d},s{number:02d}.png\n" for number in range(6))
TABLE = f"{HEADER}\n{GOOD}"


def instead(old: str, new: str, count: int = 1) -> str:
    """The good table with something replaced."""
    assert old in TABLE
    return TABLE.replace(old, new, count)


def with_id(name: str) -> str:
    """The good table with another id for s03, quoted as a spreadsheet does."""
    return instead("s03,", '"' + name.replace('"', '""') + '",')


SUBJECTS = {
    "of zero bytes": ("", "empty"),
    "of a header alone": (f"{HEADER}\n", "without subjects"),
    "without a header": (GOOD, "no column subject"),
    "without the column subject": (instead("subject", "name"), "no column subject"),
    "without the column image": (instead("image", "file"), "no column image"),
    "with a misspelt column": (instead("subject", " Subject"), "' Subject'"),
    "with a column twice": (instead("image", "image,subject"), "more than once"),
    "separated by semicolons": (TABLE.replace(",", ";"), "semicolons"),
    "separated by tabs": (TABLE.replace(",", "\t"), "tabs"),
    "separated by bars": (TABLE.replace(",", "|"), "no column"),
    "with a row too short": (instead("s03,s03.png", "s03"), "5 (1)"),
    "with a row too long": (instead("s03.png", "s03.png,7"), "5 (3)"),
    "with an open quote": (instead("s03,", '"s03,'), "not CSV"),
    "in UTF-16": (TABLE.encode("utf-16"), "not UTF-8"),
    "in Latin-1": (instead("s03,", "sé,").encode("latin-1"), "not UTF-8"),
    "with a zero byte": (instead("s03,", "s0\0,"), "not a text file"),
    "that is a spreadsheet": (b"PK\x03\x04" + bytes(range(256)) * 9, "not UTF-8"),
    "with an endless cell": (instead("s03,", "s" * 200_000 + ","), "not CSV"),
    "with an id twice": (instead("s03,", "s02,"), "s02"),
    "with an id twice but for case": (instead("s03,", "S02,"), "s02/S02"),
    "with an empty id": (instead("s03,", ","), "''"),
    "with an id of spaces": (with_id("s 03"), "'s 03'"),
    "with an id that is no ASCII": (with_id("sö3"), "'sö3'"),
    "with an id that leads up": (with_id("../s03"), "'../s03'"),
    "with an id that is a path": (with_id("/etc/passwd"), "'/etc/passwd'"),
    "with an id of quotes": (with_id("s'\"03"), "'s'\"03'"),
    "with an id of two lines": (with_id("s0\n3"), "'s0 3'"),
    "with an id for the shell": (with_id("$(touch s03);`id`&"), "'$(touch s03);`id`&'"),
    "with an id like an option": (with_id("--help"), "'--help'"),
    "with an id of escapes": (with_id("\x1b[2Js03"), r"'\x1b[2Js03'"),
    "with an id of 200 letters": (with_id("s" * 200), "unsafe"),
    "with an id like a wildcard": (with_id("{run}"), "'{run}'"),
    "with an image missing": (instead("s03.png", "gone.png"), "s03 ("),
    "with no image": (instead("s03.png", ""), "s03"),
    "with an image outside": (instead("s03.png", "../secret.png"), "s03 (../secret.png)"),
    "with an absolute path": (instead("s03.png", "/etc/passwd"), "s03 (/etc/passwd)"),
    "with a path back in": (instead("s03.png", "../data/../secret.png"), "s03 ("),
    "with the folder itself": (instead("s03.png", "."), "s03 (.)"),
    "of images and volumes": (instead("s03.png", "scan.nii"), "s03"),
    "with an unknown split": (
        instead("image", "image,split").replace(".png", ".png,trian"),
        "'trian'",
    ),
    "with a split for some": (
        instead("image", "image,split").replace(".png", ".png,").replace("s00.png,", "a,train"),
        "split is empty for s01",
    ),
    "with splits without a test": (
        instead("image", "image,split").replace(".png", ".png,train"),
        "split validation",
    ),
    "with a segmentation missing": (
        instead("image", "image,segmentation").replace(".png", ".png,mask.png"),
        "segmentation missing of s00",
    ),
    "of five subjects less": (f"{HEADER}\ns00,s00.png\n", "1 subjects"),
}  # fmt: skip


@pytest.mark.parametrize("sandbox", [2], indirect=True)
@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, marks=pytest.mark.sample if k % 5 == 0 else ())
        for k, what in enumerate(SUBJECTS)
    ],
)
def test_a_table_of_subjects(sandbox, what, survived):
    text, words = SUBJECTS[what]
    (sandbox.data / "scan.nii").write_bytes(b"")
    table = sandbox.data / "subjects.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    before = sandbox.contents()
    line = assert_refused(sandbox.preprocess(), words)
    assert sandbox.contents() == before
    survived(f"table of subjects {what}", line.removeprefix("error: "))


@pytest.mark.parametrize("sandbox", [2], indirect=True)
@pytest.mark.parametrize(
    ("what", "write"),
    [
        ("that is a folder", os.mkdir),
        ("that is a named pipe", os.mkfifo),
        ("that is an endless device", lambda path: link("/dev/zero", path)),
        ("of 200 MB", lambda path: (path.touch(), os.truncate(path, 200_000_000))),
        ("that is missing", lambda path: None),
    ],
)
def test_what_is_no_table(sandbox, what, write, survived):
    write(sandbox.data / "subjects.csv")
    before = sandbox.contents()
    line = assert_refused(sandbox.preprocess(), "subjects.csv")
    assert sandbox.contents() == before
    survived(f"table of subjects {what}", line.removeprefix("error: "))


@pytest.mark.sample
@pytest.mark.parametrize("sandbox", [2], indirect=True)
def test_tables_that_only_look_odd_are_read(sandbox, survived):
    """With a mark, line ends of all kinds, empty rows; names of spaces, quotes and accents."""
    names = ["s 00.png", "s'01'.png", "ä ö.png", "$(touch x).png", "a\nb.png", "-s05.png"]
    for number, name in enumerate(names):
        (sandbox.data / f"s{number:02d}.png").rename(sandbox.data / name)
    rows = [f's{n:02d},"{name}"' for n, name in enumerate(names)]
    ends = ["\r\n", "\n", "\r\n\r\n", "\n,,\n".replace(",,", ","), "\r\n", "\n"]
    text = f"{HEADER}\r\n" + "".join(row + end for row, end in zip(rows, ends, strict=True))
    (sandbox.data / "subjects.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    ended = sandbox.preprocess()
    assert ended.code == 0, ended
    found = pd.read_csv(sandbox.results / "subjects.csv")
    assert found["subject"].tolist() == [f"s{number:02d}" for number in range(6)]
    assert found["image"].tolist() == names
    assert set(os.listdir(sandbox.data)) == {*names, "subjects.csv"}
    survived(
        "table of subjects with a byte order mark, mixed line ends, empty rows, and files whose "
        "names hold spaces, quotes, accents, shell code or a line end",
        "read, and all six images with it",
    )


SUBJECT_IDS = [f"s{number:02d}" for number in range(12)]


def landmarks() -> pd.DataFrame:
    """A good table of 12 subjects with 4 landmarks."""
    points = np.random.default_rng(0).uniform(-0.8, 0.8, (12, 4, 2))
    return landmark_table(SUBJECT_IDS, points, [1, 2, 3, 4], (32, 32), np.stack([np.eye(3)] * 12))


def ratings() -> pd.DataFrame:
    """A good sheet of two raters."""
    return pd.DataFrame(
        {
            "subject": np.repeat(SUBJECT_IDS, 2),
            "rater": ["a", "b"] * 12,
            "score": np.arange(24) % 5,
        }
    )


def changed(table: pd.DataFrame, row: int, column: str, value: object) -> str:
    """The text of a table with another cell."""
    table = table.astype(object)
    table.loc[row, column] = value
    return table.to_csv(index=False)


def score(folder, **tables: str) -> Ended:
    """Run the script of score_severity on good tables, but for those given."""
    subjects = pd.DataFrame({"subject": SUBJECT_IDS, "image": "x.png", "split": "train"})
    subjects["group"] = ["control"] * 8 + ["case"] * 4
    good = {"subjects": subjects, "landmarks": landmarks(), "ratings": ratings()}
    for name, table in good.items():
        path = folder / f"{name}.csv"
        content = tables.get(name, table.to_csv(index=False))
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    results = folder / "results"
    outputs = {"table": results / "severity.csv", "numbers": results / "severity.numbers.csv"}
    inputs = {name: folder / f"{name}.csv" for name in good}
    params = {"population": None, "class_column": "group", "control": "control", "seed": 1}
    params |= {"person_column": None, "trained_on": "train"}
    log = folder / "score.log"

    def work() -> None:
        inputs["population"] = None
        run_script("score_severity", log, inputs, outputs, params | {"settings": {}})

    ended = run(work)
    return Ended(ended.code, log.read_text(encoding="utf-8"), ended.peak, ended.seconds)


OTHERS = {
    "ratings of zero bytes": ("ratings", b"", "ratings.csv"),
    "ratings in UTF-16": ("ratings", ratings().to_csv().encode("utf-16"), "ratings.csv"),
    "ratings without the column score": ("ratings", "subject,rater\ns00,a\n", "score"),
    "ratings separated by semicolons": ("ratings", ratings().to_csv(sep=";"), "no column"),
    "ratings with a word for a score": ("ratings", changed(ratings(), 6, "score", "mild"), "s03"),
    "ratings with an infinite score": ("ratings", changed(ratings(), 6, "score", "inf"), "s03"),
    "ratings with a score twice": ("ratings", changed(ratings(), 7, "rater", "a"), "s03"),
    "ratings of a stranger": ("ratings", changed(ratings(), 6, "subject", "x99"), "x99"),
    "ratings with an open quote": ("ratings", 'subject,rater,score\ns00,"a,1\n', "ratings.csv"),
    "landmarks of zero bytes": ("landmarks", b"", "landmarks.csv"),
    "landmarks of a header alone": ("landmarks", "subject,landmark,x,y\n", "landmarks.csv"),
    "landmarks with NaN": ("landmarks", changed(landmarks(), 12, "x", "nan"), "s03"),
    "landmarks with infinity": ("landmarks", changed(landmarks(), 12, "pixel_y", "-inf"), "s03"),
    "landmarks with one twice": ("landmarks", changed(landmarks(), 13, "landmark", 1), "s03"),
    "landmarks with a number 1.5": ("landmarks", changed(landmarks(), 13, "landmark", 1.5), "s03"),
    "landmarks of a stranger": ("landmarks", landmarks().replace("s03", "x99").to_csv(), "s03"),
    "landmarks without a column": ("landmarks", landmarks().drop(columns="y").to_csv(), "column y"),
    "landmarks truncated": ("landmarks", landmarks().to_csv(index=False)[:900], "landmarks.csv"),
    "landmarks all in one place": (
        "landmarks",
        landmarks().assign(x=0.1, y=0.1, pixel_x=3.0, pixel_y=3.0).to_csv(),
        "severity",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHERS)
def test_tables_of_raters_and_of_landmarks(tmp_path, what, survived):
    name, text, words = OTHERS[what]
    line = assert_refused(score(tmp_path, **{name: text}), words)
    assert not (tmp_path / "results").exists()
    survived(what, line.removeprefix("error: "))


def test_the_good_ones_are_scored(tmp_path):
    ended = score(tmp_path)
    assert ended.code == 0, ended
    assert (tmp_path / "results/severity.csv").exists()
