"""Adapter of the rule plot_study."""

from lmcore.figures.studies import plot_study
from lmcore.job import job

with job(snakemake):
    plot_study(
        table=snakemake.input.table,
        question=snakemake.params.study["question"],
        x=snakemake.params.study["x"],
        panels=snakemake.params.study["panels"],
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
    )
