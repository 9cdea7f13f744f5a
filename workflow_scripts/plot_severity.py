"""Adapter of the rule plot_severity."""

from lmcore.figures.severity import plot_severity
from lmcore.job import job

with job(snakemake):
    plot_severity(
        severity=snakemake.input.severity,
        numbers=snakemake.input.numbers,
        control=snakemake.params.control,
        outputs=[snakemake.output.png, snakemake.output.pdf],
        origin=snakemake.params.origin,
        engine=snakemake.input.get("engine"),
    )
