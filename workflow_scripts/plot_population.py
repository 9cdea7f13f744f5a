"""Adapter of the rule plot_population."""

from lmcore.figures.montages import plot_population
from lmcore.job import job

with job(snakemake):
    plot_population(
        population=snakemake.input.population,
        subjects=snakemake.input.subjects,
        class_column=snakemake.params.class_column,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
