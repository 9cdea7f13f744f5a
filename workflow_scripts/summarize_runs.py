"""Adapter of the rule summarize_runs."""

from lmcore.analysis.numbers import summarize
from lmcore.job import job

with job(snakemake):
    summarize(
        runs=dict(zip(snakemake.params.runs, snakemake.input.numbers, strict=True)),
        populations=dict(zip(snakemake.params.runs, snakemake.params.origins, strict=True)),
        output_csv=snakemake.output.csv,
        output_md=snakemake.output.md,
    )
