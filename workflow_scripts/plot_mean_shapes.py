"""Adapter of the rule plot_mean_shapes."""

from lmcore.figures.mean_shapes import plot_mean_shapes
from lmcore.job import job

with job(snakemake):
    plot_mean_shapes(
        content=snakemake.input.content,
        table=snakemake.input.table,
        numbers=snakemake.input.numbers,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
