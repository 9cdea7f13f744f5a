"""Adapter of the rule plot_schedule."""

from lmcore.figures.schedule import plot_schedule
from lmcore.job import job

with job(snakemake):
    plot_schedule(
        benchmarks=snakemake.params.benchmarks,
        runs=snakemake.params.runs,
        outputs=[snakemake.output.png, snakemake.output.pdf],
    )
