"""Profiles: Snakemake ignores a wrong key without a word, and a group may miss a rule."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = set(
    re.findall(
        r"^rule (\w+):",
        "".join(path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk")),
        re.MULTILINE,
    )
)
SLURM = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["default", "slurm"])
def test_every_key_is_an_option_of_snakemake(name):
    said = subprocess.run(
        [sys.executable, "-m", "snakemake", "--help"], capture_output=True, text=True
    ).stdout
    profile = yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text(encoding="utf-8"))
    options = set(re.findall(r"--([a-z-]+)", said))
    assert set(profile) <= options


def test_groups_name_rules_and_every_figure_is_in_one():
    grouped = set(SLURM["groups"])
    assert grouped <= RULES
    assert {rule for rule in RULES if rule.startswith("plot_")} <= grouped
    assert set(SLURM["group-components"]) <= set(SLURM["groups"].values())


def test_one_partition_has_gpus_and_no_rule_is_bound_to_one():
    """The plugin chooses by the resource `gpu`; a partition said elsewhere would win over it."""
    partitions = yaml.safe_load(
        (ROOT / "profiles/slurm" / SLURM["slurm-partition-config"]).read_text(encoding="utf-8")
    )["partitions"]
    assert sorted(limits["max_gpu"] for limits in partitions.values()) == [0, 1]
    assert "slurm_partition" not in SLURM["default-resources"]
    assert "set-resources" not in SLURM
