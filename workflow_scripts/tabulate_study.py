"""Adapter of the rule tabulate_study."""

from lmcore.analysis.studies import tabulate_study
from lmcore.job import job

with job(snakemake):
    study = snakemake.params.study
    tabulate_study(
        runs=study["runs"],
        paths=snakemake.input.numbers,
        panels=study["panels"],
        output=snakemake.output.table,
    )
