"""Adapter of the rule score_severity."""

import importlib

from lmcore.analysis.severity import score_severity
from lmcore.job import job

with job(snakemake):
    files = {name: snakemake.input.get(name) or None for name in ("particles", "ratings")}
    if snakemake.input.get("truth"):
        population = importlib.import_module(f"lmcore.simulation.{snakemake.params.simulated}")
        files |= {
            "truth": snakemake.input.truth,
            "truth_columns": population.SHAPE_PARAMETERS,
            "truth_severity": population.SEVERITY,
        }
    score_severity(
        landmarks=snakemake.input.landmarks,
        subjects=snakemake.input.subjects,
        population=snakemake.input.population or None,
        class_column=snakemake.params.class_column,
        person_column=snakemake.params.person_column,
        control=snakemake.params.control,
        trained_on=snakemake.params.trained_on,
        output=snakemake.output.table,
        numbers=snakemake.output.numbers,
        seed=snakemake.params.seed,
        **files,
        **snakemake.params.settings,
    )
