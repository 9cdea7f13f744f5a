"""A disk that is full

Every script of the workflow, which are all its writers, runs again with its results on a small
file system: without a page left, with room for half, and with a limit of the file size below its
largest file. It ends with one line `error:` that names a file and the reason; no file is half
written. With room again it makes what the run made that had room from the start, byte for byte; of
a figure the same picture, since matplotlib rounds differently by where numbers lie in memory.
"""

import contextlib
import importlib
import io
import os
import pkgutil
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from jobs import Job, jobs_of
from PIL import Image
from projects import ROOT
from sandbox import error_lines, run

import lmcore

SCRIPTS = sorted(path.stem for path in (ROOT / "workflow_scripts").glob("*.py"))
WITHOUT = {"write_shapeworks_project"}  # ShapeWorks, which no machine here has
PAGE = 4096
SIZE = 2**26
TIMES = ("timings.csv",)


@pytest.fixture(scope="session")
def jobs(finished):
    """One job of each script, that with the smallest outputs; all they import is imported."""
    for module in pkgutil.walk_packages(lmcore.__path__, "lmcore."):
        importlib.import_module(module.name)
    smallest: dict[str, Job] = {}
    for job in jobs_of(finished):
        other = smallest.setdefault(job.script, job)
        if size(job.files(finished)) < size(other.files(finished)):
            smallest[job.script] = job
    return smallest


def size(files: dict[str, bytes]) -> int:
    return sum(map(len, files.values()))


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    """A file system of 64 MB, which a ballast can fill."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def same(name: str, content: bytes, expected: bytes) -> bool:
    """Whether two files hold the same; figures but for rounding, by one grey level of 255."""
    if content == expected or not name.endswith((".png", ".pdf")):
        return content == expected
    if name.endswith(".pdf"):  # lines that end as a PDF does, of nearly the same length
        return content.endswith(b"%%EOF\n") and abs(len(content) / len(expected) - 1) < 0.01
    both = [np.asarray(Image.open(io.BytesIO(one))).astype(int) for one in (content, expected)]
    return both[0].shape == both[1].shape and np.abs(both[0] - both[1]).max() <= 1


@contextlib.contextmanager
def room(disk: Path, pages: int):
    """A file system with so many pages left."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        status = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, (status.f_bavail - pages) * status.f_frsize)
    yield
    ballast.unlink()


def copy_benchmarks(job: Job, folder: Path) -> None:
    """Give the schedule the times of the run, which it looks for beside its outputs."""
    folder.mkdir(exist_ok=True)
    if job.script == "plot_schedule":
        benchmarks = "results/benchmarks"
        drawn = shutil.ignore_patterns("schedule.*")
        shutil.copytree(job.project / benchmarks, folder / benchmarks, ignore=drawn)


def refused(job: Job, folder: Path, **limits: int) -> str:
    """Run a job that has no room; the error line, after all that has to hold."""
    ended = run(job.again(folder), **limits)
    log = job.log(folder)
    text = ended.output + (log.read_text() if log.exists() else "")
    assert ended.code == 1, (ended, text)
    assert "Traceback" not in text, text
    (line,) = set(error_lines(text))
    assert any(words in line for words in ("disk is full", "limit of a file's size")), line
    assert any(name in line for name in [str(folder), *map(str, job.outputs)]), line
    whole = job.files(job.project)
    left = job.files(folder)
    for name, content in left.items():
        assert name.endswith(TIMES) or same(name, content, whole[name]), f"{name} is half written"
    for path in folder.rglob(".*"):
        assert path.suffix == ".lock", f"{path} stays behind"
    return line


@pytest.mark.parametrize("script", [name for name in SCRIPTS if name not in WITHOUT])
def test_a_script_without_room(tmp_path, jobs, disk, script, survived):
    job = jobs[script]
    expected = job.files(job.project)
    largest = max(map(len, expected.values()))
    pages = sum(-(-len(content) // PAGE) for content in expected.values())
    folder = disk / script
    for place in (folder, tmp_path):
        copy_benchmarks(job, place)
    said = set()
    with room(disk, 0):
        said.add(refused(job, folder))
    with room(disk, pages // 2):
        said.add(refused(job, folder))
    said.add(refused(job, tmp_path, file_size=largest // 2))
    for again in (folder, tmp_path):
        ended = run(job.again(again))
        assert ended.code == 0, ended
        made = job.files(again)
        assert made.keys() == expected.keys()
        different = [name for name in made if not same(name, made[name], expected[name])]
        assert all(name.endswith(TIMES) for name in different), different
    subprocess.run(["rm", "-r", str(folder)], check=True)
    survived(f"{script}: no room, half the room, half its largest file", "; ".join(sorted(said)))


def test_every_script_is_tried(jobs):
    assert set(jobs) == set(SCRIPTS) - WITHOUT
