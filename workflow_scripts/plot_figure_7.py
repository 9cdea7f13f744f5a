"""Adapter of the rule plot_figure_7."""

from lmcore.figures.localized import figure_7
from lmcore.job import job

with job(snakemake):
    figure_7(
        population=snakemake.input.population,
        examples=snakemake.input.examples,
        subjects=snakemake.input.subjects,
        class_column=snakemake.params.class_column,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
