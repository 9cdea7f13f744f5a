"""Shipped configurations, lint, and starting over after a crash."""

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from projects import ROOT

pytestmark = pytest.mark.workflow


def test_the_default_configuration_plans_every_experiment(project):
    result = project.run("-n", config=None)
    assert result.returncode == 0, result.stderr
    for name in (
        *("toy", "diatoms", "diatoms/variants/unregularized", "figures/figure_3.png"),
        *("metopic", "camfai", "cardiac"),
    ):
        assert f"results/{name}" in result.stdout + result.stderr


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "config/examples").glob("*.yaml")))
def test_every_shipped_example_plans(project, name):
    result = project.run("-n", config=f"config/examples/{name}")
    assert result.returncode == 0, result.stderr
    trained = "train_encoder" in result.stdout + result.stderr
    assert trained == (name != "given_landmarks.yaml")


def test_the_studies_plan(project):
    result = project.run("-n", "--", "studies", config="config/studies.yaml")
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    content = yaml.safe_load((ROOT / "config/studies.yaml").read_text(encoding="utf-8"))
    for name, study in content["studies"].items():
        assert f"results/studies/{name}.png" in output
        for run in study["runs"]:
            assert f"results/{run}/numbers.csv" in output


def test_lint_is_clean(project):
    result = project.run("--lint")
    assert result.returncode == 0, result.stdout + result.stderr


def test_rules_and_scripts_are_named_alike():
    rules = {
        line.split()[1].rstrip(":")
        for path in (ROOT / "rules").glob("*.smk")
        for line in path.read_text().splitlines()
        if line.startswith("rule ")
    }
    scripts = {path.stem for path in (ROOT / "workflow_scripts").glob("*.*")}
    assert scripts == rules - {"figures", "studies"}


def start(project):
    """`make results` with the small configuration of the toy alone, in its own process group."""
    (project.folder / "toy.yaml").write_text(
        (project.folder / "small.yaml").read_text()
        .replace("[toy, diatoms, mine, camfai, scans]", "[toy]")
        .replace("pairs: 1200, validate_every: 400", "pairs: 6000, validate_every: 100")
    )  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "lmcore.launch", "--configfile", "toy.yaml", "--", "all"],
        cwd=project.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def test_make_results_goes_on_after_it_was_killed(project):
    checkpoint = project.folder / "results/toy/model/checkpoint.pt"
    killed = start(project)
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert killed.poll() is None, killed.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    both = [start(project), start(project)]  # whichever is first works, the other one waits
    output = ""
    for process in both:
        output += process.communicate(timeout=200)[0]
        assert process.returncode == 0, output
    assert "did not end: going on" in output
    assert "goes on after" in output  # the training, from its checkpoint
    assert str(project.folder / "results/report.html") in output
    assert "is at work in this folder: waiting" in output
    assert "Nothing to be done" in output
    assert not checkpoint.exists()


def test_the_papers_configuration_plans_into_a_folder_of_its_own(project):
    result = project.run("-n", config="config/paper.yaml")
    assert result.returncode == 0, result.stderr
    output = result.stdout + result.stderr
    assert "results/paper/diatoms/model/encoder.pt" in output
    assert "output: results/diatoms" not in output
