"""Adapter of the rule plot_classification."""

from lmcore.figures.analyses import plot_classification
from lmcore.job import job

with job(snakemake):
    plot_classification(
        classification=snakemake.input.classification,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
