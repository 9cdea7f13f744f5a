"""Fuzzed readers

Hypothesis damages good files and tables anywhere. Whatever comes of it, a reader returns finite
numbers or raises its one error; it never ends the process, and takes less than 150 MB.
"""

import contextlib
import csv
import io
from collections.abc import Callable
from pathlib import Path

import bad_images
import bad_volumes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox import run
from test_bad_tables import TABLE, landmarks, ratings
from users import PEAK

from lmcore.analysis.ratings import read_mean_ratings
from lmcore.errors import InputError
from lmcore.points.landmarks import read_landmarks
from lmcore.population.readers import read_image, read_label_image
from lmcore.population.table import read_subjects
from lmcore.population.volumes import read_labels, read_volume

EXAMPLES = 150
edits = st.lists(
    st.tuples(st.integers(0, 2**16), st.integers(0, 9), st.binary(max_size=9)),
    min_size=1,
    max_size=5,
)


def edited(good: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """A file's content with stretches of it replaced: (where, how many bytes, by what)."""
    content = bytearray(good)
    for place, length, new in changes:
        place %= len(content) + 1
        content[place : place + length] = new
    return bytes(content)


def survives(read: Callable[[bytes], object], good: bytes, examples: int = EXAMPLES) -> None:
    """Read damaged files in a process of its own; `read` checks what it finds."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(edits)
    def fuzz(changes):
        with contextlib.suppress(InputError):
            read(edited(good, changes))

    ended = run(fuzz, seconds=120)
    assert ended.code == 0, ended.output[-3000:]
    assert ended.peak < PEAK


IMAGES = {
    "png": bad_images.encoded("PNG"),
    "jpg": bad_images.encoded("JPEG"),
    "tif": bad_images.encoded("TIFF"),
    "tif, packed": bad_images.encoded("TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images(tmp_path, kind, survived):
    path = tmp_path / f"a.{kind[:3]}"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        image = read_image(path)
        assert image.ndim == 2
        assert np.isfinite(image).all()

    survives(read, IMAGES[kind])
    survived(f"{EXAMPLES} damaged {kind} files", "an image or the error")


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_segmentations_in_2d(tmp_path, kind, survived):
    path = tmp_path / f"a.{kind}"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        assert read_label_image(path).min() >= 0

    survives(read, IMAGES[kind])
    survived(f"{EXAMPLES} damaged {kind} segmentations", "labels or the error")


@pytest.mark.parametrize("kind", [*bad_volumes.FORMATS, "nhdr", "mhd", "h5", "DICOM"])
@pytest.mark.parametrize("labels", [False, True])
def test_volumes(tmp_path, kind, labels, survived):
    path, good = volume_file(tmp_path, kind)
    name = {"h5": f"{path}:/image", "DICOM": tmp_path / "s03"}.get(kind, path)
    spacing = 1.0 if kind == "h5" else None

    def read(content: bytes) -> None:
        path.write_bytes(content)
        volume = (read_labels if labels else read_volume)(name, spacing)
        assert volume.array.ndim == 3
        assert volume.array.size < 1e7
        assert np.isfinite(volume.array).all()
        assert np.isfinite(volume.affine).all()

    survives(read, good)
    what = "segmentations" if labels else "files"
    survived(f"{EXAMPLES} damaged {kind} {what}", "a volume or the error")


def volume_file(folder: Path, kind: str) -> tuple[Path, bytes]:
    """Where the file of this kind is that gets damaged, and its good content."""
    if kind == "DICOM":
        bad_volumes.series(lambda _: None)(folder / "s03")
        path = folder / "s03/85.dcm"
    elif kind in ("nhdr", "mhd"):
        path = folder / f"a.{kind}"
        bad_volumes.write(path, bad_volumes.solid(), bad_volumes.AFFINE)
    else:
        return folder / f"a.{kind.removeprefix('packed.')}", bad_volumes.good(kind)
    return path, path.read_bytes()


@pytest.mark.sample
def test_tables_of_subjects(tmp_path, survived):
    for number in range(6):
        (tmp_path / f"s{number:02d}.png").touch()
    path = tmp_path / "subjects.csv"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        for subject in read_subjects(path):
            assert subject.image_path.resolve().parent == tmp_path

    survives(read, TABLE.encode(), 4 * EXAMPLES)
    survived(f"{4 * EXAMPLES} damaged tables of subjects", "subjects or the error")


@pytest.mark.parametrize("what", ["landmarks", "ratings"])
def test_other_tables(tmp_path, what, survived):
    path = tmp_path / "table.csv"
    good = {"landmarks": landmarks(), "ratings": ratings()}[what]

    def read(content: bytes) -> None:
        path.write_bytes(content)
        if what == "landmarks":
            assert np.isfinite(read_landmarks(path).normalised).all()
        else:
            read_mean_ratings(path, sorted(set(good["subject"])))

    survives(read, good.to_csv(index=False).encode(), 2 * EXAMPLES)
    survived(f"{2 * EXAMPLES} damaged tables of {what}", "numbers or the error")


@pytest.mark.parametrize("sandbox", [2], indirect=True)
def test_no_text_of_a_cell_gets_further_than_it_should(sandbox, survived):
    """Any text as id and as image: an image of the folder, or the error."""

    @settings(
        max_examples=4 * EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.text(max_size=12), st.text(max_size=12) | st.sampled_from(["s03.png", "../secret"]))
    def fuzz(subject, image):
        buffer = io.StringIO()
        csv.writer(buffer).writerows([["subject", "image"], [subject, image]])
        path = sandbox.data / "subjects.csv"
        path.write_text(buffer.getvalue(), encoding="utf-8", errors="surrogatepass")
        with contextlib.suppress(InputError):
            (found,) = read_subjects(path)
            assert found.subject.isascii()
            assert found.image_path.resolve().is_relative_to(sandbox.data)

    ended = run(fuzz, seconds=120)
    assert ended.code == 0, ended.output[-3000:]
    survived(f"{4 * EXAMPLES} texts as id and as path", "an image of the folder or the error")
