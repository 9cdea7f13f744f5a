"""Adapter of the rule plot_figure_4."""

from lmcore.figures.figure_4 import figure_4
from lmcore.job import job

with job(snakemake):
    figure_4(
        examples=snakemake.input.examples,
        subjects=snakemake.input.subjects,
        class_column=snakemake.params.class_column,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
