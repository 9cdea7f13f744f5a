"""Adapter of the rule evaluate_registration."""

from lmcore.analysis.registration_quality import evaluate_registration
from lmcore.job import job

with job(snakemake):
    evaluate_registration(
        population_path=snakemake.input.population,
        subjects_path=snakemake.input.subjects,
        all_path=snakemake.input.all,
        retained_path=snakemake.input.retained,
        kernel=snakemake.params.kernel,
        seed=snakemake.params.seed,
        output=snakemake.output.table,
        numbers=snakemake.output.numbers,
        examples=snakemake.output.examples,
        class_column=snakemake.params.class_column,
    )
