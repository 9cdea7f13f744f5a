"""What tests of faults share, and the plugin that writes docs/reliability.md from them."""

import os
import re

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything loads torch: small tensors

from pathlib import Path

import pytest
import torch
import torch._dynamo  # which an optimizer imports
from jobs import finish
from users import Sandbox

# Everything that a forked process would otherwise import anew
import lmcore.__main__
import lmcore.analysis.severity
import lmcore.discovery.apply_registration
import lmcore.discovery.stages
import lmcore.population.build
import lmcore.population.formats.dicom
import lmcore.population.formats.hdf5
import lmcore.population.formats.itk
import lmcore.population.formats.nifti  # noqa: F401
from lmcore.discovery.checkpoint import save_encoder
from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.population.volume_preprocessing import VolumePreprocessing

ROWS = pytest.StashKey[list]()
INTRODUCTION = """# Reliability

Every fault that `tests/faults` tries, and what then happens. The tests write this page
(`make reliability`), each row after all that it claims has been asserted; a row of a test that
fails is not written, nor is the page then.
"""


def pytest_addoption(parser):
    parser.addoption("--reliability", metavar="FILE", help="write the table of what was survived")


def pytest_configure(config):
    config.stash[ROWS] = []


@pytest.fixture
def survived(request, tmp_path, tmp_path_factory):
    """Call it with a fault and what happened, when everything about it has been asserted."""
    title, _, text = request.module.__doc__.partition("\n")
    # a test's own folder, and those that tests share, in messages that may be cut short
    folder = re.compile(rf"{re.escape(str(tmp_path_factory.getbasetemp()))}/[^/\s;|]*/?")

    def note(fault: str, outcome: str) -> None:
        cells = [cell.replace(f"{tmp_path}/", "") for cell in (fault, outcome)]
        cells = [folder.sub("", cell).replace("|", r"\|") for cell in cells]
        request.config.stash[ROWS].append((title, text.strip(), *cells))

    return note


@pytest.fixture(params=[2, 3])
def sandbox(request, tmp_path, monkeypatch):
    """A user's folder of good images or scans, in which the working folder is."""
    found = Sandbox(tmp_path, request.param)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path / "data")
    return found


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Paths of untrained encoders, by the dimension of their images."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for dimension, shape in ((2, (32, 32)), (3, (16, 16, 16))):
        torch.manual_seed(0)
        encoder = LandmarkEncoder(shape, 4, widths=(2, 2, 2, 2), hidden=4)
        preprocessing = {"size": list(shape), "intensity": "border"}
        if dimension == 3:
            preprocessing = VolumePreprocessing(shape, spacing=1.5).to_dict()
        found[dimension] = folder / f"{dimension}d.pt"
        save_encoder(found[dimension], encoder, kernel="paper", preprocessing=preprocessing)
    return found


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of every rule."""
    folder = tmp_path_factory.mktemp("finished")
    return finish(folder, "tiny.yaml", "all", "results/studies/kinds.png")


def pytest_deselected(items):
    """A part of the tests makes no page."""
    items[0].config.stash[ROWS].append(None)


def pytest_sessionfinish(session, exitstatus):
    path = session.config.getoption("--reliability")
    if not path:
        return
    rows = session.config.stash[ROWS]
    if exitstatus or None in rows:
        print(f"\n{path} is not written: tests failed or were left out")
        session.exitstatus = exitstatus or 1
        return
    Path(path).write_text(page(rows), encoding="utf-8")


def page(rows: list[tuple[str, str, str, str]]) -> str:
    """Markdown of (title, text, fault, outcome), one table a title."""
    lines = [INTRODUCTION]
    for title in dict.fromkeys(row[0] for row in rows):
        mine = [row for row in rows if row[0] == title]
        lines += [f"## {title}", "", *([mine[0][1], ""] if mine[0][1] else [])]
        lines += ["| fault | what happens |", "|---|---|"]
        lines += [f"| {fault} | {outcome} |" for _, _, fault, outcome in mine] + [""]
    return "\n".join(lines).rstrip() + "\n"
