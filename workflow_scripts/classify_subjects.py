"""Adapter of the rule classify_subjects."""

import importlib

from lmcore.analysis.classification import classify_subjects
from lmcore.job import job

with job(snakemake):
    truth = snakemake.input.truth or None
    columns = None
    if truth:
        population = importlib.import_module(f"lmcore.simulation.{snakemake.params.population}")
        columns = population.SHAPE_PARAMETERS
    classify_subjects(
        landmarks=snakemake.input.landmarks,
        subjects=snakemake.input.subjects,
        class_column=snakemake.params.class_column,
        output=snakemake.output.table,
        numbers=snakemake.output.numbers,
        seed=snakemake.params.seed,
        truth=truth,
        truth_columns=columns,
        **snakemake.params.settings,
    )
