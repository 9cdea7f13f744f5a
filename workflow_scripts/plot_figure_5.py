"""Adapter of the rule plot_figure_5."""

from lmcore.figures.figure_5 import figure_5
from lmcore.job import job

with job(snakemake):
    figure_5(
        severity=snakemake.input.severity,
        numbers=snakemake.input.numbers,
        control=snakemake.params.control,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
        engine=snakemake.input.get("engine"),
    )
