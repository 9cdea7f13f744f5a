"""Adapter of the rule plot_regularization."""

from lmcore.figures.analyses import plot_regularization
from lmcore.job import job

with job(snakemake):
    plot_regularization(
        regularization=snakemake.input.regularization,
        choice=snakemake.input.choice,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
