"""The small configuration on a Slurm of one node, once for all tests."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from copies import ROOT, copy_workflow
from slurm import Slurm, ask, listeners, why_not

# What a site edits in profiles/slurm, and what it is here.
EDITS = {
    "profile.yaml": {"slurm_account: my_account": "slurm_account: lab"},
    "partitions.yaml": {"  cpu:": "  batch:", "  gpu:": "  accelerated:"},
}
# The node of the tests has two cores to give to one job, and its jobs take seconds.
HERE = ("--cores", "2", "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")


class ClusterProject:
    """A copy of the workflow, with the profile as a site of these partitions has it."""

    def __init__(self, folder: Path):
        self.folder = folder
        copy_workflow(folder)
        for name, edits in EDITS.items():
            path = folder / "profiles/slurm" / name
            text = path.read_text(encoding="utf-8")
            for shipped, edited in edits.items():
                assert text.count(shipped) == 1, f"{name} should have one line {shipped}"
                text = text.replace(shipped, edited)
            path.write_text(text, encoding="utf-8")
        for name in ("small.yaml", "slow.smk"):
            text = (ROOT / "tests/cluster" / name).read_text(encoding="utf-8")
            (folder / name).write_text(text, encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen:
        """Snakemake with the shipped profile; its output goes to output.txt."""
        command = [sys.executable, "-m", "snakemake", "--configfile", "small.yaml"]
        command += ["--profile", "profiles/slurm", *HERE]
        with (self.folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                [*command, *arguments],
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def read(self, name: str) -> str:
        return (self.folder / name).read_text(encoding="utf-8")


@dataclass
class Finished:
    """What the runs left behind: folders, exit codes, every job that Slurm saw, who listened."""

    main: ClusterProject
    slow: ClusterProject
    codes: dict[str, int] = field(default_factory=dict)
    jobs: list[dict[str, str]] = field(default_factory=list)
    listeners: set[str] = field(default_factory=set)

    def of(self, rule: str) -> list[dict[str, str]]:
        """Jobs by their comment, `rule_NAME_wildcards_VALUES` or `group_NAME`, as submitted."""
        jobs = [job for job in self.jobs if re.search(rule, job.get("Comment", ""))]
        return sorted(jobs, key=lambda job: int(job["JobId"]))


@pytest.fixture(scope="session")
def slurm():
    if reason := why_not():
        pytest.skip(f"no Slurm for the tests: {reason}")
    cluster = Slurm()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def finished(slurm, tmp_path_factory):
    """The small configuration to its report, while another job runs out of time."""
    runs = Finished(*(ClusterProject(tmp_path_factory.mktemp(name)) for name in ("main", "slow")))
    slow = runs.slow.start("--snakefile", "slow.smk", "results/slow.txt")
    # Slurm gives the trainings its GPU; they run on the CPU, as there is no GPU in it
    main = runs.main.start(
        *("all", "--set-resources", "train_encoder:gpu=1"),
        *("--report", "results/report.html", "--report-after-run"),
    )
    try:
        cancel_training(slurm, runs, main)
        runs.codes["main"] = main.wait(400)
        gpu = runs.main.start("--retries", "0", "results/toy/variants/on_gpu/model/encoder.pt")
        runs.codes["gpu"] = gpu.wait(120)
        runs.codes["slow"] = slow.wait(120)
    finally:
        for process in (slow, main):
            process.kill()
            process.wait()
    runs.jobs = slurm.jobs()
    return runs


def cancel_training(slurm: Slurm, runs: Finished, snakemake: subprocess.Popen) -> None:
    """Cancel the training of the variant `cut` as soon as it has a checkpoint."""
    checkpoint = runs.main.folder / "results/toy/variants/cut/model/checkpoint.pt"
    deadline = time.monotonic() + 200
    while not checkpoint.exists():
        assert snakemake.poll() is None, runs.main.read("output.txt")[-5000:]
        assert time.monotonic() < deadline, runs.main.read("output.txt")[-5000:]
        runs.listeners |= listeners()
        time.sleep(0.1)
    (job,) = [
        job["JobId"]
        for job in slurm.jobs()
        if job["Comment"] == "rule_train_encoder_wildcards_toy_variants_cut"
    ]
    ask("scancel", job)
