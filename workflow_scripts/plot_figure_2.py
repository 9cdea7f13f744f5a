"""Adapter of the rule plot_figure_2."""

from lmcore.figures.paper import figure_2
from lmcore.job import job

with job(snakemake):
    figure_2(
        population=snakemake.input.population,
        subjects=snakemake.input.subjects,
        unregularized=snakemake.input.unregularized,
        regularized=snakemake.input.regularized,
        retained=snakemake.input.retained,
        class_column=snakemake.params.class_column,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
