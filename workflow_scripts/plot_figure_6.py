"""Adapter of the rule plot_figure_6."""

from lmcore.figures.localized import figure_6
from lmcore.job import job

with job(snakemake):
    figure_6(
        population=snakemake.input.population,
        content=snakemake.input.content,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
