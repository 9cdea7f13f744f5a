"""Adapter of the rule cross_validate_regularization."""

from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.stages import cross_validate_regularization
from lmcore.job import job

with job(snakemake):
    model, training = snakemake.params.model, snakemake.params.training
    wildcards = snakemake.wildcards
    cross_validate_regularization(
        population_path=snakemake.input.population,
        subjects_path=snakemake.input.subjects,
        settings=TrainingSettings.of(model, training, training["regularization"]),
        fold=int(wildcards.fold),
        folds=snakemake.params.folds,
        seed=snakemake.params.seed,
        output=snakemake.output.score,
        seen_path=snakemake.output.seen,
        person_column=snakemake.params.person_column,
        initial_landmarks=snakemake.input.initial,
        what=f"{wildcards.run}, weight {wildcards.weight}, fold {wildcards.fold}",
    )
