"""Adapter of the rule rank_landmarks."""

from lmcore.discovery.redundancy import rank_landmarks
from lmcore.job import job

with job(snakemake):
    rank_landmarks(
        population_path=snakemake.input.population,
        subjects_path=snakemake.input.subjects,
        landmarks_path=snakemake.input.landmarks,
        kernel=snakemake.params.kernel,
        seed=snakemake.params.seed,
        region=snakemake.params.region,
        trained_on=snakemake.params.trained_on,
        person_column=snakemake.params.person_column,
        output=snakemake.output.importance,
        seen_path=snakemake.output.seen,
    )
