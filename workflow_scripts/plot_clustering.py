"""Adapter of the rule plot_clustering."""

from lmcore.figures.analyses import plot_clustering
from lmcore.job import job

with job(snakemake):
    plot_clustering(
        clustering=snakemake.input.clustering,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
