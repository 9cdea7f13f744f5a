"""Adapter of the rule register_groups."""

from lmcore.analysis.registration_examples import register_groups
from lmcore.job import job

with job(snakemake):
    register_groups(
        population_path=snakemake.input.population,
        scores_path=snakemake.input.scores,
        score=snakemake.params.score,
        all_path=snakemake.input.all,
        retained_path=snakemake.input.retained,
        control=snakemake.params.control,
        kernel=snakemake.params.kernel,
        examples=snakemake.output.examples,
        numbers=snakemake.output.numbers,
    )
