"""Shipped configurations, lint, and starting over after a crash."""

import itertools
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml
from copies import ROOT

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


@pytest.mark.parametrize("config", [None, "config/paper.yaml"])
def test_the_slurm_profile_plans(project, config):
    """Its groups, too: Snakemake refuses one that waits for a job which waits for the group."""
    result = project.run("-n", "--profile", "profiles/slurm", config=config)
    assert result.returncode == 0, result.stderr
    assert "train_encoder" in result.stdout + result.stderr


def test_lambda_is_cross_validated_by_fifteen_jobs_that_wait_for_none_of_each_other(project):
    result = project.run("-n", "results/diatoms/regularization.csv", config=None)
    assert result.returncode == 0, result.stderr
    planned = (result.stdout + result.stderr).split("Reasons:")[0]
    trials = re.findall(r"Cross-validating weight (\d), fold (\d) of diatoms\n(.*)", planned)
    assert {trial[:2] for trial in trials} == set(itertools.product("01234", "012"))
    assert len(trials) == 15
    for *_, reason in trials:
        waits_for = set(reason.split("updated by another job: ")[1].split(", "))
        assert waits_for == {"results/diatoms/population.h5", "results/diatoms/subjects.csv"}


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


TOY = {
    "[toy, diatoms, mine, camfai, scans]": "[toy]",
    "pairs: 1200, validate_every: 400": "pairs: 6000, validate_every: 100",
}


def start(project):
    """`make results` with the small configuration of the toy alone, in its own process group."""
    text = (project.folder / "small.yaml").read_text(encoding="utf-8")
    for shipped, wanted in TOY.items():
        assert shipped in text
        text = text.replace(shipped, wanted, 1)
    (project.folder / "toy.yaml").write_text(text, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "lmcore.launch", "--configfile", "toy.yaml", "--", "all"],
        cwd=project.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def start_and_wait_for_a_checkpoint(project):
    """The same, and its checkpoint."""
    checkpoint = project.folder / "results/toy/model/checkpoint.pt"
    process = start(project)
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, checkpoint


def check_landmarks_are_those_of_an_undisturbed_run(project):
    apart = "{pathvars: {results: apart, logs: apart/logs, benchmarks: apart/benchmarks}}"
    (project.folder / "apart.yaml").write_text(apart, encoding="utf-8")
    configs = ("--configfile", "toy.yaml", "apart.yaml")
    result = project.run("apart/toy/landmarks/retained.csv", options=configs, config=None)
    assert result.returncode == 0, result.stderr
    for name in ("model/history.csv", "landmarks/all.csv", "landmarks/retained.csv"):
        undisturbed = (project.folder / "apart/toy" / name).read_bytes()
        assert (project.folder / "results/toy" / name).read_bytes() == undisturbed


def test_make_results_goes_on_after_it_was_killed(project):
    killed, checkpoint = start_and_wait_for_a_checkpoint(project)
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
    check_landmarks_are_those_of_an_undisturbed_run(project)


def test_a_training_that_outlived_its_snakemake_and_a_new_one_never_write_together(project):
    killed, checkpoint = start_and_wait_for_a_checkpoint(project)
    launched = psutil.Process(killed.pid).children(recursive=True)
    (orphan,) = [p for p in launched if p.cmdline()[-1].endswith("train_encoder.py")]
    orphan.suspend()
    for process in [psutil.Process(killed.pid), *launched]:
        if process != orphan:
            process.kill()
    before = checkpoint.stat()
    second = start(project)
    output = ""
    while "waiting for the same job of an interrupted run to end" not in output:
        line = second.stdout.readline()
        assert line, output
        output += line
    time.sleep(1)
    assert second.poll() is None
    now = checkpoint.stat()
    assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    orphan.resume()
    output += second.communicate(timeout=200)[0]
    assert second.returncode == 0, output
    assert "training toy: done by a job of an interrupted run" in output
    assert not checkpoint.exists()
    check_landmarks_are_those_of_an_undisturbed_run(project)


def test_the_papers_configuration_plans_into_a_folder_of_its_own(project):
    result = project.run("-n", config="config/paper.yaml")
    assert result.returncode == 0, result.stderr
    output = result.stdout + result.stderr
    assert "results/paper/diatoms/model/encoder.pt" in output
    assert "output: results/diatoms" not in output
