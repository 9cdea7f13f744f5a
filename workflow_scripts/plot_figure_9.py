"""Adapter of the rule plot_figure_9."""

from lmcore.figures.figure_9 import figure_9
from lmcore.job import job

with job(snakemake):
    figure_9(
        examples=snakemake.input.examples,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
