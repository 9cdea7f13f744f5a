"""Adapter of the rule classify_subjects."""

import importlib

from lmcore.analysis.classification import classify_subjects
from lmcore.job import job

with job(snakemake):
    truth, class_column = {}, snakemake.params.class_column
    if snakemake.input.truth:
        population = importlib.import_module(f"lmcore.simulation.{snakemake.params.population}")
        probabilities = getattr(population, "CLASS_PROBABILITIES", {})
        truth = {
            "truth": snakemake.input.truth,
            "truth_columns": population.SHAPE_PARAMETERS,
            "truth_probability": probabilities.get(class_column),
        }
    classify_subjects(
        landmarks=snakemake.input.landmarks,
        subjects=snakemake.input.subjects,
        class_column=class_column,
        output=snakemake.output.table,
        numbers=snakemake.output.numbers,
        predictions=snakemake.output.predictions,
        seed=snakemake.params.seed,
        person_column=snakemake.params.person_column,
        particles=snakemake.input.get("particles"),
        **truth,
        **snakemake.params.settings,
    )
