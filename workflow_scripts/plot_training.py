"""Adapter of the rule plot_training."""

from lmcore.figures.experiment import plot_training
from lmcore.job import job

with job(snakemake):
    plot_training(
        history=snakemake.input.history,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
