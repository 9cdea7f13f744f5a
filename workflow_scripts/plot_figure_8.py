"""Adapter of the rule plot_figure_8."""

from lmcore.figures.mean_shapes import figure_8
from lmcore.job import job

with job(snakemake):
    figure_8(
        content=snakemake.input.content,
        table=snakemake.input.table,
        numbers=snakemake.input.numbers,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
