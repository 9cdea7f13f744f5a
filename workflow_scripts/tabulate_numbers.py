"""Adapter of the rule tabulate_numbers."""

from lmcore.analysis.numbers import tabulate_numbers
from lmcore.job import job

with job(snakemake):
    for parts, choice, output in (
        (snakemake.input.numbers, snakemake.input.regularization, snakemake.output.numbers),
        (snakemake.input.timings, None, snakemake.output.timings),
    ):
        tabulate_numbers(
            parts=parts,
            paper_values=snakemake.input.paper_values,
            experiment=snakemake.params.experiment,
            output=output,
            regularization=choice or None,
            subjects=snakemake.input.subjects,
            seen=snakemake.input.seen,
            trained_on=snakemake.params.trained_on,
            person_column=snakemake.params.person_column,
        )
