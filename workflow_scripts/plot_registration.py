"""Adapter of the rule plot_registration."""

from lmcore.figures.registration import plot_registration
from lmcore.job import job

with job(snakemake):
    plot_registration(
        examples=snakemake.input.examples,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
