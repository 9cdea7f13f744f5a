"""Adapter of the rule score_severity."""

import importlib

from lmcore.analysis.severity import score_severity
from lmcore.job import job

with job(snakemake):
    truth = {}
    if snakemake.input.get("truth"):
        population = importlib.import_module(f"lmcore.simulation.{snakemake.params.population}")
        truth = {
            "truth": snakemake.input.truth,
            "truth_columns": population.SHAPE_PARAMETERS,
            "truth_severity": population.SEVERITY,
        }
    score_severity(
        landmarks=snakemake.input.landmarks,
        subjects=snakemake.input.subjects,
        class_column=snakemake.params.class_column,
        person_column=snakemake.params.person_column,
        control=snakemake.params.control,
        output=snakemake.output.table,
        numbers=snakemake.output.numbers,
        seed=snakemake.params.seed,
        population=snakemake.input.population or None,
        particles=snakemake.input.get("particles"),
        ratings=snakemake.input.get("ratings"),
        **truth,
        **snakemake.params.settings,
    )
