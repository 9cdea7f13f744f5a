"""Adapter of the rule plot_figure_3."""

from lmcore.figures.paper import figure_3
from lmcore.job import job

with job(snakemake):
    figure_3(
        population=snakemake.input.population,
        subjects=snakemake.input.subjects,
        landmarks=snakemake.input.landmarks,
        regularization=snakemake.input.regularization,
        choice=snakemake.input.choice,
        clustering=snakemake.input.clustering,
        clustering_numbers=snakemake.input.clustering_numbers,
        class_column=snakemake.params.class_column,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
