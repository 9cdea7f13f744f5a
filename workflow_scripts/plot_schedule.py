"""Adapter of the rule plot_schedule."""

from pathlib import Path

from lmcore.figures.schedule import plot_schedule
from lmcore.job import job

with job(snakemake):
    plot_schedule(
        benchmarks=Path(snakemake.output.png).parent,
        runs=snakemake.params.runs,
        outputs=[snakemake.output.png, snakemake.output.pdf],
    )
