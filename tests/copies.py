"""Copies of the workflow to run Snakemake in, so that tests never touch one's own results."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("Snakefile", "config.yaml", "config", "lmcore", "profiles", "report", "rules", "schemas")
PARTS += ("workflow_scripts", "envs")


def copy_workflow(folder: Path) -> None:
    """Copy all that Snakemake reads into an existing folder."""
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
