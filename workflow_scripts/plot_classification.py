"""Adapter of the rule plot_classification."""

from lmcore.figures.classification import plot_classification
from lmcore.job import job

with job(snakemake):
    plot_classification(
        classification=snakemake.input.classification,
        predictions=snakemake.input.predictions,
        numbers=snakemake.input.numbers,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
