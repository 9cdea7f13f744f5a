"""The container: what `--sdm apptainer` runs, with a stand-in where there is no apptainer."""

import os
import re
import subprocess
import sys

import pytest
from copies import ROOT

pytestmark = pytest.mark.workflow

# Writes down how it was called, and runs the command outside of any container: what Snakemake binds
# to a folder inside, its own packages and the project's, is put on Python's path instead.
STAND_IN = """#!/bin/sh
[ "$1" = --version ] && { echo apptainer version 1.3.4; exit; }
echo "$@" >> calls.txt
while [ "$1" != -c ]; do
    case "$1" in *:/mnt/snakemake_searchpaths/*) PYTHONPATH="$PYTHONPATH${1%%:*}:" ;; esac
    shift
done
PATH=PYTHONS:$PATH PYTHONPATH="$PYTHONPATH" exec bash "$@"
"""


def test_jobs_run_in_the_image_made_from_the_dockerfile(project):
    apptainer = project.folder / "bin/apptainer"
    apptainer.parent.mkdir()
    apptainer.write_text(STAND_IN.replace("PYTHONS", os.path.dirname(sys.executable)))
    apptainer.chmod(0o755)
    command = "--cores 2 --sdm apptainer --apptainer-args=--nv --configfile small.yaml"
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", *command.split(), "--", "results/toy/subjects.csv"],
        env=os.environ | {"PATH": f"{apptainer.parent}:{os.environ['PATH']}"},
        cwd=project.folder,
        text=True,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert (project.folder / "results/toy/subjects.csv").stat().st_size > 0
    calls = (project.folder / "calls.txt").read_text(encoding="utf-8").splitlines()
    assert len(calls) == 2  # simulate_population, preprocess_population
    for call in calls:
        assert re.match(r"exec --home \S+ --nv .* lmcore\.sif \w+ -c .*python \S+\.py", call)


def test_the_dockerfile_installs_the_lock_on_a_cuda_base():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"^FROM nvidia/cuda:[\d.]+-base", text, re.MULTILINE)
    assert "COPY envs/requirements.lock" in text
    assert (ROOT / "envs/requirements.lock").is_file()
