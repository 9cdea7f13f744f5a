"""Adapter of the rule plot_shape_model."""

from lmcore.figures.shape_model import plot_shape_model
from lmcore.job import job

with job(snakemake):
    plot_shape_model(
        table=snakemake.input.table,
        modes=snakemake.input.modes,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
